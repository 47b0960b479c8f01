"""Small PE files and UKIs in pure Python: from nothing (not bootable, any shape), or from a real stub (bootable)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILE_ALIGNMENT = 512
SECTION_ALIGNMENT = 4096
DEBIAN_13_STUB = "257.13-1~deb13u1"
_PE_OFFSET = 64
_OPTIONAL_SIZE = {0x20B: 112, 0x10B: 96}
_SECTION_HEADER = struct.Struct("<8sIIIIIIHHI")
_INITIALIZED_READABLE = 0x40000040


@dataclass(frozen=True, slots=True)
class Section:
    """A section to write. Without ``virtual_size`` it is as long in memory as its content."""

    name: str
    content: bytes
    virtual_size: int | None = None

    @property
    def in_memory(self) -> int:
        return len(self.content) if self.virtual_size is None else self.virtual_size


def align(value: int, alignment: int) -> int:
    return value + -value % alignment


def build_pe(
    sections: Sequence[Section],
    *,
    magic: int = 0x20B,
    subsystem: int = 10,
    directories: int = 16,
    image_version: tuple[int, int] = (0, 0),
    trailing: bytes = b"",
    gap: int = 0,
) -> bytes:
    """A PE file with these sections, ``gap`` zero bytes between headers and sections and ``trailing`` at its end."""
    optional_size = _OPTIONAL_SIZE[magic] + directories * 8
    size_of_headers = align(_PE_OFFSET + 24 + optional_size + len(sections) * _SECTION_HEADER.size, FILE_ALIGNMENT)
    table, body = b"", b""
    address = align(size_of_headers, SECTION_ALIGNMENT)
    for section in sections:
        raw = section.content + bytes(-len(section.content) % FILE_ALIGNMENT)
        table += _header(section, address, len(raw), size_of_headers + gap + len(body) if raw else 0)
        body += raw
        address = align(address + max(section.in_memory, 1), SECTION_ALIGNMENT)
    optional = bytearray(optional_size)
    struct.pack_into("<H", optional, 0, magic)
    struct.pack_into("<II", optional, 32, SECTION_ALIGNMENT, FILE_ALIGNMENT)
    struct.pack_into("<HH", optional, 44, *image_version)
    struct.pack_into("<IIIH", optional, 56, address, size_of_headers, 0, subsystem)
    struct.pack_into("<I", optional, _OPTIONAL_SIZE[magic] - 4, directories)
    dos = b"MZ" + bytes(0x3C - 2) + struct.pack("<I", _PE_OFFSET)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, optional_size, 0x22)
    headers = dos + coff + bytes(optional) + table
    return headers.ljust(size_of_headers, b"\0") + bytes(gap) + body + trailing


def build_uki(
    sections: Iterable[tuple[str, bytes]], *, version: str = DEBIAN_13_STUB, product: str = "systemd-stub"
) -> bytes:
    """A UKI of these payload sections, in this order, whose stub says to be ``product`` ``version``."""
    magic = f"#### LoaderInfo: {product} {version} ####\0".encode()
    own = [Section(".text", b"\xc3"), Section(".sdmagic", magic)]
    return build_pe([*own, *(Section(name, content) for name, content in sections)])


def tiny_kernel() -> bytes:
    """What passes for the kernel of a UKI where nothing starts it: an EFI application that says no release."""
    return build_pe([Section(".text", b"\xc3")], image_version=(1, 1))


def bzimage(release: str) -> bytes:
    """The same, with the setup header of an x86 Linux kernel of this release."""
    kernel = bytearray(build_pe([Section(".text", b"\xc3" * 1024)], image_version=(1, 1)))
    pointer = len(kernel) - 512
    kernel[pointer : pointer + len(release) + 9] = f"{release} (test)\0".encode() + b"\0"
    # The PE headers of so small a file end at 0x200, where the setup header begins.
    kernel[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", kernel, 0x20E, pointer - 0x200)
    return bytes(kernel)


def append_sections(stub: bytes, sections: Sequence[Section]) -> bytes:
    """A real stub with sections added behind its own, as ukify does it: a UKI that boots."""
    file = bytearray(stub)
    (pe,) = struct.unpack_from("<I", file, 0x3C)
    count, optional_size = struct.unpack_from("<H12xH", file, pe + 6)
    optional = pe + 24
    section_alignment, file_alignment = struct.unpack_from("<II", file, optional + 32)
    table = optional + optional_size
    (size_of_headers,) = struct.unpack_from("<I", file, optional + 60)
    if table + (count + len(sections)) * _SECTION_HEADER.size > size_of_headers:
        raise ValueError("the stub's headers have no room for so many sections")
    last = _SECTION_HEADER.unpack_from(file, table + (count - 1) * _SECTION_HEADER.size)
    address = align(last[2] + last[1], section_alignment)
    for index, section in enumerate(sections, start=count):
        file += bytes(-len(file) % file_alignment)
        raw_size = align(len(section.content), file_alignment)
        header = _header(section, address, raw_size, len(file))
        file[table + index * len(header) : table + (index + 1) * len(header)] = header
        file += section.content.ljust(raw_size, b"\0")
        address = align(address + max(section.in_memory, 1), section_alignment)
    struct.pack_into("<H", file, pe + 6, count + len(sections))
    struct.pack_into("<I", file, optional + 56, address)
    return bytes(file)


def _header(section: Section, address: int, raw_size: int, raw_offset: int) -> bytes:
    return _SECTION_HEADER.pack(
        section.name.encode(), section.in_memory, address, raw_size, raw_offset, 0, 0, 0, 0, _INITIALIZED_READABLE
    )
