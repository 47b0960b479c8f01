"""Builds that take over what earlier ones made come to the bits of one run of mkosi on the whole tree.

That a layered build equals a single run is what ``test_variation`` shows: a rebuild takes over nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.cli.exitcodes import ExitCode
from builder.definition.load import load
from builder.definition.lock import LOCK_FILE, read_lock
from builder.files import sha256_file
from builder.mkosi.cache import Cache, find_cache
from builder.progress import Silent
from builder.release.build import BuildRequest, UnsignedBuild, build_image
from builder.release.layout import Names
from builder.release.record import load_record
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration
LONG = ", ".join(f"site.word{number}={'x' * 60}" for number in range(9))
BEDPLATE = Path(sys.executable).parent / "bedplate"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A copy of the shipped definition, to change."""
    shutil.copytree(IMAGE.parent, tmp_path / "images", symlinks=True)
    return tmp_path / "images/inference-node"


@pytest.fixture
def cache(tmp_path: Path, toolchain: Toolchain, built: Path) -> Cache:
    """A cache with layers of its own, as ``built`` left them; toolchain and vault are the shared ones."""
    shared, own = find_cache(os.environ), Cache(tmp_path / "cache")
    own.directory.mkdir()
    for name in ("toolchain", "vault"):
        (own.directory / name).symlink_to(shared.directory / name)
    shutil.copytree(shared.layers, own.layers)
    return own


@pytest.fixture
def build(image: Path, cache: Cache, tmp_path: Path) -> Callable[..., UnsignedBuild]:
    def make(output: str = "dist", *, force: bool = False) -> UnsignedBuild:
        request = BuildRequest(
            load(image), None, cache, tmp_path / output, 1800.0, force=force, supply=shipped_supply()
        )
        return build_image(request, Silent())

    return make


def digest(built: UnsignedBuild) -> str:
    found = sha256_file(built.directory / Names(built.record.stem).disk)
    assert found == built.record.disk
    return found


def steps(built: UnsignedBuild) -> dict[str, str]:
    return {step.name: step.because for step in built.steps}


def set_command_line(image: Path, arguments: str) -> None:
    path = image / "image.yaml"
    text = "".join(line for line in path.read_text().splitlines(keepends=True) if "kernel:" not in line)
    path.write_text(text + (f"kernel: {{command_line: [{arguments}]}}\n" if arguments else ""))


def test_another_command_line_comes_to_the_same_bits_without_mkosi(
    build: Callable[..., UnsignedBuild], image: Path
) -> None:
    # Longer than a cluster of the system partition, then shorter again: the UKI grows and shrinks in its place.
    first = build()
    digests = {"": digest(first)}
    for arguments in (LONG, "nosmt", ""):
        set_command_line(image, arguments)
        changed = build()
        assert steps(changed) == {"root": "", "command line": "command line changed"}
        assert changed.record.root_packages == first.record.root_packages
        if arguments in digests:
            assert digest(changed) == digests[arguments]
        else:
            whole = build("whole", force=True)
            assert steps(whole)["disk"] == "--force asks for it"
            assert digest(changed) == digest(whole)


def test_another_policy_checks_the_image_that_is_there(build: Callable[..., UnsignedBuild], image: Path) -> None:
    first = build()
    definition = image / "image.yaml"
    text = definition.read_text()
    assert "packs: [inference-node.yaml]" in text
    definition.write_text(text.replace("packs: [inference-node.yaml]", "packs: [inference-node.yaml, hardened-kernel]"))
    second = build()
    assert steps(second) == {"image": "", "verdict": "the policy changed"}
    assert digest(second) == digest(first)
    assert second.record.policy != first.record.policy
    assert second.record.finished == first.record.finished


def test_a_file_of_the_image_makes_the_disk_and_no_layer(build: Callable[..., UnsignedBuild], image: Path) -> None:
    first = build()
    unit = image / "files/usr/lib/systemd/system/engine.service"
    unit.write_text(unit.read_text() + "# changed\n")
    second = build()
    assert steps(second) == {
        "layer base": "",
        "layer initrd": "",
        "layer packages": "",
        "layer programs": "",
        "layer engine": "",
        "disk": "file mkosi.extra/usr/lib/systemd/system/engine.service changed",
    }
    # The first build is replaced by then; its record says what it was.
    assert digest(second) != first.record.disk


def test_a_layer_that_was_tampered_with_is_made_again(build: Callable[..., UnsignedBuild], cache: Cache) -> None:
    # All of them, since the cache that was copied may have the initrds of other images.
    for place in cache.layers.glob("initrd-*/initrd.cpio.zst"):
        with place.open("r+b") as file:
            file.write(b"\xff")
    made = build()
    assert steps(made)["layer initrd"] == "initrd.cpio.zst of the one in the cache was changed on the disk"
    assert steps(made)["layer base"] == ""
    assert made.record.disk == build("again").record.disk
    assert made.record.disk == sha256_file(_shared_disk(made))


def test_a_lock_with_another_digest_than_the_package_has_is_refused(cache: Cache, image: Path, tmp_path: Path) -> None:
    # Of a package that the kernel's layer alone installs, so that this is the first layer to be made.
    lock = read_lock(image / LOCK_FILE)
    (kernel,) = (row for row in lock.packages if row.name.startswith("linux-image-6"))
    wrong = "0" * 64
    text = (image / LOCK_FILE).read_text()
    assert text.count(kernel.sha256) == 1
    (image / LOCK_FILE).write_text(text.replace(kernel.sha256, wrong))
    layers = set(cache.layers.glob("[!.]*"))
    with _start(image, tmp_path / "dist", cache, stderr=subprocess.PIPE) as child:
        _, told = child.communicate(timeout=900)
    assert child.returncode == ExitCode.FAILED
    assert f"{kernel.name}" in told.decode()
    assert not list((tmp_path / "dist").rglob("*.raw"))
    assert set(cache.layers.glob("[!.]*")) == layers


def test_builds_that_are_killed_leave_nothing_that_later_ones_use(
    build: Callable[..., UnsignedBuild], cache: Cache, image: Path, tmp_path: Path
) -> None:
    expected = digest(build("expected"))
    chance = random.Random(6)  # noqa: S311 -- where to kill
    for _ in range(3):
        for path in cache.layers.glob("initrd-*"):
            shutil.rmtree(path)
        with _start(image, tmp_path / "killed", cache) as child:
            time.sleep(chance.uniform(1.0, 12.0))
            child.send_signal(signal.SIGKILL)
        assert not list((tmp_path / "killed").glob("*/*.unsigned"))
    after = build("killed")
    assert digest(after) == expected
    assert not list((tmp_path / "killed").rglob(".partial-*"))
    assert not [path for path in cache.layers.iterdir() if path.name.startswith(".partial-")]


def test_two_builds_at_once_make_a_layer_once(cache: Cache, image: Path, tmp_path: Path) -> None:
    for path in cache.layers.glob("initrd-*"):
        shutil.rmtree(path)
    children = [_start(image, tmp_path / name, cache) for name in ("one", "two")]
    for child in children:
        assert child.wait(900) == 0
    disks = [next((tmp_path / name).glob("*/*.unsigned/*.raw")) for name in ("one", "two")]
    assert len({sha256_file(disk) for disk in disks}) == 1
    uses = [use for disk in disks for use in load_record(disk.parent).layers if use.layer == "initrd"]
    assert sorted(use.because for use in uses) == ["", "none is in the cache"]
    assert len(list(cache.layers.glob("initrd-*"))) == 1


def _start(image: Path, output: Path, cache: Cache, *, stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    environment = os.environ | {"BEDPLATE_CACHE": str(cache.directory)}
    command = [str(BEDPLATE), "build", str(image), "-o", str(output), "--progress", "quiet"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)


def _shared_disk(made: UnsignedBuild) -> Path:
    """The disk of the fixture ``built``."""
    directory = find_cache(os.environ).directory / "tests" / made.record.name
    return directory / f"{made.record.version}.unsigned" / Names(made.record.stem).disk
