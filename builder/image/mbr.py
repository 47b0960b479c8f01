"""The partition table of a disk without GPT, and the code that BIOS would run.

Source: UEFI Specification 2.10, 5.2 "LBA 0 Format"; logical partitions as Linux reads them (block/partitions/msdos.c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView

SECTOR: Final = 512
ESP: Final = 0xEF
LINUX: Final = 0x83
_SIGNATURE: Final = 0xAA55
_CODE_SIZE: Final = 440
_RECORDS: Final = 446
_RECORD_SIZE: Final = 16
_EXTENDED: Final = frozenset((0x05, 0x0F, 0x85))
_FIRST_LOGICAL: Final = 5
_MAX_LOGICAL: Final = 128
_TYPE_NAMES: Final = {
    0x07: "ntfs-or-exfat", 0x0B: "fat32", 0x0C: "fat32", 0x0E: "fat16", 0x82: "swap", LINUX: "linux", 0x8E: "lvm",
    0xEE: "gpt-protective", ESP: "esp", 0xFD: "linux-raid",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MbrPartition:
    """A used record: number as Linux counts (logical ones from 5), type byte, bytes from the start of the disk."""

    number: int
    kind: int
    active: bool
    offset: int
    size: int

    @property
    def type_name(self) -> str:
        """A name for the usual types, else "mbr-XX"."""
        return _TYPE_NAMES.get(self.kind, f"mbr-{self.kind:02x}")


def has_mbr(disk: BinaryView) -> bool:
    """Whether the first sector ends in the signature of a boot sector."""
    return len(disk) >= SECTOR and disk.u16(SECTOR - 2) == _SIGNATURE


def has_boot_code(disk: BinaryView) -> bool:
    """Whether BIOS would find code to run in the first sector."""
    return has_mbr(disk) and any(disk.slice(0, _CODE_SIZE))


def read_mbr(disk: BinaryView) -> tuple[MbrPartition, ...]:
    """The primary and logical partitions. Raises MalformedImageError for one outside the disk, and for a loop."""
    found: list[MbrPartition] = []
    for number, record in enumerate(_records(disk, 0), start=1):
        if record.kind in _EXTENDED:
            found += _logical(disk, record.offset)
        elif record.kind:
            found.append(MbrPartition(number, record.kind, record.active, record.offset, record.size))
    for partition in found:
        disk.named("MBR partition").slice(partition.offset, partition.size)
    return tuple(sorted(found, key=lambda partition: partition.number))


def _logical(disk: BinaryView, start: int) -> Iterator[MbrPartition]:
    """The chain of extended boot records: each has a partition, and the way to the next."""
    place = start
    for number in range(_FIRST_LOGICAL, _FIRST_LOGICAL + _MAX_LOGICAL):
        partition, following = _records(disk, place)[:2]
        if partition.kind:
            yield MbrPartition(number, partition.kind, partition.active, place + partition.offset, partition.size)
        if following.kind not in _EXTENDED:
            return
        place = start + following.offset
    raise disk.named("extended boot record").error(start, f"there are more than {_MAX_LOGICAL} logical partitions")


def _records(disk: BinaryView, place: int) -> tuple[MbrPartition, ...]:
    sector = disk.view(place, SECTOR, "MBR")
    if sector.u16(SECTOR - 2) != _SIGNATURE:
        raise sector.error(SECTOR - 2, "there is no boot signature 55 AA")
    records = []
    for number in range(4):
        offset = _RECORDS + number * _RECORD_SIZE
        first, count = sector.u32(offset + 8), sector.u32(offset + 12)
        active = sector.u8(offset) != 0
        records.append(MbrPartition(number + 1, sector.u8(offset + 4), active, first * SECTOR, count * SECTOR))
    return tuple(records)
