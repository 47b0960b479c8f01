"""Scratch directories are in memory if they fit, go away, and do not pile up when processes are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.cli.rebuild import _directory as rebuild_directory
from builder.definition.load import load
from builder.definition.mirror import Mirror
from builder.errors import InvalidInputError
from builder.mkosi import scratch as module
from builder.mkosi.cache import Cache
from builder.mkosi.scratch import scratch
from builder.progress import Silent
from builder.release.lock import LockRequest, make_lock
from builder.vault.store import Vault

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]

HOLD = """
import sys, time
from pathlib import Path
from builder.mkosi.cache import Cache
from builder.mkosi.scratch import scratch
with scratch(Cache(Path(sys.argv[1])), Path(sys.argv[2]), 0, memory=Path(sys.argv[3])) as made:
    (made / "file").write_text("half")
    print(made, flush=True)
    time.sleep(60)
"""


HOLD_IN_CACHE = """
import sys, time
from pathlib import Path
from builder.mkosi.cache import Cache
from builder.mkosi.scratch import scratch_in_cache
with scratch_in_cache(Cache(Path(sys.argv[1]))) as made:
    (made / "file").write_text("half")
    print(made, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def places(tmp_path: Path) -> tuple[Cache, Path, Path]:
    """A cache, the disk, and what stands for the memory; any file system will do."""
    for name in ("cache", "disk", "memory"):
        (tmp_path / name).mkdir()
    return Cache(tmp_path / "cache"), tmp_path / "disk", tmp_path / "memory"


def holder(cache: Cache, *places: Path, code: str = HOLD) -> tuple[subprocess.Popen[str], str]:
    """A process that has a scratch directory, and the directory."""
    argv = [sys.executable, "-c", code, str(cache.directory), *map(str, places)]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def test_what_fits_is_in_memory_and_goes_away(places: tuple[Cache, Path, Path]) -> None:
    cache, disk, memory = places
    with scratch(cache, disk, 0, memory=memory) as made:
        assert made.parent == memory
        (made / "file").write_text("x")
    assert list(memory.iterdir()) == []


@pytest.mark.parametrize("needed", [None, 1 << 60], ids=["unknown", "more than there is"])
def test_what_does_not_fit_is_on_the_disk_and_goes_away(places: tuple[Cache, Path, Path], needed: int | None) -> None:
    cache, disk, memory = places
    with scratch(cache, disk, needed, memory=memory) as made:
        assert made.parent == disk
    assert list(disk.iterdir()) == []
    assert list(memory.iterdir()) == []


@pytest.mark.parametrize("text", ["", "MemTotal: 1 kB\n", "MemAvailable:       1 kB\n"])
def test_a_machine_without_free_memory_or_that_does_not_say_uses_the_disk(
    places: tuple[Cache, Path, Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    cache, disk, memory = places
    (disk / "meminfo").write_text(text)
    monkeypatch.setattr(module, "_MEMORY_INFORMATION", disk / "meminfo")
    with scratch(cache, disk, 0, memory=memory) as made:
        assert made.parent == disk


def test_without_shared_memory_the_disk_is_used(places: tuple[Cache, Path, Path]) -> None:
    cache, disk, memory = places
    memory.rmdir()
    with scratch(cache, disk, 0, memory=memory) as made:
        assert made.parent == disk


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(places: tuple[Cache, Path, Path]) -> None:
    cache, disk, memory = places
    killed, left = holder(cache, disk, memory)
    with killed:
        killed.send_signal(signal.SIGKILL)
    living, held = holder(cache, disk, memory)
    with living:
        try:
            with scratch(cache, disk, 0, memory=memory) as made:
                assert sorted(memory.iterdir()) == sorted([made, memory / held])
                assert not (memory / left).exists()
                assert (memory / held / "file").read_text() == "half"
        finally:
            living.kill()


def lock(cache: Cache, _disk: Path, _memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`bedplate lock` that fails once it has its directory."""

    def failing(*_: object) -> None:
        raise InvalidInputError("as far as that")

    monkeypatch.setattr("builder.release.lock.find_toolchain", lambda _: object())
    monkeypatch.setattr("builder.release.lock._requested", failing)
    mirror = Mirror("http://mirror.example.org/debian", "--mirror")
    request = LockRequest(load(ROOT / "images/inference-node"), mirror, cache, Vault(cache.directory / "vault"), ())
    with pytest.raises(InvalidInputError, match="as far as that"):
        make_lock(request, Silent())


def rebuild(cache: Cache, _disk: Path, _memory: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of `bedplate rebuild`."""
    with rebuild_directory(None, cache) as made:
        assert list(made.iterdir()) == []


def build(cache: Cache, disk: Path, memory: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of a build."""
    with scratch(cache, disk, 0, memory=memory):
        pass


@pytest.mark.parametrize("verb", [lock, rebuild, build])
def test_what_a_killed_lock_or_rebuild_left_in_the_cache_goes_and_what_a_living_one_has_stays(
    places: tuple[Cache, Path, Path],
    verb: Callable[[Cache, Path, Path, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, disk, memory = places
    living, held = holder(cache, code=HOLD_IN_CACHE)
    with living:
        try:
            killed, left = holder(cache, code=HOLD_IN_CACHE)
            with killed:
                killed.send_signal(signal.SIGKILL)
            assert sorted(map(str, cache.directory.glob(".partial-*"))) == sorted([held, left])
            verb(cache, disk, memory, monkeypatch)
            assert list(map(str, cache.directory.glob(".partial-*"))) == [held]
            assert (cache.directory / held / "file").read_text() == "half"
        finally:
            living.kill()


def test_what_was_left_in_memory_goes_also_if_nothing_fits_there(places: tuple[Cache, Path, Path]) -> None:
    cache, disk, memory = places
    killed, _ = holder(cache, disk, memory)
    with killed:
        killed.send_signal(signal.SIGKILL)
    with scratch(cache, disk, 1 << 60, memory=memory):
        assert list(memory.iterdir()) == []


def test_what_belongs_to_another_cache_or_is_a_link_stays(places: tuple[Cache, Path, Path]) -> None:
    cache, disk, memory = places
    with scratch(Cache(disk), disk, 0, memory=memory) as other:
        prefix = other.name.rsplit("-", 1)[0]
    (memory / f"{prefix}-abandoned").mkdir()
    with scratch(cache, disk, 0, memory=memory) as made:
        link = memory / f"{made.name.rsplit('-', 1)[0]}-link"
        link.symlink_to(disk)
    with scratch(cache, disk, 0, memory=memory):
        assert link.is_symlink()
        assert (memory / f"{prefix}-abandoned").is_dir()
    assert disk.is_dir()
