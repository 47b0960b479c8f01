"""The index of a compressed EROFS file: what each logical cluster of it begins or continues.

Source: Linux fs/erofs/erofs_fs.h (``z_erofs_lcluster_index``) and zmap.c. An index comes in two forms. *Full* has 8
bytes for each cluster. *Compact* has packs of 2 clusters in 8 bytes and, where the file says so, of 16 clusters in 32
bytes; a pack has one block address, which its clusters share by counting. The kernel counts backwards from where it
wants to read. This reader counts forwards once, and refuses an index in which the two would not meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView

PLAIN, HEAD1, CONTINUED, HEAD2 = 0, 1, 2, 3
_BLOCK_COUNT: Final = 1 << 11  # Z_EROFS_LI_D0_CBLKCNT
_MAX_DISTANCE: Final = _BLOCK_COUNT - 1
_FULL_ENTRY: Final = 8
_SMALL_PACK: Final = (2, 8)  # clusters, bytes
_LARGE_PACK: Final = (16, 32)
_SMALL_PACK_BITS: Final = 14
_LARGE_PACK_BITS: Final = 12


@dataclass(frozen=True, slots=True)
class Lcluster:
    """A head has the ``offset`` at which its extent begins in the cluster and the ``block`` of its compressed data.

    A continued cluster has the ``distance`` back to its head, None where the index does not say, and the first one the
    number of ``blocks`` of compressed data, where that may be more than one.
    """

    kind: int
    offset: int = 0
    block: int = 0
    distance: int | None = None
    blocks: int = 0


def full_index(index: BinaryView, start: int, count: int) -> Iterator[Lcluster]:
    """The clusters of a full index at ``start``. Raises MalformedImageError where it ends before ``count``."""
    table = index.view(start, count * _FULL_ENTRY)
    for place in range(0, len(table), _FULL_ENTRY):
        kind = table.u16(place) & 3
        if kind == CONTINUED:
            yield _continued(table.u16(place + 4))
        else:
            yield Lcluster(kind, offset=table.u16(place + 2), block=table.u32(place + 4))


def compact_index(
    index: BinaryView, start: int, count: int, cluster_bits: int, *, large_packs: bool, big_clusters: bool
) -> Iterator[Lcluster]:
    """The clusters of a compact index at ``start`` of the image ``index``, which is a multiple of 8.

    Raises MalformedImageError for an index that ends before ``count``, and for clusters that it cannot express.
    """
    if cluster_bits > (_LARGE_PACK_BITS if large_packs else _SMALL_PACK_BITS):
        raise index.error(start, f"a compact index cannot be of clusters of 2^{cluster_bits} bytes")
    # Large packs begin at a multiple of their size; small ones fill the room before and behind them.
    before = min((32 - start % 32) // 4 % 8, count)
    large = (count - before) // 16 * 16 if large_packs else 0
    low_bits = max(cluster_bits, _BLOCK_COUNT.bit_length())
    for clusters, (size, length) in (
        (before, _SMALL_PACK),
        (large, _LARGE_PACK),
        (count - before - large, _SMALL_PACK),
    ):
        for first in range(0, clusters, size):
            pack = index.view(start, length)
            yield from _pack(pack, size, low_bits, min(size, clusters - first), big_clusters=big_clusters)
            start += length


def _pack(pack: BinaryView, size: int, low_bits: int, count: int, *, big_clusters: bool) -> Iterator[Lcluster]:
    word = int.from_bytes(pack.slice(0, len(pack) - 4), "little")
    width = (len(pack) - 4) * 8 // size
    block = pack.u32(len(pack) - 4)
    # With clusters of many blocks the address is that of the pack's first head; without, it is one before.
    pending = 0 if big_clusters else 1
    for number in range(count):
        value = word >> width * number
        kind, low = value >> low_bits & 3, value & (1 << low_bits) - 1
        if kind == CONTINUED:
            cluster = _continued(low)
            if cluster.blocks:
                pending = cluster.blocks
            elif number == size - 1:
                cluster = Lcluster(CONTINUED)  # the last of a pack has the distance to the next head instead
            yield cluster
        else:
            block += pending
            yield Lcluster(kind, offset=low, block=block)
            pending = 1


def _continued(distance: int) -> Lcluster:
    if distance & _BLOCK_COUNT:
        return Lcluster(CONTINUED, distance=1, blocks=distance & ~_BLOCK_COUNT)
    return Lcluster(CONTINUED, distance=distance)


def follows(cluster: Lcluster, distance: int) -> bool:
    """Whether a continued cluster leads back to the head that is really ``distance`` clusters before it."""
    return cluster.distance is None or cluster.distance == min(distance, _MAX_DISTANCE)
