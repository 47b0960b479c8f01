"""Writing files so that a kill, a full disk or a second process never leaves half a file behind a whole one's name."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from builder.errors import BedplateError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A name that starts like this is unfinished work: never read, safe to delete once nobody holds its directory's lock.
PARTIAL_PREFIX = ".partial-"


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` beside ``path``, flush it to the disk and rename it into place; ``mode`` holds from creation."""
    with new_file(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def new_file(target: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield a file beside ``target`` that becomes ``target`` when the block succeeds and vanishes when it fails."""
    descriptor, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


@contextlib.contextmanager
def new_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a directory beside ``target`` that becomes ``target`` when the block succeeds and vanishes when it fails.

    Everything in it is flushed to the disk before the rename. Raises InvalidInputError if ``target`` already exists,
    unless ``replace``: then the old directory goes once the new one is whole.
    """
    if (target.exists() and not replace) or target.is_symlink():
        raise InvalidInputError(f"{target} already exists", hint="choose another directory, or remove it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)
        # One sync for the whole tree: a toolchain has 15 000 files, and an fsync for each would take minutes.
        os.sync()
        if replace and target.exists():
            # A directory cannot be renamed over another one; the old one becomes unfinished work for an instant.
            old = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=target.parent))
            target.rename(old / target.name)
            partial.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(target.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path`` (made if it is not there). The kernel drops it when we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remove_partial(directory: Path) -> None:
    """Delete what killed processes left unfinished in ``directory``. The caller holds the directory's lock."""
    for leftover in directory.glob(f"{PARTIAL_PREFIX}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def read_bytes(path: Path, *, what: str, limit: int) -> bytes:
    """The content of a file that the user named. Raises InvalidInputError that names ``what`` it should have been."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InvalidInputError(f"cannot read {what} {path}: {error.strerror}") from error
    if len(data) > limit:
        raise InvalidInputError(f"{what} {path} is larger than {limit} bytes")
    return data


@contextlib.contextmanager
def mapped(path: Path, *, what: str) -> Iterator[memoryview]:
    """Map a file read-only. Raises InvalidInputError if it cannot be read or is empty."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise InvalidInputError(f"{what} {path} is empty")
            # ACCESS_READ: a write through the view is a bug and raises TypeError.
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InvalidInputError(f"cannot read {what} {path}: {error.strerror}") from error
    view = memoryview(mapping)
    try:
        yield view
    finally:
        # A reader that kept a slice (in a traceback, say) makes close() fail; the map then goes with its last user.
        with contextlib.suppress(BufferError):
            view.release()
            mapping.close()


def sha256_file(path: Path) -> str:
    """The lower-case hexadecimal SHA-256 digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_bytes(directory: Path) -> int:
    """Bytes that an unprivileged user may still write to the file system of the nearest existing parent."""
    while not directory.exists():
        directory = directory.parent
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def require_free(directory: Path, needed: int, *, what: str) -> None:
    """Raise before work starts that cannot end well for lack of space."""
    free = free_bytes(directory)
    if free < needed:
        raise BedplateError(
            f"{what} needs {needed >> 20} MiB in {directory}, which has {free >> 20} MiB free",
            hint="free some space or choose another directory",
        )


def sync_directory(directory: Path) -> None:
    """Flush a directory's own entries, so that a rename in it outlives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
