"""Where things are in a FAT volume, and its allocation table.

Source: Microsoft FAT32 File System Specification, version 1.03 (fatgen103).

All clusters and sectors are numbers, all offsets bytes from the start of the volume.
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.errors import MalformedImageError
    from builder.image.binary import BinaryView

FAT12, FAT16, FAT32 = 12, 16, 32
FIRST_CLUSTER = 2
DIRECTORY_ENTRY_SIZE = 32
_SECTOR_SIZES = (512, 1024, 2048, 4096)
_BOOT_SIGNATURE = 0xAA55
# fatgen103, "FAT Type Determination".
_FAT12_CLUSTERS_BELOW = 4085
_FAT16_CLUSTERS_BELOW = 65525
_FAT32_CLUSTERS_UP_TO = 0x0FFFFFF5
_FAT32_NO_MIRRORING = 0x80


@dataclass(frozen=True, slots=True, eq=False)
class FatLayout:
    """The geometry of a volume whose table copies are all the same; ``bits`` is 12, 16 or 32."""

    view: BinaryView
    bits: int
    sector_size: int
    cluster_size: int
    cluster_count: int
    table_offsets: tuple[int, ...]
    root_offset: int
    root_size: int
    root_cluster: int
    data_offset: int
    info_offset: int | None
    """The FAT32 FSInfo sector."""
    table: Sequence[int]
    """The entry of every cluster: 0 is free, else the next cluster or an end mark."""

    @property
    def clusters(self) -> range:
        """The numbers of all data clusters."""
        return range(FIRST_CLUSTER, FIRST_CLUSTER + self.cluster_count)

    @property
    def end_of_chain(self) -> int:
        """The mark that ends a chain; the seven values below it mean the same, the one below those a bad cluster."""
        return {FAT12: 0xFFF, FAT16: 0xFFFF, FAT32: 0x0FFFFFFF}[self.bits]

    def entry_offset(self, cluster: int) -> int:
        """Bytes from the start of a table to the entry of ``cluster``; a FAT12 entry may start in mid-byte."""
        return _entry_offset(self.bits, cluster)

    def chain(self, first: int) -> tuple[int, ...]:
        """The clusters of a file from its first one. Raises MalformedImageError for a loop or a stray number."""
        chain: list[int] = []
        cluster, limit, last = first, self.cluster_count, self.end_of_chain - 7
        valid, table = self.clusters, self.table
        while True:
            if cluster not in valid:
                raise self._table_error(chain[-1] if chain else first, f"cluster {cluster} is no data cluster")
            chain.append(cluster)
            if len(chain) > limit:
                raise self._table_error(first, f"the chain of cluster {first} is a loop")
            cluster = table[cluster]
            if cluster >= last:
                return tuple(chain)

    def cluster_offset(self, cluster: int) -> int:
        """Where the bytes of ``cluster`` begin."""
        return self.data_offset + (cluster - FIRST_CLUSTER) * self.cluster_size

    def runs(self, chain: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """The chain as (offset, length) of contiguous bytes."""
        runs: list[tuple[int, int]] = []
        start = 0
        for index in range(1, len(chain) + 1):
            if index == len(chain) or chain[index] != chain[index - 1] + 1:
                runs.append((self.cluster_offset(chain[start]), (index - start) * self.cluster_size))
                start = index
        return tuple(runs)

    def _table_error(self, cluster: int, problem: str) -> MalformedImageError:
        table = self.view.named("FAT")
        return table.error(self.table_offsets[0] + self.entry_offset(max(cluster, 0)), problem)


def read_layout(volume: BinaryView) -> FatLayout:
    """Read the boot sector of a volume.

    Raises MalformedImageError for a geometry that does not fit the volume and for table copies that differ: which
    copy counts is up to the firmware, so two answers are no answer.
    """
    boot = volume.named("FAT boot sector")
    if boot.u16(510) != _BOOT_SIGNATURE:
        raise boot.error(510, "there is no boot signature 55 AA")
    sector = boot.u16(11)
    if sector not in _SECTOR_SIZES:
        raise boot.error(11, f"a sector size of {sector} bytes is not one of {_SECTOR_SIZES}")
    sectors_per_cluster = boot.u8(13)
    if sectors_per_cluster.bit_count() != 1:
        raise boot.error(13, f"{sectors_per_cluster} sectors per cluster is not a power of two")
    reserved, copies = boot.u16(14), boot.u8(16)
    if not reserved or not copies:
        raise boot.error(14, f"{reserved} reserved sectors and {copies} tables: there must be at least one of each")
    root_size = boot.u16(17) * DIRECTORY_ENTRY_SIZE
    table_size = (boot.u16(22) or boot.u32(36)) * sector
    tables = tuple(reserved * sector + number * table_size for number in range(copies))
    root_offset = reserved * sector + copies * table_size
    data_offset = root_offset + -(-root_size // sector) * sector
    total = (boot.u16(19) or boot.u32(32)) * sector
    if not data_offset < total <= len(volume):
        raise boot.error(32, f"{total} bytes in all, {data_offset} before the data, {len(volume)} in the partition")
    cluster_count = (total - data_offset) // (sector * sectors_per_cluster)
    bits = _fat_bits(boot, cluster_count)
    fat32 = bits == FAT32
    _check_tables(volume.named("FAT"), tables, table_size, _table_bytes(bits, FIRST_CLUSTER + cluster_count))
    return FatLayout(
        view=volume,
        bits=bits,
        sector_size=sector,
        cluster_size=sector * sectors_per_cluster,
        cluster_count=cluster_count,
        table_offsets=tables,
        root_offset=root_offset,
        root_size=root_size,
        root_cluster=boot.u32(44) if fat32 else 0,
        data_offset=data_offset,
        info_offset=_info_offset(boot, reserved, sector) if fat32 else None,
        table=_decode_table(volume.slice(tables[0], table_size), bits, FIRST_CLUSTER + cluster_count),
    )


def _fat_bits(boot: BinaryView, cluster_count: int) -> int:
    """The FAT type by the number of clusters.

    Linux, edk2 and mtools take every volume without a 16 bit table size for FAT32, even one with too few clusters
    (`mkfs.vfat -F 32` makes such small volumes), and nothing else fits it; so does this.
    """
    if boot.u16(22) == 0:
        if boot.u16(17):
            raise boot.error(17, "a FAT32 volume has no fixed root directory")
        if boot.u16(42):
            raise boot.error(42, f"FAT32 version {boot.u16(42):#x} is unknown")
        if boot.u16(40) & _FAT32_NO_MIRRORING:
            raise boot.error(40, "the tables are not mirrored")
        if not 0 < cluster_count <= _FAT32_CLUSTERS_UP_TO:
            raise boot.error(32, f"{cluster_count} clusters are none, or too many for FAT32")
        return FAT32
    if boot.u16(17) == 0:
        raise boot.error(17, "there is no root directory")
    if not 0 < cluster_count < _FAT16_CLUSTERS_BELOW:
        raise boot.error(32, f"{cluster_count} clusters are none, or too many for FAT16")
    return FAT12 if cluster_count < _FAT12_CLUSTERS_BELOW else FAT16


def _info_offset(boot: BinaryView, reserved: int, sector: int) -> int | None:
    number = boot.u16(48)
    if number in {0, 0xFFFF}:  # no FSInfo sector
        return None
    if number >= reserved:
        raise boot.error(48, f"the FSInfo sector {number} is not one of the {reserved} reserved sectors")
    return number * sector


def _check_tables(table: BinaryView, offsets: tuple[int, ...], size: int, needed: int) -> None:
    if needed > size:
        raise table.error(offsets[0], f"{size} bytes are too few, the clusters need {needed}")
    first = table.slice(offsets[0], size)
    for number, offset in enumerate(offsets[1:], start=2):
        if table.slice(offset, size) != first:
            raise table.error(offset, f"copy {number} of the table differs from the first one")


def _entry_offset(bits: int, cluster: int) -> int:
    return cluster * bits // 8


def _table_bytes(bits: int, count: int) -> int:
    return -(-count * bits // 8)


def _decode_table(raw: memoryview, bits: int, count: int) -> Sequence[int]:
    if bits == FAT12:
        packed = bytes(raw[: _table_bytes(FAT12, count)])
        words = [packed[number * 3 // 2] | packed[number * 3 // 2 + 1] << 8 for number in range(count)]
        return tuple(word >> 4 if number & 1 else word & 0xFFF for number, word in enumerate(words))
    table = array("H" if bits == FAT16 else "I", bytes(raw[: _table_bytes(bits, count)]))
    if sys.byteorder == "big":
        table.byteswap()
    return table if bits == FAT16 else array("I", (entry & 0x0FFFFFFF for entry in table))
