from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.image.crc32c import SEED, crc32c


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, B.4
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values_are_found(data: bytes, expected: int) -> None:
    assert crc32c(data) ^ 0xFFFFFFFF == expected


@given(data=st.binary(max_size=4100), seed=st.integers(0, SEED))
def test_it_is_the_remainder_bit_by_bit(data: bytes, seed: int) -> None:
    register = seed
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(data, seed) == register


@given(first=st.binary(max_size=700), second=st.binary(max_size=700))
def test_a_register_goes_on_where_it_ended(first: bytes, second: bytes) -> None:
    assert crc32c(memoryview(second), crc32c(bytearray(first))) == crc32c(first + second)
