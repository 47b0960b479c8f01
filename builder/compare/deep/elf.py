"""ELF files by section, symbol, needed library and search path (System V gABI, chapters 4 and 5).

Kernel modules are relocatable files: they have no dynamic symbols, so the global ones of their symbol table count.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAGIC: Final = b"\x7fELF\x02\x01"  # 64 bits, little-endian; others are compared as binaries
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_DYNAMIC: Final = struct.Struct("<qQ")
_MAX_SECTIONS: Final = 4096
_MAX_NAME: Final = 4096
_SYMTAB, _DYNAMIC_TYPE, _NOBITS, _DYNSYM = 2, 6, 8, 11
_NEEDED: Final = 1
_PATHS: Final = {14: "soname", 15: "rpath", 29: "runpath"}
_RELOCATABLE: Final = 1
_GLOBAL: Final = (1, 2)  # STB_GLOBAL, STB_WEAK


def properties(_name: str, content: bytes) -> Mapping[str, str] | None:
    """Sections with size and digest, symbols with version-less names, needed libraries, search paths.

    None for what is no 64-bit ELF file. Raises MalformedImageError for one that breaks the format.
    """
    if not content.startswith(_MAGIC):
        return None
    view = BinaryView.of(content, "ELF file")
    return dict(_properties(view))


def _properties(view: BinaryView) -> Iterator[tuple[str, str]]:
    sections = _sections(view)
    names = sections[view.u16(62)] if view.u16(62) < len(sections) else None
    counts: dict[str, int] = {}
    symbols = _SYMTAB if view.u16(16) == _RELOCATABLE else _DYNSYM
    for section in sections[1:]:
        name = "" if names is None else _string(view, names, section[0])
        counts[name] = counts.get(name, 0) + 1
        label = name if counts[name] == 1 else f"{name} ({counts[name]})"
        size = section[5]
        digest = "" if section[1] == _NOBITS else hashlib.sha256(view.slice(section[4], size)).hexdigest()
        yield f"section {label}", f"{size} bytes {digest}".rstrip()
        strings = sections[section[6]] if section[6] < len(sections) else None
        if section[1] == symbols and strings is not None:
            for symbol in _records(view, section, _SYMBOL):
                if symbol[0] and symbol[1] >> 4 in _GLOBAL:
                    defined = "defined" if symbol[3] else "undefined"
                    yield f"symbol {_string(view, strings, symbol[0])}", defined
        if section[1] == _DYNAMIC_TYPE and strings is not None:
            for tag, value in _records(view, section, _DYNAMIC):
                if tag == _NEEDED:
                    yield f"needs {_string(view, strings, value)}", "yes"
                elif tag in _PATHS:
                    yield _PATHS[tag], _string(view, strings, value)


def _sections(view: BinaryView) -> list[tuple[int, ...]]:
    offset, size, count = view.u64(40), view.u16(58), view.u16(60)
    if count == 0:
        return []
    if size != _SECTION.size or count > _MAX_SECTIONS:
        raise view.error(58, f"{count} section headers of {size} bytes")
    return [view.unpack(_SECTION, offset + index * size) for index in range(count)]


def _records(view: BinaryView, section: tuple[int, ...], layout: struct.Struct) -> Iterator[tuple[int, ...]]:
    yield from layout.iter_unpack(view.slice(section[4], section[5] - section[5] % layout.size))


def _string(view: BinaryView, table: tuple[int, ...], offset: int) -> str:
    if offset >= table[5]:
        raise view.error(table[4], f"a name at {offset} is outside of the string table")
    return view.c_string(table[4] + offset, _MAX_NAME).decode("utf-8", "backslashreplace")
