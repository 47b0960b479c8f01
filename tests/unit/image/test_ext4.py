from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.ext4 import Ext4, open_ext4
from builder.image.ext4_layout import read_inode
from builder.image.filesystem import read_file
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

VARIANTS = [
    "root.ext4",
    "root-inline.ext4",
    "root-small-blocks.ext4",
    "root-attributes.ext4",
    "root-bigalloc.ext4",
    "root.ext3",
    "root.ext2",
]
SUPER = 1024


def opened(image: bytes | bytearray) -> Ext4:
    return open_ext4(BinaryView.of(bytes(image), "image"))


def inode_at(image: bytes | bytearray, path: str) -> int:
    """Where the inode of ``path`` begins."""
    fs = opened(image)
    entry = fs.entry(path)
    assert entry is not None
    return read_inode(fs.volume, entry.inode).raw.base


def block_of(image: bytes | bytearray, path: str) -> int:
    """Where the first block of ``path`` begins in an image with blocks of 1024 bytes and a block map."""
    number: int = struct.unpack_from("<I", image, inode_at(image, path) + 0x28)[0]
    return number * 1024


@pytest.fixture
def plain(sample: Callable[[str], bytes]) -> bytearray:
    """An ext2 without checksums, so that a test can change any field of it."""
    return bytearray(sample("root.ext2"))


@pytest.fixture
def extents(sample: Callable[[str], bytes]) -> bytearray:
    """An ext4 with extents and without checksums."""
    return bytearray(sample("root-small-blocks.ext4"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_in_the_sample_tree_is_read(sample: Callable[[str], bytes], variant: str) -> None:
    # mke2fs 1.47 writes a sparse file without the zeros at its end when it could have been inline.
    size = 20480 if variant == "root-inline.ext4" else 40000
    found = assert_sample_contents(opened(sample(variant)), sparse_size=size)
    assert_sample_metadata(found)
    large = b"L" * (3000 if variant == "root-attributes.ext4" else 700)
    assert dict(found["odd/size-4095"].xattrs)["user.large"] == large


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_access_list_is_read_as_the_kernel_gives_it(sample: Callable[[str], bytes], variant: str) -> None:
    entry = opened(sample(variant)).entry("odd/size-4096")
    assert entry is not None
    acl = dict(entry.xattrs)["system.posix_acl_access"]
    assert struct.unpack("<I", acl[:4]) == (2,)
    assert list(struct.iter_unpack("<HHI", acl[4:])) == [
        (1, 6, 0xFFFFFFFF),
        (2, 4, 1234),
        (4, 4, 0xFFFFFFFF),
        (16, 4, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    ]


def test_a_path_that_is_not_there_is_none_and_reading_it_an_error(plain: bytearray) -> None:
    assert_paths_lead_nowhere_else(opened(plain))


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<H", 0x38, 0, "the magic number"),
        ("<I", 0x18, 7, r"blocks of 2\^17 bytes"),
        ("<I", 0x4, 0, "0 blocks"),
        ("<I", 0x4, 16385, "16385 blocks of 1024 bytes are none, or more than the 16777216 bytes"),
        ("<I", 0x28, 0, "are not groups of 0"),
        ("<I", 0x28, 7, "are not groups of 7"),
        ("<I", 0x28, 1 << 20, "are not groups of 1048576"),
        ("<I", 0x0, 0, "0 inodes are not groups"),
        ("<H", 0x58, 192, "inodes of 192 bytes"),
        ("<H", 0x58, 64, "inodes of 64 bytes"),
        ("<H", 0x58, 2048, "inodes of 2048 bytes"),
        ("<I", 0x60, 0x1, "not supported: COMPRESSION"),
        ("<I", 0x60, 0x8, "not supported: JOURNAL_DEV"),
        ("<I", 0x60, 0x10, "not supported: META_BG"),
        ("<I", 0x60, 0x10000, "not supported: ENCRYPT"),
        ("<I", 0x60, 0x20000, "not supported: CASEFOLD"),
        ("<I", 0x60, 0x80001000, "not supported: DIRDATA, unknown bit 0x80000000"),
        ("<I", 0x64, 0x800080, "read-only features that are not known: 0x80, 0x800000"),
        ("<I", 0x60, 0x4, "the journal has to be replayed first"),
        ("<I", 0x64, 0x10000, "there are orphaned inodes"),
        ("<I", 0xE8, 12, "there are orphaned inodes"),
        ("<H", 0x3A, 0, "was not cleanly unmounted"),
        ("<H", 0x3A, 3, "or has errors"),
    ],
)
def test_a_superblock_that_is_broken_unclean_or_not_supported_is_refused(
    plain: bytearray, layout: str, offset: int, value: int, problem: str
) -> None:
    struct.pack_into(layout, plain, SUPER + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        opened(plain)


def test_an_unclean_image_comes_with_advice(plain: bytearray) -> None:
    struct.pack_into("<I", plain, SUPER + 0x60, 0x4)
    with pytest.raises(MalformedImageError, match="journal") as caught:
        opened(plain)
    assert caught.value.hint == "on a copy, run e2fsck -f, and check that"


@pytest.mark.parametrize("size", [32, 96, 2048])
def test_group_descriptors_of_a_size_that_is_none_are_refused(plain: bytearray, size: int) -> None:
    struct.pack_into("<I", plain, SUPER + 0x60, 0x80)
    struct.pack_into("<H", plain, SUPER + 0xFE, size)
    with pytest.raises(MalformedImageError, match=f"group descriptors of {size} bytes"):
        opened(plain)


def test_a_truncated_image_is_refused(plain: bytearray) -> None:
    with pytest.raises(MalformedImageError, match="more than the 16777215 bytes"):
        opened(plain[:-1])


@pytest.mark.parametrize("offset", [SUPER + 0x78, 4096 + 8, 4096 + 64])
def test_a_changed_bit_in_superblock_or_descriptors_is_found(sample: Callable[[str], bytes], offset: int) -> None:
    image = bytearray(sample("root.ext4"))
    image[offset] ^= 1
    if offset == 4096 + 64:  # behind the only descriptor: not metadata
        read_all(opened(image))
        return
    with pytest.raises(MalformedImageError, match=r"ext4 (superblock|group descriptor 0) at .*: the checksum is"):
        opened(image)


def test_an_unknown_kind_of_checksum_is_refused(sample: Callable[[str], bytes]) -> None:
    image = bytearray(sample("root.ext4"))
    image[SUPER + 0x175] = 2
    with pytest.raises(MalformedImageError, match="the kind of checksum 2 is unknown"):
        opened(image)


def test_a_changed_bit_in_any_metadata_is_found(sample: Callable[[str], bytes]) -> None:
    original = sample("root.ext4")
    fs = opened(original)
    extents = read_inode(fs.volume, getattr(fs.entry("odd/extents"), "inode"))  # noqa: B009 -- it is not None
    many = read_inode(fs.volume, getattr(fs.entry("etc/many"), "inode"))  # noqa: B009
    few = read_inode(fs.volume, getattr(fs.entry("odd/a/b"), "inode"))  # noqa: B009
    first_extent = struct.unpack_from("<I", extents.block.data, 12 + 4)[0] * 4096
    directory = struct.unpack_from("<I", many.block.data, 12 + 8)[0] * 4096
    places = {
        "inode": extents.raw.base + 0x10,
        "end of an inode": extents.raw.base + 255,
        "extents": first_extent + 14,
        "hash tree": directory + 0x24,
        "names": struct.unpack_from("<I", few.block.data, 12 + 8)[0] * 4096 + 24 + 8,
    }
    assert many.flags & 0x1000  # e2fsck -D made a hash tree
    for place in places.values():
        image = bytearray(original)
        image[place] ^= 1
        with pytest.raises(MalformedImageError, match="the checksum is"):
            read_all(opened(image))


def test_a_block_of_a_directory_without_a_checksum_is_refused(sample: Callable[[str], bytes]) -> None:
    original = sample("root.ext4")
    fs = opened(original)
    directory = read_inode(fs.volume, getattr(fs.entry("usr/bin"), "inode"))  # noqa: B009 -- it is not None
    image = bytearray(original)
    image[struct.unpack_from("<I", directory.block.data, 12 + 8)[0] * 4096 + 4095 - 4] = 0
    with pytest.raises(MalformedImageError, match="a block of a directory has no checksum"):
        read_all(opened(image))


@pytest.mark.parametrize(
    ("path", "offset", "value", "problem"),
    [
        ("odd/size-1", 0x20, 0x800, "it is encrypted"),
        ("odd/a", 0x20, 0x40000000, "a directory that ignores case"),
        ("odd/size-1", 0x1A, 0, "leads to it, but it is no file, or was removed"),
        ("odd/size-1", 0x20, 0x200000, "leads to it, but it is no file, or was removed"),
        ("odd/size-1", 0x0, 0, "its mode 0o0 is not of type None"),
        ("odd/a", 0x4, 1000, "a directory has 1000 bytes"),
        ("odd/a", 0x4, 0, "a directory has 0 bytes"),
        ("odd/a", 0x4, 1 << 27, "a directory has 134217728 bytes"),
        ("bin", 0x4, 0, "a symbolic link has 0 bytes"),
        ("bin", 0x4, 4096, "a symbolic link has 4096 bytes"),
        ("bin", 0x4, 100, "a symbolic link of 100 bytes takes 0 sectors"),
        ("bin", 0x1C, 2, "a symbolic link of 7 bytes takes 2 sectors"),
        ("bin", 0x4, 12, "has a NUL in it"),
        ("odd/size-1", 0x6C, 1, "far larger than the image"),
        ("odd/size-1", 0x20, 0x10000000, "it has inline data, but no attribute for it"),
        ("odd/size-4096", 0x28, 0x7FFFFFFF, "needs 4096 bytes|needs 1024 bytes|needs"),
        ("usr/bin/ping", 0x68, 0x7FFFFFFF, "needs 1024 bytes"),
    ],
)
def test_an_inode_that_breaks_the_format_is_refused(
    plain: bytearray, path: str, offset: int, value: int, problem: str
) -> None:
    layout = "<H" if offset in {0x0, 0x1A} else "<I"
    struct.pack_into(layout, plain, inode_at(plain, path) + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (4, struct.pack("<H", 0), "an entry of 0 bytes"),
        (4, struct.pack("<H", 14), "an entry of 14 bytes"),
        (4, struct.pack("<H", 8), "an entry of 8 bytes for a name of 1"),
        (4, struct.pack("<H", 0xFFFC), "an entry of 65532 bytes"),
        (0, struct.pack("<I", 12), "does not begin with '.' and '..', or they lead elsewhere"),
        (12, struct.pack("<I", 12), "does not begin with '.' and '..', or they lead elsewhere"),
        (24, struct.pack("<I", 1 << 30), "there are only the inodes 1 to"),
        (24, struct.pack("<I", 8), "leads to inode 8, which is the file system's own"),
        (24 + 8, b"/", r"b'/.*' is no file name"),
        (24 + 8, b"\0", r"b'\\x00.*' is no file name"),
        (24 + 6, b"\0", r"b'' is no file name"),
        (24 + 8, b"..", "the name b'..' is in it twice"),
    ],
)
def test_a_directory_that_breaks_the_format_is_refused(
    plain: bytearray, offset: int, value: bytes, problem: str
) -> None:
    block = block_of(plain, "odd/a/b")
    if value == b"..":
        plain[block + 24 + 6] = 2
    plain[block + offset : block + offset + len(value)] = value
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


def test_a_type_that_is_not_that_of_the_inode_is_refused(extents: bytearray) -> None:
    number = struct.unpack_from("<I", extents, inode_at(extents, "odd/a/b") + 0x28 + 12 + 8)[0]
    extents[number * 1024 + 24 + 7] = 1
    with pytest.raises(MalformedImageError, match="is not of type 1, as its directory says"):
        read_all(opened(extents))


def test_directories_in_a_loop_are_refused(plain: bytearray) -> None:
    fs = opened(plain)
    back = fs.entry("odd/a")
    assert back is not None
    struct.pack_into("<I", plain, block_of(plain, "odd/a/b") + 24, back.inode)
    with pytest.raises(MalformedImageError, match="the directory 'odd/a/b/c' is in two places"):
        read_all(opened(plain))


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (0x28, b"\0\0", "a node of its extent tree begins with"),
        (0x28 + 2, b"\x09\x00", "a node of its extent tree begins with"),
        (0x28 + 2, b"\x05\x00\x05\x00", "needs 60 bytes"),
        (0x28 + 2, b"\x00\x00", "a node of its extent tree begins with 0af30000"),
        (0x28 + 6, b"\x06\x00", "its extent tree has a depth of 6"),
        (0x28 + 6, b"\x01\x00", "a node of its extent tree begins with"),
        (0x28 + 12, b"\x00\x00\x01\x00", "out of order"),
        (0x28 + 16, b"\xff\xff\xff\x7f", "needs 1024 bytes"),
    ],
)
def test_an_extent_tree_that_breaks_the_format_is_refused(
    extents: bytearray, offset: int, value: bytes, problem: str
) -> None:
    place = inode_at(extents, "odd/extents") + offset
    extents[place : place + len(value)] = value
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(extents))


@pytest.mark.parametrize(("offset", "value"), [(12 + 4, b"\0\0"), (24, b"\0\0\0\0")])
def test_extents_that_are_empty_or_overlap_are_refused(extents: bytearray, offset: int, value: bytes) -> None:
    index = struct.unpack_from("<I", extents, inode_at(extents, "odd/extents") + 0x28 + 12 + 4)[0] * 1024
    leaf = struct.unpack_from("<I", extents, index + 12 + 4)[0] * 1024
    extents[leaf + offset : leaf + offset + len(value)] = value
    with pytest.raises(MalformedImageError, match=r"an extent of \d blocks at block \d of the file is out"):
        read_all(opened(extents))


def test_an_extent_that_was_never_written_reads_as_zeros(extents: bytearray) -> None:
    place = inode_at(extents, "usr/bin/dash") + 0x28 + 12 + 4
    length = struct.unpack_from("<H", extents, place)[0]
    struct.pack_into("<H", extents, place, length + 0x8000)
    assert read_file(opened(extents), "usr/bin/dash") == bytes(9000)


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (3, b"\0", "a block of attributes begins with"),
        (32 + 1, b"\x09", "an attribute with the prefix 9"),
        (32 + 2, b"\xff\xff", "needs 20 bytes"),
        (32 + 8, struct.pack("<I", 1 << 17), "an attribute has 131072 bytes"),
        (32 + 4, struct.pack("<I", 12), "it should hold 20 bytes of an attribute, and does not"),
    ],
)
def test_attributes_that_break_the_format_are_refused(
    plain: bytearray, offset: int, value: bytes, problem: str
) -> None:
    # Inodes of 256 bytes hold small attributes: without the magic number they are looked for in the block alone.
    inode = inode_at(plain, "usr/bin/ping")
    block = 16000 * 1024
    header = struct.pack("<III", 0xEA020000, 1, 1) + bytes(20)
    entry = struct.pack("<BBHIII", 10, 6, 1000, 0, 20, 0) + b"capability" + bytes(2)
    plain[block : block + 1024] = (header + entry).ljust(1024, b"\0")
    struct.pack_into("<I", plain, inode + 0x68, 16000)
    plain[inode + 128 : inode + 256] = bytes(128)
    plain[block + offset : block + offset + len(value)] = value
    with pytest.raises(MalformedImageError, match=problem):
        read_all(opened(plain))


def test_an_attribute_that_is_in_the_inode_and_in_a_block_is_refused(plain: bytearray) -> None:
    block = 16000 * 1024
    header = struct.pack("<III", 0xEA020000, 1, 1) + bytes(20)
    entry = struct.pack("<BBHIII", 10, 6, 1000, 0, 20, 0) + b"capability" + bytes(2)
    plain[block : block + 1024] = (header + entry).ljust(1024, b"\0")
    struct.pack_into("<I", plain, inode_at(plain, "usr/bin/ping") + 0x68, 16000)
    with pytest.raises(MalformedImageError, match=r"the attribute security.capability is there twice"):
        read_all(opened(plain))


@pytest.mark.oracle
@pytest.mark.parametrize("variant", VARIANTS)
def test_debugfs_finds_the_same_files(
    sample: Callable[[str], bytes], variant: str, toolchain: Toolchain, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    image.write_bytes(sample(variant))
    entries = {entry.path: entry for entry in opened(sample(variant)).entries()}
    script = "".join(f'ls -p "/{path}"\n' for path, entry in entries.items() if stat.S_ISDIR(entry.mode))
    (tmp_path / "script").write_text(script)
    argv = ("debugfs", "-f", str(tmp_path / "script"), str(image))
    printed = run(toolchain.command(argv, readable=[tmp_path]), timeout=60).stdout
    listed: dict[str, tuple[str, ...]] = {}
    folder = ""
    for line in printed.decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("debugfs: ls -p"):
            folder = line.partition('"/')[2].rstrip('"')
        elif line.startswith("/"):
            _, inode, *fields, name, _size, _ = line.split("/")
            if inode != "0" and name not in {".", ".."}:  # 0: a place that is not used
                listed[f"{folder}/{name}".lstrip("/")] = (inode, *fields)
    assert listed == {
        path: (str(entry.inode), f"{entry.mode:06o}", str(entry.uid), str(entry.gid))
        for path, entry in entries.items()
        if path
    }


@pytest.mark.oracle
@pytest.mark.parametrize("options", [("-text4",), ("-text4", "-Oinline_data"), ("-text2", "-b1024")])
def test_a_tree_that_mke2fs_packs_is_read_as_it_was(
    toolchain: Toolchain, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source, image = toolchain.tree / "etc", tmp_path / "image"
    argv = ("mke2fs", "-q", *options, "-d", str(source), str(image), "64M")
    run(toolchain.command(argv, writable=[tmp_path], readable=[source]), timeout=60)
    assert_as_on_disk(opened(image.read_bytes()), source)
