from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.binary import BinaryView
from builder.image.detect import holds_file_system, open_file_system
from tests.sample_tree import assert_sample_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

READ = {"root.erofs": "EROFS", "root.ext4": "ext4", "root.ext2": "ext4", "root-zstd.squashfs": "squashfs"}
NOT_READ = [
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("XFS", 0, b"XFSB"),
    ("F2FS", 1024, bytes.fromhex("1020f5f2")),
    ("bcachefs", 0x1018, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")),
    ("ISO 9660", 0x8001, b"CD001"),
    ("NTFS", 3, b"NTFS    "),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("BitLocker", 3, b"-FVE-FS-"),
    ("an LVM physical volume", 512, b"LABELONE"),
    ("a software RAID member", 4096, bytes.fromhex("fc4e2ba9")),
    ("dm-verity hash tree", 0, b"verity\0\0"),
    ("swap", 4086, b"SWAPSPACE2"),
]


def image(offset: int, magic: bytes) -> BinaryView:
    data = bytearray(1 << 17)
    data[offset : offset + len(magic)] = magic
    return BinaryView.of(data, "root partition")


@pytest.mark.parametrize("name", READ)
def test_a_file_system_is_opened_by_its_magic_number(sample: Callable[[str], bytes], name: str) -> None:
    volume = BinaryView.of(sample(name), "image")
    assert holds_file_system(volume)
    assert open_file_system(volume).name == READ[name]


def test_erofs_is_a_file_system_as_the_others_are(sample: Callable[[str], bytes]) -> None:
    file_system = open_file_system(BinaryView.of(sample("root.erofs"), "image"))
    found = {entry.path: entry for entry in file_system.entries()}
    assert_sample_metadata(found)
    ping = file_system.entry("usr/bin/ping")
    assert ping is not None
    assert bytes(ping.content()) == b"\x7fELF ping" * 100
    assert file_system.entry("usr/bin/nothing") is None


@pytest.mark.parametrize(("name", "offset", "magic"), NOT_READ)
def test_what_is_not_read_is_refused_by_its_name(name: str, offset: int, magic: bytes) -> None:
    volume = image(offset, magic)
    assert holds_file_system(volume)
    with pytest.raises(InvalidInputError, match=f"the root partition is {name}, which is not read: it has") as caught:
        open_file_system(volume)
    assert caught.value.hint


@pytest.mark.parametrize("size", [0, 4, 1 << 17])
def test_what_nobody_knows_is_refused(size: int) -> None:
    volume = BinaryView.of(bytes(size), "image")
    assert not holds_file_system(volume)
    with pytest.raises(
        InvalidInputError, match="the image is no known file system: it has to be EROFS, ext4, squashfs"
    ):
        open_file_system(volume)


def test_two_file_systems_in_one_place_are_refused(sample: Callable[[str], bytes]) -> None:
    data = bytearray(sample("root.ext4"))
    data[0:4] = b"hsqs"
    with pytest.raises(MalformedImageError, match="it is more than one thing: ext4, squashfs"):
        open_file_system(BinaryView.of(data, "image"))


def test_a_file_system_with_a_partition_table_is_refused(sample: Callable[[str], bytes]) -> None:
    data = bytearray(sample("root.ext4"))
    data[512:520] = b"EFI PART"
    with pytest.raises(MalformedImageError, match="it is more than one thing: ext4, a disk with partitions"):
        open_file_system(BinaryView.of(data, "image"))


def test_a_disk_is_no_file_system(sample: Callable[[str], bytes]) -> None:
    volume = BinaryView.of(sample("disk.raw"), "root partition")
    assert not holds_file_system(volume)
    with pytest.raises(InvalidInputError, match="the root partition is a disk with partitions, which is not read"):
        open_file_system(volume)
