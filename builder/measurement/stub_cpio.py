"""The cpio archives that systemd-stub makes of files beside and sections inside a UKI (systemd ``src/boot/cpio.c``).

Format "newc" of the Linux kernel ("initramfs buffer format"), written byte for byte as the stub writes it: inodes count
from 1, all owners and times are zero. The bytes are measured, and they are part of the initrd that the kernel measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.measurement.configuration import EspFile

_MAGIC = b"070701"
_REGULAR_FILE = 0o100000
_DIRECTORY = 0o040000
_LEADING_DIRECTORY_MODE = 0o555
# A literal in cpio.c: inode 0, one link, a name of eleven bytes written with a capital B.
_TRAILER = _MAGIC + b"0" * 32 + b"00000001" + b"0" * 48 + b"0000000B" + b"0" * 8 + b"TRAILER!!!" + bytes(4)


@dataclass(frozen=True, slots=True)
class Target:
    """Where in the initrd an archive puts its files, and with which permissions."""

    directory: str
    directory_mode: int
    file_mode: int


META = Target(".extra", 0o555, 0o444)
CREDENTIALS = Target(".extra/credentials", 0o500, 0o400)
GLOBAL_CREDENTIALS = Target(".extra/global_credentials", 0o500, 0o400)
SYSEXT = Target(".extra/sysext", 0o555, 0o444)
GLOBAL_SYSEXT = Target(".extra/global_sysext", 0o555, 0o444)
CONFEXT = Target(".extra/confext", 0o555, 0o444)
GLOBAL_CONFEXT = Target(".extra/global_confext", 0o555, 0o444)


def archive(target: Target, files: Sequence[EspFile]) -> bytes:
    """The archive of ``files``, sorted by name as the stub sorts them. There must be at least one."""
    if not files:
        raise ValueError("the stub makes no archive of no files")
    parents = target.directory.split("/")
    records = []
    for depth in range(1, len(parents) + 1):
        mode = target.directory_mode if depth == len(parents) else _LEADING_DIRECTORY_MODE
        records.append(_record(depth, _DIRECTORY | mode, "/".join(parents[:depth]), b""))
    for inode, file in enumerate(sorted(files, key=lambda file: file.name), start=len(parents) + 1):
        mode = _REGULAR_FILE | target.file_mode
        records.append(_record(inode, mode, f"{target.directory}/{file.name}", file.content))
    return b"".join(records) + _TRAILER


def _record(inode: int, mode: int, name: str, content: bytes | memoryview) -> bytes:
    encoded = name.encode("ascii") + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = _MAGIC + b"".join(b"%08x" % field for field in fields) + encoded
    return header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4)
