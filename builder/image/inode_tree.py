"""A file system whose inodes say of themselves what a file is: what ext4 and squashfs share.

A format has the inode of the root, the names in a directory, and what belongs to one inode. From these come all files,
in the order of the disk and within bounds that make it end on an image that somebody made up.
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from builder.errors import MalformedImageError
from builder.image.filesystem import MAX_FILES, MAX_PATH, FileEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from builder.image.binary import BinaryView
    from builder.image.filesystem import Xattrs

_MIN_ATTRIBUTES = 64 << 20


class Inode(Protocol):
    """What the tree has to know of the inodes of a format."""

    @property
    def number(self) -> int:
        """The same for hard links of one file, and for nothing else."""

    @property
    def mode(self) -> int:
        """The st_mode."""

    @property
    def uid(self) -> int:
        """The owner."""

    @property
    def gid(self) -> int:
        """The group."""

    @property
    def size(self) -> int:
        """Bytes of data."""

    @property
    def mtime(self) -> int:
        """Seconds since 1970."""

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number, if it is a device node."""

    def error(self, problem: str) -> MalformedImageError:
        """The error to raise for what is wrong with it."""


AnyInode = TypeVar("AnyInode", bound=Inode)


class InodeTree(ABC, Generic[AnyInode]):
    """The files of an image by its inodes; see ``builder.image.filesystem.FileSystem``."""

    __slots__ = ()

    @property
    @abstractmethod
    def image(self) -> BinaryView:
        """All of the image, and nothing behind it."""

    @property
    @abstractmethod
    def budget(self) -> int:
        """How many bytes all files may have together: they may share data or be holes, and hashing must still end."""

    @abstractmethod
    def root(self) -> AnyInode:
        """The inode of the root."""

    @abstractmethod
    def children(self, directory: AnyInode, parent: AnyInode) -> Iterable[tuple[str, AnyInode]]:
        """The names in a directory and their inodes, without ``.`` and ``..``, which must say the truth."""

    @abstractmethod
    def xattrs(self, inode: AnyInode) -> Xattrs:
        """Its attributes, sorted by name, in the form that getxattr(2) gives."""

    @abstractmethod
    def target(self, inode: AnyInode) -> str:
        """The target of a symbolic link."""

    @abstractmethod
    def pieces(self, inode: AnyInode) -> Iterator[memoryview]:
        """The data of a regular file in order."""

    def entries(self) -> Iterator[FileEntry]:
        """All files, a directory before what is in it, in the order of the disk.

        Raises MalformedImageError for what breaks the format: a root that is no directory, a directory that is in two
        places, a path that is too long, too many files, and files or attributes that together are far larger than the
        image.
        """
        left = max(len(self.image), _MIN_ATTRIBUTES)
        for path, inode in self._walk():
            entry = self._entry(path, inode)
            left -= sum(len(value) for _, value in entry.xattrs)
            if left < 0:
                problem = "the attributes are together larger than the image"
                raise MalformedImageError(self.image.structure, None, problem)
            yield entry

    def entry(self, path: str) -> FileEntry | None:
        """The file at ``path``, symbolic links not followed, or None if there is none."""
        inode = parent = self.root()
        for name in path.strip("/").split("/") if path.strip("/") else ():
            if not stat.S_ISDIR(inode.mode):
                return None
            child = next((child for found, child in self.children(inode, parent) if found == name), None)
            if child is None:
                return None
            parent, inode = inode, child
        return self._entry(path.strip("/"), inode)

    def _entry(self, path: str, inode: AnyInode) -> FileEntry:
        return FileEntry(
            path=path,
            inode=inode.number,
            mode=inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            size=inode.size if stat.S_ISREG(inode.mode) else 0,
            mtime=inode.mtime,
            xattrs=self.xattrs(inode),
            target=self.target(inode) if stat.S_ISLNK(inode.mode) else None,
            device=inode.device if stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode) else None,
            pieces=lambda: self.pieces(inode),
        )

    def _walk(self) -> Iterator[tuple[str, AnyInode]]:
        root = self.root()
        if not stat.S_ISDIR(root.mode):
            raise root.error("the root is not a directory")
        budget = self.budget
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
                below = [(prefix + name, child, inode) for name, child in self.children(inode, parent)]
                count += len(below)
                if count > MAX_FILES:
                    raise inode.error(f"there are more than {MAX_FILES} files")
                pending.extend(reversed(below))


def link_target(inode: Inode, read: Callable[[], bytes]) -> str:
    """The target of a symbolic link, which is read once its size is known to be that of one."""
    if not 0 < inode.size < MAX_PATH:
        raise inode.error(f"a symbolic link has {inode.size} bytes")
    target = read()
    if b"\0" in target:
        raise inode.error("a symbolic link has a NUL in it")
    return target.decode("utf-8", "surrogateescape")
