from __future__ import annotations

import lzma
import random
import stat
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.erofs import Erofs, open_erofs
from builder.image.erofs_codec import DEFLATE, LZ4, LZMA, MAX_DECODED, ZSTD, decode
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

TEXT = b"in an image that nobody can change nothing changes; " * 400
SUPER = 1024
OPTIONS = [
    ("-zlz4",),
    ("-zlz4", "-C65536"),
    ("-zlz4hc,12", "-C16384", "-b512"),
    ("-zlz4", "-Elegacy-compress"),
    ("-zlz4", "-Elegacy-compress,ztailpacking"),
    ("-zlz4", "-Elegacy-compress,fragments", "-C65536"),
    ("-zlz4", "-Eztailpacking"),
    ("-zlz4", "-Efragments"),
    ("-zlz4hc", "-Efragments", "-C65536"),
    ("-zlz4", "-Ededupe", "-C65536"),
    ("-zlz4", "-b2048", "-Efragments,dedupe"),
    ("-zlz4:zstd", "-C65536"),
    ("-zdeflate", "-Eztailpacking"),
    ("-zlibdeflate", "-C32768"),
    ("-zzstd", "-C1048576"),
    ("-zzstd", "-Eztailpacking", "-C65536"),
    ("-zzstd", "-Ededupe,all-fragments", "-C65536"),
    ("-zlzma", "-Eztailpacking"),
    ("-zlzma,level=109,dictsize=65536", "-Efragments", "-C262144"),
]


def view(data: bytes) -> BinaryView:
    return BinaryView.of(data, "cluster")


def contents(image: Erofs) -> dict[str, bytes]:
    return {file.path: b"".join(image.pieces(file.inode)) for file in image.walk() if stat.S_ISREG(file.inode.mode)}


def lz4_literals(data: bytes) -> bytes:
    """An LZ4 block that is one run of literals."""
    rest = len(data) - 15
    assert rest >= 0
    return bytes([0xF0]) + b"\xff" * (rest // 255) + bytes([rest % 255]) + data


def microlzma(data: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}]
    stream = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    return bytes([~(2 * 45 + 3) & 0xFF]) + stream[1:]


ENCODED = {
    LZ4: lz4_literals(TEXT),
    LZMA: microlzma(TEXT),
    DEFLATE: zlib.compress(TEXT, wbits=-15),
    ZSTD: zstandard.ZstdCompressor().compress(TEXT),
}


@pytest.mark.parametrize("algorithm", ENCODED)
@pytest.mark.parametrize("length", [len(TEXT), 1000, 1])
def test_a_cluster_decodes_to_as_much_as_is_asked_for(algorithm: int, length: int) -> None:
    assert decode(algorithm, view(ENCODED[algorithm]), length) == TEXT[:length]


@pytest.mark.parametrize("algorithm", ENCODED)
def test_a_cluster_that_has_less_is_refused(algorithm: int) -> None:
    half = ENCODED[algorithm][: len(ENCODED[algorithm]) // 2]
    with pytest.raises(MalformedImageError, match=r"data (is broken|has \d+ bytes)"):
        decode(algorithm, view(half), len(TEXT))


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"", "it ends within a sequence"),
        (b"\x50abc", "it ends within literals"),
        (b"\x10a\x00\x00", "a match is 0 bytes back"),
        (b"\x10a\x02\x00", "a match is 2 bytes back, but only 1 are there"),
        (b"\xf0\xff\xff", "it ends within a sequence"),
    ],
)
def test_a_broken_lz4_block_is_refused(block: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        decode(LZ4, view(block), 100)


def test_an_lz4_match_may_run_into_what_it_makes() -> None:
    assert decode(LZ4, view(b"\x2fab\x02\x00\x05"), 20) == b"ab" * 10


def test_a_bomb_makes_no_more_than_what_is_asked_for() -> None:
    bomb = b"\x1fa\x01\x00" + b"\xff" * 1_000_000 + b"\x00"
    assert decode(LZ4, view(bomb), 5000) == b"a" * 5000
    with pytest.raises(MalformedImageError, match=f"larger than the {MAX_DECODED} that the format allows"):
        decode(LZ4, view(bomb), MAX_DECODED + 1)


def test_properties_of_lzma_that_no_encoder_has_are_refused() -> None:
    with pytest.raises(MalformedImageError, match="its properties are out of range"):
        decode(LZMA, view(bytes([~225 & 0xFF, 1, 2, 3])), 10)


def test_an_algorithm_that_nobody_knows_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="the compression algorithm 4 is unknown"):
        decode(4, view(b"abc"), 3)


def test_a_compressed_image_has_the_files_of_the_one_that_is_not(sample: Callable[[str], bytes]) -> None:
    compressed = open_erofs(view(sample("root-lz4.erofs")))
    assert {file.inode.layout for file in compressed.walk()} >= {3}
    assert contents(compressed) == contents(open_erofs(view(sample("root.erofs"))))


@pytest.fixture
def lz4(sample: Callable[[str], bytes]) -> tuple[bytearray, int]:
    """A compressed image without checksum, and where the index of one of its compressed files begins."""
    image = bytearray(sample("root-lz4.erofs"))
    image[SUPER + 8] &= ~1
    file = next(file for file in open_erofs(view(bytes(image))).walk() if file.inode.layout == 3)
    return image, -(-(file.inode.end + file.inode.xattr_size) // 8) * 8


@pytest.mark.parametrize(
    ("layout", "offset", "value", "problem"),
    [
        ("<H", 4, 0x40, "the features 0x40 of its index are not supported"),
        ("<H", 4, 0x28, "the features 0x28 of its index are not supported"),
        ("<B", 7, 1, "logical clusters that are larger than a block"),
        ("<B", 7, 0x80, "there is none"),
        ("<B", 6, 3, "the compression algorithm 3, which the superblock has not"),
        ("<H", 8, 0x1001, "cluster 0 of its index begins at its byte 1"),
        ("<H", 8, 0x2001, "cluster 0 of its index does not lead to the one that begins it"),
        ("<H", 8, 0x2801, "has a block count, which the file does not use"),
        ("<I", 12, 0xFFFFFF, "needs 4096 bytes, but the structure ends at"),
    ],
)
def test_an_index_that_breaks_the_format_is_refused(
    lz4: tuple[bytearray, int], layout: str, offset: int, value: int, problem: str
) -> None:
    image, index = lz4
    struct.pack_into(layout, image, index + offset, value)
    with pytest.raises(MalformedImageError, match=problem):
        contents(open_erofs(view(bytes(image))))


def test_algorithms_that_nobody_knows_are_refused(lz4: tuple[bytearray, int]) -> None:
    image, _ = lz4
    struct.pack_into("<I", image, SUPER + 80, 0x3)
    struct.pack_into("<H", image, SUPER + 84, 0x11)
    with pytest.raises(MalformedImageError, match="the compression algorithms 0x11 are not all known"):
        open_erofs(view(bytes(image)))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that compress well, badly and not at all, of sizes around those of blocks, some with the same data."""
    top = tmp_path_factory.mktemp("compressed") / "tree"
    (top / "many").mkdir(parents=True)
    chance = random.Random(1)  # noqa: S311 -- the same files each time
    words = [chance.randbytes(chance.randrange(1, 6)).hex() for _ in range(300)]

    def text(size: int) -> bytes:
        return " ".join(chance.choices(words, k=size // 3 + 1)).encode()[:size]

    for size in (0, 1, 100, 4095, 4096, 4097, 8192, 8193, 65537, 300_001):
        (top / f"text-{size}").write_bytes(text(size))
    (top / "random").write_bytes(chance.randbytes(50_000))
    (top / "zeros").write_bytes(bytes(1 << 19))
    (top / "pattern").write_bytes(b"abc" * 300_000)
    (top / "mixed").write_bytes(b"".join(text(5000) + chance.randbytes(5000) for _ in range(10)))
    same = text(80_000)
    (top / "same-1").write_bytes(same)
    (top / "same-2").write_bytes(text(5000) + same)
    (top / "same-3").write_bytes(same[3000:] + text(4000))
    for number in range(60):
        (top / f"many/{number}").write_bytes(text(chance.randrange(6000)))
    return top


@pytest.mark.oracle
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_what_mkfs_compressed_is_read_and_what_chance_changed_is_read_or_refused(
    toolchain: Toolchain, tree: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "image"
    command = ("mkfs.erofs", "--quiet", *options, str(path), str(tree))
    run(toolchain.command(command, writable=[tmp_path], readable=[tree]), timeout=60)
    image = bytearray(path.read_bytes())
    assert contents(open_erofs(view(bytes(image)))) == {
        str(file.relative_to(tree)): file.read_bytes() for file in tree.rglob("*") if file.is_file()
    }

    image[SUPER + 8] &= ~1  # no checksum, or only that would be tested
    chance = random.Random(2)  # noqa: S311 -- the same changes each time
    for _ in range(8):
        changed = bytearray(image)
        for _ in range(chance.randrange(1, 40)):
            place = chance.randrange(SUPER, len(image)) if chance.random() < 0.3 else chance.randrange(SUPER, 40_000)
            changed[place] = chance.randrange(256)
        try:
            contents(open_erofs(view(bytes(changed))))
        except MalformedImageError as error:
            assert error.problem  # noqa: PT017 -- either outcome is right
