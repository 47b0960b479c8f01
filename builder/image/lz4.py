"""LZ4 blocks (lz4_Block_format.md): sequences of literals and of matches in what was decoded so far.

The library decodes whole blocks only. Where more is in a block than is wanted, or it is broken, the decoder here says
so: it stops where the library would only fail (docs/decisions/0037-lz4-library.md).
"""

from __future__ import annotations

from typing import Final

from lz4.block import LZ4BlockError, decompress

_MIN_MATCH: Final = 4


def decode(data: bytes, limit: int) -> tuple[bytes, bool]:
    """The first bytes that a block decodes to, at most ``limit``, and whether these are all of them.

    Raises ValueError for a block that is broken before that.
    """
    try:
        return decompress(data, uncompressed_size=limit), True
    except LZ4BlockError:
        return decode_part(data, limit)


def decode_part(data: bytes, limit: int) -> tuple[bytes, bool]:
    """Like :func:`decode`, a sequence at a time."""
    output = bytearray()
    position = 0
    try:
        while True:
            token = data[position]
            count, position = _count(data, position + 1, token >> 4)
            if position + count > len(data):
                raise ValueError("it ends within literals")
            room = limit - len(output)
            output += data[position : position + min(count, room)]
            position += count
            if position == len(data) and count <= room:  # the last sequence has no match
                return bytes(output), True
            if len(output) == limit:
                return bytes(output), False
            distance = data[position] | data[position + 1] << 8
            count, position = _count(data, position + 2, token & 15)
            room = limit - len(output)
            is_cut = count + _MIN_MATCH > room
            count = min(count + _MIN_MATCH, room)
            start = len(output) - distance
            if not distance or start < 0:
                raise ValueError(f"a match is {distance} bytes back, but only {len(output)} are there")
            if distance >= count:
                output += output[start : start + count]
            else:  # the match runs into what it makes: a pattern that repeats
                output += (output[start:] * (count // distance + 1))[:count]
            if len(output) == limit:
                # A block ends with literals, so more than an empty run of them means more output.
                return bytes(output), not is_cut and data[position:] == b"\0"
    except IndexError:
        raise ValueError("it ends within a sequence") from None


def _count(data: bytes, position: int, nibble: int) -> tuple[int, int]:
    count = nibble
    more = nibble == 15  # noqa: PLR2004 -- all bits of the nibble: bytes follow that add to it
    while more:
        count += data[position]
        more = data[position] == 255  # noqa: PLR2004 -- likewise
        position += 1
    return count, position
