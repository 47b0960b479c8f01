"""EFI device paths as text (UEFI Specification 2.10, chapter 10; the text is that of 10.6).

A path is a run of nodes ``u8 type; u8 subtype; u16 length; data`` that an end node closes. A node whose type is not
known, or whose data do not fit its type, is shown raw as ``Path(type,subtype,hex)``, as UEFI 10.6.1.5 has it.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from builder.errors import MalformedImageError
from builder.evidence.text import ascii_text, utf16_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.image.binary import BinaryView

# Real paths have fewer than ten nodes, a load option a handful of paths.
MAX_NODES = 256
_HEADER_BYTES = 4
_HARDWARE, _ACPI, _MESSAGING, _MEDIA, _BBS, _END = 1, 2, 3, 4, 5, 0x7F
_END_INSTANCE, _END_PATH = 0x01, 0xFF
_EISA_PNP = 0x41D0

VENDOR_NAMES = {
    UUID("5568e427-68fc-4f3d-ac74-ca555231cc68"): "Linux initrd",
    UUID("55c5d1f8-04cd-46b5-8a20-e56cbb3052d0"): "systemd-stub payload",
    UUID("1428f772-b64a-441e-b8c3-9ebdd7f893c7"): "QEMU kernel loader",
    UUID("d3987d4b-971a-435f-8caf-4967eb627241"): "serial debug port",
    UUID("cfb5b810-fd65-4f1a-8abb-2dfc1a4fc0c1"): "BIOS boot",
}


@dataclass(frozen=True, slots=True)
class DevicePathNode:
    """One node: its numbers, the data after its header, and how it is written."""

    type: int
    subtype: int
    data: bytes
    text: str


@dataclass(frozen=True, slots=True)
class DevicePath:
    """A path without its end nodes. ``text`` has a comma between the instances of a multi-instance path."""

    nodes: tuple[DevicePathNode, ...]
    text: str


def parse_device_paths(view: BinaryView) -> tuple[DevicePath, ...]:
    """Read the paths that fill ``view`` from start to end; none if it is empty. A missing last end node is let pass.

    Raises MalformedImageError for a node that overruns the view or is shorter than its header, and for too many.
    """
    paths = []
    nodes: list[DevicePathNode] = []
    texts: list[str] = [""]
    offset = count = 0
    while offset < len(view):
        count += 1
        if count > MAX_NODES:
            raise view.error(offset, f"there are more than {MAX_NODES} device path nodes")
        kind, subtype, length = view.u8(offset), view.u8(offset + 1), view.u16(offset + 2)
        if length < _HEADER_BYTES:
            raise view.error(offset + 2, f"a device path node cannot have {length} bytes")
        body = view.view(offset + _HEADER_BYTES, length - _HEADER_BYTES, "device path node")
        offset += length
        if kind == _END and subtype == _END_INSTANCE:
            texts.append("")
        elif kind == _END:
            paths.append(DevicePath(tuple(nodes), ",".join(texts)))
            nodes, texts = [], [""]
        else:
            node = DevicePathNode(kind, subtype, body.read(0, len(body)), _node_text(kind, subtype, body))
            nodes.append(node)
            texts[-1] += ("/" if texts[-1] else "") + node.text
    if nodes:
        paths.append(DevicePath(tuple(nodes), ",".join(texts)))
    return tuple(paths)


def _node_text(kind: int, subtype: int, body: BinaryView) -> str:
    writer = _WRITERS.get((kind, subtype))
    if writer is not None:
        try:
            return writer(body)
        except MalformedImageError:
            pass
    return f"Path({kind},{subtype},{body.read(0, len(body)).hex()})"


def _fields(layout: str, text: str) -> Callable[[BinaryView], str]:
    """Writes fixed little-endian fields into ``text``, a format string."""
    compiled = struct.Struct("<" + layout)
    return lambda body: text.format(*body.unpack(compiled))


def _guid(name: str) -> Callable[[BinaryView], str]:
    """Writes a GUID, with the data after it in hexadecimal if there are any."""

    def write(body: BinaryView) -> str:
        guid = UUID(bytes_le=body.read(0, 16))
        rest = body.read(16, len(body) - 16).hex()
        return f"{name}({VENDOR_NAMES.get(guid, guid)}{',' + rest if rest else ''})"

    return write


def _eisa(identifier: int) -> str:
    """A compressed EISA id: PNP0A03 and its like, else the number."""
    if identifier & 0xFFFF == _EISA_PNP:
        return f"PNP{identifier >> 16:04X}"
    return f"{identifier:#010x}"


def _acpi(body: BinaryView) -> str:
    hid, uid = body.u32(0), body.u32(4)
    root = {"PNP0A03": "PciRoot", "PNP0A08": "PcieRoot", "PNP0604": "Floppy"}.get(_eisa(hid))
    return f"{root}({uid:#x})" if root else f"Acpi({_eisa(hid)},{uid:#x})"


def _acpi_extended(body: BinaryView) -> str:
    strings = [ascii_text(part) for part in body.read(12, len(body) - 12).split(b"\0")[:3]]
    return f"AcpiEx({_eisa(body.u32(0))},{_eisa(body.u32(8))},{body.u32(4):#x},{','.join(strings)})"


def _acpi_adr(body: BinaryView) -> str:
    return "AcpiAdr(" + ",".join(f"{body.u32(at):#x}" for at in range(0, len(body) - 3, 4)) + ")"


def _mac(body: BinaryView) -> str:
    interface = body.u8(32)
    size = 6 if interface in {0, 1} else 32
    return f"MAC({body.read(0, size).hex()},{interface:#x})"


def _ipv4(body: BinaryView) -> str:
    local, remote = (ipaddress.IPv4Address(body.read(at, 4)) for at in (0, 4))
    origin = "Static" if body.u8(14) else "DHCP"
    return f"IPv4({remote}:{body.u16(10)},{body.u16(12):#x},{origin},{local}:{body.u16(8)})"


def _ipv6(body: BinaryView) -> str:
    local, remote = (ipaddress.IPv6Address(body.read(at, 16)) for at in (0, 16))
    return f"IPv6([{remote}]:{body.u16(34)},{body.u16(36):#x},{body.u8(38):#x},[{local}]:{body.u16(32)})"


def _nvme(body: BinaryView) -> str:
    return f"NVMe({body.u32(0):#x},{body.read(4, 8)[::-1].hex('-').upper()})"


def _hard_drive(body: BinaryView) -> str:
    number, start, size = body.u32(0), body.u64(4), body.u64(12)
    signature, kind = body.read(20, 16), body.u8(37)
    if kind == 2:  # noqa: PLR2004 -- SignatureType of UEFI table 10-18: 1 MBR, 2 GUID
        disk = f"GPT,{UUID(bytes_le=signature)}"
    elif kind == 1:
        disk = f"MBR,{int.from_bytes(signature[:4], 'little'):#010x}"
    else:
        disk = f"{kind},{signature.hex()}"
    return f"HD({number},{disk},{start:#x},{size:#x})"


def _file(body: BinaryView) -> str:
    return utf16_text(body.data)


def _uri(body: BinaryView) -> str:
    return f"Uri({ascii_text(body.data)})"


def _vendor_ascii(body: BinaryView) -> str:
    return f"BBS({body.u16(0):#x},{ascii_text(body.slice(4, len(body) - 4))},{body.u16(2):#x})"


def _wifi(body: BinaryView) -> str:
    return f"Wi-Fi({ascii_text(body.slice(0, 32))})"


def _bluetooth(body: BinaryView) -> str:
    return f"Bluetooth({body.read(0, 6).hex()})"


def _usb_wwid(body: BinaryView) -> str:
    serial = utf16_text(body.slice(6, len(body) - 6))
    return f"UsbWwid({body.u16(2):#x},{body.u16(4):#x},{body.u16(0):#x},{serial})"


def _iscsi(body: BinaryView) -> str:
    return f"iSCSI({ascii_text(body.slice(14, len(body) - 14))},{body.u16(12):#x},{body.read(4, 8).hex()})"


def _sas_extended(body: BinaryView) -> str:
    return f"SasEx({body.read(0, 8).hex()},{body.read(8, 8).hex()},{body.u16(18):#x})"


_WRITERS: dict[tuple[int, int], Callable[[BinaryView], str]] = {
    (_HARDWARE, 1): _fields("BB", "Pci({1:#x},{0:#x})"),
    (_HARDWARE, 2): _fields("B", "PcCard({0:#x})"),
    (_HARDWARE, 3): _fields("IQQ", "MemoryMapped({0:#x},{1:#x},{2:#x})"),
    (_HARDWARE, 4): _guid("VenHw"),
    (_HARDWARE, 5): _fields("I", "Ctrl({0:#x})"),
    (_HARDWARE, 6): _fields("BQ", "BMC({0:#x},{1:#x})"),
    (_ACPI, 1): _acpi,
    (_ACPI, 2): _acpi_extended,
    (_ACPI, 3): _acpi_adr,
    (_MESSAGING, 1): _fields("BBH", "Ata({0:#x},{1:#x},{2:#x})"),
    (_MESSAGING, 2): _fields("HH", "Scsi({0:#x},{1:#x})"),
    (_MESSAGING, 3): _fields("4xQQ", "Fibre({0:#x},{1:#x})"),
    (_MESSAGING, 4): _fields("4xQ", "I1394({0:016x})"),
    (_MESSAGING, 5): _fields("BB", "USB({0:#x},{1:#x})"),
    (_MESSAGING, 6): _fields("I", "I2O({0:#x})"),
    (_MESSAGING, 10): _guid("VenMsg"),
    (_MESSAGING, 11): _mac,
    (_MESSAGING, 12): _ipv4,
    (_MESSAGING, 13): _ipv6,
    (_MESSAGING, 14): _fields("4xQBBB", "Uart({0},{1},{2},{3})"),
    (_MESSAGING, 15): _fields("HHBBB", "UsbClass({0:#x},{1:#x},{2:#x},{3:#x},{4:#x})"),
    (_MESSAGING, 16): _usb_wwid,
    (_MESSAGING, 17): _fields("B", "Unit({0:#x})"),
    (_MESSAGING, 18): _fields("HHH", "Sata({0:#x},{1:#x},{2:#x})"),
    (_MESSAGING, 19): _iscsi,
    (_MESSAGING, 20): _fields("H", "Vlan({0})"),
    (_MESSAGING, 22): _sas_extended,
    (_MESSAGING, 23): _nvme,
    (_MESSAGING, 24): _uri,
    (_MESSAGING, 25): _fields("BB", "UFS({0:#x},{1:#x})"),
    (_MESSAGING, 26): _fields("B", "SD({0:#x})"),
    (_MESSAGING, 27): _bluetooth,
    (_MESSAGING, 28): _wifi,
    (_MESSAGING, 29): _fields("B", "eMMC({0:#x})"),
    (_MESSAGING, 32): _guid("NVDIMM"),
    (_MEDIA, 1): _hard_drive,
    (_MEDIA, 2): _fields("IQQ", "CDROM({0:#x},{1:#x},{2:#x})"),
    (_MEDIA, 3): _guid("VenMedia"),
    (_MEDIA, 4): _file,
    (_MEDIA, 5): _guid("Media"),
    (_MEDIA, 6): _guid("FvFile"),
    (_MEDIA, 7): _guid("Fv"),
    (_MEDIA, 8): _fields("4xQQ", "Offset({0:#x},{1:#x})"),
    (_MEDIA, 9): _fields("QQ16xH", "RamDisk({0:#x},{1:#x},{2})"),
    (_BBS, 1): _vendor_ascii,
}
