from __future__ import annotations

import gzip
import itertools
import lzma
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.initrd import Initrd, read_initrd

if TYPE_CHECKING:
    from collections.abc import Callable

S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR = 0o100000, 0o040000, 0o120000, 0o010000, 0o020000


def member(name: bytes, mode: int, body: bytes = b"", magic: bytes = b"070701", **fields: int) -> bytes:
    """A cpio member as the kernel's documentation lays it out."""
    names = ("ino", "mode", "uid", "gid", "nlink", "mtime", "size", "maj", "min", "rmaj", "rmin", "namesize", "check")
    values = {"mode": mode, "nlink": 1, "size": len(body), "namesize": len(name) + 1} | fields
    head = magic + b"".join(b"%08X" % values.get(field, 0) for field in names) + name + b"\0"
    return head + bytes(-len(head) % 4) + body + bytes(-len(body) % 4)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


_LINKED = member(b"a", S_IFREG, b"good", nlink=2, ino=7) + member(b"b", S_IFREG, nlink=2, ino=7)
TRAILER = member(b"TRAILER!!!", 0)
SMALL = member(b"init", S_IFREG | 0o755, b"#!") + TRAILER


def read(data: bytes, limit: int = 1 << 20) -> Initrd:
    return read_initrd(BinaryView.of(data, "initrd"), limit)


@pytest.mark.parametrize("name", ["initrd.cpio", "initrd-crc.cpio", "initrd-concatenated.img"])
def test_archives_of_gnu_cpio_are_read(sample: Callable[[str], bytes], name: str) -> None:
    initrd = read(sample(name))
    assert [(entry.path, oct(entry.mode), entry.size) for entry in initrd.files] == [
        ("", "0o40755", 0),
        ("dev", "0o40755", 0),
        ("dev/console", "0o20600", 0),
        ("init", "0o120777", 0),
        ("usr", "0o40755", 0),
        ("usr/lib", "0o40755", 0),
        ("usr/lib/init", "0o100755", 450),
        ("usr/lib/second-name", "0o100755", 450),
    ]
    console, init, second = (initrd.find(path) for path in ("dev/console", "/init", "usr/lib/second-name"))
    assert console is not None
    assert console.device == (5, 1)
    assert init is not None
    assert (init.target, init.mtime) == ("usr/lib/init", 1735689600)
    assert second is not None
    assert second.content == b"\x7fELF init" * 50
    assert initrd.find("nothing") is None


def test_every_compression_and_both_of_two_adjoining_frames_are_seen(sample: Callable[[str], bytes]) -> None:
    segments = read(sample("initrd-concatenated.img")).segments
    assert [segment.compression for segment in segments] == ["none", "zstd", "gzip", "xz", "zstd", "zstd"]
    assert {len(segment.entries) for segment in segments} == {8}
    for left, right in itertools.pairwise(segments):
        assert left.offset + left.size <= right.offset


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstd], ids=["none", "gzip", "xz", "zstd"])
def test_an_archive_of_many_megabytes_is_unpacked(pack: Callable[[bytes], bytes]) -> None:
    body = zlib.compress(bytes(range(256))) * 200_000
    packed = pack(member(b"large", S_IFREG | 0o644, body) + TRAILER)
    initrd = read(packed + bytes(-len(packed) % 4) + SMALL, 100 << 20)
    assert [entry.path for entry in initrd.files] == ["init", "large"]
    assert initrd.files[1].content == body


def test_a_later_archive_takes_the_place_of_an_earlier_one() -> None:
    second = member(b"./init", S_IFREG | 0o700, b"new") + TRAILER
    (entry,) = read(SMALL + bytes(8) + zstd(second)).files
    assert (bytes(entry.content), entry.mode & 0o777) == (b"new", 0o700)


def test_all_hard_links_get_the_content_whichever_name_carries_it() -> None:
    for bodies in ((b"data", b"", b""), (b"", b"data", b""), (b"", b"", b"data"), (b"data", b"data", b"data")):
        links = (member(b"f%d" % n, S_IFREG, body, nlink=3, ino=7) for n, body in enumerate(bodies))
        other = member(b"other", S_IFREG, b"", nlink=2, ino=8)
        contents = [bytes(entry.content) for entry in read(b"".join(links) + other + TRAILER).files]
        assert contents == [b"data", b"data", b"data", b""]


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd], ids=["gzip", "xz", "zstd"])
def test_a_stream_that_grows_beyond_the_limit_is_refused(compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(member(b"zeros", S_IFREG, bytes(64 << 20)) + TRAILER)
    with pytest.raises(MalformedImageError, match="initrd at offset 0x0: the stream decompresses to more than 1048576"):
        read(bomb)


def test_the_limit_is_that_of_all_streams_together() -> None:
    stream = zstd(member(b"zeros", S_IFREG, bytes(600_000)) + TRAILER)
    with pytest.raises(MalformedImageError, match="decompresses to more than"):
        read(stream + bytes(-len(stream) % 4) + stream)


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd], ids=["gzip", "xz", "zstd"])
def test_a_broken_or_truncated_stream_is_refused(compress: Callable[[bytes], bytes]) -> None:
    stream = compress(member(b"init", S_IFREG, bytes(range(256)) * 20) + TRAILER)
    with pytest.raises(MalformedImageError, match=r"has no end|needs"):
        read(stream[:-5])
    broken = bytearray(stream)
    broken[len(stream) // 2] ^= 0x55
    with pytest.raises(MalformedImageError, match=r"is broken|needs|reserved type|has no end"):
        read(bytes(broken))


def test_a_zstd_frame_of_a_reserved_block_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="at offset 0x6: a zstd block is of the reserved type"):
        read(b"\x28\xb5\x2f\xfd\x00\x58\x07\x00\x00")


def test_a_zstd_window_larger_than_the_kernel_takes_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="the zstd frame is broken"):
        read(b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "there is no cpio archive"),
        (bytes(5000), "there is no cpio archive"),
        (b"BZh9" + bytes(20), "bzip2 compression is not supported"),
        (b"\x02\x21\x4c\x18", "lz4 compression is not supported"),
        (b"\x7fELF", "7f454c46 begins neither a cpio archive nor a known compression"),
        (bytes(2) + SMALL, "does not begin at a multiple of 4 bytes"),
        (SMALL + bytes(1024) + b"junk", "begins neither"),
        (b"070707" + SMALL[6:], "b'070707' does not begin a header"),
        (SMALL.replace(b"000081ED", b"0x0081ED"), "does not begin a header"),
        (SMALL[: -len(TRAILER)], "needs 110 bytes"),
        (SMALL[:60], "needs 110 bytes"),
        (zstd(bytes(100)), "there is no cpio archive in a compressed stream"),
        (zstd(SMALL + b"junk"), "initrd unpacked from offset 0x0 at offset .*: junk inside"),
        (zstd(SMALL[:-4]), "needs"),
    ],
)
def test_what_is_no_initrd_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        read(data)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        (member(b"a", S_IFREG, namesize=1), "a name of 1 bytes is empty"),
        (member(b"a" * 4097, S_IFREG), "longer than 4096"),
        (member(b"abc", S_IFREG, namesize=3), "does not end with its only NUL"),
        (member(b"a\0b", S_IFREG), "does not end with its only NUL"),
        (member(b"a", S_IFREG, size=0xFFFFFFFF), "needs 4294967295 bytes"),
        (member(b"a", 0), "is of no known type"),
        (member(b"a", S_IFREG | 0x10000), "is of no known type"),
        (member(b"a", S_IFDIR, b"x"), "has a content, but is neither"),
        (member(b"a", S_IFIFO, b"x"), "has a content, but is neither"),
        (_LINKED + member(b"./a", S_IFREG, nlink=2, ino=7), "'a' is twice a name of one file"),
        (member(b"../a", S_IFREG), "leads out of its directory"),
        (member(b"a", S_IFLNK), "a target that is empty"),
        (member(b"a", S_IFLNK, b"x" * 4096), "too long"),
        (member(b"a", S_IFLNK, b"x\0y"), "has a NUL in it"),
        (member(b"TRAILER!!!", 0, b"x"), "the trailer of a cpio archive has a content"),
        (member(b"TRAILER!!!", S_IFLNK), "the trailer of a cpio archive is a symbolic link"),
        (
            member(b"a", S_IFCHR, nlink=2, rmin=3) + member(b"b", S_IFCHR, nlink=2, rmin=4),
            "are one node of two devices",
        ),
        (member(b"a", S_IFREG, b"ab", magic=b"070702", check=1), "the checksum of b'a' is 0xc3, not 0x1"),
        (member(b"a", S_IFREG, b"1", nlink=2) + member(b"b", S_IFREG, b"2", nlink=2), "one file with two contents"),
        (member(b"a", S_IFREG, nlink=2) + member(b"b", S_IFREG, nlink=2, uid=1), "different modes, owners or times"),
        (member(b"a/b", S_IFREG), "the directory of 'a/b' is not there"),
        (member(b"a", S_IFLNK, b"c") + member(b"a/b", S_IFREG), "is not there, or no directory"),
        (member(b"a", S_IFDIR) + member(b"a", S_IFREG), "is a directory in one archive and not in another"),
        (member(b".", S_IFREG), "the root is not a directory"),
    ],
)
def test_a_member_that_breaks_the_format_is_refused(members: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        read(members + TRAILER)


@pytest.mark.parametrize("between", [b"", TRAILER], ids=["one archive", "two archives"])
@pytest.mark.parametrize(
    "members",
    [
        (_LINKED, member(b"a", S_IFREG, b"evil")),
        (_LINKED, member(b"./b", S_IFREG)),
        (_LINKED, member(b"a", S_IFREG, b"good")),
        (_LINKED, member(b"b", S_IFREG, b"evil", nlink=2, ino=8)),
        (member(b"a", S_IFREG, nlink=2, ino=7) + member(b"a", S_IFLNK, b"c"), member(b"b", S_IFREG, nlink=2, ino=7)),
        (member(b"a", S_IFREG, b"x"), _LINKED),
        (member(b"a", S_IFLNK, b"c"), _LINKED),
        (member(b"a", S_IFCHR, rmaj=1, rmin=3), member(b"a", S_IFCHR, rmaj=5, rmin=1)),
    ],
)
def test_an_entry_that_the_kernel_writes_into_a_file_which_is_there_is_refused(
    members: tuple[bytes, bytes], between: bytes
) -> None:
    with pytest.raises(MalformedImageError, match="is there already, and the kernel would not make it anew"):
        read(between.join(members) + TRAILER)


def test_files_without_other_names_and_the_same_file_may_come_twice() -> None:
    node = member(b"n", S_IFCHR, rmaj=1, rmin=3)
    first = member(b"d", S_IFDIR, nlink=2) + member(b"f", S_IFREG, b"x") + member(b"l", S_IFLNK, b"x", nlink=2) + node
    second = member(b"f", S_IFREG, b"y") + member(b"l", S_IFLNK, b"y", nlink=2) + node
    files = read(first + TRAILER + second + TRAILER).files
    assert [(entry.path, bytes(entry.content), entry.target) for entry in files] == [
        ("d", b"", None),
        ("f", b"y", None),
        ("l", b"", "y"),
        ("n", b"", None),
    ]
    assert {bytes(entry.content) for entry in read((_LINKED + TRAILER) * 2).files} == {b"good"}
    assert read(member(b"l", S_IFLNK, b"x") + TRAILER + member(b"l", S_IFREG, b"x") + TRAILER).files[0].content == b"x"


def test_too_many_archives_are_refused() -> None:
    with pytest.raises(MalformedImageError, match="there are more than 1024 archives"):
        read(SMALL * 1025)
