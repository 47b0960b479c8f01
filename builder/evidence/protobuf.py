"""The fields of a protobuf message, on the wire (https://protobuf.dev/programming-guides/encoding/).

As much as it takes to read an attestation: varints and length-delimited fields; fixed-size ones are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES: Final = 10
MAX_FIELDS: Final = 4096

# Field number -> the values in their order. Several of a field that is not repeated are the caller's to refuse.
Fields: TypeAlias = "Mapping[int, list[int | bytes]]"


def parse_fields(data: bytes, structure: str) -> Fields:
    """The fields of one message. Raises MalformedImageError, for ``structure``, if it breaks the format."""
    view = BinaryView.of(data, structure)
    fields: dict[int, list[int | bytes]] = {}
    position = 0
    for _ in range(MAX_FIELDS):
        if position == len(view):
            return fields
        key, position = _varint(view, position)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise view.error(position, "a field has the number 0")
        if wire_type == _VARINT:
            value, position = _varint(view, position)
            fields.setdefault(number, []).append(value)
        elif wire_type == _BYTES:
            size, position = _varint(view, position)
            fields.setdefault(number, []).append(view.read(position, size))
            position += size
        elif wire_type in {_FIXED32, _FIXED64}:
            size = 4 if wire_type == _FIXED32 else 8
            view.read(position, size)
            position += size
        else:
            raise view.error(position, f"the wire type {wire_type} is not supported")
    raise view.error(position, f"it has more than {MAX_FIELDS} fields")


def _varint(view: BinaryView, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        byte = view.u8(position + index)
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 -- the continuation bit
            return value, position + index + 1
    raise view.error(position, f"a number is longer than {_MAX_VARINT_BYTES} bytes")
