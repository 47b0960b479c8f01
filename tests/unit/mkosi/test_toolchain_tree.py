"""Making the toolchain tree: with a stand-in for mmdebstrap, since the real one takes a minute and a mirror."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from builder.definition.lock import Part
from builder.definition.mirror import Mirror
from builder.errors import ToolFailedError, ToolMissingError
from builder.mkosi.bootstrap import (
    bootstrap_command,
    ensure_toolchain,
    find_toolchain,
    require_toolchain,
    toolchain_key,
)
from builder.mkosi.cache import Cache, find_cache
from builder.mkosi.toolchain import Origin
from builder.progress import Silent
from builder.vault.store import Vault
from builder.vault.supply import Supply
from tests.debs import deb, lock, row

MIRROR = Mirror("http://mirror.example.org/debian", "--mirror")
# Packs a tree with an os-release into the archive that it is told to make, and counts its runs.
MAKES_A_TREE = """
import fcntl, os, pathlib, sys, tarfile, time
print("I: working", flush=True)
here = pathlib.Path(sys.argv[0]).parent
alive = (here / "alive").open("w")
fcntl.flock(alive, fcntl.LOCK_EX)
(here / "scratch").write_text(os.environ.get("TMPDIR", ""))
with (here / "runs").open("a") as runs:
    runs.write("run\\n")
(here / "arguments").write_text("\\n".join(sys.argv))
time.sleep(float((here / "delay").read_text()))
(archive,) = (argument for argument in sys.argv if argument.endswith(".tar"))
with tarfile.open(archive, "w") as tar:
    tar.add(here / "os-release", "./usr/lib/os-release")
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a mmdebstrap, which is first in the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "os-release").write_text("ID=debian\n")
    (folder / "delay").write_text("0")
    write_tool(folder, MAKES_A_TREE)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def write_tool(folder: Path, code: str) -> None:
    (folder / "mmdebstrap").write_text(f"#!{sys.executable} -I\n{code}")
    (folder / "mmdebstrap").chmod(0o755)


def test_a_tree_of_locked_packages_has_their_digest_in_its_name_and_needs_no_mirror(
    tools: Path, cache: Cache, tmp_path: Path
) -> None:
    content = deb()
    package = row(content, parts=[Part.TOOLCHAIN])
    vault = Vault(tmp_path / "vault")
    vault.add([content], package.sha256, package.size, "hello")
    supply = Supply(lock(package), vault, [])
    toolchain = ensure_toolchain(cache, None, Silent(), ["a"], supply=supply)
    assert toolchain.tree.parent.name == toolchain_key(["a"], supply) != toolchain_key(["a"])
    assert find_toolchain(cache, ["a"]) == toolchain
    assert [path.name for path in toolchain.tree.parent.iterdir()] == ["tree"]
    (source,) = (word for word in (tools / "arguments").read_text().split("\n") if word.startswith("deb "))
    assert re.fullmatch(r"deb \[trusted=yes\] copy:/.*/archive trixie main", source)


def test_a_locked_package_that_cannot_be_had_leaves_no_tree(tools: Path, cache: Cache, tmp_path: Path) -> None:
    supply = Supply(lock(row(deb(), parts=[Part.TOOLCHAIN])), Vault(tmp_path / "vault"), [])
    with pytest.raises(ToolFailedError, match="1 of 1 locked packages cannot be had"):
        ensure_toolchain(cache, None, Silent(), ["a"], supply=supply)
    assert left_in(cache) == [".lock"]


def left_in(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.toolchains.iterdir())


def test_the_key_follows_the_packages_and_not_their_order() -> None:
    assert toolchain_key(["a", "b"]) == toolchain_key(["b", "a"])
    assert len({toolchain_key(packages) for packages in (["a", "b"], ["a"], ["ab"], ["a", "b", "c"])}) == 4


def test_mmdebstrap_is_told_the_mirror_only_if_there_is_one() -> None:
    assert bootstrap_command(Path("/a.tar"), None, ["b"])[-2:] == ("trixie", "/a.tar")
    assert bootstrap_command(Path("/a.tar"), MIRROR.url, ["b", "c"])[-2:] == ("/a.tar", MIRROR.url)
    assert "--include=b,c" in bootstrap_command(Path("/a.tar"), None, ["b", "c"])


def test_a_tree_is_made_once(tools: Path, cache: Cache) -> None:
    first = ensure_toolchain(cache, MIRROR, Silent(), ["a"])
    assert (first.tree / "usr/lib/os-release").read_text() == "ID=debian\n"
    again = ensure_toolchain(cache, MIRROR, Silent(), ["a"])
    assert again == first
    assert (first.origin, again.origin) == (Origin.MADE, Origin.CACHED)
    assert find_toolchain(cache, ["a"]) == first
    assert find_toolchain(cache, ["b"]) is None
    assert (tools / "runs").read_text() == "run\n"
    assert left_in(cache) == [".lock", toolchain_key(["a"])]
    assert [path.name for path in first.tree.parent.iterdir()] == ["tree"]


def test_who_comes_second_waits_for_the_tree_of_the_first(tools: Path, cache: Cache) -> None:
    (tools / "delay").write_text("1")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_toolchain(cache, MIRROR, Silent(), ["a"])))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert sorted(toolchain.origin for toolchain in found) == [Origin.CACHED, Origin.CACHED, Origin.MADE]
    assert len(found) == 3
    assert (tools / "runs").read_text() == "run\n"


def test_a_failure_leaves_nothing_but_its_log(tools: Path, cache: Cache) -> None:
    write_tool(tools, "import sys\nprint('E: no such package')\nsys.exit(2)\n")
    with pytest.raises(ToolFailedError, match=r"failed with exit status 2:\nE: no such package") as caught:
        ensure_toolchain(cache, MIRROR, Silent(), ["a"])
    assert left_in(cache) == [".lock"]
    (log,) = cache.logs.iterdir()
    assert caught.value.hint == f"the full log is {log}"
    assert "E: no such package" in log.read_text()


def test_what_is_no_debian_tree_is_refused(tools: Path, cache: Cache) -> None:
    write_tool(tools, MAKES_A_TREE.replace("./usr/lib/os-release", "./etc/other"))
    with pytest.raises(ToolFailedError, match="a tree that is no Debian tree"):
        ensure_toolchain(cache, MIRROR, Silent(), ["a"])
    assert left_in(cache) == [".lock"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_leaves_nothing_that_passes_for_a_tree(tools: Path, cache: Cache, number: signal.Signals) -> None:
    (tools / "delay").write_text("600")
    code = f"""
from pathlib import Path
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import Cache
from builder.progress import Silent
ensure_toolchain(Cache(Path({str(cache.directory)!r})), None, Silent(), ["a"])
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (tools / "runs").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(60)
    assert find_toolchain(cache, ["a"]) is None
    if os.geteuid() == 0:
        # It ends with bedplate, and what it had unpacked is where the next run clears up.
        with (tools / "alive").open() as alive:
            while not is_free(alive):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert (tools / "scratch").read_text().startswith(f"{cache.toolchains}/.partial-")
    (tools / "delay").write_text("0")
    ensure_toolchain(cache, None, Silent(), ["a"])
    assert left_in(cache) == [".lock", toolchain_key(["a"])]


def is_free(file: IO[str]) -> bool:
    """Whether nobody holds the lock on the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def test_without_mmdebstrap_it_is_named_with_the_line_that_installs_it(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ToolMissingError, match="mmdebstrap, which makes the toolchain tree, is not installed"
    ) as caught:
        ensure_toolchain(cache, None, Silent(), ["a"])
    assert caught.value.hint == "apt-get install mmdebstrap"
    assert not cache.logs.exists()


def test_a_verb_that_only_uses_a_tree_says_which_verb_makes_it(cache: Cache) -> None:
    with pytest.raises(ToolMissingError, match="there is no toolchain tree") as caught:
        require_toolchain(cache)
    assert "`bedplate build`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"BEDPLATE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/bedplate"),
        ({}, f"{Path.home()}/.cache/bedplate"),
        ({"BEDPLATE_CACHE": "", "XDG_CACHE_HOME": ""}, f"{Path.home()}/.cache/bedplate"),
        ({"BEDPLATE_CACHE": "a"}, f"{Path.cwd()}/a"),
    ],
)
def test_the_cache_is_where_the_environment_says(environment: dict[str, str], directory: str) -> None:
    assert find_cache(environment) == Cache(Path(directory))
