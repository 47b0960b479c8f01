from __future__ import annotations

import struct
import uuid
import zlib
from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError
from builder.image import gpt
from builder.image.binary import BinaryView
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

SECTOR = 512
ENTRIES = 2 * SECTOR


def read(disk: bytes | bytearray, sector_size: int | None = None) -> gpt.PartitionTable:
    return gpt.read_partition_table(BinaryView.of(bytes(disk), "disk"), sector_size)


@pytest.fixture
def disk(sample: Callable[[str], bytes]) -> bytearray:
    return bytearray(sample("gpt-512.img"))


def put(disk: bytearray, layout: str, offset: int, *values: int | bytes) -> None:
    """Write fields, then make every CRC right again, in both copies."""
    struct.pack_into(layout, disk, offset, *values)
    last = len(disk) - SECTOR
    for header, entries in ((SECTOR, ENTRIES), (last, last - 32 * SECTOR)):
        struct.pack_into("<I", disk, header + 88, zlib.crc32(disk[entries : entries + 128 * 128]))
        struct.pack_into("<I", disk, header + 16, 0)
        struct.pack_into("<I", disk, header + 16, zlib.crc32(disk[header : header + 92]))


def put_entry(disk: bytearray, layout: str, offset: int, *values: int | bytes) -> None:
    """Write fields of an entry (offset from the first entry) in both copies."""
    struct.pack_into(layout, disk, len(disk) - 33 * SECTOR + offset, *values)
    put(disk, layout, ENTRIES + offset, *values)


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_table_of_sfdisk_is_read(sample: Callable[[str], bytes], sector: int) -> None:
    table = read(sample(f"gpt-{sector}.img"))
    assert table.sector_size == sector
    assert table.disk_guid == uuid.UUID("11111111-2222-3333-4444-555555555555")
    assert [(p.number, p.type_name, p.name) for p in table.partitions] == [
        (1, "esp", "esp"),
        (2, "root-x86-64", "wurzel-ä"),
        (3, "root-x86-64-verity", "root-verity"),
    ]
    root = table.partitions[1]
    assert (root.first_lba, root.last_lba, root.offset, root.size) == (200, 207, 200 * sector, 8 * sector)
    assert root.attributes == 1 << 60
    assert root.unique_guid == uuid.UUID("aaaaaaaa-0000-4000-8000-000000000002")


def test_a_partition_is_viewed_in_place(disk: bytearray) -> None:
    disk[200 * SECTOR : 200 * SECTOR + 4] = b"root"
    view = read(disk).partitions[1].view(BinaryView.of(disk, "disk"))
    assert (view.read(0, 4), len(view), view.base) == (b"root", 8 * SECTOR, 200 * SECTOR)


def test_the_right_sector_size_can_be_demanded(disk: bytearray) -> None:
    struct.pack_into("<I", disk, 446 + 12, 0xFFFFFFFF)
    with pytest.raises(MalformedImageError, match="GPT header at offset 0x1000: there is no signature"):
        read(disk, 4096)
    with pytest.raises(MalformedImageError, match="a sector size of 1000 bytes"):
        read(disk, 1000)


@pytest.mark.parametrize("offset", [SECTOR + 60, ENTRIES + 56, 2**21 - SECTOR + 60, 2**21 - 33 * SECTOR + 56])
def test_a_flipped_bit_in_either_copy_is_found(disk: bytearray, offset: int) -> None:
    disk[offset] ^= 0x40
    with pytest.raises(MalformedImageError, match="the CRC is"):
        read(disk)


def test_copies_that_disagree_are_refused(disk: bytearray) -> None:
    put(disk, "<Q", SECTOR + 40, 64)  # first usable LBA of the primary header alone
    with pytest.raises(MalformedImageError, match="backup GPT header at offset 0x1ffe00: disagrees"):
        read(disk)


def test_a_grown_disk_has_its_backup_in_the_wrong_place(disk: bytearray) -> None:
    struct.pack_into("<I", disk, 446 + 12, 0xFFFFFFFF)
    with pytest.raises(MalformedImageError, match="backup header is said to be at LBA 4095, but the last LBA is 4097"):
        read(disk + bytes(1024))


def test_a_truncated_disk_is_refused(disk: bytearray) -> None:
    with pytest.raises(MalformedImageError, match="protective record does not cover the disk"):
        read(disk[:-SECTOR])
    with pytest.raises(MalformedImageError, match="not whole sectors"):
        read(disk[:-1])
    with pytest.raises(MalformedImageError, match="no signature"):
        read(b"")


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<8s", 0, b"EFI PARX", "no signature"),
        ("<I", 8, 0x00020000, "revision 0x20000"),
        ("<I", 12, 91, "a header of 91 bytes"),
        ("<I", 12, 513, "a header of 513 bytes"),
        ("<I", 20, 1, "reserved field"),
        ("<Q", 24, 2, "says that it is at LBA 2"),
        ("<I", 84, 96, "entry size of 96"),
        ("<I", 84, 384, "entry size of 384"),
        ("<I", 80, 0, "0 entries of 128 bytes are none"),
        ("<I", 80, 0xFFFFFFFF, "more than is read"),
        ("<Q", 72, 1, "out of order or overlap"),
        ("<Q", 72, 2**64 - 1, "out of order or overlap"),
    ],
)
def test_a_header_that_breaks_the_format_is_refused(
    disk: bytearray, layout: str, offset: int, value: int | bytes, problem: str
) -> None:
    put(disk, layout, SECTOR + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        read(disk, SECTOR)


@pytest.mark.parametrize(
    ("layout", "offset", "values", "problem"),
    [
        ("<QQ", 32, (10, 20), "GPT entry 1 at offset 0x420: LBA 10 to 20 is not inside"),
        ("<QQ", 32, (64, 4090), "not inside"),
        ("<QQ", 32, (65, 64), "not inside"),
        ("<QQ", 32, (64, 130), "partitions 1 and 3 overlap"),
        ("<16s", 16, (bytes(16),), "no UUID"),
        ("<16s", 16, (uuid.UUID("aaaaaaaa-0000-4000-8000-000000000003").bytes_le,), "1 and 3 have the same UUID"),
        ("<2s", 56, (b"\x00\xd8",), "not UTF-16"),
    ],
)
def test_an_entry_that_breaks_the_format_is_refused(
    disk: bytearray, layout: str, offset: int, values: tuple[int | bytes, ...], problem: str
) -> None:
    put_entry(disk, layout, offset, *values)
    with pytest.raises(MalformedImageError, match=problem):
        read(disk)


def test_an_empty_table_is_refused(disk: bytearray) -> None:
    for number in range(3):
        put_entry(disk, "<16s", number * 128, bytes(16))
    with pytest.raises(MalformedImageError, match="no entry is in use"):
        read(disk)


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (510, 0, "no boot signature"),
        (450, 0x83, "not of type EEh"),
        (454, 2, "not of type EEh starting at LBA 1"),
        (458, 5, "does not cover the disk"),
        (446 + 16 + 4, 0x0C, "hybrid MBR"),
    ],
)
def test_a_master_boot_record_that_is_not_purely_protective_is_refused(
    disk: bytearray, offset: int, value: int, problem: str
) -> None:
    disk[offset] = value
    with pytest.raises(MalformedImageError, match=problem):
        read(disk)


@pytest.mark.oracle
def test_every_type_name_is_the_one_of_systemd(toolchain: Toolchain, tmp_path: Path) -> None:
    printed = run(toolchain.command(["systemd-id128", "show", "--uuid"]), timeout=20).stdout.decode()
    known = dict(line.split()[:2] for line in printed.splitlines())
    assert {name: str(guid) for guid, name in gpt.TYPE_NAMES.items()}.items() <= known.items()
