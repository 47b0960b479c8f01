"""CRC-32C (Castagnoli), which file systems use for their metadata and which zlib does not have."""

from __future__ import annotations

import functools

_POLYNOMIAL = 0x82F63B78  # reflected: bit 31 - i is the coefficient of x^i, x^32 is left out
SEED = 0xFFFFFFFF
_FOLD_BYTES = 96


def crc32c(data: bytes | bytearray | memoryview, seed: int = SEED) -> int:
    """The register after ``data``, without the final inversion: Linux ``crc32c_le`` and ext4's ``ext4_chksum``.

    A loop over bytes is slow here, and an image has thousands of blocks. So a long message is made shorter first: as a
    polynomial it is ``first * x^n + rest``, and ``first * (x^n mod P)`` has the same remainder. Python multiplies and
    adds such numbers, which are as long as the half of a block, by shifts and XOR at once.
    """
    size = len(data)
    if size > _FOLD_BYTES:
        message = int.from_bytes(data, "little") ^ seed
        while size > _FOLD_BYTES:
            half = (size - 4) // 2  # the product is four bytes longer than its first factor
            first, message = message & ((1 << half * 8) - 1), message >> half * 8
            size -= half
            for shift in _shifts(size * 8):
                message ^= first << (size - half) * 8 - shift
        data, seed = message.to_bytes(size, "little"), 0
    crc, table = seed, _table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


@functools.cache
def _table() -> tuple[int, ...]:
    return tuple(_times_x(byte, 8) for byte in range(256))


@functools.cache
def _shifts(exponent: int) -> tuple[int, ...]:
    """The powers of x in ``x^exponent mod P``."""
    remainder = _times_x(1 << 31, exponent)
    return tuple(power for power in range(32) if remainder >> 31 - power & 1)


def _times_x(value: int, times: int) -> int:
    for _ in range(times):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value
