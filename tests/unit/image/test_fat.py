from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.binary import BinaryView
from builder.image.fat import FatVolume, open_fat
from builder.image.fat_edit import replace_file
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

UKI = bytes(range(256)) * 120
BOOT_PATH = "EFI/BOOT/BOOTX64.EFI"


def opened(volume: bytes | bytearray) -> FatVolume:
    return open_fat(BinaryView.of(bytes(volume), "volume"))


def contents(volume: bytes | bytearray) -> dict[str, bytes]:
    fat = opened(volume)
    return {entry.path: bytes(fat.content(entry)) for entry in fat.walk() if not entry.is_directory}


def entry_offset(volume: bytes | bytearray, path: str) -> int:
    return opened(volume).find(path).entry_offset


def set_link(volume: bytearray, cluster: int, link: int) -> None:
    """Change an entry in both copies of a FAT16 table."""
    for table in opened(volume).layout.table_offsets:
        struct.pack_into("<H", volume, table + cluster * 2, link)


@pytest.fixture
def fat16(sample: Callable[[str], bytes]) -> bytearray:
    return bytearray(sample("fat16.img"))


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_volumes_of_mkfs_and_mtools_are_read(sample: Callable[[str], bytes], bits: int) -> None:
    volume = sample(f"fat{bits}.img")
    assert opened(volume).layout.bits == bits
    directories = [entry.path for entry in opened(volume).walk() if entry.is_directory]
    assert directories == ["EFI", "loader", "EFI/BOOT", "EFI/Linux"]
    numbered = {f"loader/entry-number-{number:02}.conf": b"timeout 0\n" for number in range(40) if number != 7}
    assert contents(volume) == numbered | {
        BOOT_PATH: UKI,
        "EFI/Linux/inference-node_1.0.0_x86-64.efi": UKI,
        "EFI/Linux/Größe 漢字 with a name of many parts.txt": b"timeout 0\n",
        "EFI/empty": b"",
        "loader/loader.conf": b"timeout 0\n",
    }


def test_a_path_is_found_whatever_its_case(fat16: bytearray) -> None:
    assert opened(fat16).read_file("/efi/Boot/bootx64.efi") == UKI
    with pytest.raises(InvalidInputError, match="there is no EFI/nothing in the FAT volume"):
        opened(fat16).read_file("EFI/nothing")
    with pytest.raises(InvalidInputError, match=r"^EFI/BOOT in the FAT volume is a directory$"):
        opened(fat16).read_file("EFI/BOOT")


def test_a_file_in_pieces_is_joined(fat16: bytearray) -> None:
    first = opened(fat16).find(BOOT_PATH).first_cluster
    layout = opened(fat16).layout
    one, two = layout.cluster_offset(first + 1), layout.cluster_offset(first + 2)
    fat16[one : one + 512], fat16[two : two + 512] = fat16[two : two + 512], fat16[one : one + 512]
    for cluster, link in ((first, first + 2), (first + 2, first + 1), (first + 1, first + 3)):
        set_link(fat16, cluster, link)
    assert opened(fat16).read_file(BOOT_PATH) == UKI


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<H", 510, 0, "no boot signature"),
        ("<H", 11, 500, "sector size of 500"),
        ("<B", 13, 3, "3 sectors per cluster is not a power of two"),
        ("<B", 13, 0, "0 sectors per cluster"),
        ("<H", 14, 0, "at least one of each"),
        ("<B", 16, 0, "at least one of each"),
        ("<H", 19, 0xFFFF, "bytes in all"),
        ("<H", 19, 1, "bytes in all"),
        ("<H", 22, 0xFFFF, "bytes in all"),
        ("<H", 22, 0, "bytes in all"),
        ("<H", 22, 1, "bytes are too few, the clusters need"),
        ("<H", 17, 0, "there is no root directory"),
    ],
)
def test_a_boot_sector_that_breaks_the_format_is_refused(
    fat16: bytearray, layout: str, offset: int, value: int, problem: str
) -> None:
    struct.pack_into(layout, fat16, offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        opened(fat16)


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<H", 17, 512, "no fixed root directory"),
        ("<H", 42, 1, "FAT32 version 0x1 is unknown"),
        ("<H", 40, 0x81, "the tables are not mirrored"),
        ("<H", 48, 40, "FSInfo sector 40 is not one of the 32 reserved"),
    ],
)
def test_a_fat32_boot_sector_that_breaks_the_format_is_refused(
    sample: Callable[[str], bytes], layout: str, offset: int, value: int, problem: str
) -> None:
    volume = bytearray(sample("fat32.img"))
    struct.pack_into(layout, volume, offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        opened(volume)


def test_a_truncated_volume_is_refused(fat16: bytearray) -> None:
    with pytest.raises(MalformedImageError, match="8387584 in the partition"):
        opened(fat16[:-1024])
    with pytest.raises(MalformedImageError, match="FAT boot sector at offset 0x1fe: needs 2 bytes"):
        opened(b"")


def test_table_copies_that_differ_are_refused(fat16: bytearray) -> None:
    fat16[opened(fat16).layout.table_offsets[1] + 100] ^= 1
    with pytest.raises(MalformedImageError, match="copy 2 of the table differs"):
        opened(fat16)


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        (None, "is a loop"),
        (0, "cluster 0 is no data cluster"),
        (1, "cluster 1 is no data cluster"),
        (0xFFF7, "cluster 65527 is no data cluster"),
        (16225, "cluster 16225 is no data cluster"),
        (0xFFFF, "has 30720 bytes in 2 clusters"),
    ],
)
def test_a_broken_chain_is_refused(fat16: bytearray, link: int | None, problem: str) -> None:
    first = opened(fat16).find(BOOT_PATH).first_cluster
    set_link(fat16, first + 1, first if link is None else link)
    with pytest.raises(MalformedImageError, match=problem):
        opened(fat16).read_file(BOOT_PATH)


def test_a_chain_longer_than_its_file_is_refused(fat16: bytearray) -> None:
    struct.pack_into("<I", fat16, entry_offset(fat16, BOOT_PATH) + 28, 512)
    with pytest.raises(MalformedImageError, match=r"'EFI/BOOT/BOOTX64\.EFI' has 512 bytes in 60 clusters"):
        opened(fat16).read_file(BOOT_PATH)


def test_directories_in_a_loop_are_refused(fat16: bytearray) -> None:
    struct.pack_into("<H", fat16, entry_offset(fat16, "EFI/BOOT") + 26, opened(fat16).find("EFI").first_cluster)
    with pytest.raises(MalformedImageError, match="'EFI/BOOT' is in a loop"):
        contents(fat16)


def test_a_directory_with_a_size_or_without_a_cluster_is_refused(fat16: bytearray) -> None:
    struct.pack_into("<HI", fat16, entry_offset(fat16, "EFI/BOOT") + 26, 0, 0)
    with pytest.raises(MalformedImageError, match="has a size, or no cluster"):
        contents(fat16)


def test_a_directory_that_does_not_begin_with_dots_is_refused(fat16: bytearray) -> None:
    fat16[opened(fat16).layout.cluster_offset(opened(fat16).find("EFI").first_cluster)] = ord("A")
    with pytest.raises(MalformedImageError, match="does not begin with"):
        contents(fat16)


def test_two_entries_by_one_name_are_refused(fat16: bytearray) -> None:
    empty, boot = entry_offset(fat16, "EFI/empty"), entry_offset(fat16, "EFI/BOOT")
    fat16[empty : empty + 11] = fat16[boot : boot + 11]
    with pytest.raises(MalformedImageError, match="there is another entry by the name"):
        contents(fat16)


def test_an_orphaned_part_of_a_long_name_is_refused(fat16: bytearray) -> None:
    offset = entry_offset(fat16, "EFI/Linux/inference-node_1.0.0_x86-64.efi")
    fat16[offset] = 0xE5
    with pytest.raises(MalformedImageError, match="belongs to no entry"):
        contents(fat16)


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (-32, 0x03, "out of order"),
        (-32 + 13, 0x00, "belongs to another entry"),
        (-32 + 1, ord("/"), "is no file name"),
        (-32 + 2, 0xD8, "not UTF-16"),
        (-32 + 1, 0x00, "something after its end"),
    ],
)
def test_a_broken_long_name_is_refused(fat16: bytearray, offset: int, value: int, problem: str) -> None:
    fat16[entry_offset(fat16, "EFI/Linux/inference-node_1.0.0_x86-64.efi") + offset] = value
    with pytest.raises(MalformedImageError, match=problem):
        contents(fat16)


def test_a_short_name_that_is_a_path_is_refused(fat16: bytearray) -> None:
    fat16[entry_offset(fat16, BOOT_PATH)] = ord("/")
    with pytest.raises(MalformedImageError, match=r"'/OOTX64\.EFI' is no file name"):
        contents(fat16)


def test_a_volume_label_outside_the_root_is_refused(fat16: bytearray) -> None:
    fat16[entry_offset(fat16, BOOT_PATH) + 11] = 0x08
    with pytest.raises(MalformedImageError, match="volume label outside the root"):
        contents(fat16)


@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("size", [0, 1, 512, 20_000, len(UKI), 31_000, 200_000])
def test_a_replaced_file_reads_back_and_no_other_changes(sample: Callable[[str], bytes], bits: int, size: int) -> None:
    volume = bytearray(sample(f"fat{bits}.img"))
    before = contents(volume)
    new = (b"signed" * (size // 6 + 1))[:size]
    replace_file(volume, BOOT_PATH, new)
    assert contents(volume) == before | {BOOT_PATH: new}


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_replacing_keeps_the_times_and_everything_else_of_the_entry(sample: Callable[[str], bytes], bits: int) -> None:
    volume = bytearray(sample(f"fat{bits}.img"))
    offset = entry_offset(volume, BOOT_PATH)
    before = bytes(volume[offset : offset + 26])
    replace_file(volume, BOOT_PATH, bytes(100_000))
    assert bytes(volume[offset : offset + 26]) == before


def test_what_becomes_free_is_zeroed(fat16: bytearray) -> None:
    replace_file(fat16, BOOT_PATH, b"x")
    replace_file(fat16, "EFI/Linux/inference-node_1.0.0_x86-64.efi", b"x")
    assert UKI[:16] not in fat16


def test_replacing_there_and_back_restores_the_volume(fat16: bytearray) -> None:
    replace_file(fat16, BOOT_PATH, UKI + bytes(5000))
    replace_file(fat16, BOOT_PATH, UKI)  # the sample has remains of a deleted file in clusters that were used now
    before = bytes(fat16)
    replace_file(fat16, BOOT_PATH, UKI + bytes(5000))
    assert fat16 != before
    replace_file(fat16, BOOT_PATH, UKI)
    assert fat16 == before


def test_a_writable_part_of_a_larger_buffer_is_changed_in_place(fat16: bytearray) -> None:
    disk = bytearray(1024) + fat16 + bytearray(1024)
    replace_file(memoryview(disk)[1024:-1024], BOOT_PATH, b"new")
    assert contents(disk[1024:-1024])[BOOT_PATH] == b"new"
    assert bytes(disk[:1024]) == bytes(disk[-1024:]) == bytes(1024)


def test_a_content_that_does_not_fit_changes_nothing(fat16: bytearray) -> None:
    before = bytes(fat16)
    with pytest.raises(
        InvalidInputError, match=r"of 9000000 bytes does not fit into the FAT volume, which has room for"
    ):
        replace_file(fat16, BOOT_PATH, bytes(9_000_000))
    assert fat16 == before


def test_the_last_free_cluster_can_be_used(fat16: bytearray) -> None:
    free = opened(fat16).layout.table.count(0)
    content = b"\xaa" * (len(UKI) + free * 512)
    with pytest.raises(InvalidInputError, match="does not fit"):
        replace_file(fat16, BOOT_PATH, content + b"!")
    replace_file(fat16, BOOT_PATH, content)
    assert contents(fat16)[BOOT_PATH] == content


def test_clusters_of_two_files_are_never_written(fat16: bytearray) -> None:
    other = opened(fat16).find("EFI/Linux/inference-node_1.0.0_x86-64.efi").first_cluster
    struct.pack_into("<H", fat16, entry_offset(fat16, BOOT_PATH) + 26, other)
    with pytest.raises(MalformedImageError, match=f"cluster {other} belongs to two files"):
        replace_file(fat16, BOOT_PATH, b"x")


def test_a_broken_fsinfo_sector_is_refused(sample: Callable[[str], bytes]) -> None:
    volume = bytearray(sample("fat32.img"))
    volume[512] ^= 1
    with pytest.raises(MalformedImageError, match="FAT32 FSInfo at offset 0x200: the signatures are wrong"):
        replace_file(volume, BOOT_PATH, b"x")


def test_a_directory_is_not_replaced(fat16: bytearray) -> None:
    with pytest.raises(InvalidInputError, match=r"^EFI/BOOT in the FAT volume is a directory$"):
        replace_file(fat16, "EFI/BOOT", b"x")


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [12, 16, 32])
@pytest.mark.parametrize("size", [0, 300, 150_000])
def test_fsck_and_mtools_accept_a_volume_that_was_edited(
    sample: Callable[[str], bytes], toolchain: Toolchain, tmp_path: Path, bits: int, size: int
) -> None:
    volume = bytearray(sample(f"fat{bits}.img"))
    new = (b"signed" * 30_000)[:size]
    replace_file(volume, BOOT_PATH, new)
    image = tmp_path / "volume.img"
    image.write_bytes(volume)
    run(toolchain.command(["fsck.vfat", "-n", "-v", str(image)], readable=[tmp_path]), timeout=60)
    read = run(toolchain.command(["mcopy", "-i", str(image), f"::/{BOOT_PATH}", "-"], readable=[tmp_path]), timeout=60)
    assert read.stdout == new


@pytest.mark.oracle
@pytest.mark.parametrize("options", [("-F", "32", "-s", "8"), ("-F", "32", "-S", "4096"), ("-F", "16", "-f", "1"), ()])
def test_volumes_of_other_geometries_are_read(toolchain: Toolchain, tmp_path: Path, options: tuple[str, ...]) -> None:
    """A FAT32 volume with fewer clusters than fatgen103 allows, large sectors, a single table, mkfs's own choice."""
    image, file = tmp_path / "volume.img", tmp_path / "file"
    image.write_bytes(bytes(20 << 20))
    file.write_bytes(UKI)
    for argv in (["mkfs.vfat", *options, str(image)], ["mcopy", "-i", str(image), str(file), "::/File Name.efi"]):
        run(toolchain.command(argv, writable=[tmp_path]), timeout=60)
    assert contents(image.read_bytes()) == {"File Name.efi": UKI}


@pytest.mark.oracle
@pytest.mark.parametrize("size", [1, 3000, 4096, 5000, 70_000])
def test_a_file_that_was_replaced_is_as_mtools_would_have_written_it(
    toolchain: Toolchain, tmp_path: Path, size: int
) -> None:
    """Bit by bit, whether the file grew or shrank: a UKI that is replaced in its place is one that was built so."""
    made = {}
    for name, content in (("old", UKI), ("new", (b"new UKI!" * 10_000)[:size])):
        image, file = tmp_path / f"{name}.img", tmp_path / "BOOTX64.EFI"
        image.write_bytes(bytes(64 << 20))
        file.write_bytes(content)
        for argv in (
            ["mkfs.vfat", "-F", "32", "-i", "01234567", str(image)],
            ["mmd", "-i", str(image), "::EFI", "::EFI/BOOT"],
            ["mcopy", "-i", str(image), str(file), f"::{BOOT_PATH}"],
        ):
            command = ["env", "SOURCE_DATE_EPOCH=1700000000", *argv]
            run(toolchain.command(command, writable=[tmp_path]), timeout=60)
        made[name] = (bytearray(image.read_bytes()), content)
    replace_file(made["old"][0], BOOT_PATH, made["new"][1])
    assert made["old"][0] == made["new"][0]
