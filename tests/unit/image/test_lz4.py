from __future__ import annotations

import pytest

from builder.image.lz4 import decode

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
