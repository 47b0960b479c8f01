from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.image import gpt, verity
from builder.image.binary import BinaryView
from builder.image.disk import Disk, read_disk, read_system_partition, replace_uki
from builder.image.erofs import open_erofs
from builder.image.fat_edit import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parents[2] / "vectors/image"
UKI = bytes(range(256)) * 120


def opened(disk: bytes | bytearray) -> Disk:
    return read_disk(BinaryView.of(bytes(disk), "disk"))


@pytest.fixture
def disk(sample: Callable[[str], bytes]) -> bytearray:
    return bytearray(sample("disk.raw"))


def set_type(disk: bytearray, number: int, type_guid: bytes) -> None:
    """Change the type of a partition in both copies of the table and make their CRCs right."""
    last = len(disk) - 512
    for header, entries in ((512, 1024), (last, last - 32 * 512)):
        offset = entries + (number - 1) * 128
        disk[offset : offset + 16] = type_guid
        struct.pack_into("<I", disk, header + 88, zlib.crc32(disk[entries : entries + 128 * 128]))
        struct.pack_into("<I", disk, header + 16, 0)
        struct.pack_into("<I", disk, header + 16, zlib.crc32(disk[header : header + 92]))


def test_partitions_are_found_by_their_role(disk: bytearray) -> None:
    found = opened(disk)
    assert [found.esp.number, found.root.number, found.root_verity.number] == [1, 2, 3]
    assert found.others == ()


def test_root_and_verity_belong_together_and_to_their_partition_uuids(disk: bytearray) -> None:
    found = opened(disk)
    root = bytes.fromhex((VECTORS / "disk-verity.img.root").read_text(encoding="ascii"))
    verified = verity.check(found.root_view, found.root_verity_view, root)
    assert verity.partition_uuids(root) == (found.root.unique_guid, found.root_verity.unique_guid)
    assert verified.data_size <= found.root.size
    assert open_erofs(found.root_view).find("usr/bin/dash") is not None


def test_the_uki_is_found(disk: bytearray) -> None:
    system = read_system_partition(opened(disk))
    assert system.uki.path == "EFI/BOOT/BOOTX64.EFI"
    assert system.uki_content() == UKI
    assert (system.other_programs, system.loader_files, system.other_files) == ((), (), ())


def test_every_other_file_of_the_system_partition_is_shown(sample: Callable[[str], bytes], disk: bytearray) -> None:
    esp = opened(disk).esp
    full = sample("fat12.img")
    disk[esp.offset : esp.offset + len(full)] = full
    system = read_system_partition(opened(disk))
    assert [entry.path for entry in system.other_programs] == ["EFI/Linux/inference-node_1.0.0_x86-64.efi"]
    assert [entry.path for entry in system.other_files] == [
        "EFI/empty",
        "EFI/Linux/Größe 漢字 with a name of many parts.txt",
    ]
    assert len(system.loader_files) == 40
    assert system.loader_files[0].path == "loader/loader.conf"


def test_a_system_partition_without_uki_is_refused(disk: bytearray) -> None:
    esp = opened(disk).esp
    at = disk.index(b"BOOTX64 EFI", esp.offset)
    disk[at : at + 11] = b"BOOTAA64EFI"
    with pytest.raises(MalformedImageError, match=r"there is no file EFI/BOOT/BOOTX64\.EFI"):
        read_system_partition(opened(disk))


@pytest.mark.parametrize(("number", "name"), [(1, "esp"), (2, "root-x86-64"), (3, "root-x86-64-verity")])
def test_a_missing_role_is_refused(disk: bytearray, number: int, name: str) -> None:
    set_type(disk, number, gpt.HOME.bytes_le)
    with pytest.raises(MalformedImageError, match=f"there are 0 partitions of type {name}, exactly one"):
        opened(disk)


def test_a_role_that_is_there_twice_is_refused(disk: bytearray) -> None:
    set_type(disk, 3, gpt.ROOT_X86_64.bytes_le)
    with pytest.raises(MalformedImageError, match="there are 2 partitions of type root-x86-64, exactly one"):
        opened(disk)


def test_a_replaced_uki_changes_nothing_outside_the_system_partition(disk: bytearray) -> None:
    before, esp = bytes(disk), opened(disk).esp
    replace_uki(disk, b"MZ signed" * 5000)
    assert read_system_partition(opened(disk)).uki_content() == b"MZ signed" * 5000
    assert disk[: esp.offset] == before[: esp.offset]
    assert disk[esp.offset + esp.size :] == before[esp.offset + esp.size :]


def test_a_uki_without_room_is_refused(disk: bytearray) -> None:
    with pytest.raises(InvalidInputError, match="does not fit into the FAT volume"):
        replace_uki(disk, bytes(2 << 20))


def test_a_partition_can_be_edited_on_its_own(disk: bytearray) -> None:
    esp = opened(disk).esp
    part = disk[esp.offset : esp.offset + esp.size]
    replace_uki(disk, b"x")
    replace_file(part, "EFI/BOOT/BOOTX64.EFI", b"x")
    assert part == disk[esp.offset : esp.offset + esp.size]
