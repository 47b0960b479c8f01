"""What every reader of a file system gives: its files with their metadata, contents on demand."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_NAME = 255
MAX_PATH = 4096
MAX_FILES = 2_000_000

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
