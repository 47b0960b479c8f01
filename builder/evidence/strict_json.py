"""JSON of strangers, read as one structure and refused if two readers could understand it differently."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from builder.errors import InvalidInputError, in_words
from builder.release.statements import read_json

_Kind = TypeVar("_Kind")


def decode_json(data: bytes, kind: type[_Kind], what: str) -> _Kind:
    """``data`` as ``kind``, with well-formed strings and no object that has a key twice.

    Raises InvalidInputError that begins with ``what``.
    """
    try:
        value = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"{what}: {in_words(error)}") from None
    read_json(data, what=what)  # msgspec keeps the last of two equal keys
    return value
