from __future__ import annotations

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.image import verity
from builder.image.binary import BinaryView
from builder.weights.hash_tree import BLOCK, Hasher, TreeBuilder, TreeShape, superblock

SALT = bytes(range(32))


def made(data: bytes, pieces: list[int]) -> tuple[bytes, bytes]:
    """Hash device and root hash over ``data``, whose digests come in pieces of so many blocks."""
    blocks = len(data) // BLOCK
    shape, hasher = TreeShape.of(blocks), Hasher(SALT)
    device = bytearray(shape.size)
    device[:BLOCK] = superblock(uuid.UUID(int=1), SALT, blocks)

    def emit(level: int, number: int, block: bytes) -> bytes:
        at = (shape.starts[level] + number) * BLOCK
        device[at : at + BLOCK] = block
        return block

    tree = TreeBuilder(hasher, blocks, emit)
    at = 0
    for piece in [*pieces, blocks]:
        part = data[at * BLOCK : (at + piece) * BLOCK]
        if part and not any(part):
            tree.add_zeros(len(part) // BLOCK)
        else:
            tree.add(hasher.digests(memoryview(part)))
        at += piece
    root_hash = tree.finish()
    return bytes(device), root_hash


@pytest.mark.parametrize("blocks", [1, 2, 127, 128, 129, 256, 128 * 128, 128 * 128 + 1])
def test_the_tree_is_what_our_reader_computes(blocks: int) -> None:
    data = b"".join(number.to_bytes(8, "little") * (BLOCK // 8) for number in range(blocks))
    device, root_hash = made(data, [])
    verity.check(BinaryView.of(data, "data"), BinaryView.of(device, "tree"), root_hash)


@given(st.lists(st.integers(1, 200), max_size=8), st.integers(1, 300), st.integers(0, 300), st.integers(0, 300))
def test_pieces_and_holes_change_nothing(pieces: list[int], before: int, hole: int, after: int) -> None:
    noise = random.Random(0).randbytes(BLOCK)  # noqa: S311
    data = noise * before + bytes(BLOCK * hole) + noise * after
    assert made(data, [before, hole, *pieces]) == made(data, [])
