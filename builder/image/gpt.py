"""The GUID Partition Table of a disk image (UEFI Specification 2.10, chapter 5 "GPT Disk Layout").

The reader is as strict as a finished image deserves: both copies of the table must be there, be whole and agree. A
firmware that meets a damaged primary table falls back to the backup, so a table that only one copy shows could boot
something that nobody looked at.
"""

from __future__ import annotations

import itertools
import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

SECTOR_SIZES = (512, 4096)
SIGNATURE = b"EFI PART"
_REVISION = 0x00010000
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_CRC_FIELD = slice(16, 20)
# 128 entries of 128 bytes are usual; the specification sets no maximum, a reader must.
_MAX_TABLE_BYTES = 1 << 20

_MBR_RECORDS = 446
_MBR_RECORD_SIZE = 16
_MBR_SIGNATURE = 0xAA55
_MBR_TYPE_PROTECTIVE = 0xEE
_MBR_MAX_SECTORS = 0xFFFFFFFF

NIL = uuid.UUID(int=0)

# UAPI.2 Discoverable Partitions Specification, "Defined Partition Type UUIDs": the ones of an x86-64 disk.
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
XBOOTLDR = uuid.UUID("bc13c2ff-59e6-4262-a352-b275fd6f7172")
ROOT_X86_64 = uuid.UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
ROOT_X86_64_VERITY = uuid.UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")
ROOT_X86_64_VERITY_SIG = uuid.UUID("41092b05-9fc8-4523-994f-2def0408b176")
USR_X86_64 = uuid.UUID("8484680c-9521-48c6-9c11-b0720656f69e")
USR_X86_64_VERITY = uuid.UUID("77ff5f63-e7b6-4633-acf4-1565b864c0e6")
USR_X86_64_VERITY_SIG = uuid.UUID("e7bb33fb-06cf-4e81-8273-e543b413e2e2")
HOME = uuid.UUID("933ac7e1-2eb4-4f13-b844-0e14e2aef915")
SRV = uuid.UUID("3b8f8425-20e0-4f3b-907f-1a25a76f98e8")
VAR = uuid.UUID("4d21b016-b534-45c2-a9fb-5c16e091fd2d")
TMP = uuid.UUID("7ec6f557-3bc5-4aca-b293-16ef5df639d1")
SWAP = uuid.UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f")
BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649")  # where GRUB puts its core for BIOS
LINUX_GENERIC = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")

# The names that systemd's tools (systemd-repart, systemd-id128) give these types.
TYPE_NAMES = {
    ESP: "esp",
    XBOOTLDR: "xbootldr",
    ROOT_X86_64: "root-x86-64",
    ROOT_X86_64_VERITY: "root-x86-64-verity",
    ROOT_X86_64_VERITY_SIG: "root-x86-64-verity-sig",
    USR_X86_64: "usr-x86-64",
    USR_X86_64_VERITY: "usr-x86-64-verity",
    USR_X86_64_VERITY_SIG: "usr-x86-64-verity-sig",
    HOME: "home",
    SRV: "srv",
    VAR: "var",
    TMP: "tmp",
    SWAP: "swap",
    LINUX_GENERIC: "linux-generic",
}


@dataclass(frozen=True, slots=True)
class Partition:
    """One used entry. ``number`` counts from 1 as Linux does, LBAs are inclusive, ``offset`` and ``size`` are bytes."""

    number: int
    type_guid: uuid.UUID
    unique_guid: uuid.UUID
    name: str
    first_lba: int
    last_lba: int
    attributes: int
    offset: int
    size: int

    @property
    def type_name(self) -> str:
        """The name that systemd gives the partition type, or the type's UUID where it has none."""
        return TYPE_NAMES.get(self.type_guid, str(self.type_guid))

    def view(self, disk: BinaryView) -> BinaryView:
        """The partition's bytes."""
        return disk.view(self.offset, self.size, f"partition {self.number} ({self.type_name})")


@dataclass(frozen=True, slots=True)
class PartitionTable:
    """A table whose two copies are whole and agree; ``partitions`` has the used entries in entry order, never none."""

    sector_size: int
    disk_guid: uuid.UUID
    first_usable_lba: int
    last_usable_lba: int
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class _Header:
    my_lba: int
    alternate_lba: int
    first_usable_lba: int
    last_usable_lba: int
    disk_guid: bytes
    entries_lba: int
    entry_count: int
    entry_size: int
    entries_crc: int

    def contents(self) -> tuple[object, ...]:
        """What the two copies must have in common."""
        shared = (self.first_usable_lba, self.last_usable_lba, self.disk_guid)
        return (*shared, self.entry_count, self.entry_size, self.entries_crc)


def read_partition_table(disk: BinaryView, sector_size: int | None = None) -> PartitionTable:
    """Read and check the table of a whole disk image, and the protective MBR before it.

    ``sector_size`` is 512 or 4096; by default it is where the primary header is found. Raises MalformedImageError for
    a missing, damaged, disagreeing, overlapping, out-of-range or empty table, and for a hybrid MBR.
    """
    sector = _sector_size(disk, sector_size)
    check_protective_mbr(disk, sector)
    return read_gpt(disk, sector)


def read_gpt(disk: BinaryView, sector_size: int | None = None) -> PartitionTable:
    """The table alone, as UEFI reads it whatever the MBR says. Raises MalformedImageError as read_partition_table."""
    sector = _sector_size(disk, sector_size)
    last_lba = len(disk) // sector - 1
    primary = _read_header(disk, 1, sector, "GPT header")
    if primary.alternate_lba != last_lba:
        problem = f"the backup header is said to be at LBA {primary.alternate_lba}, but the last LBA is {last_lba}"
        raise MalformedImageError("GPT header", disk.base + sector, problem)
    backup = _read_header(disk, last_lba, sector, "backup GPT header")
    if backup.alternate_lba != 1 or backup.contents() != primary.contents():
        raise MalformedImageError("backup GPT header", disk.base + last_lba * sector, "disagrees with the primary one")
    _check_layout(disk, primary, backup, sector)

    entries = _read_entries(disk, primary, sector, "GPT entries")
    _read_entries(disk, backup, sector, "backup GPT entries")  # its CRC is the primary one's, so this compares them
    return PartitionTable(
        sector_size=sector,
        disk_guid=uuid.UUID(bytes_le=primary.disk_guid),
        first_usable_lba=primary.first_usable_lba,
        last_usable_lba=primary.last_usable_lba,
        partitions=_read_partitions(entries, primary, sector),
    )


def _sector_size(disk: BinaryView, given: int | None) -> int:
    sector = given or _find_sector_size(disk)
    if sector not in SECTOR_SIZES:
        raise MalformedImageError("GPT header", None, f"a sector size of {sector} bytes is not one of {SECTOR_SIZES}")
    if len(disk) % sector:
        raise MalformedImageError("disk image", None, f"{len(disk)} bytes are not whole sectors of {sector} bytes")
    return sector


def _find_sector_size(disk: BinaryView) -> int:
    for sector in SECTOR_SIZES:
        if len(disk) >= sector * 2 and disk.slice(sector, len(SIGNATURE)) == SIGNATURE:
            return sector
    raise MalformedImageError("GPT header", disk.base + SECTOR_SIZES[0], "there is no signature 'EFI PART'")


def check_protective_mbr(disk: BinaryView, sector_size: int) -> None:
    """UEFI 5.2.3: one record of type EEh that covers the disk, the other three empty.

    Raises MalformedImageError for any other MBR, one with which BIOS sees partitions that UEFI does not, too.
    """
    mbr, last_lba = disk.named("protective MBR"), len(disk) // sector_size - 1
    if mbr.u16(510) != _MBR_SIGNATURE:
        raise mbr.error(510, "there is no boot signature 55 AA")
    if mbr.u8(_MBR_RECORDS + 4) != _MBR_TYPE_PROTECTIVE or mbr.u32(_MBR_RECORDS + 8) != 1:
        raise mbr.error(_MBR_RECORDS, "the first record is not of type EEh starting at LBA 1")
    if mbr.u32(_MBR_RECORDS + 12) not in {min(last_lba, _MBR_MAX_SECTORS), _MBR_MAX_SECTORS}:
        raise mbr.error(_MBR_RECORDS + 12, "the protective record does not cover the disk")
    for number in range(1, 4):
        offset = _MBR_RECORDS + number * _MBR_RECORD_SIZE
        if any(mbr.slice(offset, _MBR_RECORD_SIZE)):
            raise mbr.error(offset, "a second MBR record is in use (hybrid MBR)")


def _read_header(disk: BinaryView, lba: int, sector: int, structure: str) -> _Header:
    header = disk.view(lba * sector, sector, structure)
    (
        signature, revision, size, crc, reserved,
        my_lba, alternate_lba, first_usable, last_usable, disk_guid,
        entries_lba, entry_count, entry_size, entries_crc,
    ) = header.unpack(_HEADER)  # fmt: skip
    if signature != SIGNATURE:
        raise header.error(0, "there is no signature 'EFI PART'")
    if revision != _REVISION:
        raise header.error(8, f"revision {revision:#x} is not {_REVISION:#x}")
    if not _HEADER.size <= size <= sector:
        raise header.error(12, f"a header of {size} bytes is not between {_HEADER.size} and {sector}")
    covered = bytearray(header.slice(0, size))
    covered[_CRC_FIELD] = bytes(4)
    if zlib.crc32(covered) != crc:
        raise header.error(16, f"the CRC is {zlib.crc32(covered):#010x}, but the header says {crc:#010x}")
    if reserved:
        raise header.error(20, "the reserved field is not zero")
    if my_lba != lba:
        raise header.error(24, f"the header at LBA {lba} says that it is at LBA {my_lba}")
    if entry_size < _ENTRY.size or entry_size & (entry_size - 1):
        raise header.error(84, f"an entry size of {entry_size} is not 128 times a power of two")
    if not 0 < entry_count * entry_size <= _MAX_TABLE_BYTES:
        raise header.error(80, f"{entry_count} entries of {entry_size} bytes are none, or more than is read")
    return _Header(
        my_lba, alternate_lba, first_usable, last_usable, disk_guid, entries_lba, entry_count, entry_size, entries_crc
    )


def _check_layout(disk: BinaryView, primary: _Header, backup: _Header, sector: int) -> None:
    """UEFI 5.3: header, entries, usable sectors, backup entries, backup header, in this order."""
    table_sectors = -(-primary.entry_count * primary.entry_size // sector)
    marks = (
        2,
        primary.entries_lba,
        primary.entries_lba + table_sectors,
        primary.first_usable_lba,
        primary.last_usable_lba + 1,
        backup.entries_lba,
        backup.entries_lba + table_sectors,
        backup.my_lba,
    )
    if list(marks) != sorted(marks):
        raise MalformedImageError(
            "GPT header", disk.base + sector, "headers, entries and usable sectors are out of order or overlap"
        )


def _read_entries(disk: BinaryView, header: _Header, sector: int, structure: str) -> BinaryView:
    entries = disk.view(header.entries_lba * sector, header.entry_count * header.entry_size, structure)
    crc = zlib.crc32(entries.data)
    if crc != header.entries_crc:
        raise entries.error(0, f"the CRC is {crc:#010x}, but the header says {header.entries_crc:#010x}")
    return entries


def _read_partitions(entries: BinaryView, header: _Header, sector: int) -> tuple[Partition, ...]:
    partitions = []
    for index in range(header.entry_count):
        entry = entries.view(index * header.entry_size, header.entry_size, f"GPT entry {index + 1}")
        type_guid, unique_guid, first, last, attributes, name = entry.unpack(_ENTRY)
        if type_guid == NIL.bytes:
            continue
        if not header.first_usable_lba <= first <= last <= header.last_usable_lba:
            problem = f"LBA {first} to {last} is not inside {header.first_usable_lba} to {header.last_usable_lba}"
            raise entry.error(32, problem)
        if unique_guid == NIL.bytes:
            raise entry.error(16, "the partition has no UUID")
        partitions.append(
            Partition(
                number=index + 1,
                type_guid=uuid.UUID(bytes_le=type_guid),
                unique_guid=uuid.UUID(bytes_le=unique_guid),
                name=_decode_name(entry, name),
                first_lba=first,
                last_lba=last,
                attributes=attributes,
                offset=first * sector,
                size=(last - first + 1) * sector,
            )
        )
    _check_partitions(entries, partitions)
    return tuple(partitions)


def _decode_name(entry: BinaryView, name: bytes) -> str:
    try:
        return name.decode("utf-16-le").partition("\0")[0]
    except UnicodeDecodeError:
        raise entry.error(56, "the name is not UTF-16") from None


def _check_partitions(entries: BinaryView, partitions: list[Partition]) -> None:
    if not partitions:
        raise entries.error(0, "no entry is in use")
    seen: dict[uuid.UUID, int] = {}
    for partition in partitions:
        if partition.unique_guid in seen:
            problem = f"partitions {seen[partition.unique_guid]} and {partition.number} have the same UUID"
            raise entries.error(0, problem)
        seen[partition.unique_guid] = partition.number
    for left, right in itertools.pairwise(sorted(partitions, key=lambda partition: partition.first_lba)):
        if right.first_lba <= left.last_lba:
            raise entries.error(0, f"partitions {left.number} and {right.number} overlap")
