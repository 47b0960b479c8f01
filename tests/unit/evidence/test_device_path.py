"""Device paths as text, after UEFI Specification 2.10, 10.6."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest

from builder.errors import MalformedImageError
from builder.evidence.device_path import MAX_NODES, DevicePath, parse_device_paths
from builder.image.binary import BinaryView

END = bytes.fromhex("7fff0400")
GUID = UUID("01020304-0506-0708-090a-0b0c0d0e0f10")


def node(kind: int, subtype: int, data: bytes = b"") -> bytes:
    return struct.pack("<BBH", kind, subtype, 4 + len(data)) + data


def parse(data: bytes) -> tuple[DevicePath, ...]:
    return parse_device_paths(BinaryView.of(data, "device path"))


@pytest.mark.parametrize(
    ("kind", "subtype", "data", "expected"),
    [
        (1, 1, bytes([2, 0x1F]), "Pci(0x1f,0x2)"),
        (1, 2, b"\x01", "PcCard(0x1)"),
        (1, 3, struct.pack("<IQQ", 11, 0x1000, 0x1FFF), "MemoryMapped(0xb,0x1000,0x1fff)"),
        (1, 4, GUID.bytes_le + b"\xab", f"VenHw({GUID},ab)"),
        (1, 5, struct.pack("<I", 3), "Ctrl(0x3)"),
        (1, 6, struct.pack("<BQ", 1, 2), "BMC(0x1,0x2)"),
        (2, 1, struct.pack("<II", 0x0A0341D0, 0), "PciRoot(0x0)"),
        (2, 1, struct.pack("<II", 0x0A0841D0, 1), "PcieRoot(0x1)"),
        (2, 1, struct.pack("<II", 0x050141D0, 0), "Acpi(PNP0501,0x0)"),
        (2, 1, struct.pack("<II", 0x12345678, 0), "Acpi(0x12345678,0x0)"),
        (2, 2, struct.pack("<III", 0x0A0841D0, 0, 0) + b"H\0U\0C\0", "AcpiEx(PNP0A08,0x00000000,0x0,H,U,C)"),
        (2, 3, struct.pack("<I", 0x80010100), "AcpiAdr(0x80010100)"),
        (3, 1, struct.pack("<BBH", 0, 1, 2), "Ata(0x0,0x1,0x2)"),
        (3, 2, struct.pack("<HH", 1, 0), "Scsi(0x1,0x0)"),
        (3, 3, struct.pack("<IQQ", 0, 5, 6), "Fibre(0x5,0x6)"),
        (3, 5, bytes([0xB, 0]), "USB(0xb,0x0)"),
        (3, 10, GUID.bytes_le, f"VenMsg({GUID})"),
        (3, 11, bytes.fromhex("525400123456") + bytes(26) + b"\x01", "MAC(525400123456,0x1)"),
        (
            3,
            12,
            bytes([10, 0, 0, 1, 10, 0, 0, 2]) + struct.pack("<HHHB", 67, 68, 17, 0) + bytes(8),
            "IPv4(10.0.0.2:68,0x11,DHCP,10.0.0.1:67)",
        ),
        (
            3,
            13,
            bytes(15) + b"\x01" + bytes(15) + b"\x02" + struct.pack("<HHHB", 1, 2, 6, 0) + bytes(17),
            "IPv6([::2]:2,0x6,0x0,[::1]:1)",
        ),
        (3, 14, struct.pack("<IQBBB", 0, 115200, 8, 1, 1), "Uart(115200,8,1,1)"),
        (3, 15, struct.pack("<HHBBB", 0x1AF4, 1, 3, 1, 2), "UsbClass(0x1af4,0x1,0x3,0x1,0x2)"),
        (3, 16, struct.pack("<HHH", 0, 1, 2) + "S1".encode("utf-16-le"), "UsbWwid(0x1,0x2,0x0,S1)"),
        (3, 17, b"\x05", "Unit(0x5)"),
        (3, 18, struct.pack("<HHH", 1, 0xFFFF, 0), "Sata(0x1,0xffff,0x0)"),
        (3, 19, struct.pack("<HHQH", 0, 0, 1, 2) + b"iqn.x\0", "iSCSI(iqn.x,0x2,0100000000000000)"),
        (3, 20, struct.pack("<H", 7), "Vlan(7)"),
        (3, 23, struct.pack("<I", 1) + bytes(range(8)), "NVMe(0x1,07-06-05-04-03-02-01-00)"),
        (3, 24, b"https://example.org/boot.efi", "Uri(https://example.org/boot.efi)"),
        (3, 25, b"\x00\x01", "UFS(0x0,0x1)"),
        (3, 26, b"\x02", "SD(0x2)"),
        (3, 28, b"lab".ljust(32, b"\0"), "Wi-Fi(lab)"),
        (3, 29, b"\x01", "eMMC(0x1)"),
        (
            4,
            1,
            struct.pack("<IQQ", 1, 0x800, 0x1000) + GUID.bytes_le + b"\x02\x02",
            f"HD(1,GPT,{GUID},0x800,0x1000)",
        ),
        (
            4,
            1,
            struct.pack("<IQQ", 2, 63, 64) + bytes.fromhex("78563412").ljust(16, b"\0") + b"\x01\x01",
            "HD(2,MBR,0x12345678,0x3f,0x40)",
        ),
        (4, 2, struct.pack("<IQQ", 0, 1, 2), "CDROM(0x0,0x1,0x2)"),
        (4, 3, UUID("5568e427-68fc-4f3d-ac74-ca555231cc68").bytes_le, "VenMedia(Linux initrd)"),
        (4, 4, "\\EFI\\BOOT\\BOOTX64.EFI\0".encode("utf-16-le"), "\\EFI\\BOOT\\BOOTX64.EFI"),
        (4, 6, GUID.bytes_le, f"FvFile({GUID})"),
        (4, 7, GUID.bytes_le, f"Fv({GUID})"),
        (4, 8, struct.pack("<IQQ", 0, 0x100, 0x1FF), "Offset(0x100,0x1ff)"),
        (4, 9, struct.pack("<QQ", 1, 2) + bytes(16) + b"\x03\x00", "RamDisk(0x1,0x2,3)"),
        (5, 1, struct.pack("<HH", 2, 0) + b"Harddisk1\0", "BBS(0x2,Harddisk1,0x0)"),
        (6, 1, b"\xab\xcd", "Path(6,1,abcd)"),
        (1, 99, b"", "Path(1,99,)"),
        (1, 1, b"\x01", "Path(1,1,01)"),  # too short for a PCI node
        (4, 1, b"\x01\x02", "Path(4,1,0102)"),
    ],
)
def test_a_node_has_its_text(kind: int, subtype: int, data: bytes, expected: str) -> None:
    (path,) = parse(node(kind, subtype, data) + END)
    assert path.text == expected
    assert path.nodes[0].data == data


def test_nodes_are_joined_by_slashes_and_instances_by_commas() -> None:
    first, second = node(1, 1, b"\0\1"), node(1, 1, b"\0\2")
    (path,) = parse(first + second + node(0x7F, 1) + first + END)
    assert path.text == "Pci(0x1,0x0)/Pci(0x2,0x0),Pci(0x1,0x0)"


def test_paths_may_follow_each_other() -> None:
    assert [path.text for path in parse(node(3, 17, b"\1") + END + node(3, 17, b"\2") + END)] == [
        "Unit(0x1)",
        "Unit(0x2)",
    ]


def test_no_bytes_are_no_path_and_a_last_end_node_may_be_missing() -> None:
    assert parse(b"") == ()
    assert [path.text for path in parse(node(3, 17, b"\1"))] == ["Unit(0x1)"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes.fromhex("01010300"), "a device path node cannot have 3 bytes"),
        (bytes.fromhex("0101ffff00"), "needs 65531 bytes"),
        (bytes.fromhex("0101"), "needs 2 bytes"),
        (node(3, 17, b"\1") * (MAX_NODES + 1), f"more than {MAX_NODES} device path nodes"),
    ],
)
def test_a_path_that_cannot_be_walked_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedImageError, match=message):
        parse(data)
