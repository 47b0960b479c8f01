"""Writing files so that a kill, a full disk or a second process never leaves half a file behind a whole one's name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from builder.errors import BedplateError, InvalidInputError
from builder.full_disk import NO_SPACE, telling_for
from builder.held import held_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

# A name that starts like this is unfinished work: never read, safe to delete once nobody holds its directory's lock.
PARTIAL_PREFIX = ".partial-"
_MOST_SINGLE_SYNCS = 256
# More at a time is slower: it is mapped and cleared anew for each piece.
_COPY_BYTES = 1 << 20
_KINDS: Final = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO"}

_NO_TARGETS = {"a directory": stat.S_ISDIR, "a socket": stat.S_ISSOCK, "a block device": stat.S_ISBLK}
# The name leads nowhere, which whoever gave it can mend.
_NO_PLACE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO))


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` as ``new_file`` does: whole or not at all, but for a device or a FIFO, which get it directly."""
    with new_file(path, mode=mode) as file:
        file.write(data)


@contextlib.contextmanager
def new_file(target: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield a file beside ``target`` that becomes ``target`` when the block succeeds and vanishes when it fails.

    It is flushed to the disk before the rename, and ``mode`` holds from creation. Behind a symbolic link it is the file
    that the link names which is replaced. What is no file is never replaced: a character device or a FIFO is written
    into directly. Raises InvalidInputError for what cannot be written, and OSError with the name of ``target``.
    """
    with _failures_of(target):
        status = check_target(target)
        stream = None if status is None else _stream(target, status)
        place = target.resolve() if target.is_symlink() else target
    if stream is not None:
        with _failures_of(target, only=NO_SPACE | {errno.EPIPE}), os.fdopen(stream, "wb") as file:
            yield file
        return
    with _failures_of(target):
        descriptor, name = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=place.parent)
    try:
        with _failures_of(target, only=NO_SPACE), os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _failures_of(target):
            Path(name).rename(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_directory(place.parent)


def check_target(target: Path) -> os.stat_result | None:
    """What is behind the name of a file to write, None for nothing yet.

    Raises InvalidInputError for what can neither be replaced nor written into as a stream, and for a file in a
    directory that is not there.
    """
    try:
        status = target.stat()
    except FileNotFoundError:
        directory = (target.resolve() if target.is_symlink() else target).parent
        if not directory.is_dir():
            raise InvalidInputError(f"cannot write {target}: {directory} is not there", hint="make it first") from None
        return None
    except OSError as error:
        raise InvalidInputError(f"cannot write {target}: {error.strerror}") from error
    for kind, is_kind in _NO_TARGETS.items():
        if is_kind(status.st_mode):
            raise InvalidInputError(
                f"{target} is {kind}, expected a file, a character device, a FIFO, or nothing", hint="name another file"
            )
    return status


def require_absent(target: Path) -> None:
    """Raise InvalidInputError if a file is there already; devices, FIFOs and standard output can be written into.

    So it is for what cannot be written, see ``check_target``.
    """
    status = check_target(target)
    if status is not None and stat.S_ISREG(status.st_mode) and _standard_stream(target, status) is None:
        raise InvalidInputError(
            f"{target} is there already, expected no file", hint="name another file, or replace this one with --force"
        )


def remove_earlier(target: Path) -> None:
    """Remove the file that an earlier run left where this one will write; links, devices and FIFOs stay."""
    status = check_target(target)
    if status is not None and stat.S_ISREG(status.st_mode):
        target.resolve().unlink(missing_ok=True)


def _stream(target: Path, status: os.stat_result) -> int | None:
    """A descriptor to write into, None for a file that is to be replaced.

    A link to what standard output or error is already (``/dev/stdout``) gets what follows there: the file behind it, if
    it is one, belongs to whoever redirected it.
    """
    if (standard := _standard_stream(target, status)) is not None:
        return os.dup(standard)
    if stat.S_ISREG(status.st_mode):
        if target.is_symlink():
            # Opening it asks the kernel, which does not follow every link in /tmp (fs.protected_symlinks).
            os.close(os.open(target, os.O_WRONLY))
        return None
    return os.open(target, os.O_WRONLY | os.O_NOCTTY)


def _standard_stream(target: Path, status: os.stat_result) -> int | None:
    """Standard output or error, if a link leads to the file, or whatever else, that it is."""
    if target.is_symlink():
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), status):
                    return descriptor
    return None


@contextlib.contextmanager
def _failures_of(target: Path, *, only: frozenset[int] | None = None) -> Iterator[None]:
    """Tell what the system says of writing with the name of the file that was to be written."""
    try:
        yield
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        if error.errno in _NO_PLACE:
            raise InvalidInputError(f"cannot write {target}: {error.strerror}") from error
        if error.errno == errno.EPIPE:
            raise BedplateError(f"cannot write {target}: nobody reads it any more") from error
        raise OSError(error.errno, error.strerror, str(target)) from error


@contextlib.contextmanager
def new_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a directory beside ``target`` that becomes ``target`` when the block succeeds and vanishes when it fails.

    Everything in it is flushed to the disk before the rename. Raises InvalidInputError if ``target`` already exists,
    unless ``replace``: then the old directory goes once the new one is whole. What a killed process left beside the
    same ``target`` goes first. Raises BedplateError that names ``target`` if its file system is full.
    """
    if (target.exists() and not replace) or target.is_symlink():
        raise _exists(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Of a digest, because the name may be as long as a name can be.
    prefix = f"{PARTIAL_PREFIX}{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}-"
    with held_directory(target.parent, prefix) as partial, telling_for(target, partial):
        yield partial
        partial.chmod(0o755)
        _sync_tree(partial)
        if replace and target.exists():
            # A directory cannot be renamed over another one; the old one becomes unfinished work for an instant.
            old = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=target.parent))
            target.rename(old / target.name)
            partial.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            try:
                partial.rename(target)
            except OSError as error:
                # Somebody else made it meanwhile.
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise _exists(target) from error
                raise
    sync_directory(target.parent)


def _exists(target: Path) -> InvalidInputError:
    return InvalidInputError(f"{target} already exists", hint="choose another directory, or remove it first")


def _sync_tree(directory: Path) -> None:
    """Flush a tree to the disk: file by file, or all at once what would take minutes so (a toolchain: 15 000 files).

    All at once also waits for whatever else the machine is writing.
    """
    paths = [Path(root, name) for root, _, files in os.walk(directory) for name in files]
    if len(paths) > _MOST_SINGLE_SYNCS:
        os.sync()
        return
    for path in paths:
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for root, _, _ in os.walk(directory):
        sync_directory(Path(root))


def move_file(source: Path, target: Path) -> None:
    """Move a file to where there is none, to another file system too: then only what is not a hole is copied."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_sparse(source, target)
        source.unlink()


def copy_sparse(source: Path, target: Path) -> None:
    """Copy the content of a file; holes stay holes (lseek(2), SEEK_DATA)."""
    with source.open("rb") as reader, target.open("xb") as writer:
        size = os.fstat(reader.fileno()).st_size
        writer.truncate(size)
        offset = 0
        while offset < size:
            try:
                start = os.lseek(reader.fileno(), offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:  # no data behind this offset
                    raise
                break
            offset = os.lseek(reader.fileno(), start, os.SEEK_HOLE)
            reader.seek(start)
            writer.seek(start)
            while start < offset:
                data = reader.read(min(_COPY_BYTES, offset - start))
                if not data:
                    raise BedplateError(f"{source} became shorter while it was copied")
                writer.write(data)
                start += len(data)


def copy_hashed(source: Path, target: Path) -> str:
    """Copy the content of a regular file to where there is none; the SHA-256 (hex) of what is in the copy.

    It is no link: what was checked must not change afterwards, whoever may write to ``source``. Raises
    InvalidInputError for what is no regular file, and OSError.
    """
    state = hashlib.sha256()
    with open_regular(source) as reader, target.open("xb") as writer:
        while data := reader.read(_COPY_BYTES):
            state.update(data)
            writer.write(data)
    return state.hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path`` (made if it is not there). The kernel drops it when we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked_directory(directory: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a directory itself (made if it is not there), also on one that is read-only.

    ``on_wait`` is called if another process holds it.
    """
    if not directory.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read, and nothing else: a FIFO that nobody writes to would block for ever.

    Raises InvalidInputError that names what else it is, also for a symbolic link, and OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # open(2): what O_NOFOLLOW and sockets are refused with.
        kind = {errno.ELOOP: "a symbolic link", errno.ENXIO: "a socket"}.get(error.errno or 0)
        if kind is None:
            raise
        raise InvalidInputError(f"{path} is {kind}, expected a regular file") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise InvalidInputError(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'a device')}, expected a regular file")
    return os.fdopen(descriptor, "rb")


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """What the block finds wrong with the content of a file is told with the file's name, as InvalidInputError."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}", hint=error.hint) from error


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
