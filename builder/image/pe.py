"""PE32 and PE32+ files and their Authenticode signatures, as UEFI firmware reads them.

Format: Microsoft "PE Format" and "Windows Authenticode Portable Executable Signature Format". What a file must satisfy
to be loaded is ported from edk2 ``MdePkg/Library/BasePeCoffLib/BasePeCoff.c`` (PeCoffLoaderGetPeHeader,
PeCoffLoaderLoadImage), the digest from ``SecurityPkg/Tcg/Tcg2Dxe/MeasureBootPeCoff.c``: a file that this firmware
refuses is an error here. Integers are little-endian; offsets and sizes are bytes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Iterator

PE32 = 0x10B
PE32_PLUS = 0x20B
SUBSYSTEM_EFI_APPLICATION = 10
SECURITY_DIRECTORY = 4
MAX_DIRECTORIES = 16  # EFI_IMAGE_NUMBER_OF_DIRECTORY_ENTRIES
# Zeros that a section may have after its raw data. Those that we read have at most a page of them; the limit keeps
# a crafted header from making us allocate gigabytes.
MAX_ZERO_FILL = 1 << 20

WIN_CERTIFICATE_ALIGNMENT = 8
WIN_CERT_REVISION_2 = 0x0200
WIN_CERT_TYPE_PKCS_SIGNED_DATA = 0x0002

_DOS_HEADER_SIZE = 64
_OPTIONAL_HEADER_OFFSET = 24  # from "PE\0\0": the signature and the COFF header
_CHECKSUM_OFFSET = 64  # in the optional header, whatever its magic
# Offset of the data directories in the optional header, which is also the header's size without them.
_DIRECTORIES_OFFSET = {PE32: 96, PE32_PLUS: 112}
_DIRECTORY = struct.Struct("<II")
_SECTION_HEADER = struct.Struct("<8sIIII16x")
_WIN_CERTIFICATE = struct.Struct("<IHH")


@dataclass(frozen=True, slots=True)
class PeSection:
    """One section header. ``virtual_address`` is relative to the image's base, ``raw_offset`` is a file offset."""

    name: str
    virtual_size: int
    virtual_address: int
    raw_size: int
    raw_offset: int


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """``address`` is relative to the image's base; in the security directory it is a file offset."""

    address: int
    size: int


@dataclass(frozen=True, slots=True)
class PeImage:
    """The headers of a PE file that firmware would load.

    ``image_version`` is (major, minor); the Linux EFI stub puts its own version there. ``checksum_offset`` and
    ``directories_offset`` are the file offsets of these header fields.
    """

    machine: int
    magic: int
    subsystem: int
    image_version: tuple[int, int]
    size_of_image: int
    size_of_headers: int
    checksum_offset: int
    directories_offset: int
    directories: tuple[DataDirectory, ...]
    sections: tuple[PeSection, ...]

    @property
    def security_directory(self) -> DataDirectory | None:
        """Where the certificate table is (size 0: unsigned); None when the header has no room to say so."""
        return self.directories[SECURITY_DIRECTORY] if len(self.directories) > SECURITY_DIRECTORY else None

    @property
    def security_directory_offset(self) -> int:
        """The file offset of the security directory's entry, whether or not the header has one."""
        return self.directories_offset + SECURITY_DIRECTORY * _DIRECTORY.size


def read_pe(data: bytes | memoryview) -> PeImage:
    """Read and check the headers. Raises MalformedImageError for what is no PE file or what firmware would refuse."""
    file = BinaryView.of(data, "PE header")
    if len(file) < _DOS_HEADER_SIZE or file.read(0, 2) != b"MZ":
        raise MalformedImageError("DOS header", 0, "the file does not start with an MZ header")
    header = file.u32(0x3C)
    # Firmware accepts a PE header that overlaps the DOS header; systemd-stub (pe.c, verify_dos) does not.
    if header < _DOS_HEADER_SIZE or file.read(header, 4) != b"PE\0\0":
        raise MalformedImageError("DOS header", 0x3C, f"there is no PE header at {header:#x}")
    section_count, optional_size = file.u16(header + 6), file.u16(header + 20)
    optional = header + _OPTIONAL_HEADER_OFFSET
    magic = file.u16(optional)
    if magic not in _DIRECTORIES_OFFSET:
        raise file.error(optional, f"the optional header's magic is {magic:#x}, neither PE32 nor PE32+")
    directories_offset = optional + _DIRECTORIES_OFFSET[magic]
    size_of_image, size_of_headers = file.u32(optional + 56), file.u32(optional + 60)
    table = optional + optional_size
    table_end = table + section_count * _SECTION_HEADER.size
    if section_count == 0:
        raise file.error(header + 6, "the image has no sections")
    if not table_end <= size_of_headers < size_of_image:
        raise file.error(
            optional + 60,
            f"SizeOfHeaders {size_of_headers} does not lie between the end of the section table, {table_end},"
            f" and SizeOfImage, {size_of_image}",
        )
    file.slice(0, size_of_headers)
    return PeImage(
        machine=file.u16(header + 4),
        magic=magic,
        subsystem=file.u16(optional + 68),
        image_version=(file.u16(optional + 44), file.u16(optional + 46)),
        size_of_image=size_of_image,
        size_of_headers=size_of_headers,
        checksum_offset=optional + _CHECKSUM_OFFSET,
        directories_offset=directories_offset,
        directories=_directories(file, directories_offset, optional_size - _DIRECTORIES_OFFSET[magic]),
        sections=tuple(
            _section(file, offset, size_of_image) for offset in range(table, table_end, _SECTION_HEADER.size)
        ),
    )


def loaded_section(data: memoryview, section: PeSection) -> memoryview:
    """The ``virtual_size`` bytes of a section in memory: its raw data, cut, or followed by zeros.

    Nothing is copied unless zeros must follow. Raises MalformedImageError for more than MAX_ZERO_FILL of them.
    """
    in_file = min(section.virtual_size, section.raw_size)
    content = data[section.raw_offset : section.raw_offset + in_file]
    zeros = section.virtual_size - in_file
    if zeros == 0:
        return content
    if zeros > MAX_ZERO_FILL:
        raise MalformedImageError(f"PE section {section.name}", None, f"VirtualSize asks for {zeros} bytes of zeros")
    return memoryview(bytes(content) + bytes(zeros))


def authenticode_parts(data: bytes | memoryview, image: PeImage | None = None) -> tuple[memoryview, ...]:
    """The parts of a file that its Authenticode digest covers, in order, as edk2 hashes them.

    Two habits of the firmware differ from Microsoft's text and from several tools: the bytes after the sections are
    taken from where the *sum* of the hashed sizes ends, so that a gap between sections moves them, and nothing is
    padded. Raises MalformedImageError for a file that firmware would refuse.
    """
    image = image or read_pe(data)
    view = memoryview(data)
    security = image.security_directory
    parts = [view[: image.checksum_offset]]
    after_checksum = image.checksum_offset + 4
    if security is None:
        parts.append(view[after_checksum : image.size_of_headers])
    else:
        entry = image.security_directory_offset
        parts += [view[after_checksum:entry], view[entry + _DIRECTORY.size : image.size_of_headers]]
    hashed = image.size_of_headers
    for section in sorted(image.sections, key=lambda section: section.raw_offset):
        if section.raw_size:
            parts.append(view[section.raw_offset : section.raw_offset + section.raw_size])
            hashed += section.raw_size
    certificates_size = 0 if security is None else security.size
    if len(view) > hashed:
        tail = len(view) - hashed - certificates_size
        if tail < 0:
            raise MalformedImageError(
                "PE security directory",
                image.security_directory_offset,
                f"the certificate table of {certificates_size} bytes overlaps what is signed",
            )
        parts.append(view[hashed : hashed + tail])
    return tuple(parts)


def authenticode_digest(data: bytes | memoryview, algorithm: str) -> bytes:
    """The Authenticode digest of a file by the hash that ``hashlib`` calls ``algorithm``, as firmware measures it."""
    state = hashlib.new(algorithm)
    for part in authenticode_parts(data):
        state.update(part)
    return state.digest()


def certificates(data: bytes | memoryview) -> tuple[bytes, ...]:
    """The PKCS#7 signatures of a file in table order, empty if it is unsigned (edk2: DxeImageVerificationHandler).

    Raises MalformedImageError for a broken certificate table and for an entry that is no PKCS#7 signature.
    """
    security = read_pe(data).security_directory
    if security is None or security.size == 0:
        return ()
    table = BinaryView.of(data, "PE certificate table").view(security.address, security.size)
    return tuple(_certificate_entries(table))


def pad_for_signing(data: bytes | memoryview) -> bytes:
    """The file, with zeros up to a multiple of 8 bytes. Signers hash and sign the padded file."""
    return bytes(data) + bytes(-len(data) % WIN_CERTIFICATE_ALIGNMENT)


def attach_signature(data: bytes | memoryview, pkcs7: bytes) -> bytes:
    """The file, padded to 8 bytes, with one more WIN_CERTIFICATE at its end and its CheckSum made anew.

    ``pkcs7`` must sign the digest of ``pad_for_signing(data)``. Raises MalformedImageError if the file has no room for
    a security directory, or a certificate table that is not its last part.
    """
    if not pkcs7:
        raise ValueError("an empty signature cannot be attached")
    image = read_pe(data)
    address, size = _table_at_end(data, image)
    entry_size = _WIN_CERTIFICATE.size + len(pkcs7)
    entry = _WIN_CERTIFICATE.pack(entry_size, WIN_CERT_REVISION_2, WIN_CERT_TYPE_PKCS_SIGNED_DATA) + pkcs7
    entry += bytes(-entry_size % WIN_CERTIFICATE_ALIGNMENT)
    signed = bytearray(data)
    signed += bytes(-len(signed) % WIN_CERTIFICATE_ALIGNMENT)
    signed += entry
    _DIRECTORY.pack_into(
        signed, image.security_directory_offset, address or len(signed) - len(entry), size + len(entry)
    )
    return _with_checksum(signed, image.checksum_offset)


def strip_signatures(data: bytes | memoryview) -> bytes:
    """The file without its certificate table, its CheckSum made anew; the padding before the table stays.

    Raises MalformedImageError if the table is not the file's last part.
    """
    image = read_pe(data)
    address, size = _table_at_end(data, image)
    if size == 0:
        return bytes(data)
    stripped = bytearray(data[:address])
    _DIRECTORY.pack_into(stripped, image.security_directory_offset, 0, 0)
    return _with_checksum(stripped, image.checksum_offset)


def _directories(file: BinaryView, offset: int, room: int) -> tuple[DataDirectory, ...]:
    count = file.u32(offset - 4)
    if count > MAX_DIRECTORIES or count * _DIRECTORY.size != room:
        raise file.error(
            offset - 4, f"NumberOfRvaAndSizes is {count}, but the optional header has room for {room / 8:g} directories"
        )
    directories = tuple(
        DataDirectory(*file.unpack(_DIRECTORY, place))
        for place in range(offset, offset + count * _DIRECTORY.size, _DIRECTORY.size)
    )
    if count > SECURITY_DIRECTORY and directories[SECURITY_DIRECTORY].size:
        security = directories[SECURITY_DIRECTORY]
        file.named("PE security directory").slice(security.address, security.size)
    return directories


def _section(file: BinaryView, offset: int, size_of_image: int) -> PeSection:
    raw_name, virtual_size, virtual_address, raw_size, raw_offset = file.unpack(_SECTION_HEADER, offset)
    name, _, rest = raw_name.partition(b"\0")
    if rest.strip(b"\0") or not name.isascii() or not name.decode("ascii").isprintable():
        raise file.error(offset, f"the section name {raw_name!r} is not ASCII padded with NUL")
    section = PeSection(name.decode("ascii"), virtual_size, virtual_address, raw_size, raw_offset)
    if raw_size:
        file.named(f"PE section {section.name}").slice(raw_offset, raw_size)
    if virtual_address + max(virtual_size, 1) > size_of_image:
        raise file.error(offset, f"the section {section.name} reaches past SizeOfImage, {size_of_image}")
    return section


def _certificate_entries(table: BinaryView) -> Iterator[bytes]:
    offset = 0
    while offset < len(table):
        length, revision, kind = table.unpack(_WIN_CERTIFICATE, offset)
        if length <= _WIN_CERTIFICATE.size:
            raise table.error(offset, f"an entry of {length} bytes holds no signature")
        if (revision, kind) != (WIN_CERT_REVISION_2, WIN_CERT_TYPE_PKCS_SIGNED_DATA):
            raise table.error(offset, f"an entry of revision {revision:#x} and type {kind:#x} is no PKCS#7 signature")
        yield table.read(offset + _WIN_CERTIFICATE.size, length - _WIN_CERTIFICATE.size)
        offset += length + -length % WIN_CERTIFICATE_ALIGNMENT


def _table_at_end(data: bytes | memoryview, image: PeImage) -> tuple[int, int]:
    """File offset and size of the certificate table, zeros if there is none. It may only be the file's last part."""
    security = image.security_directory
    if security is None:
        raise MalformedImageError("PE header", image.directories_offset, "it has no room for a security directory")
    if security.size == 0:
        return 0, 0
    if security.address + security.size != len(data) or security.address % WIN_CERTIFICATE_ALIGNMENT:
        raise MalformedImageError(
            "PE security directory",
            image.security_directory_offset,
            f"the certificate table at {security.address:#x} is not an aligned last part of the file",
        )
    return security.address, security.size


def _with_checksum(file: bytearray, offset: int) -> bytes:
    """The file with its CheckSum: the 16 bit ones' complement sum of it (CheckSum itself as zero), plus its length."""
    file[offset : offset + 4] = bytes(4)
    total = 0
    # 2**16 is 1 modulo 2**16 - 1, so a number's remainder is the ones' complement sum of its 16 bit digits.
    for start in range(0, len(file), 1 << 20):
        total += int.from_bytes(file[start : start + (1 << 20)], "little") % 0xFFFF
    folded = total % 0xFFFF or (0xFFFF if total else 0)
    file[offset : offset + 4] = (folded + len(file)).to_bytes(4, "little")
    return bytes(file)
