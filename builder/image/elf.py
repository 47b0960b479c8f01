"""ELF files: what starts them and what they load (System V gABI chapters 4 and 5; UAPI.13 for dlopen notes).

Standard library only: ``builder.closure`` runs this inside a build (see the import contracts in pyproject.toml).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Iterator

ELF_MAGIC: Final = b"\x7fELF"
_TYPES: Final[dict[int, Literal["executable", "shared", "core"]]] = {2: "executable", 3: "shared", 4: "core"}
_RELOCATABLE: Final = 1
_MACHINES: Final = {62: "x86-64", 183: "aarch64", 3: "i386", 40: "arm", 243: "riscv"}
# Bits of machines that have one class. Of e_ident, Linux looks at the magic only (fs/binfmt_elf.c, load_elf_binary): it
# goes by e_type and e_machine (elf_check_arch), and reads the rest as that machine's.
_CLASSES: Final = {62: 64, 183: 64, 3: 32, 6: 32, 40: 32}
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE = 1, 2, 3, 4
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 10, 14, 15, 29
# DT_DEPAUDIT, DT_AUDIT, DT_AUXILIARY and DT_FILTER (glibc elf/elf.h): what makes glibc load more than DT_NEEDED does.
_DT_ALSO_LOADED: Final = frozenset({0x6FFFFEFB, 0x6FFFFEFC, 0x7FFFFFFD, 0x7FFFFFFF})
_NOTE_BUILD_ID: Final = ("GNU", 3)
_NOTE_DLOPEN: Final = ("FDO", 0x407C0C0A)
_NOTE_PACKAGE: Final = ("FDO", 0xCAFE1A7E)
_MAX_SEGMENTS: Final = 512
_MAX_DYNAMIC: Final = 1 << 16
_MAX_NOTES: Final = 1 << 20
_MAX_STRING: Final = 4096


@dataclass(frozen=True, slots=True)
class Dlopen:
    """One feature of a dlopen note: any of ``sonames`` serves; ``required`` is the highest of UAPI.13's priorities."""

    sonames: tuple[str, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class ElfFile:
    """What an ELF file states. ``problem`` tells what is wrong with it; then the other fields are those read before.

    ``starts`` is whether it has an entry point: kernel or dynamic linker can run it, whatever else it says to be.
    """

    machine: str = "unknown"
    type: Literal["executable", "shared", "core", "other"] = "other"
    interpreter: str | None = None
    soname: str | None = None
    needed: tuple[str, ...] = ()
    also_loaded: tuple[str, ...] = ()
    rpath: str | None = None
    runpath: str | None = None
    build_id: str | None = None
    dlopen: tuple[Dlopen, ...] = ()
    packaged_as: str | None = None
    starts: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def parse_elf(content: memoryview) -> ElfFile | None:
    """What an ELF file states, None for a relocatable object. What breaks the format becomes ``problem``."""
    found: dict[str, Any] = {}
    try:
        view = BinaryView.of(content, "ELF file")
        kind, machine = view.u16(16), view.u16(18)
        if kind == _RELOCATABLE:
            return None
        is_64 = _is_64(view, machine)
        found |= {"type": _TYPES.get(kind, "other"), "machine": _MACHINES.get(machine, f"machine-{machine}")}
        found["starts"] = (view.u64(24) if is_64 else view.u32(24)) != 0
        segments = tuple(_segments(view, is_64=is_64))
    except MalformedImageError as error:
        return ElfFile(**found, problem=str(error))
    for segment in segments:
        try:
            _read_segment(view, segment, segments, found, is_64=is_64)
        except MalformedImageError as error:
            found.setdefault("problem", str(error))
    return ElfFile(**found)


def is_relocatable(head: memoryview) -> bool:
    """Whether a file that begins so is an object to be linked, such as a kernel module (e_type; little-endian)."""
    return bytes(head[16:18]) == _RELOCATABLE.to_bytes(2, "little")


def _is_64(view: BinaryView, machine: int) -> bool:
    if machine in _CLASSES:
        return _CLASSES[machine] == 64  # noqa: PLR2004 -- bits
    bits, order = view.u8(4), view.u8(5)
    if order != 1 or bits not in {1, 2}:
        raise view.error(4, "it is not little-endian 32 or 64 bit")
    return bits == 2  # noqa: PLR2004 -- ELFCLASS64


def _read_segment(
    view: BinaryView, segment: _Segment, segments: tuple[_Segment, ...], found: dict[str, Any], *, is_64: bool
) -> None:
    if segment.kind == _PT_INTERP:  # load_elf_binary takes the first
        found.setdefault("interpreter", _string(view, segment.offset, segment.offset + segment.size))
    elif segment.kind == _PT_NOTE:
        _read_notes(view.view(segment.offset, min(segment.size, _MAX_NOTES)), found)
    elif segment.kind == _PT_DYNAMIC:
        _read_dynamic(view, segment, segments, found, is_64=is_64)


def _segments(view: BinaryView, *, is_64: bool) -> Iterator[_Segment]:
    if is_64:
        offset, size, count = view.u64(32), view.u16(54), view.u16(56)
        layout, order = struct.Struct("<IIQQQQQQ"), (0, 2, 3, 5)
    else:
        offset, size, count = view.u32(28), view.u16(42), view.u16(44)
        layout, order = struct.Struct("<IIIIIIII"), (0, 1, 2, 4)
    if count > _MAX_SEGMENTS or (count and size < layout.size):
        raise view.error(54, f"{count} program headers of {size} bytes are not believable")
    for index in range(count):
        fields = view.unpack(layout, offset + index * size)
        yield _Segment(*(fields[position] for position in order))


def _read_dynamic(
    view: BinaryView, segment: _Segment, segments: tuple[_Segment, ...], found: dict[str, Any], *, is_64: bool
) -> None:
    layout = struct.Struct("<qQ" if is_64 else "<iI")
    size = min(segment.size, _MAX_DYNAMIC) // layout.size * layout.size
    # glibc elf/rtld.c goes by the address, and reads on to DT_NULL.
    place = _offset_of(view, segment.address, segments)
    entries = []
    for tag, value in layout.iter_unpack(view.slice(place, size)):
        if tag == 0:
            break
        entries.append((tag, value))
    else:
        raise view.error(place, "its dynamic section has no end")
    values = dict(entries)
    if _DT_STRTAB not in values:
        return
    start = _offset_of(view, values[_DT_STRTAB], segments)
    end = start + values.get(_DT_STRSZ, 0)
    found["needed"] = tuple(_string(view, start + value, end) for tag, value in entries if tag == _DT_NEEDED)
    found["also_loaded"] = tuple(_string(view, start + value, end) for tag, value in entries if tag in _DT_ALSO_LOADED)
    for tag, name in ((_DT_SONAME, "soname"), (_DT_RPATH, "rpath"), (_DT_RUNPATH, "runpath")):
        if tag in values:
            found[name] = _string(view, start + values[tag], end)


def _offset_of(view: BinaryView, address: int, segments: tuple[_Segment, ...]) -> int:
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size:
            return segment.offset + address - segment.address
    raise view.error(0, f"the address {address:#x} of its dynamic section or its strings is in no segment")


def _read_notes(notes: BinaryView, found: dict[str, Any]) -> None:
    offset = 0
    libraries: list[Dlopen] = []
    while offset + 12 <= len(notes):
        name_size, size, kind = notes.u32(offset), notes.u32(offset + 4), notes.u32(offset + 8)
        body = offset + 12 + -(-name_size // 4) * 4
        name = notes.read(offset + 12, name_size).rstrip(b"\0").decode("ascii", "replace")
        content = notes.read(body, size)
        if (name, kind) == _NOTE_BUILD_ID:
            found["build_id"] = content.hex()
        elif (name, kind) == _NOTE_DLOPEN:
            libraries += _dlopen(content)
        elif (name, kind) == _NOTE_PACKAGE:
            found["packaged_as"] = _package(content)
        offset = body + -(-size // 4) * 4
    if libraries:
        found["dlopen"] = tuple(libraries)


def _dlopen(content: bytes) -> Iterator[Dlopen]:
    """What a dlopen note names: a JSON list of objects. Raises MalformedImageError if it is none."""
    items = _json(content)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise MalformedImageError("ELF note", None, "a dlopen note is no JSON list of objects")
    for item in items:
        names = item.get("soname")
        if isinstance(names, list):
            sonames = tuple(name for name in names if isinstance(name, str))
            yield Dlopen(sonames, required=item.get("priority") == "required")


def _package(content: bytes) -> str | None:
    """The name in a package note: a JSON object. Raises MalformedImageError if it is none."""
    note = _json(content)
    if not isinstance(note, dict):
        raise MalformedImageError("ELF note", None, "a package note is no JSON object")
    name = note.get("name")
    return name if isinstance(name, str) else None


def _json(content: bytes) -> Any:
    """The value of a note, None for what is no JSON; so deep a nesting that Python gives up is none either."""
    try:
        return json.loads(content.rstrip(b"\0"))
    except (ValueError, RecursionError):
        return None


def _string(view: BinaryView, start: int, end: int) -> str:
    if not 0 <= start < end:
        raise view.error(0, "a string lies outside its table")
    raw = view.read(start, min(end - start, _MAX_STRING)).partition(b"\0")[0]
    return raw.decode("utf-8", "backslashreplace")
