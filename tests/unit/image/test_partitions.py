from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.mbr import read_mbr
from builder.image.partitions import DiskLayout, read_layout

if TYPE_CHECKING:
    from collections.abc import Callable

SECTORS = 4096


def layout(disk: bytes | bytearray) -> DiskLayout:
    return read_layout(BinaryView.of(bytes(disk), "disk"))


def record(kind: int, first: int, count: int, *, active: bool = False) -> bytes:
    return struct.pack("<B3xB3xII", 0x80 if active else 0, kind, first, count)


def sector(*records: bytes, code: bytes = b"") -> bytes:
    return code.ljust(446, b"\0") + b"".join(records).ljust(64, b"\0") + b"\x55\xaa"


def mbr_disk(*sectors: tuple[int, bytes]) -> bytearray:
    disk = bytearray(SECTORS * 512)
    for number, content in sectors:
        disk[number * 512 : (number + 1) * 512] = content
    return disk


def test_a_gpt_is_read_with_the_names_and_flags_of_its_partitions(sample: Callable[[str], bytes]) -> None:
    found = layout(sample("disk.raw"))
    assert (found.kind, found.sector_size, found.problem, found.boot_code) == ("gpt", 512, None, False)
    assert [partition.type for partition in found.partitions] == ["esp", "root-x86-64", "root-x86-64-verity"]
    assert [partition.number for partition in found.of_type("root-x86-64", "home")] == [2]


def test_a_hybrid_mbr_does_not_hide_the_gpt_and_is_told(sample: Callable[[str], bytes]) -> None:
    disk = bytearray(sample("disk.raw"))
    disk[462:478] = record(0x83, 2048, 100, active=True)
    found = layout(disk)
    assert found.kind == "hybrid"
    assert len(found.partitions) == 3
    assert "a second MBR record is in use" in str(found.problem)


def test_code_for_bios_is_seen(sample: Callable[[str], bytes]) -> None:
    disk = bytearray(sample("disk.raw"))
    disk[0:2] = b"\xeb\x63"
    assert layout(disk).boot_code


def test_a_broken_gpt_is_none_with_the_reason(sample: Callable[[str], bytes]) -> None:
    disk = bytearray(sample("disk.raw"))
    disk[600] ^= 1
    found = layout(disk)
    assert (found.kind, found.partitions) == ("none", ())
    assert "the CRC is" in str(found.problem)


def test_what_has_no_table_is_none() -> None:
    found = layout(bytes(4096))
    assert found.kind == "none"
    assert "neither a GPT nor an MBR" in str(found.problem)


def test_primary_and_logical_partitions_of_an_mbr_are_read() -> None:
    disk = mbr_disk(
        (0, sector(record(0xEF, 100, 50), record(0x05, 1000, 500), record(0x83, 200, 10, active=True), code=b"\xfa")),
        (1000, sector(record(0x83, 10, 20), record(0x05, 100, 100))),
        (1100, sector(record(0x82, 1, 5))),
    )
    found = layout(disk)
    assert (found.kind, found.boot_code) == ("mbr", True)
    assert [
        (item.number, item.type, item.offset // 512, item.size // 512, item.flags) for item in found.partitions
    ] == [
        (1, "esp", 100, 50, ()),
        (3, "linux", 200, 10, ("legacy-boot",)),
        (5, "linux", 1010, 20, ()),
        (6, "swap", 1101, 5, ()),
    ]


@pytest.mark.parametrize(
    ("sectors", "problem"),
    [
        ([(0, sector(record(0x83, 4000, 97)))], "needs 49664 bytes"),
        ([(0, sector(record(0x05, 1000, 500)))], "there is no boot signature 55 AA"),
        (
            [(0, sector(record(0x0F, 1000, 500))), (1000, sector(record(0x83, 1, 1), record(0x0F, 0, 1)))],
            "there are more than 128 logical partitions",
        ),
    ],
    ids=["outside", "no record", "loop"],
)
def test_a_broken_mbr_is_refused(sectors: list[tuple[int, bytes]], problem: str) -> None:
    disk = mbr_disk(*sectors)
    with pytest.raises(MalformedImageError, match=problem):
        read_mbr(BinaryView.of(bytes(disk), "disk"))
    assert layout(disk).kind == "none"
