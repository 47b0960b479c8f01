from __future__ import annotations

import lzma
import os
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.squashfs import Squashfs, open_squashfs
from builder.image.squashfs_layout import GZIP, XZ, ZSTD, Blocks, Cursor, decompress
from builder.process import run
from tests.sample_tree import (
    assert_as_on_disk,
    assert_paths_lead_nowhere_else,
    assert_sample_contents,
    assert_sample_metadata,
    read_all,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

VARIANTS = ["root-gzip", "root-xz", "root-lz4", "root-zstd", "root-plain", "root-options"]


def opened(image: bytes | bytearray) -> Squashfs:
    return open_squashfs(BinaryView.of(bytes(image), "image"))


def inode_at(image: bytes | bytearray, path: str) -> int:
    """Where the inode of ``path`` begins, in an image whose metadata is not compressed."""
    fs = opened(image)
    entry = fs.entry(path)
    assert entry is not None
    return fs.superblock.inodes + (entry.inode >> 16) + 2 + (entry.inode & 0xFFFF)


def listing_at(image: bytes | bytearray, path: str) -> int:
    """Where the list of names of a directory begins, likewise."""
    fields: tuple[int, ...] = struct.unpack_from("<IIHHI", image, inode_at(image, path) + 16)
    return opened(image).superblock.directories + fields[0] + 2 + fields[3]


@pytest.fixture
def plain(sample: Callable[[str], bytes]) -> bytearray:
    """An image in which nothing is compressed, so that a test can change any field of it."""
    return bytearray(sample("root-plain.squashfs"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_in_the_sample_tree_is_read(sample: Callable[[str], bytes], variant: str) -> None:
    found = assert_sample_contents(opened(sample(f"{variant}.squashfs")))
    assert_sample_metadata(found)
    for name in ("size-4095", "size-4096", "size-4097"):  # stored once, and referred to
        assert dict(found[f"odd/{name}"].xattrs)["user.shared"] == b"the same for all of them"
    for name in ("größe", "medium"):
        assert found[f"odd/{name}"].xattrs == (("user.shared", b"v" * 70),)
    assert dict(found["odd/size-4095"].xattrs)["user.large"] == b"L" * 3000


def test_a_compressor_without_a_reader_is_refused_by_its_name(sample: Callable[[str], bytes]) -> None:
    with pytest.raises(MalformedImageError, match="it is compressed with lzo, which is not supported") as caught:
        opened(sample("root-lzo.squashfs"))
    assert caught.value.hint == "unpack it with unsquashfs, and check the directory"


def test_a_path_that_is_not_there_is_none_and_reading_it_an_error(plain: bytearray) -> None:
    assert_paths_lead_nowhere_else(opened(plain))


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<I", 0, 0, "the magic number"),
        ("<H", 28, 3, r"the version is 3\.0"),
        ("<H", 30, 1, r"the version is 4\.1"),
        ("<H", 20, 2, "it is compressed with lzma"),
        ("<H", 20, 99, "it is compressed with compressor 99"),
        ("<I", 12, 8192, r"blocks of 8192 bytes \(2\^12\)"),
        ("<H", 22, 21, r"blocks of 4096 bytes \(2\^21\)"),
        ("<Q", 40, 0, "0 bytes are none"),
        ("<Q", 40, 1 << 40, "1099511627776 bytes are none, or more than"),
        ("<Q", 32, 1 << 50, "squashfs metadata at offset .*: needs"),
        ("<Q", 32, 0xFFFF, "lies outside the block's"),
        ("<H", 26, 0, "its owner 0 is not one of the 0 ids"),
        ("<Q", 48, 1 << 40, "needs 8 bytes"),
        ("<Q", 56, (1 << 64) - 1, "it has attributes, but the image has no table of them"),
    ],
)
def test_a_superblock_that_breaks_the_format_is_refused(
    plain: bytearray, layout: str, offset: int, value: int, problem: str
) -> None:
    struct.pack_into(layout, plain, offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


def test_a_truncated_image_is_refused(plain: bytearray) -> None:
    used = struct.unpack_from("<Q", plain, 40)[0]
    with pytest.raises(MalformedImageError, match=f"{used} bytes are none, or more than the {used - 1} there are"):
        opened(plain[: used - 1])


@pytest.mark.parametrize(
    ("path", "layout", "offset", "value", "problem"),
    [
        ("odd/size-4095", "<H", 0, 15, "the type 15 is unknown"),
        ("odd/size-4095", "<H", 0, 0, "the type 0 is unknown"),
        ("odd/size-4095", "<H", 2, 0o100644, "the permissions 0o100644 have other bits too"),
        ("odd/size-4095", "<H", 4, 99, "its owner 99 is not one of the"),
        ("odd/size-4095", "<I", 12, 1, "not 2 and .* as the directory says"),
        ("odd/size-4095", "<Q", 24, 1 << 40, "far larger than the image"),
        ("odd/size-4095", "<I", 52, 999, "its attributes 999 are not one of the"),
        ("odd/a", "<I", 16, 1 << 30, "squashfs metadata at offset"),
        ("bin", "<I", 20, 0, "a symbolic link has 0 bytes"),
        ("bin", "<I", 20, 5000, "a symbolic link has 5000 bytes"),
        ("bin", "<B", 25, 0, "a symbolic link has a NUL in it"),
        ("odd/medium", "<I", 44, 7, "its fragment 7 is not one of the 0"),
        ("odd/medium", "<I", 56, 1 << 24 | 16, "a block has 16 bytes of the 120 that belong to the file"),
        ("odd/medium", "<I", 56, 1 << 24 | 4096, "a block has 4096 bytes, more than 120"),
        ("odd/medium", "<I", 56, 100, "the gzip data is broken"),
    ],
)
def test_an_inode_that_breaks_the_format_is_refused(
    plain: bytearray, path: str, layout: str, offset: int, value: int, problem: str
) -> None:
    struct.pack_into(layout, plain, inode_at(plain, path) + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (0, struct.pack("<I", 256), "a header is for 257 entries"),
        (0, struct.pack("<I", 1), "its entries go on behind its end"),
        (12 + 4, struct.pack("<H", 2), "not 2 and .* as the directory says"),
        (12 + 6, struct.pack("<H", 1), "its entries go on behind its end"),
        (12 + 8, b"/", "b'/' is no file name"),
        (12 + 8, b"\0", r"b'\\x00' is no file name"),
        (12 + 8, b".", r"b'\.' is no file name"),
    ],
)
def test_a_directory_that_breaks_the_format_is_refused(
    plain: bytearray, offset: int, value: bytes, problem: str
) -> None:
    place = listing_at(plain, "odd/a/b") + offset
    plain[place : place + len(value)] = value
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


def test_names_out_of_order_are_refused(plain: bytearray) -> None:
    place = plain.index(b"file-0001", opened(plain).superblock.directories)
    plain[place : place + 9] = b"file-0000"
    with pytest.raises(MalformedImageError, match="the name b'file-0000' is out of order, or there twice"):
        read_all(opened(plain))


def test_a_very_large_directory_is_refused(plain: bytearray) -> None:
    # A directory with attributes has a size of 32 bits: make a small one of the file before.
    place = inode_at(plain, "odd/size-4095")
    struct.pack_into("<H", plain, place, 8)
    listing = plain.index(b"size-4095", opened(plain).superblock.directories)
    struct.pack_into("<H", plain, listing - 4, 1)
    struct.pack_into("<II", plain, place + 16, 1, 1 << 27)
    with pytest.raises(MalformedImageError, match="a directory has 134217725 bytes"):
        read_all(opened(plain))


def test_directories_in_a_loop_are_refused(plain: bytearray) -> None:
    inner, outer = listing_at(plain, "odd/a/b/c"), listing_at(plain, "odd")
    assert plain[outer + 20 : outer + 21] == b"a"
    plain[inner : inner + 20] = plain[outer : outer + 20]
    struct.pack_into("<I", plain, inner, 0)
    with pytest.raises(MalformedImageError, match="the directory 'odd/a/b/c/d' is in two places"):
        read_all(opened(plain))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"\x00\x00\x07\x00comment", b"\x09\x00\x07\x00comment", "an attribute of the type 0x9"),
        (b"\x00\x00\x07\x00comment", b"\x00\x00\x00\x00comment", "an attribute of the type 0x0 and the name b''"),
        (b"\x00\x00\x07\x00comment", b"\x00\x00\x07\x00com\0ent", r"the name b'com\\x00ent'"),
        (b"comment\x03\x00\x00\x00", b"comment\x03\x00\x02\x00", "an attribute has 131075 bytes"),
        (b"\x00\x00\x07\x00comment", b"\x00\x01\x07\x00comment", "the reference to a value has 3 bytes"),
    ],
)
def test_attributes_that_break_the_format_are_refused(plain: bytearray, old: bytes, new: bytes, problem: str) -> None:
    place = plain.index(old)
    plain[place : place + len(old)] = new
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


def test_an_attribute_that_is_there_twice_is_refused(plain: bytearray) -> None:
    entry = struct.pack("<HH", 0, 7) + b"comment" + struct.pack("<I", 3) + b"one"
    place = plain.index(entry) + len(entry)  # where the other one of the same file begins
    plain[place : place + len(entry)] = entry
    with pytest.raises(MalformedImageError, match=r"the attribute user\.comment is there twice"):
        read_all(opened(plain))


COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    GZIP: lambda data: zlib.compress(data, 9),
    XZ: lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    ZSTD: zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("compression", COMPRESS)
def test_a_block_that_grows_beyond_its_limit_is_never_made(compression: int) -> None:
    packed = memoryview(COMPRESS[compression](bytes(64 << 20)))
    assert decompress(compression, packed, 8192) is None
    exact = memoryview(COMPRESS[compression](b"x" * 8192))
    assert decompress(compression, exact, 8192) == b"x" * 8192
    assert decompress(compression, exact, 8191) is None


@pytest.mark.parametrize("compression", [GZIP, XZ])
def test_a_block_that_does_not_end_is_refused(compression: int) -> None:
    packed = COMPRESS[compression](os.urandom(1000))
    assert decompress(compression, memoryview(packed)[:-1], 8192) is None


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (struct.pack("<H", 0x8000), "a block of metadata has 0 bytes"),
        (struct.pack("<H", 0x8000 | 8193) + bytes(8193), "a block of metadata has 8193 bytes"),
        (struct.pack("<H", 10), "needs 10 bytes"),
        (struct.pack("<H", 4) + b"junk", "the gzip data is broken"),
    ],
)
def test_metadata_that_breaks_the_format_is_refused(block: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        Blocks(BinaryView.of(block, "image"), GZIP).metadata(0)


def test_a_cursor_reads_across_blocks_and_not_beyond_the_image() -> None:
    first, second = (struct.pack("<H", 0x8000 | len(part)) + part for part in (b"abc", b"defg"))
    blocks = Blocks(BinaryView.of(first + second, "image"), GZIP)
    cursor = Cursor(blocks, 0, 1)
    assert (cursor.read(3), cursor.place, cursor.read(3)) == (b"bcd", (5, 1), b"efg")
    with pytest.raises(MalformedImageError, match="needs 2 bytes"):
        cursor.read(1)


@pytest.mark.oracle
@pytest.mark.parametrize("compressor", ["gzip", "xz", "lz4", "zstd"])
def test_a_tree_that_mksquashfs_packs_is_read_as_it_was(toolchain: Toolchain, tmp_path: Path, compressor: str) -> None:
    source, image = toolchain.tree / "etc", tmp_path / "image"
    argv = ("mksquashfs", str(source), str(image), "-quiet", "-no-progress", "-comp", compressor)
    run(toolchain.command(argv, writable=[tmp_path], readable=[source]), timeout=60)
    assert_as_on_disk(opened(image.read_bytes()), source)


@pytest.mark.oracle
def test_unsquashfs_lists_the_same_files(sample: Callable[[str], bytes], toolchain: Toolchain, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(sample("root-zstd.squashfs"))
    argv = ("unsquashfs", "-lln", "-d", "", str(image))
    printed = run(toolchain.command(argv, readable=[tmp_path]), timeout=60).stdout
    listed = {}
    for line in printed.decode("utf-8", "surrogateescape").splitlines():
        mode, owner, *rest = line.split()
        if "/" in owner:
            name = line.partition(" /")[2].partition(" -> ")[0]
            listed[name] = (mode[0], owner, rest[0] if mode[0] == "-" else None)
    kinds = {1: "p", 2: "c", 4: "d", 6: "b", 8: "-", 10: "l", 12: "s"}
    found = {
        entry.path: (
            kinds[entry.mode >> 12],
            f"{entry.uid}/{entry.gid}",
            str(entry.size) if entry.is_file else None,
        )
        for entry in opened(image.read_bytes()).entries()
    }
    assert len(listed) == len(found)
    assert {path: value for path, value in listed.items() if "not-" not in path} == {
        path: value for path, value in found.items() if "not-" not in path
    }
