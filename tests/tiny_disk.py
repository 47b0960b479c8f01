"""A small bootable disk for tests: a GPT with one EFI System Partition, made with the toolchain's own programs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.mkosi.toolchain import Toolchain

DISK_BYTES = 64 << 20
PARTITION_OFFSET = 1 << 20
# FAT16: OVMF refuses a FAT32 volume that is too small for one. 64 KiB stay for the backup GPT.
PARTITION_KIB = (DISK_BYTES - PARTITION_OFFSET - (64 << 10)) >> 10
# Fixed identifiers: the firmware measures the partition table (PCR 5).
PARTITION_TABLE = b"""label: gpt
label-id: 6f1c4b5e-0f8e-4f0a-9a55-6a3c0f7d2b10
start=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=b6c1c5d2-52b8-4c5e-8d36-0c1c4d1e9a77
"""
TOOL_SECONDS = 60.0


def write_tiny_disk(toolchain: Toolchain, target: Path, files: Mapping[str, bytes]) -> None:
    """Write to ``target`` a disk whose ESP holds ``files`` (path with slashes -> content)."""
    with target.open("wb") as file:
        file.truncate(DISK_BYTES)
    folder = target.parent

    def tool(*argv: str, stdin: bytes | None = None) -> None:
        run(toolchain.command(argv, writable=[folder]), timeout=TOOL_SECONDS, stdin=stdin)

    tool("sfdisk", "--quiet", str(target), stdin=PARTITION_TABLE)
    offset_sectors = PARTITION_OFFSET // 512
    tool("mkfs.vfat", "-F16", "--offset", str(offset_sectors), str(target), str(PARTITION_KIB))
    with tempfile.TemporaryDirectory(dir=folder) as name:
        esp = Path(name)
        for path, content in files.items():
            place = esp / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        tool("mcopy", "-s", "-i", f"{target}@@{PARTITION_OFFSET}", *map(str, sorted(esp.iterdir())), "::")


def read_esp_folder(folder: Path) -> dict[str, bytes]:
    """The files below ``folder`` in the shape that ``write_tiny_disk`` takes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
