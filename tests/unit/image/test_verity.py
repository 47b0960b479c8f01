from __future__ import annotations

import hashlib
import struct
import uuid
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.image import verity
from builder.image.binary import BinaryView
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

ROOT = bytes.fromhex("46ced5d1eac69beae2581422c9b8fa744c4c7ce46cd4fb1758129dd1e0ae6145")


def view(data: bytes | bytearray, base: int = 0) -> BinaryView:
    return BinaryView.of(bytes(data), "sample", base)


def problems(data: bytes | bytearray, tree: bytes | bytearray, root: bytes = ROOT) -> tuple[str, ...]:
    with pytest.raises(NotVerifiedError, match=r"^dm-verity: ") as caught:
        verity.check(view(data), view(tree, 0x100000), root)
    return caught.value.problems


@pytest.fixture
def data(sample: Callable[[str], bytes]) -> bytearray:
    return bytearray(sample("verity-data.img"))


@pytest.fixture
def tree(sample: Callable[[str], bytes]) -> bytearray:
    return bytearray(sample("verity-hash.img"))


def test_the_superblock_of_veritysetup_is_read(tree: bytearray) -> None:
    superblock = verity.read_superblock(view(tree))
    assert superblock == verity.VeritySuperblock(
        uuid.UUID("6c2c6a1a-5f3c-4d43-9a0e-0d6e5f0a7c11"),
        "sha256",
        4096,
        4096,
        150,
        bytes.fromhex("00112233445566778899aabbccddeeff" * 2),
    )
    assert (superblock.data_size, superblock.level_blocks) == (150 * 4096, (2, 1))


def test_data_and_tree_of_veritysetup_are_verified(data: bytearray, tree: bytearray) -> None:
    verified = verity.check(view(data + b"not covered"), view(tree), ROOT)
    assert (verified.root_hash, verified.data_size) == (ROOT, 150 * 4096)
    assert verity.root_hash(view(data), verified.superblock) == ROOT


def test_a_flipped_byte_of_the_data_is_named_by_its_offset(data: bytearray, tree: bytearray) -> None:
    data[0] ^= 1
    data[149 * 4096 + 4095] ^= 0x80
    assert problems(data, tree) == (
        "the data block at offset 0x0 does not have the hash in the tree",
        "the data block at offset 0x95000 does not have the hash in the tree",
    )


@pytest.mark.parametrize("offset", [0x1000, 0x1FFF, 0x2000, 0x2ABC, 0x3000, 0x3FFF])
def test_a_flipped_byte_of_the_tree_is_named_by_its_block(data: bytearray, tree: bytearray, offset: int) -> None:
    tree[offset] ^= 4
    block = 0x100000 + offset // 4096 * 4096
    assert problems(data, tree) == (f"the hash block at offset {block:#x} does not have the hash in its parent",)


def test_a_flipped_salt_is_found(data: bytearray, tree: bytearray) -> None:
    tree[90] ^= 1
    (problem,) = problems(data, tree)
    assert problem.startswith("no data block has the hash that the tree at offset 0x101000 says")
    assert "superblock at offset 0x100000" in problem


def test_every_byte_of_the_superblock_but_its_uuid_counts(data: bytearray, tree: bytearray) -> None:
    for offset in {*range(512), 4095} - {*range(16, 32)}:
        flipped = tree.copy()
        flipped[offset] ^= 2
        with pytest.raises((MalformedImageError, NotVerifiedError), match="verity"):
            verity.check(view(data), view(flipped), ROOT)


def test_another_root_hash_is_not_verified(data: bytearray, tree: bytearray) -> None:
    assert problems(data, tree, bytes(32)) == (
        "the hash block at offset 0x101000 does not have the hash in its parent",
    )


def test_no_root_hash_is_not_verified(data: bytearray, tree: bytearray) -> None:
    assert problems(data, tree, b"")
    assert problems(data, tree, ROOT[:31])


def test_a_data_block_and_a_hash_block_are_both_named(data: bytearray, tree: bytearray) -> None:
    data[0] ^= 1
    tree[0x3000] ^= 1
    assert [problem.partition(" does")[0] for problem in problems(data, tree)] == [
        "the hash block at offset 0x103000",
        "the data block at offset 0x0",
    ]


def test_a_long_list_of_problems_is_cut(data: bytearray, tree: bytearray) -> None:
    for number in range(100):
        data[number * 4096] ^= 1
    found = problems(data, tree)
    assert (len(found), found[-1]) == (21, "and 80 more")


def test_zeros_in_place_of_padding_are_demanded_of_the_tree() -> None:
    """A hash block with something after its digests, and a root hash made to match it, is still another tree."""
    salt, block = b"", bytes(4096)
    digest = hashlib.sha256(block).digest()
    level = (digest * 2).ljust(4095, b"\0") + b"x"
    superblock = struct.pack(
        "<8sII16s32sIIQH6s256s168s", b"verity", 1, 1, bytes(16), b"sha256", 4096, 4096, 2, 0, b"", salt, b""
    )
    root = hashlib.sha256(level).digest()
    (problem,) = problems(block * 2, superblock.ljust(4096, b"\0") + level, root)
    assert problem.startswith("the root hash of the data is ")


def test_a_single_block_is_its_own_tree() -> None:
    block = b"x" * 512
    superblock = verity.VeritySuperblock(uuid.UUID(int=0), "sha384", 512, 512, 1, b"salt")
    assert verity.root_hash(view(block), superblock) == hashlib.sha384(b"salt" + block).digest()


def test_data_that_ends_too_early_is_refused(data: bytearray, tree: bytearray) -> None:
    with pytest.raises(
        MalformedImageError, match="verity data at offset 0x0: 614399 bytes, but the tree covers 614400"
    ):
        verity.check(view(data[:-1]), view(tree), ROOT)
    with pytest.raises(MalformedImageError, match="verity hash tree at offset 0x1000: needs 12288 bytes"):
        verity.check(view(data), view(tree[:-1]), ROOT)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        (("<8s", 0), b"veritx\0\0", "no signature"),
        (("<I", 8), 2, "version 2 and hash type 1"),
        (("<I", 12), 0, "version 1 and hash type 0"),
        (("<32s", 32), b"md5", "hash algorithm 'md5'"),
        (("<32s", 32), b"sha256\0x", "hash algorithm"),
        (("<I", 64), 4095, "block sizes 4095 and 4096"),
        (("<I", 68), 0, "block sizes 4096 and 0"),
        (("<Q", 72), 0, "0 data blocks are none"),
        (("<Q", 72), 2**63, "more than can be"),
        (("<Q", 72), 2**40, "tree covers 4503599627370496"),
        (("<H", 80), 257, "a salt of 257 bytes"),
        (("<B", 87), 1, "the padding is not zero"),
        (("<B", 130), 1, "the padding is not zero"),
        (("<B", 511), 1, "the padding is not zero"),
        (("<B", 600), 1, "the rest of the superblock's block is not zero"),
    ],
)
def test_a_superblock_that_breaks_the_format_is_refused(
    data: bytearray, tree: bytearray, field: tuple[str, int], value: int | bytes, problem: str
) -> None:
    struct.pack_into(field[0], tree, field[1], value)
    with pytest.raises(MalformedImageError, match=problem):
        verity.check(view(data), view(tree), ROOT)


def test_partition_uuids_are_the_two_ends_of_the_root_hash() -> None:
    assert verity.partition_uuids(ROOT) == (
        uuid.UUID("46ced5d1-eac6-9bea-e258-1422c9b8fa74"),
        uuid.UUID("4c4c7ce4-6cd4-fb17-5812-9dd1e0ae6145"),
    )
    with pytest.raises(InvalidInputError, match="a root hash of 31 bytes"):
        verity.partition_uuids(ROOT[:31])


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("blocks", "options"),
    [
        (1, ()),
        (2, ("--salt", "-")),
        (129, ("--hash", "sha512")),
        (300, ("--hash", "sha384", "--data-block-size", "512", "--hash-block-size", "1024")),
        (16400, ("--data-block-size", "512", "--hash-block-size", "512", "--salt", "aabb")),
    ],
)
def test_trees_of_veritysetup_in_other_sizes_are_verified(
    toolchain: Toolchain, tmp_path: Path, blocks: int, options: tuple[str, ...]
) -> None:
    data, tree = tmp_path / "data", tmp_path / "tree"
    data.write_bytes(b"".join(struct.pack("<Q", number) * (4096 // 8) for number in range(blocks)))
    tree.touch()
    argv = toolchain.command(["veritysetup", "format", str(data), str(tree), *options], writable=[tmp_path])
    printed = run(argv, timeout=60).stdout.decode()
    root = bytes.fromhex(next(line.split()[-1] for line in printed.splitlines() if line.startswith("Root hash:")))
    verified = verity.check(view(data.read_bytes()), view(tree.read_bytes()), root)
    assert verified.data_size == data.stat().st_size
