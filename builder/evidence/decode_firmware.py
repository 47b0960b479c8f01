"""Events of the firmware itself: versions, blobs, tables, images, partition tables, devices (TCG PFP 1.06, 10.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from builder.errors import MalformedImageError
from builder.evidence.decoded import (
    FirmwareBlob,
    GptPartition,
    GptTable,
    HandoffTables,
    ImageLoad,
    Label,
    NonHostInfo,
    Raw,
    SeparatorEvent,
    SpdmEvent,
)
from builder.evidence.device_path import parse_device_paths
from builder.evidence.text import ascii_text, guess_text, utf16_text
from builder.image.gpt import NIL, SIGNATURE, TYPE_NAMES

if TYPE_CHECKING:
    from builder.evidence.decoded import Decoded
    from builder.image.binary import BinaryView

_GUID_BYTES = 16
_BLOB_BYTES = 16
_MAX_TABLES = 256
_MAX_PARTITIONS = 1024
_GPT_HEADER_BYTES = 92
_GPT_ENTRY_BYTES = 128
_GCE_SIGNATURE = b"GCE NonHostInfo\0"
_GCE_TECHNOLOGIES = {0: "none", 1: "AMD SEV", 2: "AMD SEV-ES", 3: "Intel TDX", 4: "AMD SEV-SNP"}
_SPDM_DEVICES = {0: "a device", 1: "a PCI device", 2: "a USB device"}

TABLE_NAMES = {
    UUID("8868e871-e4f1-11d3-bc22-0080c73c8881"): "ACPI 2.0",
    UUID("eb9d2d30-2d88-11d3-9a16-0090273fc14d"): "ACPI 1.0",
    UUID("eb9d2d31-2d88-11d3-9a16-0090273fc14d"): "SMBIOS",
    UUID("f2fd1544-9794-4a2c-992e-e5bbcf20e394"): "SMBIOS 3",
    UUID("7739f24c-93d7-11d4-9a3a-0090273fc14d"): "hand-off blocks",
    UUID("eb9d2d2f-2d88-11d3-9a16-0090273fc14d"): "MP system",
}


def text(view: BinaryView) -> Decoded:
    """A string in ASCII or UTF-16, raw if it is none."""
    found = guess_text(view.read(0, len(view)))
    return Raw(view.read(0, len(view))) if found is None else Label(found)


def ascii_string(view: BinaryView) -> Decoded:
    """A string that the specification wants in ASCII."""
    return Label(ascii_text(view.data))


def separator(view: BinaryView) -> Decoded:
    """Four bytes; an error separator may have a description of the error instead."""
    if len(view) == 4:  # noqa: PLR2004 -- the u32 of PFP 10.4.3
        return SeparatorEvent(view.u32(0))
    return text(view)


def scrtm_version(view: BinaryView) -> Decoded:
    """A UTF-16 string, or a GUID."""
    found = guess_text(view.read(0, len(view)))
    if found is not None:
        return Label(f"firmware version {found}")
    if not any(view.data):
        return Label("firmware version (empty)")
    if len(view) == _GUID_BYTES:
        return Label(f"firmware version {UUID(bytes_le=view.read(0, _GUID_BYTES))}")
    return Raw(view.read(0, len(view)))


def post_code(view: BinaryView) -> Decoded:
    """A place in memory, or a string such as "ACPI DATA"."""
    return blob(view) if len(view) == _BLOB_BYTES and not _is_text(view) else text(view)


def blob(view: BinaryView) -> Decoded:
    """UEFI_PLATFORM_FIRMWARE_BLOB: u64 address, u64 length. Raises MalformedImageError."""
    if len(view) != _BLOB_BYTES:
        raise view.error(0, f"{len(view)} bytes are not {_BLOB_BYTES}")
    return FirmwareBlob("", view.u64(0), view.u64(8))


def blob_or_text(view: BinaryView) -> Decoded:
    """What PFP allows where older firmware logged a string."""
    return post_code(view)


def blob2(view: BinaryView) -> Decoded:
    """UEFI_PLATFORM_FIRMWARE_BLOB2: u8 size, description, u64 address, u64 length. Raises MalformedImageError."""
    size = view.u8(0)
    if len(view) != 1 + size + _BLOB_BYTES:
        raise view.error(0, f"{len(view)} bytes do not fit a description of {size}")
    return FirmwareBlob(ascii_text(view.slice(1, size)), view.u64(1 + size), view.u64(9 + size))


def tables(view: BinaryView) -> Decoded:
    """UEFI_HANDOFF_TABLE_POINTERS: u64 count, count times {GUID, u64 address}. Raises MalformedImageError."""
    return _tables(view, 0, "")


def tables2(view: BinaryView) -> Decoded:
    """UEFI_HANDOFF_TABLE_POINTERS2: u8 size, description, then as in the first version. Raises MalformedImageError."""
    size = view.u8(0)
    return _tables(view, 1 + size, ascii_text(view.slice(1, size)))


def tables_or_text(view: BinaryView) -> Decoded:
    """EV_TABLE_OF_DEVICES: free-form, but some firmware puts the table pointers there."""
    try:
        return tables(view)
    except MalformedImageError:
        return text(view)


def _tables(view: BinaryView, offset: int, description: str) -> Decoded:
    count = view.u64(offset)
    if count > _MAX_TABLES or len(view) != offset + 8 + 24 * count:
        raise view.error(offset, f"{len(view)} bytes do not fit {count} tables")
    found = []
    for at in range(offset + 8, len(view), 24):
        guid = UUID(bytes_le=view.read(at, _GUID_BYTES))
        found.append((TABLE_NAMES.get(guid, str(guid)), view.u64(at + _GUID_BYTES)))
    return HandoffTables(description, tuple(found))


def image(view: BinaryView) -> Decoded:
    """UEFI_IMAGE_LOAD_EVENT: u64 address, size, link address, length of the path; the path. Raises MalformedImageError.

    Old shims say that the path has no bytes and log some all the same; those are left alone.
    """
    size = view.u64(24)
    paths = parse_device_paths(view.view(32, size, "device path"))
    return ImageLoad(view.u64(0), view.u64(8), view.u64(16), paths)


def partition_table(view: BinaryView) -> Decoded:
    """UEFI_GPT_DATA: the header (92 bytes), u64 count, the used entries. Raises MalformedImageError."""
    if view.read(0, 8) != SIGNATURE:
        raise view.error(0, "there is no signature 'EFI PART'")
    entry_size, count = view.u32(84), view.u64(_GPT_HEADER_BYTES)
    if entry_size < _GPT_ENTRY_BYTES or count > _MAX_PARTITIONS or len(view) != 100 + count * entry_size:
        raise view.error(84, f"{len(view)} bytes do not fit {count} entries of {entry_size}")
    return GptTable(
        UUID(bytes_le=view.read(56, _GUID_BYTES)),
        tuple(_partition(view.view(100 + number * entry_size, entry_size, "GPT entry")) for number in range(count)),
    )


def _partition(entry: BinaryView) -> GptPartition:
    kind = UUID(bytes_le=entry.read(0, _GUID_BYTES))
    if kind == NIL:
        raise entry.error(0, "an unused entry is listed as used")
    return GptPartition(
        TYPE_NAMES.get(kind, str(kind)),
        UUID(bytes_le=entry.read(16, _GUID_BYTES)),
        utf16_text(entry.slice(56, 72)),
        entry.u64(32),
        entry.u64(40),
    )


def non_host_info(view: BinaryView) -> Decoded:
    """Google's structure (github.com/google/go-eventlog, ``GCENonHostInfo``), else a string or raw."""
    if len(view) > len(_GCE_SIGNATURE) and view.read(0, len(_GCE_SIGNATURE)) == _GCE_SIGNATURE:
        technology = view.u8(len(_GCE_SIGNATURE))
        return NonHostInfo(_GCE_TECHNOLOGIES.get(technology, f"number {technology}"))
    return text(view)


def spdm(view: BinaryView) -> Decoded:
    """DEVICE_SECURITY_EVENT_DATA (PFP 1.06, 10.2.7), the headers of both versions. Raises MalformedImageError."""
    signature = view.read(0, 16)
    if signature == b"SPDM Device Sec\0":
        size, device = view.u16(18), view.u32(24)
    elif signature == b"SPDM Device Sec2":
        size, device = view.u32(20), view.u32(24)
    else:
        raise view.error(0, f"the signature {signature!r} is not known")
    if size > len(view):
        raise view.error(18, f"the structure says that it has {size} bytes, there are {len(view)}")
    return SpdmEvent(view.u16(16), _SPDM_DEVICES.get(device, f"a device of type {device}"), size)


def _is_text(view: BinaryView) -> bool:
    return guess_text(view.read(0, len(view))) is not None
