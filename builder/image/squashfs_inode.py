"""Inodes of a squashfs image (Linux fs/squashfs/squashfs_fs.h and inode.c)."""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import Any, Final

from builder.errors import MalformedImageError
from builder.image.filesystem import MAX_PATH
from builder.image.squashfs_layout import Blocks, Cursor, SquashfsSuperblock, table_entry

_HEADER: Final = struct.Struct("<HHHHII")
_DIRECTORY: Final = struct.Struct("<IIHHI")
_LONG_DIRECTORY: Final = struct.Struct("<IIIIHHI")
_FILE: Final = struct.Struct("<IIII")
_LONG_FILE: Final = struct.Struct("<QQQIIII")
_LINK: Final = struct.Struct("<II")
_DEVICE: Final = struct.Struct("<II")
_WORD: Final = struct.Struct("<I")
_FRAGMENT: Final = struct.Struct("<QII")
NONE: Final = 0xFFFFFFFF
_LONG: Final = 7  # the types from 8 on are the same seven, with attributes and larger fields
_TYPES: Final = {
    1: stat.S_IFDIR,
    2: stat.S_IFREG,
    3: stat.S_IFLNK,
    4: stat.S_IFBLK,
    5: stat.S_IFCHR,
    6: stat.S_IFIFO,
    7: stat.S_IFSOCK,
}
_DOTS_SIZE: Final = 3  # a directory's size counts its dots, which are not stored


@dataclass(frozen=True, slots=True)
class SquashfsInode:
    """An inode. ``number`` is its place in the inode table, which hard links share; ``stated_number`` what it says.

    ``kind`` is its type, 1 to 7; ``start`` is where the data of a file or the block of a directory begins, ``offset``
    a place in the block of the directory or the fragment; ``sizes`` is where the sizes of a file's blocks are listed.
    """

    number: int
    stated_number: int
    kind: int
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int = 0
    start: int = 0
    offset: int = 0
    fragment: int = NONE
    sizes: tuple[int, int] = (0, 0)
    target: bytes = b""
    rdev: int = 0
    xattr: int = NONE

    @property
    def structure(self) -> str:
        """How errors call it."""
        return f"squashfs inode {self.stated_number}"

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device node (Linux ``new_decode_dev``)."""
        return (self.rdev & 0xFFF00) >> 8, self.rdev & 0xFF | (self.rdev >> 12) & 0xFFF00

    def error(self, problem: str) -> MalformedImageError:
        """The error to raise for what is wrong with it."""
        return MalformedImageError(self.structure, None, problem)


@dataclass(frozen=True, slots=True)
class Piece:
    """``length`` bytes of a file: a block at ``start``, ``stored`` bytes and a flag, or a part of a fragment."""

    start: int
    stored: int
    length: int
    offset: int = 0
    is_fragment: bool = False


def read_inode(blocks: Blocks, superblock: SquashfsSuperblock, reference: int) -> SquashfsInode:
    """The inode at ``reference``: a block of the inode table and an offset in it.

    Raises MalformedImageError for a type that there is not, permissions that are none, and an owner without an id.
    """
    cursor = Cursor(blocks, superblock.inodes + (reference >> 16), reference & 0xFFFF)
    stated_kind, mode, uid, gid, mtime, number = cursor.unpack(_HEADER)
    is_long = stated_kind > _LONG
    kind = stated_kind - _LONG if is_long else stated_kind
    structure = f"squashfs inode {number}"
    if kind not in _TYPES:
        raise MalformedImageError(structure, None, f"the type {stated_kind} is unknown")
    if mode & ~0o7777:
        raise MalformedImageError(structure, None, f"the permissions {mode:#o} have other bits too")
    owner, group = (_identity(blocks, superblock, index, structure) for index in (uid, gid))
    fields = _fields(cursor, kind, is_long=is_long)
    return SquashfsInode(reference, number, kind, _TYPES[kind] | mode, owner, group, mtime, **fields)


def file_pieces(blocks: Blocks, superblock: SquashfsSuperblock, inode: SquashfsInode) -> list[Piece]:
    """Where the data of a file lies, in order. The caller bounds the size of the file.

    Raises MalformedImageError for an entry of the fragment table that is not there.
    """
    size, has_end = superblock.block_size, inode.fragment != NONE
    count = inode.size // size if has_end else -(-inode.size // size)
    cursor, start, pieces = Cursor(blocks, *inode.sizes), inode.start, []
    for number in range(count):
        (stored,) = cursor.unpack(_WORD)
        pieces.append(Piece(start, stored, min(size, inode.size - number * size)))
        start += stored & 0xFFFFFF
    if has_end and inode.size % size:
        if inode.fragment >= superblock.fragment_count:
            raise inode.error(f"its fragment {inode.fragment} is not one of the {superblock.fragment_count}")
        start, stored, _ = table_entry(blocks, superblock.fragments, inode.fragment, _FRAGMENT, inode.structure)
        pieces.append(Piece(start, stored, inode.size % size, inode.offset, is_fragment=True))
    return pieces


def _identity(blocks: Blocks, superblock: SquashfsSuperblock, index: int, structure: str) -> int:
    if index >= superblock.id_count:
        raise MalformedImageError(structure, None, f"its owner {index} is not one of the {superblock.id_count} ids")
    return table_entry(blocks, superblock.ids, index, _WORD, structure)[0]


def _fields(cursor: Cursor, kind: int, *, is_long: bool) -> dict[str, Any]:
    """What follows the header of an inode, by its type."""
    mode = _TYPES[kind]
    if mode == stat.S_IFDIR:
        if is_long:
            _, size, start, _, _, offset, xattr = cursor.unpack(_LONG_DIRECTORY)
        else:
            start, _, size, offset, _ = cursor.unpack(_DIRECTORY)
            xattr = NONE
        return {"size": max(size - _DOTS_SIZE, 0), "start": start, "offset": offset, "xattr": xattr}
    if mode == stat.S_IFREG:
        if is_long:
            start, size, _, _, fragment, offset, xattr = cursor.unpack(_LONG_FILE)
        else:
            start, fragment, offset, size = cursor.unpack(_FILE)
            xattr = NONE
        found = {"size": size, "start": start, "offset": offset, "fragment": fragment, "xattr": xattr}
        return found | {"sizes": cursor.place}
    if mode == stat.S_IFLNK:
        _, size = cursor.unpack(_LINK)
        target = cursor.read(size) if size < MAX_PATH else b""
        return {"size": size, "target": target, "xattr": cursor.unpack(_WORD)[0] if is_long else NONE}
    if mode in {stat.S_IFBLK, stat.S_IFCHR}:
        _, rdev = cursor.unpack(_DEVICE)
        return {"rdev": rdev, "xattr": cursor.unpack(_WORD)[0] if is_long else NONE}
    cursor.unpack(_WORD)
    return {"xattr": cursor.unpack(_WORD)[0] if is_long else NONE}
