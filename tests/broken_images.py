"""Small disks that are whole, and what chance makes of them: for tests that break images."""

from __future__ import annotations

import random  # noqa: TC003 -- for readers of the annotations
import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import zstandard

from builder.image.binary import BinaryView
from builder.image.crc32c import crc32c
from builder.image.fat_edit import replace_file
from builder.image.partitions import read_layout
from tests.fact_trees import elf, note
from tests.made_releases import File, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

VECTORS: Final = Path(__file__).parent / "vectors/image"
# Each format, in the forms that have most of its structures; without checksums of metadata where that can be had.
ROOTS: Final = (
    "root.erofs", "root-compact.erofs", "root-lz4.erofs", "root-chunks.erofs", "root-small-blocks.ext4", "root.ext4",
    "root.ext2", "root-inline.ext4", "root-plain.squashfs", "root-gzip.squashfs", "root-zstd.squashfs",
)  # fmt: skip
UKI_PATH: Final = "EFI/BOOT/BOOTX64.EFI"
_SECTOR: Final = 512
_ENTRIES: Final = 128
_FIRST: Final = 2048
_TAIL: Final = 33  # sectors of the backup: 32 of entries and a header
_HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
_ESP: Final = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
_ROOT: Final = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
_EROFS_MAGIC: Final = bytes.fromhex("e2e1f5e0")
_NUMBERS: Final = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0xFFF, 0x1000, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
                   0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)  # fmt: skip
# A file of each kind that is parsed; the initrd is not compressed, so that a change meets its bytes.
_INITRD: Final = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nservice:x:990:990::/:/usr/sbin/nologin\n",
    "/etc/shadow": "root:!*:20000::::::\nservice:$y$j9T$a$b:20000::::::\n",
    "/etc/group": "root:x:0:\nwheel:x:10:service\n",
    "/etc/fstab": "tmpfs /tmp tmpfs nosuid,nodev 0 0\n/dev/sda2 none swap sw 0 0\n",
    "/etc/nsswitch.conf": "passwd: files [SUCCESS=merge] systemd\n",
    "/etc/pam.d/login": "auth [success=1 default=ignore] pam_unix.so nullok\n@include common-auth\n",
    "/etc/sudoers": "Defaults env_reset\n%wheel ALL=(ALL:ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\n",
    "/etc/sysctl.d/a.conf": "kernel.sysrq = 0\n-net/ipv4/conf/eth0.1/forwarding = 1\nnet.*.rp_filter = 1\n",
    "/etc/modprobe.d/a.conf": "install usb-storage /bin/false\noptions a b=1\n",
    "/etc/modules-load.d/a.conf": "vsock\n",
    "/etc/tmpfiles.d/a.conf": 'd /run/a 0755 root root - -\nf "/run/b c" - - - - text\n',
    "/etc/sysusers.d/a.conf": 'u service 990 "A service" / /usr/sbin/nologin\n',
    "/etc/udev/rules.d/a.rules": 'SUBSYSTEM=="net", RUN+="/bin/sh -c \'true\'"\nENV{SYSTEMD_WANTS}+="a@b.service"\n',
    "/etc/systemd/journald.conf": "[Journal]\nStorage=volatile\n",
    "/etc/systemd/network/a.network": "[Match]\nName=*\n[Network]\nDHCP=yes\n",
    "/etc/polkit-1/rules.d/a.rules": "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n",
    "/usr/share/polkit-1/actions/a.policy": (
        '<?xml version="1.0"?><policyconfig><action id="a"><defaults><allow_any>yes</allow_any></defaults></action>'
        "</policyconfig>\n"
    ),
    "/usr/share/dbus-1/system.d/a.conf": (
        '<busconfig><policy user="root"><allow own="a.b"/></policy><policy context="default">'
        '<allow send_destination="a.b"/></policy></busconfig>\n'
    ),
    "/usr/share/dbus-1/system-services/a.service": "[D-BUS Service]\nName=a.b\nExec=/bin/a\nUser=root\n",
    "/usr/lib/systemd/system/initrd.target": "[Unit]\nRequires=basic.target\nWants=a.service a.socket\n",
    "/usr/lib/systemd/system/basic.target": "[Unit]\nDefaultDependencies=no\n",
    "/usr/lib/systemd/system/a.service": (
        "[Unit]\nAfter=a.socket \\\n  b.target\n[Service]\nExecStart=-/usr/bin/a --x '%i' ; /bin/b\n"
        "LoadCredential=a:/etc/a\nEnvironment=A=1\n"
    ),
    "/usr/lib/systemd/system/a.socket": "[Socket]\nListenStream=22\nAccept=yes\n",
    "/usr/lib/systemd/system-preset/a.preset": "enable a.*\ndisable *\n",
    "/usr/lib/os-release": 'ID=debian\nIMAGE_ID="node"\n',
    "/usr/lib/modules/6.12/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
    "/usr/lib/modules/6.12/config": "CONFIG_A=y\n# CONFIG_B is not set\n",
    "/var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n",
    "/var/lib/dpkg/info/a.list": "/usr\n/usr/bin/a\n",
    "/root/key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n",
}


@dataclass(frozen=True)
class Base:
    """A whole image, and the places in it where a change hurts: their name, first byte and end."""

    name: str
    image: bytes
    places: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Mutant:
    """An image after a few changes, and what they are."""

    image: bytearray
    changes: tuple[str, ...]


def bases() -> tuple[Base, ...]:
    """A disk for each root file system, all with one UKI and initrd."""
    uki = _uki()
    volume = bytearray(_vector("fat12.img"))
    replace_file(volume, UKI_PATH, uki)
    return tuple(_base(name, gpt_disk(((_ESP, bytes(volume)), (_ROOT, _vector(name))))) for name in ROOTS)


def disk_base(path: Path) -> Base:
    """Any disk as a base."""
    return _base(path.name, path.read_bytes())


def mutated(base: Base, chance: random.Random) -> Mutant:
    """A mutant of a base; the same for the same chance."""
    image = bytearray(base.image)
    changes = [_change(image, *chance.choice(base.places), chance) for _ in range(chance.choice((1, 1, 2, 3, 8)))]
    if chance.random() < 0.7:
        changes.append("checksums made right")
        _repair(image, base)
    if chance.random() < 0.03:
        size = chance.randrange(len(image))
        del image[size:]
        changes.append(f"cut after {size} bytes")
    return Mutant(image, tuple(changes))


def _change(image: bytearray, name: str, start: int, end: int, chance: random.Random) -> str:
    """One change in a place; most of it where there is something besides zeros."""
    at = chance.randrange(start, end)
    for _ in range(8):
        if any(image[at & ~63 : (at & ~63) + 64]):
            break
        at = chance.randrange(start, end)
    kind = chance.choice(("bit", "byte", "number", "number", "digits", "zeros", "copy", "noise"))
    width = chance.choice((2, 4, 4, 8))
    if kind == "bit":
        image[at] ^= 1 << chance.randrange(8)
    elif kind == "byte":
        image[at] = chance.randrange(256)
    elif kind == "number":
        at &= -width
        old = int.from_bytes(image[at : at + width], "little")
        new = chance.choice((*_NUMBERS, old + 1, old - 1, old * 2, len(image), len(image) // 512))
        image[at : at + width] = (new % (1 << width * 8)).to_bytes(width, "little")
    elif kind == "digits":  # as the headers of cpio and the numbers of configuration are spelled
        image[at : at + 8] = b"%08x" % (chance.choice(_NUMBERS) & 0xFFFFFFFF)
    else:
        length = min(chance.choice((4, 16, 64, 512, 4096)), end - at)
        source = chance.randrange(start, end - length + 1)
        pieces = {"zeros": bytes(length), "copy": bytes(image[source : source + length])}
        image[at : at + length] = pieces.get(kind) or chance.randbytes(length)
    del image[len(image) :]
    return f"{kind} at {at:#x} ({name})"


def _repair(image: bytearray, base: Base) -> None:
    """Make the checksums right that would keep a change from being read: of the partition table and of EROFS."""
    for lba in (1, len(image) // _SECTOR - 1):
        at = lba * _SECTOR
        fields = list(_HEADER.unpack_from(image, at))
        entries, count, size = fields[10] * _SECTOR, fields[11], fields[12]
        if count * size <= len(image) and entries <= len(image):
            struct.pack_into("<I", image, at + 88, zlib.crc32(image[entries : entries + count * size]))
        image[at + 16 : at + 20] = bytes(4)
        struct.pack_into("<I", image, at + 16, zlib.crc32(image[at : at + min(max(fields[2], 92), _SECTOR)]))
    root = next(start for name, start, _ in base.places if name == "root's beginning")
    if image[root + 1024 : root + 1028] == _EROFS_MAGIC and 9 <= image[root + 1036] <= 16:
        size = 1 << image[root + 1036]
        end = root + (size if size > 1024 else 1024 + size)
        image[root + 1028 : root + 1032] = bytes(4)
        struct.pack_into("<I", image, root + 1028, crc32c(image[root + 1024 : end]))


def _base(name: str, image: bytes) -> Base:
    layout = read_layout(BinaryView.of(image, name))
    (esp,), (root, *_) = layout.of_type("esp"), layout.of_type("root-x86-64")
    volume = image[esp.offset : esp.offset + esp.size]
    uki, archive = esp.offset + volume.find(b"MZ"), esp.offset + max(volume.find(b"070701"), 0)
    root_end = root.offset + root.size
    return Base(
        name,
        image,
        (
            ("partition table", 0, 6 * _SECTOR),
            ("partition table's backup", len(image) - 2 * _SECTOR, len(image)),
            ("FAT", esp.offset, esp.offset + 0x4000),
            ("PE headers", uki, uki + 0x400),
            ("PE", uki, archive),
            ("initrd", archive, min(archive + 0x6000, esp.offset + esp.size)),
            ("initrd", archive, min(archive + 0x6000, esp.offset + esp.size)),
            ("root's beginning", root.offset, root.offset + 0x2000),
            ("root's beginning", root.offset, root.offset + 0x2000),
            ("root's end", root_end - 0x3000, root_end),
            ("root", root.offset, root_end),
            ("root", root.offset, root_end),
        ),
    )


def _uki() -> bytes:
    package = note(b"FDO", 0xCAFE1A7E, b'{"type":"deb","name":"a"}')
    libraries = note(b"FDO", 0x407C0C0A, b'[{"soname":["liba.so.1"],"priority":"required"}]')
    programs = {
        "/init": File(elf(notes=package), mode=0o755),
        "/usr/bin/a": File(elf(notes=libraries, runpath="$ORIGIN"), mode=0o4755),
        "/usr/bin/b": File(b"#!/usr/bin/env sh\n", mode=0o755),
    }
    files = {path: File(text.encode()) for path, text in _INITRD.items()}
    return Recipe(initrd={**programs, **files}, arguments=("quiet", 'a="b c"', "systemd.unit=rescue.target")).uki()


def gpt_disk(partitions: Sequence[tuple[str, bytes]], *, flags: int = 0) -> bytes:
    """A GPT with partitions of these types and contents (UEFI 2.10, 5.3), all with the same attributes."""
    parts, at, entries = bytearray(), _FIRST, b""
    for number, (kind, unpadded) in enumerate(partitions, start=1):
        content = unpadded + bytes(-len(unpadded) % _SECTOR)
        last = at + len(content) // _SECTOR - 1
        unique = uuid.UUID(int=number).bytes_le
        entries += struct.pack("<16s16sQQQ72s", uuid.UUID(kind).bytes_le, unique, at, last, flags, b"p\0")
        parts += content
        at = last + 1
    entries = entries.ljust(_ENTRIES * 128, b"\0")
    end = at + _TAIL
    mbr = bytearray(_SECTOR)
    struct.pack_into("<B3sB3sII", mbr, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, end - 1)
    mbr[510:] = b"\x55\xaa"
    first, backup = (
        _gpt_header(own, other, table, at - 1, entries) for own, other, table in ((1, end - 1, 2), (end - 1, 1, at))
    )
    head = (bytes(mbr) + first + entries).ljust(_FIRST * _SECTOR, b"\0")
    return head + bytes(parts) + entries + backup


def _gpt_header(own: int, other: int, table: int, last: int, entries: bytes) -> bytes:
    fields = (own, other, 34, last, uuid.UUID(int=9).bytes_le, table, _ENTRIES, 128, zlib.crc32(entries))
    blank = _HEADER.pack(b"EFI PART", 0x10000, 92, 0, 0, *fields)
    return _HEADER.pack(b"EFI PART", 0x10000, 92, zlib.crc32(blank), 0, *fields).ljust(_SECTOR, b"\0")


def _vector(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((VECTORS / f"{name}.zst").read_bytes())
