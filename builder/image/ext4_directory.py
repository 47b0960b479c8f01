"""Directories of ext2, ext3 and ext4, read from one end to the other, also those that have a hash tree.

Source: Linux Documentation/filesystems/ext4/directory.rst, fs/ext4/dir.c (``__ext4_check_dir_entry``), namei.c and
inline.c. The blocks of a hash tree look like unused entries, so that readers who do not know them see all names.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from builder.image.binary import BinaryView
from builder.image.crc32c import crc32c
from builder.image.ext4_blocks import mapped_pieces
from builder.image.ext4_layout import (
    FLAG_INDEX,
    FLAG_INLINE_DATA,
    INCOMPAT_FILETYPE,
    ROOT_INODE,
    Ext4Inode,
    Ext4Volume,
    check,
)
from builder.image.ext4_xattr import inline_data
from builder.image.filesystem import MAX_NAME, join

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENTRY: Final = struct.Struct("<IHBB")
_TAIL: Final = struct.Struct("<IHBBI")
_TAIL_TYPE: Final = 0xDE
_LARGE_BLOCK: Final = 1 << 16
_INDEX_ENTRY: Final = 8
_MAX_DIRECTORY: Final = 64 << 20  # 200 000 names of full length

Name = tuple[int, int | None, bytes]


def names(volume: Ext4Volume, directory: Ext4Inode) -> Iterator[Name]:
    """The inode number, the file type (None where the image keeps none) and the name of each entry, with the dots.

    Raises MalformedImageError for entries that break the format, checksums that are wrong, and names that cannot be.
    """
    has_types = volume.superblock.incompat & INCOMPAT_FILETYPE
    found: set[bytes] = set()
    for inode, kind, name in _raw_names(volume, directory):
        if name in found:
            raise directory.error(f"the name {name!r} is in it twice")
        found.add(name)
        yield inode, kind if has_types else None, name


def _raw_names(volume: Ext4Volume, directory: Ext4Inode) -> Iterator[tuple[int, int, bytes]]:
    if directory.flags & FLAG_INLINE_DATA:
        first, second = inline_data(volume, directory)
        head = BinaryView.of(first, f"inline directory of {directory.raw.structure}", directory.block.base)
        yield directory.number, 2, b"."
        yield head.u32(0), 2, b".."
        yield from _entries(head.view(4, len(first) - 4))
        yield from _entries(BinaryView.of(second, f"inline directory of {directory.raw.structure}"))
        return
    size = volume.superblock.block_size
    if directory.size % size or not 0 < directory.size <= min(len(volume.image), _MAX_DIRECTORY):
        raise directory.error(f"a directory has {directory.size} bytes")
    data = BinaryView.of(join(mapped_pieces(volume, directory)), f"directory of {directory.raw.structure}")
    for start in range(0, len(data), size):
        block = data.view(start, size)
        if directory.seed is not None:
            _check_block(block, directory)
        yield from _entries(block)


def _entries(block: BinaryView) -> Iterator[tuple[int, int, bytes]]:
    """The used entries of a block, which its entries fill from end to end."""
    offset = 0
    while offset < len(block):
        inode, length, name_length, kind = block.unpack(_ENTRY, offset)
        if len(block) == _LARGE_BLOCK:
            length = _LARGE_BLOCK if length in {0, 0xFFFF} else length & 0xFFFC | (length & 3) << 16
        if length % 4 or length < _ENTRY.size + name_length or offset + length > len(block):
            raise block.error(offset, f"an entry of {length} bytes for a name of {name_length} is not possible")
        if inode:
            name = block.read(offset + _ENTRY.size, name_length)
            if not 0 < len(name) <= MAX_NAME or b"/" in name or b"\0" in name:
                raise block.error(offset, f"{name!r} is no file name")
            yield inode, kind, name
        offset += length


def _check_block(block: BinaryView, directory: Ext4Inode) -> None:
    """Compare the checksum at the end of a block of entries, or behind the limit of a block of a hash tree."""
    end = len(block) - _TAIL.size
    inode, length, name_length, kind, stated = block.unpack(_TAIL, end)
    if (inode, length, name_length, kind) == (0, _TAIL.size, 0, _TAIL_TYPE):
        check(block, end, crc32c(block.slice(0, end), directory.seed or 0), stated)
        return
    start = _index_start(block) if directory.flags & FLAG_INDEX else None
    if start is None:
        raise block.error(end, "a block of a directory has no checksum")
    limit, count = block.u16(start), block.u16(start + 2)
    tail = start + limit * _INDEX_ENTRY
    if not 0 < count <= limit or tail + 8 != len(block):
        raise block.error(start, f"a hash tree has {count} of {limit} entries in a block")
    covered = block.read(0, start + count * _INDEX_ENTRY) + block.read(tail, 4) + bytes(4)
    check(block, tail + 4, crc32c(covered, directory.seed or 0), block.u32(tail + 4))


def _index_start(block: BinaryView) -> int | None:
    """Where limit and count of a hash tree's block stand (``get_dx_countlimit``): behind the dots, or one entry."""
    if block.u16(4) == len(block):
        return _INDEX_ENTRY
    if block.u16(4) == 12 and block.u16(12 + 4) == len(block) - 12:  # noqa: PLR2004 -- the dots
        return 32
    return None


def starts_with_dots(entries: list[Name], directory: Ext4Inode, parent: Ext4Inode) -> bool:
    """Whether the entries begin with ``.`` and ``..`` that say the truth."""
    expected = ROOT_INODE if directory.number == ROOT_INODE else parent.number
    return [(inode, name) for inode, _, name in entries[:2]] == [(directory.number, b"."), (expected, b"..")]
