"""How long `bedplate check` takes on images that nobody here wrote: python -m tests.bench.check [NAME ...].

The disks are those of tests/foreign_images.py, as plain mkosi makes them: ext4 roots, systemd-boot or GRUB, initrds. Of
their roots the largest is also packed as EROFS and squashfs, each in several compressions.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder.definition.mirror import find_mirror
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.partitions import read_layout
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import find_cache
from builder.process import run
from builder.progress import Silent
from tests.bench.timing import BEDPLATE, Timing, machine, table, timed
from tests.foreign_images import NAMES, foreign_images
from tests.supplies import shipped_supply

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

RUNS = 3
LIMIT_SECONDS = 2.0
TOOL_SECONDS = 900.0
LARGEST = "cloud"
PACKED = {
    "EROFS": ("mkfs.erofs", "{image}", "{tree}"),
    "EROFS, LZ4": ("mkfs.erofs", "-zlz4hc", "{image}", "{tree}"),
    "EROFS, zstd": ("mkfs.erofs", "-zzstd", "{image}", "{tree}"),
    "squashfs, gzip": ("mksquashfs", "{tree}", "{image}", "-quiet", "-no-progress"),
    "squashfs, zstd": ("mksquashfs", "{tree}", "{image}", "-quiet", "-no-progress", "-comp", "zstd"),
}


def unpack(disk: Path, tree: Path) -> None:
    """Write the root of a disk below ``tree``, without device nodes."""
    with disk.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = BinaryView.of(memoryview(mapped), "disk")
        root = open_file_system(read_layout(view).of_type("root-x86-64")[0].view(view))
        for entry in root.entries():
            path = tree / entry.path
            if stat.S_ISDIR(entry.mode):
                path.mkdir(parents=True, exist_ok=True)
            elif entry.target is not None:
                path.symlink_to(entry.target)
                continue
            elif entry.is_file:
                path.write_bytes(entry.content())
            else:
                continue
            path.chmod(stat.S_IMODE(entry.mode))
        del view, root, entry


def pack(toolchain: Toolchain, kind: str, tree: Path, image: Path) -> Path:
    """An image of one file system of the tree."""
    argv = [part.format(image=image, tree=tree) for part in PACKED[kind]]
    run(toolchain.command(argv, writable=[image.parent]), timeout=TOOL_SECONDS)
    return image


def check(image: Path) -> Timing:
    """One run, whose answer must be no."""
    return timed(["sh", "-c", '"$@" > /dev/null; test $? = 1', "sh", BEDPLATE, "check", str(image)])


def main() -> int:
    """Time all, or those that are named, and say whether the limit is kept."""
    toolchain = ensure_toolchain(
        find_cache(os.environ), find_mirror(None, os.environ, None), Silent(), supply=shipped_supply()
    )
    disks = foreign_images(toolchain)
    images = {f"disk {name}, ext4": disks / f"{name}.raw" for name in NAMES}
    wanted = sys.argv[1:] or [*images, *PACKED]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        packed = [kind for kind in PACKED if kind in wanted]
        if packed:
            unpack(disks / f"{LARGEST}.raw", directory / "tree")
        images |= {
            kind: pack(toolchain, kind, directory / "tree", directory / f"{number}.img")
            for number, kind in enumerate(packed)
        }
        rows = {
            f"{kind}, {images[kind].stat().st_size / 1e6:.0f} MB": [check(images[kind]) for _ in range(RUNS)]
            for kind in wanted
        }
    print(machine(), "\n")
    print(table(rows))
    # The processor's time bounds the wall clock of a quiet machine.
    slow = [kind for kind, timings in rows.items() if min(timing.processor for timing in timings) > LIMIT_SECONDS]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
