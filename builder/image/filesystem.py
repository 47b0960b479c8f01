"""What every reader of a file system gives: its files with their metadata, contents on demand.

A reader of a format has a ``walk`` that yields :class:`FileEntry` values; :func:`walk_tree` does the part of it that
all formats share: the order, and the bounds that make it end on an image that somebody made up.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from builder.errors import InvalidInputError, MalformedImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_NAME = 255
MAX_PATH = 4096
MAX_FILES = 2_000_000
_MIN_ATTRIBUTES = 64 << 20

Xattrs = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A path and what it leads to. ``path`` has no leading slash, "" is the root.

    ``inode`` is the same number for hard links of one file. ``mode`` is st_mode, ``size`` bytes (0 but for regular
    files), ``mtime`` seconds since 1970, ``xattrs`` are sorted by name and have the form that getxattr(2) gives,
    ``target`` is that of a symbolic link, ``device`` major and minor number of a device node. ``pieces`` gives the
    data of a regular file in order. Bytes of names and targets that are not UTF-8 are surrogates (PEP 383).
    """

    path: str
    inode: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    xattrs: Xattrs
    target: str | None
    device: tuple[int, int] | None
    pieces: Callable[[], Iterator[memoryview]]

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    def content(self) -> memoryview:
        """The whole data: in place where it is in one piece, else a copy."""
        return join(self.pieces())


class FileSystem(Protocol):
    """An image that was opened by one of the readers."""

    @property
    def name(self) -> str:
        """The format as people call it: "EROFS", "ext4", "squashfs"."""

    def entries(self) -> Iterator[FileEntry]:
        """All files, a directory before what is in it. Raises MalformedImageError for what breaks the format."""

    def entry(self, path: str) -> FileEntry | None:
        """The file at ``path``, symbolic links not followed, or None if there is none."""


def read_file(file_system: FileSystem, path: str) -> memoryview:
    """The data of the regular file at ``path``. Raises InvalidInputError if there is none."""
    entry = file_system.entry(path)
    if entry is None or not entry.is_file:
        raise InvalidInputError(f"there is no regular file {path} in the {file_system.name} image")
    return entry.content()


def join(pieces: Iterable[memoryview]) -> memoryview:
    """Pieces as one run of bytes, without a copy where there is only one."""
    parts = list(pieces)
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


class Inode(Protocol):
    """What a walk has to know of the inodes of a format."""

    @property
    def number(self) -> int:
        """The same for hard links of one file, and for nothing else."""

    @property
    def mode(self) -> int:
        """The st_mode."""

    @property
    def size(self) -> int:
        """Bytes of data."""

    def error(self, problem: str) -> MalformedImageError:
        """The error to raise for what is wrong with it."""


_Inode = TypeVar("_Inode", bound=Inode)


def walk_tree(
    root: _Inode, children: Callable[[_Inode, _Inode], Iterable[tuple[str, _Inode]]], budget: int
) -> Iterator[tuple[str, _Inode]]:
    """All paths below ``root`` with their inodes, a directory before what is in it, in the order of the disk.

    ``children`` gets a directory and its parent. ``budget`` is how many bytes all files may have together: they may
    share their data or be holes, and hashing them all must still end. Raises MalformedImageError for a root that is no
    directory, a directory that is in two places, a path that is too long, and files that are together too many or too
    large.
    """
    if not stat.S_ISDIR(root.mode):
        raise root.error("the root is not a directory")
    seen: set[int] = set()
    pending = [("", root, root)]
    count = 1
    while pending:
        path, inode, parent = pending.pop()
        if len(path) > MAX_PATH:
            raise inode.error(f"its path is longer than {MAX_PATH} characters")
        is_directory = stat.S_ISDIR(inode.mode)
        if inode.number not in seen:
            budget -= inode.size
        elif is_directory:
            raise inode.error(f"the directory {path!r} is in two places")
        seen.add(inode.number)
        if budget < 0:
            raise inode.error("the files are together far larger than the image")
        yield path, inode
        if is_directory:
            prefix = f"{path}/" if path else ""
            below = [(prefix + name, child, inode) for name, child in children(inode, parent)]
            count += len(below)
            if count > MAX_FILES:
                raise inode.error(f"there are more than {MAX_FILES} files")
            pending.extend(reversed(below))


def bounded_attributes(entries: Iterable[FileEntry], image_size: int, structure: str) -> Iterator[FileEntry]:
    """The entries. Raises MalformedImageError if their attributes, which many may share, have more bytes than fit."""
    left = max(image_size, _MIN_ATTRIBUTES)
    for entry in entries:
        left -= sum(len(value) for _, value in entry.xattrs)
        if left < 0:
            raise MalformedImageError(structure, None, "the attributes are together larger than the image")
        yield entry


def find_in_tree(
    root: _Inode, children: Callable[[_Inode, _Inode], Iterable[tuple[str, _Inode]]], path: str
) -> _Inode | None:
    """The inode at ``path``, symbolic links not followed, or None if there is none."""
    inode = parent = root
    for name in path.strip("/").split("/") if path.strip("/") else ():
        if not stat.S_ISDIR(inode.mode):
            return None
        child = next((child for found, child in children(inode, parent) if found == name), None)
        if child is None:
            return None
        parent, inode = inode, child
    return inode
