"""Readers of images on bytes that nobody made on purpose: the only way out is a MalformedImageError, and soon."""

from __future__ import annotations

import functools
import stat
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.image import inventory_file, lz4, verity
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, read_system_partition
from builder.image.dpkg import packages
from builder.image.erofs import open_erofs
from builder.image.ext4 import open_ext4
from builder.image.fat import open_fat
from builder.image.fat_edit import replace_file
from builder.image.gpt import read_partition_table
from builder.image.initrd import read_initrd
from builder.image.inventory import FileRecord, FileType, inventory
from builder.image.squashfs import open_squashfs

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.image.filesystem import FileSystem

VECTORS = Path(__file__).parents[1] / "vectors/image"
BOOT_PATH = "EFI/BOOT/BOOTX64.EFI"
ROOT_HASH = bytes.fromhex((VECTORS / "verity-hash.img.root").read_text(encoding="ascii"))
EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@functools.cache
def sample(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((VECTORS / f"{name}.zst").read_bytes())


def view(data: bytes | bytearray) -> BinaryView:
    return BinaryView.of(data, "sample")


def drain_fat(data: bytes) -> None:
    fat = open_fat(view(data))
    for entry in fat.walk():
        if not entry.is_directory:
            fat.content(entry)


def drain_erofs(data: bytes) -> None:
    fs = open_erofs(view(data))
    for file in fs.walk():
        if stat.S_ISREG(file.inode.mode):
            for _ in fs.pieces(file.inode):
                pass


def drain(file_system: FileSystem) -> None:
    for entry in file_system.entries():
        if entry.is_file:
            for _ in entry.pieces():
                pass


def drain_disk(data: bytes) -> None:
    disk = read_disk(view(data))
    read_system_partition(disk).uki_content()
    verity.read_superblock(disk.root_verity_view)
    inventory(open_erofs(disk.root_view), read_initrd(view(sample("initrd.cpio"))))


def check_verity(data: bytes) -> None:
    try:
        verity.check(view(sample("verity-data.img")), view(data), ROOT_HASH)
    except NotVerifiedError:
        return


def edit_fat(data: bytes) -> None:
    volume = bytearray(data)
    try:
        replace_file(volume, BOOT_PATH, b"new" * 20_000)
    except InvalidInputError as error:
        assert volume == data
        if isinstance(error, MalformedImageError):
            raise
        return
    assert open_fat(view(volume)).read_file(BOOT_PATH) == b"new" * 20_000


READERS: dict[str, tuple[Callable[[bytes], object], str]] = {
    "gpt": (lambda data: read_partition_table(view(data)), "gpt-512.img"),
    "gpt with large sectors": (lambda data: read_partition_table(view(data)), "gpt-4096.img"),
    "fat12": (drain_fat, "fat12.img"),
    "fat16": (drain_fat, "fat16.img"),
    "edited fat12": (edit_fat, "fat12.img"),
    "edited fat16": (edit_fat, "fat16.img"),
    "verity": (check_verity, "verity-hash.img"),
    "erofs": (drain_erofs, "root.erofs"),
    "erofs in chunks": (drain_erofs, "root-chunks.erofs"),
    "erofs with prefixes": (drain_erofs, "root-prefixes.erofs"),
    "compressed erofs": (drain_erofs, "root-lz4.erofs"),
    "ext4": (lambda data: drain(open_ext4(view(data))), "root-small-blocks.ext4"),
    "ext2": (lambda data: drain(open_ext4(view(data))), "root.ext2"),
    "squashfs": (lambda data: drain(open_squashfs(view(data))), "root-plain.squashfs"),
    "packed squashfs": (lambda data: drain(open_squashfs(view(data))), "root-zstd.squashfs"),
    "initrd": (lambda data: read_initrd(view(data), 1 << 22), "initrd.cpio"),
    "concatenated initrd": (lambda data: read_initrd(view(data), 1 << 22), "initrd-concatenated.img"),
    "disk": (drain_disk, "disk.raw"),
}
# Where the structures are: a mutation of the data alone would find nothing.
HOT = {
    "gpt-512.img": [(0, 2048)],
    "gpt-4096.img": [(0, 12288)],
    "fat12.img": [(0, 64), (512, 2048), (2592, 2700), (19000, 26000)],
    "fat16.img": [(0, 64), (32768, 34000), (66048, 66200), (82432, 85000)],
    "verity-hash.img": [(0, 512)],
    "root.erofs": [(1024, 70000), (135000, 140000)],
    "root-chunks.erofs": [(1024, 76000)],
    "root-prefixes.erofs": [(1024, 70000), (135000, 140000)],
    "root-lz4.erofs": [(1024, 70000)],
    # Superblock and descriptors, inodes, the block of odd/, extents, attributes; the same and a block map.
    "root-small-blocks.ext4": [
        (1024, 2200),
        (0x11800, 0x12400),
        (0x24E80, 0x25800),
        (0x2A800, 0x2AA00),
        (0xCFC00, 0xD0000),
        (0x21B400, 0x21B500),
        (0x260C00, 0x261000),
    ],
    "root.ext2": [(1024, 2200), (0x11100, 0x12400), (0x81EC00, 0x820000), (0x860C00, 0x861000), (0xB1800, 0xB1C00)],
    "root-plain.squashfs": [(0, 96), (1669565, 1671000), (1690000, 1720000)],
    "root-zstd.squashfs": [(0, 96), (8000, 15200)],
    "initrd.cpio": [(0, 1548)],
    "initrd-concatenated.img": [(0, 3200)],
    "disk.raw": [(0, 2048), (1 << 20, (1 << 20) + 30000), (2 << 20, (2 << 20) + 70000)],
}


def refuses_or_reads(read: Callable[[bytes], object], data: bytes) -> None:
    try:
        read(data)
    except MalformedImageError as error:
        assert error.structure  # noqa: PT017 -- either outcome is right
        assert error.problem  # noqa: PT017


@pytest.mark.parametrize("name", READERS)
@EXAMPLES
@given(data=st.binary(max_size=5000))
def test_random_bytes_are_malformed(name: str, data: bytes) -> None:
    with pytest.raises(MalformedImageError, match=r".+"):
        READERS[name][0](data)


@pytest.mark.parametrize("name", READERS)
@EXAMPLES
@given(data=st.data())
def test_mutated_images_are_read_or_malformed(name: str, data: st.DataObject) -> None:
    read, file = READERS[name]
    mutated = bytearray(sample(file))
    if file.endswith("erofs"):
        mutated[1024 + 8] &= ~1  # without a checksum, so that the mutation is not found by it alone
    place = st.sampled_from(HOT[file]).flatmap(lambda hot: st.integers(hot[0], min(hot[1], len(mutated)) - 8))
    for _ in range(data.draw(st.integers(1, 4), label="mutations")):
        at = data.draw(place, label="place")
        new = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\0", b"\xff", b"\xff\xff\xff\xff", bytes(8), b"\xff" * 8, b"\x7f\xff\xff\xff"]),
            ),
            label="bytes",
        )
        mutated[at : at + len(new)] = new
    refuses_or_reads(read, bytes(mutated))


@pytest.mark.parametrize("name", READERS)
@EXAMPLES
@given(data=st.data())
def test_truncated_images_are_malformed(name: str, data: st.DataObject) -> None:
    read, file = READERS[name]
    whole = sample(file)
    end = data.draw(st.one_of(st.integers(0, 5000), st.integers(0, len(whole) - 1)), label="length")
    refuses_or_reads(read, whole[: min(end, len(whole) - 1)])


@EXAMPLES
@given(content=st.binary(max_size=300_000), bits=st.sampled_from([12, 16]))
def test_a_replaced_file_reads_back(content: bytes, bits: int) -> None:
    volume = bytearray(sample(f"fat{bits}.img"))
    others = {entry.path: entry for entry in open_fat(view(volume)).walk() if entry.path != BOOT_PATH}
    replace_file(volume, BOOT_PATH, content)
    fat = open_fat(view(volume))
    assert fat.read_file(BOOT_PATH) == content
    assert {entry.path: entry for entry in fat.walk() if entry.path != BOOT_PATH} == others


@EXAMPLES
@given(
    blocks=st.integers(1, 600),
    block_size=st.sampled_from([512, 1024]),
    algorithm=st.sampled_from(["sha256", "sha512"]),
    salt=st.binary(max_size=64),
    data=st.data(),
)
def test_any_flipped_bit_of_the_data_changes_the_root_hash(
    blocks: int, block_size: int, algorithm: str, salt: bytes, data: st.DataObject
) -> None:
    superblock = verity.VeritySuperblock(uuid.UUID(int=0), algorithm, block_size, block_size, blocks, salt)
    content = bytearray(blocks * block_size)
    before = verity.root_hash(view(content), superblock)
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert verity.root_hash(view(content), superblock) != before


PATHS = st.text(min_size=1, max_size=30).map(lambda text: f"/{text}")
TEXTS = st.none() | st.text(max_size=20)
NUMBERS = st.integers(0, 2**64 - 1)
XATTRS = st.dictionaries(st.text(max_size=10), st.binary(max_size=20).map(bytes.hex), max_size=3)


@st.composite
def records(draw: st.DrawFn) -> FileRecord:
    kind: FileType = draw(st.sampled_from(["file", "directory", "symlink", "char", "block", "fifo", "socket"]))
    numbers = st.integers(0, 2**32 - 1)
    return FileRecord(
        area=draw(st.sampled_from(["initrd", "root"])),
        path=draw(PATHS),
        type=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(NUMBERS),
        gid=draw(NUMBERS),
        size=draw(NUMBERS),
        mtime=draw(NUMBERS),
        sha256=draw(st.binary(min_size=32, max_size=32)).hex() if kind == "file" else None,
        xattrs=tuple(sorted(draw(XATTRS).items())),
        target=draw(st.text()) if kind == "symlink" else None,
        device=draw(st.tuples(numbers, numbers)) if kind in {"char", "block"} else None,
        package=draw(TEXTS),
        version=draw(TEXTS),
    )


@EXAMPLES
@given(st.lists(records(), min_size=1, max_size=10, unique_by=lambda record: (record.area, record.path)))
def test_an_inventory_reads_back_as_it_was(found: list[FileRecord]) -> None:
    ordered = tuple(sorted(found, key=lambda record: (record.area, record.path)))
    packed = inventory_file.pack(inventory_file.to_jsonl(ordered))
    assert inventory_file.from_jsonl(inventory_file.unpack(packed)) == ordered


@EXAMPLES
@given(data=st.binary(max_size=2000))
def test_random_bytes_are_no_inventory(data: bytes) -> None:
    with pytest.raises(MalformedImageError, match=r"^inventory at offset"):
        inventory_file.from_jsonl(data)
    with pytest.raises(MalformedImageError, match=r"^inventory at offset"):
        inventory_file.unpack(data)


@EXAMPLES
@given(
    data=st.lists(
        st.sampled_from(
            [b"Package: a", b"Status: install ok installed", b"Version: 1", b"Architecture: all", b"", b" x"]
        )
        | st.binary(max_size=20),
        max_size=12,
    )
)
def test_any_lines_are_a_package_list_or_malformed(data: list[bytes]) -> None:
    refuses_or_reads(packages, b"\n".join(data))


@EXAMPLES
@given(data=st.binary(max_size=200) | st.lists(st.sampled_from([0, 1, 4, 15, 16, 0x1F, 0xF0, 0xFF])).map(bytes))
def test_any_bytes_are_an_lz4_block_or_broken_and_stay_within_the_limit(data: bytes) -> None:
    try:
        whole, is_whole = lz4.decode(data, 5000)
    except ValueError:
        return
    assert len(whole) <= 5000
    assert lz4.decode(data, len(whole)) == (whole, is_whole)
    if whole:
        assert lz4.decode(data, len(whole) - 1) == (whole[:-1], False)
