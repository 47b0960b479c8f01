from __future__ import annotations

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.image.lz4 import decode, decode_part

# Three literals, a match of eight bytes three back, then an empty run of literals.
BLOCK = b"\x34abc\x03\x00\x00"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(12, (b"abcabcabcab", True)), (11, (b"abcabcabcab", True)), (10, (b"abcabcabca", False)), (2, (b"ab", False))],
)
def test_no_more_than_the_limit_is_made_and_the_end_is_known(limit: int, expected: tuple[bytes, bool]) -> None:
    assert decode(BLOCK, limit) == expected


def test_long_runs_have_their_length_in_more_bytes() -> None:
    assert decode(b"\xf0\xff\x0a" + bytes(280), 300) == (bytes(280), True)


def test_something_behind_the_last_byte_that_fits_is_not_the_end() -> None:
    assert decode(BLOCK[:-1] + b"\x10x", 11) == (b"abcabcabcab", False)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"", "within a sequence"),
        (b"\x40abc", "within literals"),
        (b"\xf0\xff", "within a sequence"),
        (b"\x34abc\x03", "within a sequence"),
        (b"\x34abc\x00\x00\x00", "a match is 0 bytes back"),
        (b"\x34abc\x04\x00\x00", "a match is 4 bytes back, but only 3 are there"),
    ],
)
def test_a_broken_block_is_refused(block: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode(block, 100)


@given(pieces=st.lists(st.binary(max_size=40), max_size=30), limit=st.integers(0, 3000))
def test_our_decoder_and_the_library_agree(pieces: list[bytes], limit: int) -> None:
    content = b"".join(piece * (1 + len(piece) % 7) for piece in pieces)
    block = lz4.block.compress(content, store_size=False)
    assert decode_part(block, limit) == decode(block, limit) == (content[:limit], len(content) <= limit)


@given(block=st.binary(max_size=200), limit=st.integers(0, 300))
def test_what_the_library_decodes_ours_decodes_to_the_same(block: bytes, limit: int) -> None:
    try:
        expected = lz4.block.decompress(block, uncompressed_size=limit)
    except lz4.block.LZ4BlockError:
        return
    assert decode_part(block, limit) == (expected, True)
