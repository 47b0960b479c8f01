from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.binary import BinaryView
from builder.image.erofs import Erofs, ErofsFile, open_erofs
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

EPOCH = 1735689600
VARIANTS = ["root", "root-compact", "root-chunks", "root-prefixes", "root-small-blocks"]
SUPER = 1024
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


def opened(image: bytes | bytearray) -> Erofs:
    return open_erofs(BinaryView.of(bytes(image), "image"))


def files(image: bytes | bytearray) -> dict[str, ErofsFile]:
    return {file.path: file for file in opened(image).walk()}


def offset_of(image: bytes | bytearray, path: str) -> int:
    """Where the inode of ``path`` begins."""
    file = opened(image).find(path)
    assert file is not None
    return opened(image).superblock.meta_offset + file.inode.nid * 32


def inline_data(image: bytes | bytearray, path: str) -> int:
    """Where the data of a file that is small enough to be inline begins."""
    file = opened(image).find(path)
    assert file is not None
    assert file.inode.layout == 2
    return file.inode.end + file.inode.xattr_size


@pytest.fixture
def image(sample: Callable[[str], bytes]) -> bytearray:
    """An image whose superblock has no checksum, so that a test can change any field of it."""
    data = bytearray(sample("root.erofs"))
    data[SUPER + 8] &= ~1
    return data


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_in_the_sample_tree_is_read(sample: Callable[[str], bytes], variant: str) -> None:
    data = sample(f"{variant}.erofs")
    fs, found = opened(data), files(data)
    assert len(found) == 642
    for size in (0, 1, 4095, 4096, 4097, 10000):
        content = fs.read_file(f"odd/size-{size}")
        assert content == bytes(number * 7 % 251 for number in range(size))
    sparse = fs.read_file("odd/sparse")
    assert (len(sparse), bytes(sparse).strip(b"\0"), bytes(sparse).index(b"in")) == (40000, b"in the middle", 20000)
    for number in range(600):
        assert fs.content(found[f"etc/many/file-{number:04}"].inode) == f"{number}\n".encode()
    assert found["bin"].target == "usr/bin"
    assert found["odd/long-link"].target == "x/" * 400
    assert stat.S_ISDIR(found["odd/a/b/c/d"].inode.mode)
    assert found["odd/" + "n" * 255].inode.size == 9
    assert bytes(fs.content(found["odd/größe"].inode)) == b"not ASCII\n"
    assert os.fsencode("odd/not-\udcff-utf8") == b"odd/not-\xff-utf8"
    assert bytes(fs.content(found["odd/not-\udcff-utf8"].inode)) == b"bytes"


@pytest.mark.parametrize("variant", VARIANTS)
def test_owners_modes_links_devices_and_attributes_are_read(sample: Callable[[str], bytes], variant: str) -> None:
    found = files(sample(f"{variant}.erofs"))
    assert found["odd/hardlink"].inode == found["odd/size-1"].inode
    assert found["odd/hardlink"].inode.nlink == 2
    owner = found["odd/size-4096"].inode
    assert (owner.uid, owner.gid) == ((1000, 1001) if variant == "root-compact" else (100000, 70000))
    assert found["dev/null"].inode.device == (1, 3)
    assert found["dev/large"].inode.device == (259, 70000)
    assert [stat.S_IFMT(found[f"dev/{name}"].inode.mode) for name in ("null", "large", "pipe", "socket")] == [
        stat.S_IFCHR,
        stat.S_IFBLK,
        stat.S_IFIFO,
        stat.S_IFSOCK,
    ]
    assert stat.S_IMODE(found["usr/bin/ping"].inode.mode) == 0o4755
    assert found["usr/bin/ping"].xattrs == (("security.capability", CAPABILITY),)
    assert found["odd/size-1"].xattrs == (("user.comment", b"one"), ("user.shared", b"the same for all of them"))
    assert found["odd/size-10000"].xattrs == (("trusted.overlay.opaque", b"y"), ("user.long", b"v" * 600))
    assert found["odd/size-0"].xattrs == ()


def test_extended_inodes_have_times_of_their_own_and_compact_ones_that_of_the_build(
    sample: Callable[[str], bytes],
) -> None:
    times = [file.inode.mtime for file in files(sample("root.erofs")).values()]
    assert (len(set(times)), min(times), max(times)) == (640, EPOCH - 640, EPOCH)  # one time per inode
    assert {file.inode.mtime for file in files(sample("root-compact.erofs")).values()} == {EPOCH}


def test_the_superblock_is_read(sample: Callable[[str], bytes]) -> None:
    superblock = opened(sample("root.erofs")).superblock
    assert (superblock.block_size, superblock.inode_count, superblock.build_time) == (4096, 641, EPOCH)
    assert str(superblock.uuid) == "0f5a1b52-7f3e-4a0c-8d3c-2f6f6e0c9a77"


def test_a_path_that_is_not_there_is_none_and_reading_it_an_error(image: bytearray) -> None:
    fs = opened(image)
    assert fs.find("usr/bin/nothing") is None
    assert fs.find("usr/bin/dash/below-a-file") is None
    assert fs.find("bin/dash") is None  # a symbolic link is not followed
    with pytest.raises(InvalidInputError, match="there is no regular file usr/bin in the EROFS image"):
        fs.read_file("usr/bin")


def test_an_unknown_inode_format_is_refused(image: bytearray) -> None:
    image[offset_of(image, "odd/size-4096")] |= 0x10
    with pytest.raises(MalformedImageError, match="unknown format"):
        files(image)


@pytest.mark.parametrize("byte", [0, 16, 100, 3071])
def test_a_flipped_bit_in_the_block_of_the_superblock_is_found(sample: Callable[[str], bytes], byte: int) -> None:
    data = bytearray(sample("root.erofs"))
    data[SUPER + byte] ^= 8
    with pytest.raises(MalformedImageError, match=r"EROFS superblock at offset .*: the (checksum|magic number) is"):
        opened(data)


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<I", 0, 0, "the magic number"),
        ("<B", 12, 8, r"blocks of 2\^8 bytes"),
        ("<B", 12, 255, r"blocks of 2\^255 bytes"),
        ("<I", 36, 38, "38 blocks of 4096 bytes are none, or more than the 151552 bytes"),
        ("<I", 36, 0, "0 blocks"),
        ("<I", 80, 0x80000000, "unknown bit 0x80000000"),
        ("<I", 80, 0x182, "not supported: 48BIT, METABOX"),
        ("<H", 86, 1, "extra devices"),
        ("<B", 90, 1, "larger directory blocks"),
    ],
)
def test_a_superblock_that_breaks_the_format_is_refused(
    image: bytearray, layout: str, offset: int, value: int, problem: str
) -> None:
    struct.pack_into(layout, image, SUPER + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        opened(image)


def test_a_truncated_image_is_refused(image: bytearray) -> None:
    with pytest.raises(MalformedImageError, match="more than the 151551 bytes"):
        opened(image[:-1])


@pytest.mark.parametrize("nid", [2**16 - 1])
def test_a_root_outside_the_image_is_refused(image: bytearray, nid: int) -> None:
    struct.pack_into("<H", image, SUPER + 14, nid)
    with pytest.raises(MalformedImageError, match="EROFS inode 65535 at offset 0x1fffe0: lies outside"):
        files(image)


def test_a_root_that_is_no_directory_is_refused(image: bytearray) -> None:
    file = opened(image).find("odd/size-4096")
    assert file is not None
    struct.pack_into("<H", image, SUPER + 14, file.inode.nid)
    with pytest.raises(MalformedImageError, match="the root is not a directory"):
        files(image)


def test_directories_in_a_loop_are_refused(image: bytearray) -> None:
    """The entry ``d`` of ``c`` leads back to ``b``."""
    back = opened(image).find("odd/a/b")
    assert back is not None
    struct.pack_into("<Q", image, inline_data(image, "odd/a/b/c") + 24, back.inode.nid)
    with pytest.raises(MalformedImageError, match="the directory 'odd/a/b/c/d' is in two places"):
        files(image)


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<H", 8, 35, "are not behind whole entries"),
        ("<H", 8, 0, "are not behind whole entries"),
        ("<H", 8, 0xFFF0, "are not behind whole entries"),
        ("<Q", 0, 99, "its entry '.' leads to inode 99"),
        ("<Q", 12, 99, "its entry '..' leads to inode 99"),
        ("<B", 24 + 10, 1, "is not of type 1, as its directory says"),
        ("<B", 24 + 10, 9, "is not of type 9, as its directory says"),
        ("<Q", 24, 2**63, "lies outside the image"),
        ("<H", 24 + 8, 0xFFFF, "needs"),
        ("<B", 36, ord("0"), "out of order, or there twice"),
        ("<B", 36 + 1, ord("/"), "is no file name"),
        ("<B", 36 + 3, 0, "is no file name"),
        ("<B", 36 + 3, ord("."), "out of order, or there twice"),
    ],
)
def test_a_directory_that_breaks_the_format_is_refused(
    image: bytearray, layout: str, offset: int, value: int, problem: str
) -> None:
    """The directory ``c`` has the names ``.``, ``..`` and ``d``, which stand behind three entries of 12 bytes."""
    struct.pack_into(layout, image, inline_data(image, "odd/a/b/c") + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        files(image)


def test_a_directory_without_dots_is_refused(image: bytearray) -> None:
    struct.pack_into("<Q", image, offset_of(image, "odd/a/b/c") + 8, 0)
    with pytest.raises(MalformedImageError, match=r"no '\.' or no '\.\.'"):
        files(image)


@pytest.mark.parametrize(
    ("size", "problem"), [(151553, "a directory has 151553 bytes"), (2**63, "far larger than the image")]
)
def test_a_directory_larger_than_the_image_is_refused(image: bytearray, size: int, problem: str) -> None:
    struct.pack_into("<Q", image, offset_of(image, "odd/a/b/c") + 8, size)
    with pytest.raises(MalformedImageError, match=problem):
        files(image)


def test_inline_data_that_crosses_a_block_is_refused(image: bytearray) -> None:
    struct.pack_into("<Q", image, offset_of(image, "odd/size-1") + 8, 4096)
    with pytest.raises(MalformedImageError, match="its inline data crosses a block boundary"):
        opened(image).read_file("odd/size-1")


def test_data_outside_the_image_is_refused(image: bytearray) -> None:
    struct.pack_into("<I", image, offset_of(image, "odd/size-10000") + 16, 36)
    with pytest.raises(MalformedImageError, match="needs 8192 bytes, but the structure ends at 0x25000"):
        opened(image).read_file("odd/size-10000")


@pytest.mark.parametrize("size", [2**63, 2**40])
def test_files_far_larger_than_the_image_are_refused(sample: Callable[[str], bytes], size: int) -> None:
    data = bytearray(sample("root-chunks.erofs"))
    struct.pack_into("<Q", data, offset_of(data, "odd/size-10000") + 8, size)
    with pytest.raises(MalformedImageError, match="far larger than the image"):
        files(data)
    with pytest.raises(MalformedImageError, match="far more than the image has"):
        opened(data).read_file("odd/size-10000")


@pytest.mark.parametrize(
    ("detail", "problem"),
    [(0x40, "the chunk format 0x40"), (0x10000, "the chunk format 0x10000"), (0x20, "lies on another device")],
)
def test_unknown_chunk_formats_are_refused(sample: Callable[[str], bytes], detail: int, problem: str) -> None:
    data = bytearray(sample("root-chunks.erofs"))
    offset = offset_of(data, "odd/size-4097")
    struct.pack_into("<I", data, offset + 16, detail)
    struct.pack_into("<I", data, offset + 64 + 16, 0x00010000)  # behind one header and one shared attribute
    with pytest.raises(MalformedImageError, match=problem):
        opened(data).read_file("odd/size-4097")


def test_chunks_without_the_feature_are_refused(sample: Callable[[str], bytes]) -> None:
    data = bytearray(sample("root-chunks.erofs"))
    data[SUPER + 8] &= ~1
    data[SUPER + 80] = 0
    with pytest.raises(MalformedImageError, match="the image does not have that feature"):
        opened(data).read_file("odd/size-4097")


def test_a_hole_reads_as_zeros(sample: Callable[[str], bytes]) -> None:
    data = bytearray(sample("root-chunks.erofs"))
    file = opened(data).find("odd/size-10000")
    assert file is not None
    start = file.inode.end + file.inode.xattr_size
    assert start % 4 == 0
    unit = 8 if file.inode.detail & 0x20 else 4
    struct.pack_into("<I", data, start + unit + unit - 4, 0xFFFFFFFF)  # the second of three chunks
    chunk = 4096 << (file.inode.detail & 0x1F)
    expected = bytearray(number * 7 % 251 for number in range(10000))
    expected[chunk : 2 * chunk] = bytes(len(expected[chunk : 2 * chunk]))
    assert opened(data).content(file.inode) == bytes(expected)


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<B", 4, 9, "9 shared attributes are more than"),
        ("<I", 12, 0x0FFFFFFF, "EROFS shared xattr"),
        ("<B", 16 + 1, 5, "the name prefix 0x5 is unknown"),
        ("<B", 16 + 1, 0x80, "the name prefix 0x80 is unknown"),
        ("<B", 16 + 4, 0, "a name has a NUL"),
        ("<H", 16 + 2, 0xFFFF, r"xattrs of EROFS inode \d+ at offset 0x[0-9a-f]+: needs"),
    ],
)
def test_attributes_that_break_the_format_are_refused(
    image: bytearray, layout: str, offset: int, value: int, problem: str
) -> None:
    """``size-1`` has a header of 12 bytes, one shared attribute, then "user.comment" inline."""
    struct.pack_into(layout, image, offset_of(image, "odd/size-1") + 64 + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        files(image)


def test_an_attribute_that_is_there_twice_is_refused(image: bytearray) -> None:
    shared = opened(image).superblock.xattr_offset
    offset = offset_of(image, "odd/size-1") + 64
    entry = shared + int.from_bytes(image[offset + 12 : offset + 16], "little") * 4
    image[offset + 16 : offset + 32] = image[entry : entry + 4].ljust(16, b"\0")
    struct.pack_into("<BBH", image, offset + 16, 6, 1, 0)
    image[offset + 20 : offset + 26] = b"shared"
    with pytest.raises(MalformedImageError, match=r"user\.shared is there twice"):
        files(image)


@pytest.mark.parametrize("size", [0, 4096])
def test_a_symbolic_link_of_impossible_length_is_refused(image: bytearray, size: int) -> None:
    struct.pack_into("<Q", image, offset_of(image, "bin") + 8, size)
    with pytest.raises(MalformedImageError, match=f"a symbolic link has {size} bytes"):
        files(image)


def test_a_symbolic_link_with_a_nul_is_refused(image: bytearray) -> None:
    image[inline_data(image, "bin") + 3] = 0
    with pytest.raises(MalformedImageError, match="a symbolic link has a NUL"):
        files(image)


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


@pytest.mark.oracle
@pytest.mark.parametrize("options", [(), ("--chunksize=8192",), ("-b2048",), ("-Enoinline_data",), ("-x-1",)])
def test_an_image_of_mkfs_shows_what_the_tree_had(
    toolchain: Toolchain, tmp_path: Path, options: tuple[str, ...]
) -> None:
    tree, image = tmp_path / "tree", tmp_path / "image"
    (tree / "directory/" / ("d" * 200) / "deeper").mkdir(parents=True)
    for number in range(300):
        (tree / f"directory/file-{number}").write_bytes(bytes([number % 256]) * (number * 61))
    for name in ("directory/file-7", "directory/file-80"):
        os.setxattr(tree / name, "user.name", name.encode())
    os.link(tree / "directory/file-9", tree / "link")
    (tree / "symbolic").symlink_to("directory/file-9")
    os.mkfifo(tree / "pipe")
    command = ["mkfs.erofs", "--quiet", "--mkfs-time", f"-T{EPOCH}", *options, str(image), str(tree)]
    run(toolchain.command(command, writable=[tmp_path]), timeout=60)
    run(toolchain.command(["fsck.erofs", str(image)], readable=[tmp_path]), timeout=60)
    fs = opened(image.read_bytes())
    found = {file.path: file for file in fs.walk()}
    assert set(found) == {""} | {str(path.relative_to(tree)) for path in tree.rglob("*")}
    for name, file in found.items():
        status = (tree / name).lstat()
        inode = file.inode
        assert (inode.mode, inode.uid, inode.gid) == (status.st_mode, status.st_uid, status.st_gid)
        assert (inode.mtime, inode.nlink) == (int(status.st_mtime), status.st_nlink)
        assert file.xattrs == (() if "-x-1" in options else _attributes(tree / name))
        if stat.S_ISREG(inode.mode):
            assert bytes(fs.content(inode)) == (tree / name).read_bytes()
    assert found["link"].inode == found["directory/file-9"].inode
    assert found["symbolic"].target == "directory/file-9"
