"""What is planted into a file of a real image is named, with the file and the cause."""

from __future__ import annotations

import json
import mmap
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from builder.baseline.causes import find_causes
from builder.baseline.contents import open_contents
from builder.baseline.source import read_baseline
from builder.cli.group import bedplate
from builder.compare.baselines import compare
from builder.compare.causes.cause import Builds, CauseKind
from builder.errors import BedplateError
from builder.files import sha256_file
from builder.mkosi.toolchain import Origin
from builder.release.rebuild import Rebuilt
from tests.releases import NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Reporter
    from builder.release.rebuild import RebuildRequest

pytestmark = pytest.mark.integration
BUILDS = Builds(words={"host name": "hostile"})
PLANTED = {
    CauseKind.TIMESTAMP: ("made 1767323045\n", "made 1780304461\n"),
    CauseKind.ORDER: ("b\na\nd\nc\n", "c\nb\nd\na\n"),
    CauseKind.LOCALE: ("B\nC\na\nd\n", "a\nB\nC\nd\n"),
    CauseKind.RANDOMNESS: ("id 0f3c9a81e2d47b65\n", "id 9d1b7c40aa52e3f8\n"),
    CauseKind.TOOL_VERSION: ("cc 14.2.0\n", "cc 14.3.0\n"),
    CauseKind.BUILD_PATH: ("/srv/aa/x.c\n", "/home/b/x.c\n"),
    CauseKind.ENVIRONMENT: ("on ci-0017\n", "on hostile\n"),
    CauseKind.UNKNOWN: ("some words\n", "other word\n"),
}


def place_for(disk: Path) -> tuple[str, bytes]:
    """A text file of the root that is long enough to plant something, and stands once in the image."""
    baseline = read_baseline(disk)
    assert isinstance(baseline.files, tuple)
    with open_contents(disk) as contents:
        whole = disk.read_bytes()
        for entry in baseline.files:
            if entry.area == "root" and entry.type == "file" and 200 < entry.size < 4000:
                content = contents.read("root", entry.path)
                if content.isascii() and b"\0" not in content and whole.count(content) == 1:
                    return entry.path, content
    raise BedplateError("no file is fit")


def plant(disk: Path, target: Path, content: bytes, text: str) -> Path:
    """The disk with ``text`` at the begin of the file that has ``content``; the hash tree stays as it is."""
    shutil.copyfile(disk, target)
    with target.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        offset = view.find(content)
        view[offset : offset + len(text)] = text.encode()
    return target


def test_each_cause_is_named_with_its_file(release: Path, tmp_path: Path) -> None:
    disk = release / NAMES.disk
    path, content = place_for(disk)
    # What surrounds a planted list must not be part of its order.
    for kind, (old, new) in PLANTED.items():
        fill = "\0" if kind in {CauseKind.ORDER, CauseKind.LOCALE} else ""
        rest = len(content) - len(old)
        one, other = (side + fill * rest for side in (old, new))
        pair = [plant(disk, tmp_path / name, content, side) for name, side in (("old.raw", one), ("new.raw", other))]
        report = compare(*(read_baseline(side) for side in pair))
        causes = find_causes(report, *pair, BUILDS)
        found = {(cause.kind, cause.area, cause.path) for cause in causes}
        assert found == {(kind, "root", path)}, (kind, causes)


def test_disks_that_differ_where_nothing_is_read_are_told_by_the_place(release: Path, tmp_path: Path) -> None:
    disk = release / NAMES.disk
    other = tmp_path / "other.raw"
    shutil.copyfile(disk, other)
    with other.open("r+b") as file:
        # In the code for BIOS of the protective boot record, which no reader looks at (UEFI 5.2.3).
        file.seek(200)
        file.write(b"\1")
    report = compare(read_baseline(disk), read_baseline(other))
    (cause,) = find_causes(report, disk, other, BUILDS)
    assert (cause.kind, cause.area, cause.path) == (CauseKind.UNKNOWN, "disk", "partition table")
    assert cause.evidence.endswith("0xc8")
    (cause,) = find_causes(report, disk, other, Builds(versions={"bedplate": ("0.1.0", "0.2.0")}))
    assert cause.kind is CauseKind.TOOL_VERSION
    assert cause.evidence.endswith("made by bedplate 0.1.0, this is 0.2.0")


def test_the_verb_names_file_and_cause(
    release: Path, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = place_for(release / NAMES.disk)

    def rebuilt(request: RebuildRequest, directory: Path, _reporter: Reporter) -> Rebuilt:
        disk = plant(request.release.directory / NAMES.disk, directory / NAMES.disk, content, "x 1780304461\n")
        return Rebuilt(disk, sha256_file(disk), sha256_file(request.release.directory / NAMES.disk), Origin.CACHED)

    monkeypatch.setattr("builder.release.rebuild.rebuild", rebuilt)
    monkeypatch.setenv("BEDPLATE_CACHE", str(tmp_path / "cache"))
    arguments = ["rebuild", str(release), "--trust", str(keyring / "release.pub"), "--offline"]
    shown = CliRunner().invoke(bedplate, arguments)
    assert shown.exit_code == 1, shown.output
    assert f"  cause: unknown in root {path}" in shown.stdout
    told = json.loads(CliRunner().invoke(bedplate, [*arguments, "--format", "json"]).stdout)
    assert told["identical"] is False
    assert [(cause["kind"], cause["path"]) for cause in told["causes"]] == [("unknown", path)]
