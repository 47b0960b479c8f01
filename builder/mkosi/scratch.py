"""Where a build keeps what it needs only for a while: in memory if there is room for it, else on the disk.

Installing packages makes ten thousand small files that are packed and thrown away minutes later; on a disk most of the
time goes into its journal. /dev/shm is a tmpfs on every Linux with the POSIX shared memory calls (shm_overview(7)).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.files import free_bytes, locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.mkosi.cache import Cache

MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- the directories in it are made with mkdtemp, for this user alone
_MEMORY_INFORMATION: Final = Path("/proc/meminfo")
# What to do if a build fills the file system that it works on.
SCRATCH_HINT: Final = "free some space there, or name a directory on another file system (--output)"
# What the tools themselves need beside the files.
_SPARE_BYTES: Final = 1 << 30


@contextlib.contextmanager
def scratch(cache: Cache, disk: Path, needed: int | None, *, memory: Path = MEMORY) -> Iterator[Path]:
    """Yield an empty directory that goes away: in ``memory`` if ``needed`` bytes fit there, else in ``disk``.

    None means that nobody knows how much is needed. What a killed process left in memory goes with the next call for
    the same cache.
    """
    if needed is None or not _fits(memory, needed):
        with tempfile.TemporaryDirectory(dir=disk, prefix=".partial-scratch-") as name:
            yield Path(name)
        return
    prefix = f"bedplate-{hashlib.sha256(os.fsencode(cache.directory)).hexdigest()[:12]}-"
    with locked(cache.directory / ".scratch.lock"):
        _remove_abandoned(memory, prefix)
        directory = Path(tempfile.mkdtemp(dir=memory, prefix=prefix))
        holder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(holder)


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


def _remove_abandoned(memory: Path, prefix: str) -> None:
    """Delete directories that nobody holds; the caller holds the lock under which they are made."""
    for directory in memory.glob(f"{prefix}*"):
        if directory.is_symlink() or directory.lstat().st_uid != os.geteuid():
            continue
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(descriptor)
