"""Files of an EROFS image: names, owners, modes, attributes and contents.

Source: Linux fs/erofs/erofs_fs.h, dir.c and namei.c. Directory order matters: the kernel finds names by binary
search, so an entry out of order would be listed here and not be found there, or the other way round.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.binary import BinaryView
from builder.image.erofs_compressed import ErofsData
from builder.image.erofs_layout import MAX_EXPANSION, ErofsInode, ErofsSuperblock, read_inode, read_superblock
from builder.image.erofs_xattr import XattrReader, Xattrs, open_xattrs

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRENT = struct.Struct("<QHBB")
_MAX_NAME = 255
_MAX_PATH = 4096
# include/linux/fs_types.h
_FILE_TYPES = {
    1: stat.S_IFREG,
    2: stat.S_IFDIR,
    3: stat.S_IFCHR,
    4: stat.S_IFBLK,
    5: stat.S_IFIFO,
    6: stat.S_IFSOCK,
    7: stat.S_IFLNK,
}
_MIN_BUDGET = 16 << 20


@dataclass(frozen=True, slots=True)
class ErofsFile:
    """A path and the inode it leads to; hard links share an inode. ``path`` has no leading slash, "" is the root.

    Bytes of names and targets that are not UTF-8 are kept as surrogates (PEP 383).
    """

    path: str
    inode: ErofsInode
    xattrs: Xattrs
    target: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Erofs:
    """An image to read from; made by :func:`open_erofs`."""

    image: BinaryView
    superblock: ErofsSuperblock
    data: ErofsData
    xattr_reader: XattrReader

    def walk(self) -> Iterator[ErofsFile]:
        """All files, a directory before what is in it, in the order of the disk.

        Raises MalformedImageError for what breaks the format, for directories that are in two places, and for files
        that together are far larger than the image.
        """
        budget = max(len(self.image) * MAX_EXPANSION, _MIN_BUDGET)
        seen: set[int] = set()
        root = self.inode(self.superblock.root_nid)
        if not stat.S_ISDIR(root.mode):
            raise MalformedImageError(root.structure, self.image.base, "the root is not a directory")
        pending = [(self._file("", root), root.nid)]
        while pending:
            file, parent = pending.pop()
            inode = file.inode
            yield file
            if inode.nid not in seen:
                budget -= inode.size
            elif stat.S_ISDIR(inode.mode):
                raise self._error(inode, f"the directory {file.path!r} is in two places")
            seen.add(inode.nid)
            if budget < 0:
                raise self._error(inode, "the files are together far larger than the image")
            if stat.S_ISDIR(inode.mode):
                prefix = f"{file.path}/" if file.path else ""
                children = [
                    (self._file(prefix + name, child), inode.nid) for name, child in self._children(inode, parent)
                ]
                pending.extend(reversed(children))

    def inode(self, nid: int) -> ErofsInode:
        """The inode with the number ``nid``."""
        return read_inode(self.image, self.superblock, nid)

    def pieces(self, inode: ErofsInode) -> Iterator[memoryview]:
        """The data of a file in order, copied only where it is compressed."""
        return self.data.pieces(inode)

    def content(self, inode: ErofsInode) -> memoryview:
        """The data of a file: in place where it is in one piece, else a copy."""
        if inode.size > max(len(self.image) * MAX_EXPANSION, _MIN_BUDGET):
            raise self._error(inode, f"{inode.size} bytes are far more than the image has")
        parts = list(self.pieces(inode))
        return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))

    def find(self, path: str) -> ErofsFile | None:
        """The file at ``path``, symbolic links not followed, or None if there is none."""
        inode = self.inode(self.superblock.root_nid)
        parent = inode.nid
        for name in path.strip("/").split("/"):
            if not stat.S_ISDIR(inode.mode):
                return None
            child = next((child for found, child in self._children(inode, parent) if found == name), None)
            if child is None:
                return None
            parent, inode = inode.nid, child
        return self._file(path.strip("/"), inode)

    def read_file(self, path: str) -> memoryview:
        """The data of the regular file at ``path``. Raises InvalidInputError if there is none."""
        file = self.find(path)
        if file is None or not stat.S_ISREG(file.inode.mode):
            raise InvalidInputError(f"there is no regular file {path} in the EROFS image")
        return self.content(file.inode)

    def _file(self, path: str, inode: ErofsInode) -> ErofsFile:
        if len(path) > _MAX_PATH:
            raise self._error(inode, f"its path is longer than {_MAX_PATH} characters")
        target = self._target(inode) if stat.S_ISLNK(inode.mode) else None
        return ErofsFile(path, inode, self.xattr_reader.read(inode), target)

    def _target(self, inode: ErofsInode) -> str:
        if not 0 < inode.size < _MAX_PATH:
            raise self._error(inode, f"a symbolic link has {inode.size} bytes")
        target = bytes(self.content(inode))
        if b"\0" in target:
            raise self._error(inode, "a symbolic link has a NUL in it")
        return target.decode("utf-8", "surrogateescape")

    def _children(self, directory: ErofsInode, parent: int) -> Iterator[tuple[str, ErofsInode]]:
        """The names in a directory and their inodes, without ``.`` and ``..``, which must say the truth."""
        dots = {b".": directory.nid, b"..": parent}
        previous = b""
        for nid, file_type, name in self._entries(directory):
            if name <= previous:
                raise self._error(directory, f"the name {name!r} is out of order, or there twice")
            previous = name
            if name in dots:
                if nid != dots.pop(name):
                    raise self._error(directory, f"its entry {name.decode()!r} leads to inode {nid}")
                continue
            child = self.inode(nid)
            if _FILE_TYPES.get(file_type) != stat.S_IFMT(child.mode):
                raise self._error(child, f"its mode {child.mode:#o} is not of type {file_type}, as its directory says")
            yield name.decode("utf-8", "surrogateescape"), child
        if dots:
            raise self._error(directory, "a directory has no '.' or no '..'")

    def _entries(self, directory: ErofsInode) -> Iterator[tuple[int, int, bytes]]:
        """The raw entries: each block has its entries first, then their names back to back (Linux dir.c)."""
        if directory.size > len(self.image):
            raise self._error(directory, f"a directory has {directory.size} bytes, more than the image")
        data = BinaryView.of(self.content(directory), f"directory of {directory.structure}")
        size = self.superblock.block_size
        for start in range(0, len(data), size):
            block = data.view(start, min(size, len(data) - start))
            names_start = block.u16(8)
            if names_start % _DIRENT.size or not _DIRENT.size <= names_start <= len(block):
                raise block.error(8, f"names that start at {names_start} are not behind whole entries")
            entries = [block.unpack(_DIRENT, offset) for offset in range(0, names_start, _DIRENT.size)]
            ends = [entry[1] for entry in entries[1:]] + [len(block)]
            for (nid, begin, file_type, _), end in zip(entries, ends, strict=True):
                name = block.read(begin, end - begin)
                if end == len(block):  # the last name ends at a NUL or with the block
                    name = name.partition(b"\0")[0]
                if not 0 < len(name) <= _MAX_NAME or b"/" in name or b"\0" in name:
                    raise block.error(begin, f"{name[:_MAX_NAME]!r} is no file name")
                yield nid, file_type, name

    def _error(self, inode: ErofsInode, problem: str) -> MalformedImageError:
        place = self.image.base + self.superblock.meta_offset + inode.nid * 32
        return MalformedImageError(inode.structure, place, problem)


def open_erofs(volume: BinaryView) -> Erofs:
    """The image at the start of ``volume``. Raises MalformedImageError for a broken or unsupported superblock."""
    superblock = read_superblock(volume)
    # Nothing may lie behind the last block: what is not part of the image is not covered by its hash tree either.
    image = volume.named("EROFS image").view(0, superblock.blocks << superblock.block_bits)
    data = ErofsData(image, superblock)
    return Erofs(image, superblock, data, open_xattrs(image, superblock, data))
