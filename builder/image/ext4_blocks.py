"""Which blocks of ext2, ext3 and ext4 hold the data of an inode: extent trees and block maps.

Source: Linux Documentation/filesystems/ext4/ifork.rst, fs/ext4/extents.c (``__ext4_ext_check``) and indirect.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.image.crc32c import crc32c
from builder.image.ext4_layout import FLAG_EXTENTS, Ext4Inode, Ext4Volume, check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.image.binary import BinaryView

_MAGIC: Final = 0xF30A
_HEADER: Final = struct.Struct("<HHHHI")
_EXTENT: Final = struct.Struct("<IHHI")
_INDEX: Final = struct.Struct("<IIHH")
_MAX_DEPTH: Final = 5
_MAX_LENGTH: Final = 0x8000  # what is above marks an extent that was reserved and never written
_END: Final = 1 << 32
_DIRECT: Final = 12
_ZEROS: Final = memoryview(bytes(1 << 20))


@dataclass(frozen=True, slots=True)
class _Run:
    """``count`` blocks of a file from its block ``start`` on; ``block`` is where they lie, None for zeros."""

    start: int
    count: int
    block: int | None


def mapped_pieces(volume: Ext4Volume, inode: Ext4Inode) -> Iterator[memoryview]:
    """The data in an inode's blocks in order, without copies; holes come as pieces of zeros of at most 1 MiB."""
    bits, done = volume.superblock.block_bits, 0
    for run in _merged(_runs(volume, inode)):
        begin = run.start << bits
        if begin >= inode.size:  # reserved behind the end of the file
            break
        yield from _zeros(begin - done)
        length = min(run.count << bits, inode.size - begin)
        if run.block is None:
            yield from _zeros(length)
        else:
            yield volume.blocks(run.block, run.count, inode.raw.structure).slice(0, length)
        done = begin + length
    yield from _zeros(inode.size - done)


def _runs(volume: Ext4Volume, inode: Ext4Inode) -> Iterator[_Run]:
    if inode.flags & FLAG_EXTENTS:
        depth = inode.block.u16(6)
        if depth > _MAX_DEPTH:
            raise inode.block.error(6, f"its extent tree has a depth of {depth}, more than {_MAX_DEPTH}")
        yield from _extents(volume, inode, inode.block, depth, 0, _END)
    else:
        yield from _block_map(volume, inode)


def _extents(
    volume: Ext4Volume, inode: Ext4Inode, node: BinaryView, depth: int, first: int, end: int
) -> Iterator[_Run]:
    """The extents below a node, which all have to lie between the blocks ``first`` and ``end`` of the file."""
    magic, count, limit, stated_depth, _ = node.unpack(_HEADER)
    if (magic, stated_depth) != (_MAGIC, depth) or count > limit or (depth and not count):
        raise node.error(0, f"a node of its extent tree begins with {node.read(0, 8).hex()}")
    node.slice(_HEADER.size, limit * _EXTENT.size)
    if inode.seed is not None and node.base != inode.block.base:
        tail = _HEADER.size + limit * _EXTENT.size
        check(node, tail, crc32c(node.slice(0, tail), inode.seed), node.u32(tail))
    places = range(_HEADER.size, _HEADER.size + count * _EXTENT.size, _EXTENT.size)
    if depth:
        entries = [node.unpack(_INDEX, place) for place in places]
        starts = [entry[0] for entry in entries]
        for place, (start, low, high, _), following in zip(places, entries, [*starts[1:], end], strict=True):
            if not first <= start < following <= end:
                raise node.error(place, f"block {start} of the file is out of order in its extent tree")
            child = volume.blocks(low | high << 32, 1, inode.raw.structure)
            yield from _extents(volume, inode, child, depth - 1, start, following)
        return
    for place in places:
        start, length, high, low = node.unpack(_EXTENT, place)
        count = length if length <= _MAX_LENGTH else length - _MAX_LENGTH
        if not count or not first <= start < start + count <= end:
            raise node.error(place, f"an extent of {count} blocks at block {start} of the file is out of order")
        yield _Run(start, count, low | high << 32 if length <= _MAX_LENGTH else None)
        first = start + count


def _block_map(volume: Ext4Volume, inode: Ext4Inode) -> Iterator[_Run]:
    """Twelve blocks, then trees of one, two and three levels; a zero is a hole."""
    end = -(-inode.size >> volume.superblock.block_bits)
    numbers = struct.unpack("<15I", inode.block.data)
    yield from (_Run(at, 1, number) for at, number in enumerate(numbers[:_DIRECT]) if number)
    start, per_block = _DIRECT, volume.superblock.block_size // 4
    for level, number in enumerate(numbers[_DIRECT:], 1):
        if number and start < end:
            yield from _indirect(volume, inode, number, level, start, end)
        start += per_block**level


def _indirect(volume: Ext4Volume, inode: Ext4Inode, block: int, level: int, start: int, end: int) -> Iterator[_Run]:
    table = volume.blocks(block, 1, inode.raw.structure)
    per_block = len(table) // 4
    span = per_block ** (level - 1)
    for at, number in enumerate(struct.unpack(f"<{per_block}I", table.data)):
        here = start + at * span
        if here >= end:
            return
        if number and level == 1:
            yield _Run(here, 1, number)
        elif number:
            yield from _indirect(volume, inode, number, level - 1, here, end)


def _merged(runs: Iterable[_Run]) -> Iterator[_Run]:
    """Runs that follow each other in the file and on the disk as one."""
    last: _Run | None = None
    for run in runs:
        if last is None:
            last = run
        elif last.block is not None and (last.start + last.count, last.block + last.count) == (run.start, run.block):
            last = _Run(last.start, last.count + run.count, last.block)
        else:
            yield last
            last = run
    if last is not None:
        yield last


def _zeros(length: int) -> Iterator[memoryview]:
    while length > 0:
        piece = _ZEROS[:length]
        yield piece
        length -= len(piece)
