"""The data of compressed files of an EROFS image, and of the packed inode that holds the tails of many of them.

Source: Linux fs/erofs/zdata.c, decompressor.c (``z_erofs_fixup_insize``, ``z_erofs_transform_plain``) and fragments.
"""

from __future__ import annotations

import bisect
import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from builder.errors import MalformedImageError
from builder.image.erofs_codec import MAX_DECODED, decode
from builder.image.erofs_extents import extents
from builder.image.erofs_layout import COMPRESSED_LAYOUTS, MAX_EXPANSION, pieces, read_inode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView
    from builder.image.erofs_extents import Extent
    from builder.image.erofs_layout import ErofsInode, ErofsSuperblock

_CACHED_BYTES: Final = 4 * MAX_DECODED


@dataclass(frozen=True, slots=True, eq=False)
class ErofsData:
    """The data of inodes of all layouts. Decoded parts of the packed inode are kept for the next file."""

    image: BinaryView
    superblock: ErofsSuperblock
    _packed: list[tuple[Extent, ...]] = field(default_factory=list)
    _decoded: OrderedDict[int, bytes] = field(default_factory=OrderedDict)

    def pieces(self, inode: ErofsInode) -> Iterator[memoryview]:
        """The data in order. Raises MalformedImageError for what cannot be decoded."""
        if inode.layout not in COMPRESSED_LAYOUTS:
            yield from pieces(self.image, self.superblock, inode)
            return
        for extent in extents(self.image, self.superblock, inode):
            if extent.fragment:
                yield from self.packed(extent.address, extent.length)
            else:
                yield memoryview(self._decode(inode, extent))

    def packed(self, start: int, length: int) -> Iterator[memoryview]:
        """Bytes of the packed inode. Raises MalformedImageError if there is none, or none that is so long."""
        if not self.superblock.packed_nid:
            raise MalformedImageError(
                "EROFS superblock", None, "a file has data in the packed inode, but there is none"
            )
        inode = read_inode(self.image, self.superblock, self.superblock.packed_nid)
        end = start + length
        if end > inode.size:
            problem = f"a file has its bytes {start} to {end}, but it has only {inode.size}"
            raise MalformedImageError("EROFS packed inode", None, problem)
        if inode.layout not in COMPRESSED_LAYOUTS:
            place = 0
            for piece in pieces(self.image, self.superblock, inode):
                yield piece[max(start - place, 0) : max(end - place, 0)]
                place += len(piece)
            return
        found = self._packed_extents(inode)
        first = max(bisect.bisect_right(found, start, key=attrgetter("start")) - 1, 0)
        for extent in itertools.takewhile(lambda extent: extent.start < end, found[first:]):
            data = self._decode_packed(inode, extent)
            yield memoryview(data)[max(start - extent.start, 0) : end - extent.start]

    def _packed_extents(self, inode: ErofsInode) -> tuple[Extent, ...]:
        if not self._packed:
            if inode.size > len(self.image) * MAX_EXPANSION:
                raise MalformedImageError("EROFS packed inode", None, "it is far larger than the image")
            found = tuple(extents(self.image, self.superblock, inode))
            if any(extent.fragment for extent in found):
                raise MalformedImageError("EROFS packed inode", None, "it has its own data in itself")
            self._packed.append(found)
        return self._packed[0]

    def _decode_packed(self, inode: ErofsInode, extent: Extent) -> bytes:
        data = self._decoded.get(extent.start)
        if data is None:
            data = self._decoded[extent.start] = self._decode(inode, extent)
            while sum(map(len, self._decoded.values())) > _CACHED_BYTES:
                self._decoded.popitem(last=False)
        return data

    def _decode(self, inode: ErofsInode, extent: Extent) -> bytes:
        cluster = self.image.view(extent.address, extent.size, f"data of {inode.structure}")
        if extent.algorithm is None:
            # Rotated, so that each byte has the place in the block that it has in the file.
            data = cluster.slice(0, extent.size)
            if extent.rotation:
                data = memoryview(
                    bytes(data[extent.rotation : self.superblock.block_size]) + bytes(data[: extent.rotation])
                )
            return bytes(data[: extent.length])
        skipped = 0
        if self.superblock.zero_padding:
            # The data ends with the cluster; what it does not fill is zeros before it.
            start = cluster.read(0, min(extent.size, self.superblock.block_size))
            skipped = len(start) - len(start.lstrip(b"\0"))
        return decode(extent.algorithm, cluster.view(skipped, extent.size - skipped), extent.length)
