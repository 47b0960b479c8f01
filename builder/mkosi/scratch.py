"""Where a build keeps what it needs only for a while: in memory if there is room for it, else on the disk.

Installing packages makes ten thousand small files that are packed and thrown away minutes later; on a disk most of the
time goes into its journal. /dev/shm is a tmpfs on every Linux with the POSIX shared memory calls (shm_overview(7)).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.files import PARTIAL_PREFIX, free_bytes
from builder.held import held_directory, remove_abandoned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.mkosi.cache import Cache

MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- the directories in it are made with mkdtemp, for this user alone
_ON_DISK: Final = f"{PARTIAL_PREFIX}scratch-"
_MEMORY_INFORMATION: Final = Path("/proc/meminfo")
# What to do if a build fills the file system that it works on.
SCRATCH_HINT: Final = "free some space there, or name a directory on another file system (--output)"
# What the tools themselves need beside the files.
_SPARE_BYTES: Final = 1 << 30


@contextlib.contextmanager
def scratch(cache: Cache, disk: Path, needed: int | None, *, memory: Path = MEMORY) -> Iterator[Path]:
    """Yield an empty directory that goes away: in ``memory`` if ``needed`` bytes fit there, else in ``disk``.

    None means that nobody knows how much is needed. What killed processes left in memory or in the cache goes with the
    next call for the same cache.
    """
    in_memory = f"bedplate-{hashlib.sha256(os.fsencode(cache.directory)).hexdigest()[:12]}-"
    remove_abandoned(memory, in_memory)
    remove_abandoned(cache.directory, _ON_DISK)
    fits = needed is not None and _fits(memory, needed)
    with held_directory(memory, in_memory) if fits else held_directory(disk, _ON_DISK) as directory:
        yield directory


@contextlib.contextmanager
def scratch_in_cache(cache: Cache) -> Iterator[Path]:
    """Yield an empty directory in the cache that goes away, and remove what killed processes left there."""
    cache.directory.mkdir(parents=True, exist_ok=True)
    with held_directory(cache.directory, _ON_DISK) as directory:
        yield directory


def _fits(memory: Path, needed: int) -> bool:
    """Whether the directory is one whose programs may be run, and neither it nor the machine would be full."""
    try:
        may_run = not os.statvfs(memory).f_flag & os.ST_NOEXEC
    except OSError:
        return False
    return may_run and free_bytes(memory) >= needed and _available() >= needed + _SPARE_BYTES


def _available() -> int:
    """Bytes that can be used without swapping (proc_meminfo(5), MemAvailable); 0 if the kernel does not say."""
    try:
        lines = _MEMORY_INFORMATION.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) << 10 if found else 0
