"""Reading and writing DER (ITU-T X.690), as much of it as PKCS #7 needs.

Strict: one-byte tags, definite and shortest lengths, no bytes left over. An element is only looked into where the
caller's schema says what it holds, so nesting is bounded by the schema and not by the input.
"""

from __future__ import annotations

from dataclasses import dataclass

from signing.errors import MalformedSignatureError

INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
SET = 0x31

_LONG_FORM = 0x80
_HIGH_TAG = 0x1F
_MAX_LENGTH_OCTETS = 3  # 16 MiB; every structure read here is far smaller


def context(number: int, *, constructed: bool = True) -> int:
    """The tag byte of the context-specific tag [number]."""
    return (0xA0 if constructed else 0x80) | number


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag byte, its content octets, and the whole encoding as it was read."""

    tag: int
    content: bytes
    encoding: bytes


class Reader:
    """Takes the elements that stand after each other in ``data``; ``structure`` names them in errors."""

    __slots__ = ("_data", "_offset", "_structure")

    def __init__(self, data: bytes, structure: str) -> None:
        self._data = data
        self._offset = 0
        self._structure = structure

    @property
    def rest(self) -> bytes:
        """What has not been taken yet."""
        return self._data[self._offset :]

    def peek(self) -> int | None:
        """The tag byte of the next element, None at the end: the way to find out if an OPTIONAL one is there."""
        return self._data[self._offset] if self._offset < len(self._data) else None

    def take(self, tag: int, what: str) -> Element:
        """The next element, which must have ``tag``. Raises MalformedSignatureError."""
        if self.peek() != tag:
            found = self._data[self._offset : self._offset + 1].hex() or "the end"
            raise self._malformed(f"expected {what} (tag {tag:02x}), found {found}")
        element = self._read(what)
        self._offset += len(element.encoding)
        return element

    def enter(self, tag: int, what: str) -> Reader:
        """A reader of the content of the next element, which must have ``tag``."""
        return Reader(self.take(tag, what).content, what)

    def finish(self) -> None:
        """Raise MalformedSignatureError if something is left."""
        if self._offset != len(self._data):
            raise self._malformed(f"{len(self._data) - self._offset} bytes too many")

    def _read(self, what: str) -> Element:
        data, start = self._data, self._offset
        if data[start] & _HIGH_TAG == _HIGH_TAG:
            raise self._malformed(f"{what} has a tag of more than one byte")
        at = start + 2
        if at > len(data):
            raise self._malformed(f"{what} has no length")
        length = data[start + 1]
        if length & _LONG_FORM:
            octets = length & ~_LONG_FORM
            if not 1 <= octets <= _MAX_LENGTH_OCTETS or at + octets > len(data):
                raise self._malformed(f"{what} has an indefinite, huge or cut off length")
            length = int.from_bytes(data[at : at + octets])
            at += octets
            if _length(length) != data[start + 1 : at]:
                raise self._malformed(f"the length of {what} is not in its shortest form")
        if at + length > len(data):
            raise self._malformed(f"{what} has {length} bytes, {len(data) - at} are left")
        return Element(data[start], data[at : at + length], data[start : at + length])

    def _malformed(self, problem: str) -> MalformedSignatureError:
        return MalformedSignatureError(f"{self._structure} at offset {self._offset:#x}: {problem}")


def encode(tag: int, *parts: bytes) -> bytes:
    """The element with this tag byte whose content is the concatenation of ``parts``."""
    content = b"".join(parts)
    return bytes([tag]) + _length(len(content)) + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of encoded elements."""
    return encode(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """A SET OF encoded elements, in the ascending order that DER demands (X.690, 11.6)."""
    return encode(SET, *sorted(parts))


def integer(value: int) -> bytes:
    """An INTEGER."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def object_identifier(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER, from its dotted form."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    content = b""
    for arc in (40 * first + second, *others):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        content += bytes(reversed(septets))
    return encode(OBJECT_IDENTIFIER, content)


def _length(value: int) -> bytes:
    if value < _LONG_FORM:
        return bytes([value])
    octets = value.to_bytes((value.bit_length() + 7) // 8)
    return bytes([_LONG_FORM | len(octets)]) + octets
