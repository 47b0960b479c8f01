"""The extents of a compressed EROFS file: which bytes of the image decode to which bytes of the file.

Source: Linux fs/erofs/erofs_fs.h (``z_erofs_map_header``) and zmap.c.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.image.erofs_lclusters import CONTINUED, HEAD2, PLAIN, compact_index, follows, full_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.errors import MalformedImageError
    from builder.image.binary import BinaryView
    from builder.image.erofs_layout import ErofsInode, ErofsSuperblock
    from builder.image.erofs_lclusters import Lcluster

LAYOUT_FULL: Final = 1
_HEADER: Final = 8
_LARGE_PACKS: Final = 0x01
_BIG_CLUSTERS: Final = 0x02
_BIG_CLUSTERS_2: Final = 0x04
_INLINE_TAIL: Final = 0x08
_INTERLACED: Final = 0x10
_FRAGMENT_TAIL: Final = 0x20
_KNOWN_ADVICE: Final = 0x3F
_WHOLE_FRAGMENT: Final = 1 << 63
_UNKNOWN: Final = 0


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes of a file from ``start`` on, and the ``size`` bytes at ``address`` of the image with them.

    ``algorithm`` is None for data that is not compressed, which is rotated by ``rotation`` bytes. The address of a
    ``fragment`` is one in the data of the packed inode.
    """

    start: int
    length: int
    address: int
    size: int
    algorithm: int | None = None
    rotation: int = 0
    fragment: bool = False


@dataclass(frozen=True, slots=True)
class _Head:
    """Where an extent begins; ``blocks`` of compressed data, which only a tail that has none need not say."""

    number: int
    start: int
    cluster: Lcluster
    blocks: int


@dataclass(frozen=True, slots=True)
class _Map:
    """The header of a file's index, and where things are."""

    view: BinaryView
    superblock: ErofsSuperblock
    inode: ErofsInode
    advice: int
    algorithms: tuple[int, int]
    detail: int
    start: int

    def error(self, offset: int, problem: str) -> MalformedImageError:
        return self.view.error(offset, problem)


def extents(image: BinaryView, superblock: ErofsSuperblock, inode: ErofsInode) -> Iterator[Extent]:
    """The extents of a compressed file in order, without gaps.

    Raises MalformedImageError for an index that is broken, or that the kernel would read in another way.
    """
    view = image.named(inode.structure)
    start = -(-(inode.end + inode.xattr_size) // 8) * 8
    header = view.u64(start)
    if header & _WHOLE_FRAGMENT:
        yield Extent(0, inode.size, header & ~_WHOLE_FRAGMENT, inode.size, fragment=True)
        return
    if inode.layout == LAYOUT_FULL and not superblock.has_map_headers:
        header = 0  # images from before there were headers
    advice, clusters = header >> 32 & 0xFFFF, header >> 56
    if advice & ~_KNOWN_ADVICE or (advice & _INLINE_TAIL and advice & _FRAGMENT_TAIL):
        raise view.error(start + 4, f"the features {advice:#x} of its index are not supported")
    if clusters:
        raise view.error(start + 7, "logical clusters that are larger than a block are not supported")
    algorithms = (header >> 48 & 0xF, header >> 52 & 0xF)
    yield from _extents(_Map(view, superblock, inode, advice, algorithms, header & 0xFFFFFFFF, start))


def _extents(file: _Map) -> Iterator[Extent]:
    size = file.inode.size
    for head, following in itertools.pairwise(itertools.chain(_heads(file), (None,))):
        if head is None:
            break
        end = size if following is None else following.start
        if not head.start <= end <= size:
            raise file.error(file.start, f"an extent from byte {head.start} to {end} of {size} is in its index")
        if head.start < end:
            yield _extent(file, head, end - head.start, is_last=end == size)


def _extent(file: _Map, head: _Head, length: int, *, is_last: bool) -> Extent:
    cluster, block_bits = head.cluster, file.superblock.block_bits
    if is_last and file.advice & _FRAGMENT_TAIL:
        high = cluster.block << 32 if file.inode.layout == LAYOUT_FULL else 0
        return Extent(head.start, length, file.detail | high, length, fragment=True)
    address, size = cluster.block << block_bits, head.blocks << block_bits
    if is_last and file.advice & _INLINE_TAIL:
        address, size = _index_end(file), file.detail >> 16
        if not size or address % file.superblock.block_size + size > file.superblock.block_size:
            raise file.error(address, f"its inline data of {size} bytes is empty or crosses a block boundary")
    elif head.blocks == _UNKNOWN:
        raise file.error(file.start, f"cluster {head.number} of its index does not say how many blocks there are")
    if cluster.kind == PLAIN:
        if length > size:
            raise file.error(address, f"{length} bytes that are not compressed are in {size}")
        rotation = head.start % file.superblock.block_size if file.advice & _INTERLACED else 0
        if rotation and length > file.superblock.block_size:
            raise file.error(address, f"{length} bytes that are rotated in their block are larger than it")
        return Extent(head.start, length, address, size, rotation=rotation)
    algorithm = file.algorithms[cluster.kind == HEAD2]
    if not file.superblock.algorithms >> algorithm & 1:
        raise file.error(file.start + 6, f"it has the compression algorithm {algorithm}, which the superblock has not")
    return Extent(head.start, length, address, size, algorithm=algorithm)


def _heads(file: _Map) -> Iterator[_Head]:
    """Where extents begin, each with the number of its blocks."""
    bits = file.superblock.block_bits
    previous: _Head | None = None
    for number, cluster in enumerate(_index(file)):
        if cluster.kind == CONTINUED:
            if previous is None or not follows(cluster, number - previous.number):
                raise file.error(file.start, f"cluster {number} of its index does not lead to the one that begins it")
            if cluster.blocks:
                previous = _Head(previous.number, previous.start, previous.cluster, cluster.blocks)
            elif number == previous.number + 1 and _may_be_big(file, previous.cluster):
                previous = _Head(previous.number, previous.start, previous.cluster, _UNKNOWN)
            continue
        if previous is not None:
            yield previous
        if cluster.offset >> bits or (not number and cluster.offset):
            raise file.error(file.start, f"cluster {number} of its index begins at its byte {cluster.offset}")
        previous = _Head(number, (number << bits) + cluster.offset, cluster, 1)
    if previous is not None:
        yield previous


def _index(file: _Map) -> Iterator[Lcluster]:
    place = file.start + _HEADER
    count = -(-file.inode.size // file.superblock.block_size)
    if file.inode.layout == LAYOUT_FULL:
        clusters = full_index(file.view, place + _HEADER, count)
    else:
        clusters = compact_index(
            file.view,
            place,
            count,
            file.superblock.block_bits,
            large_packs=bool(file.advice & _LARGE_PACKS),
            big_clusters=bool(file.advice & _BIG_CLUSTERS),
        )
    for number, cluster in enumerate(clusters):
        if cluster.blocks and not file.advice & (_BIG_CLUSTERS | _BIG_CLUSTERS_2):
            raise file.error(place, f"cluster {number} of its index has a block count, which the file does not use")
        yield cluster


def _may_be_big(file: _Map, head: Lcluster) -> bool:
    return head.kind != PLAIN and bool(file.advice & (_BIG_CLUSTERS_2 if head.kind == HEAD2 else _BIG_CLUSTERS))


def _index_end(file: _Map) -> int:
    """Behind the entry, or the whole pack, of the last cluster: where inline data begins."""
    count = -(-file.inode.size // file.superblock.block_size)
    place = file.start + _HEADER
    if file.inode.layout == LAYOUT_FULL:
        return place + _HEADER + count * 8
    before = min((32 - place % 32) // 4 % 8, count)
    large = (count - before) // 16 * 16 if file.advice & _LARGE_PACKS else 0
    return place + 8 * (-(-before // 2) + -(-(count - before - large) // 2)) + large * 2
