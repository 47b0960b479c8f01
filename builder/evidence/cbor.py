"""A strict reader of CBOR (RFC 8949) for documents of strangers.

What a signed document of an attester may hold and no more: integers, byte and text strings, arrays, maps, tags,
booleans and null. Bounded are the size, the nesting and the number of items, and thereby time and memory. Refused is
what two readers could understand differently: duplicate map keys, keys that are neither integers nor strings, and
trailing bytes. Indefinite lengths are read: NitroTPM writes its map so.

Not ``cbor2.loads``: it keeps the last of two equal keys, ignores what follows the first item, and turns tags into
Python objects before anybody knows who wrote them. cbor2 writes what we sign, and is the oracle of the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from builder.errors import MalformedImageError

MAX_DEPTH: Final = 16
# Entries of all arrays and maps together.
MAX_ITEMS: Final = 4096

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_SIMPLE_VALUES: Final = {20: False, 21: True, 22: None}
# Additional information 24 to 27: the argument follows in so many bytes.
_ARGUMENT_SIZES: Final = {24: 1, 25: 2, 26: 4, 27: 8}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag number and the value that it stands before."""

    tag: int
    value: Value


Key: TypeAlias = int | bytes | str
Value: TypeAlias = "int | bytes | str | bool | list[Value] | dict[Key, Value] | Tagged | None"


def loads(data: bytes, structure: str, *, limit: int) -> Value:
    """The one CBOR item that ``data`` is; arrays are lists, maps are dicts.

    Raises MalformedImageError, for ``structure``, if it breaks the format or the rules of this module, or has more
    than ``limit`` bytes.
    """
    decoder = _Decoder(BinaryView.of(data, structure))
    if len(data) > limit:
        raise decoder.error(f"it has {len(data)} bytes, more than {limit}")
    value = decoder.item(0)
    decoder.finish()
    return value


class _Decoder:
    def __init__(self, view: BinaryView) -> None:
        self._view = view
        self._position = 0
        self._items = 0

    def error(self, problem: str) -> MalformedImageError:
        return self._view.error(self._position, problem)

    def finish(self) -> None:
        if self._position != len(self._view):
            raise self.error(f"{len(self._view) - self._position} bytes follow the end of the document")

    def item(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise self.error(f"it is nested deeper than {MAX_DEPTH}")
        self._items += 1
        if self._items > MAX_ITEMS:
            raise self.error(f"it has more than {MAX_ITEMS} items")
        major, argument = self._head()
        if major in {_BYTES, _TEXT}:
            return self._string(major, argument)
        if major in {_ARRAY, _MAP}:
            return self._container(major, argument, depth)
        if argument is None:
            raise self.error("a break or an indefinite length stands where none may")
        if major == _TAG:
            return Tagged(argument, self.item(depth + 1))
        return self._scalar(major, argument)

    def _scalar(self, major: int, argument: int) -> Value:
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        if argument not in _SIMPLE_VALUES:
            raise self.error(f"the simple value {argument} is not supported")
        return _SIMPLE_VALUES[argument]

    def _string(self, major: int, size: int | None) -> bytes | str:
        if size is not None:
            content = self._take(size)
        else:
            chunks = []
            while not self._at_break():
                chunk_major, chunk_size = self._head()
                if chunk_major != major or chunk_size is None:
                    raise self.error("a part of a string of indefinite length is not a string of its type")
                chunks.append(self._take(chunk_size))
            content = b"".join(chunks)
        if major == _BYTES:
            return content
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise self.error("a text string is not UTF-8") from None

    def _container(self, major: int, count: int | None, depth: int) -> Value:
        values: list[Value] = []
        entries: dict[Key, Value] = {}
        done = 0
        while not self._at_break() if count is None else done < count:
            if major == _ARRAY:
                values.append(self.item(depth + 1))
            else:
                self._entry(entries, depth)
            done += 1
        return values if major == _ARRAY else entries

    def _entry(self, entries: dict[Key, Value], depth: int) -> None:
        key = self.item(depth + 1)
        if isinstance(key, bool) or not isinstance(key, int | bytes | str):
            raise self.error("a map key is neither a number nor a string")
        if key in entries:
            raise self.error(f"the map key {key!r} comes twice")
        entries[key] = self.item(depth + 1)

    def _head(self) -> tuple[int, int | None]:
        first = self._take(1)[0]
        major, information = first >> 5, first & 0x1F
        if information < min(_ARGUMENT_SIZES):
            return major, information
        if information == _INDEFINITE:
            return major, None
        size = _ARGUMENT_SIZES.get(information)
        if size is None or major == _SIMPLE:
            raise self.error(f"the initial byte {first:#04x} is not supported")
        return major, int.from_bytes(self._take(size), "big")

    def _at_break(self) -> bool:
        if self._view.u8(self._position) != _BREAK:
            return False
        self._position += 1
        return True

    def _take(self, size: int) -> bytes:
        taken = self._view.read(self._position, size)
        self._position += size
        return taken
