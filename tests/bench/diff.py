"""How long a diff takes, from manifests and from raw images of 500 MB: python -m tests.bench.diff."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder.definition.mirror import find_mirror
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import find_cache
from builder.process import run
from builder.progress import Silent
from tests.bench.timing import BEDPLATE, Timing, machine, median, table, timed
from tests.made_releases import File, Recipe

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

RUNS = 5
FILES = 20_000
ROOT_BYTES = 440 << 20
INITRD_BYTES = 30 << 20
ESP_MIB = 64
MANIFESTS_LIMIT_SECONDS = 0.5
IMAGES_LIMIT_SECONDS = 5.0
TOOL_SECONDS = 600.0
ESP, ROOT = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"


def manifests(directory: Path) -> tuple[Path, Path]:
    """Two releases without images, of 20 000 files; ten of one package differ."""
    files = {
        f"/usr/lib/package{number // 50:04}/file-{number:05}": File(b"%d" % number, f"package{number // 50:04}")
        for number in range(FILES)
    }
    packages = {("root", f"package{number:04}"): "1.0-1" for number in range(FILES // 50)}
    old = Recipe(root=files, packages=packages)
    new = old.with_package("package0007", "1.0-2")
    for number in range(350, 360):
        new = new.with_file(f"/usr/lib/package0007/file-{number:05}", content=b"new")
    return old.write(directory / "old"), new.write(directory / "new")


def image(toolchain: Toolchain, directory: Path, name: str, changed: bytes) -> Path:
    """A disk of 500 MB: a UKI with an initrd of 30 MB, and an EROFS root of 440 MB in 20 000 files."""
    noise = random.Random(1)  # noqa: S311 -- content that does not compress, the same each time
    tree = directory / f"{name}-tree"
    for number in range(FILES):
        folder = tree / f"usr/lib/package{number // 200:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number:05}").write_bytes(noise.randbytes(ROOT_BYTES // FILES))
    (tree / "etc").mkdir()
    (tree / "etc/hostname").write_bytes(changed)
    recipe = Recipe(initrd={"/init": File(noise.randbytes(INITRD_BYTES), mode=0o755)}, arguments=(name,))
    (directory / f"{name}.efi").write_bytes(recipe.uki())
    root, disk = directory / f"{name}.erofs", directory / f"{name}.raw"

    def tool(*argv: str, stdin: bytes | None = None) -> None:
        run(toolchain.command(argv, writable=[directory]), timeout=TOOL_SECONDS, stdin=stdin)

    tool("mkfs.erofs", "-T1", "-U00000000-0000-0000-0000-000000000001", str(root), str(tree))
    sectors, start = root.stat().st_size // 512, (ESP_MIB + 1) * 2048
    with disk.open("wb") as file:
        file.truncate(((start + sectors) * 512 + (2 << 20)) & -512)
    script = f"label: gpt\nstart=2048, size={ESP_MIB}MiB, type={ESP}\nstart={start}, size={sectors}, type={ROOT}\n"
    tool("sfdisk", "--quiet", str(disk), stdin=script.encode())
    tool("mkfs.vfat", "-F32", "--offset", "2048", str(disk), str(ESP_MIB * 1024))
    for made in ("EFI", "EFI/BOOT"):
        tool("mmd", "-i", f"{disk}@@1M", f"::{made}")
    tool("mcopy", "-i", f"{disk}@@1M", str(directory / f"{name}.efi"), "::EFI/BOOT/BOOTX64.EFI")
    with disk.open("r+b") as target, root.open("rb") as source:
        target.seek(start * 512)
        while piece := source.read(1 << 24):
            target.write(piece)
    root.unlink()
    return disk


def diff(*arguments: str | Path) -> Timing:
    """One run, which must find a difference."""
    command = ["sh", "-c", '"$@" > /dev/null; test $? = 1', "sh", BEDPLATE, "diff", *map(str, arguments)]
    return timed(command)


def main() -> int:
    """Time both, and say whether the limits are kept."""
    cache = find_cache(os.environ)
    toolchain = ensure_toolchain(cache, find_mirror(None, os.environ, None), Silent())
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        releases = manifests(directory)
        disks = [image(toolchain, directory, side, side.encode()) for side in ("old", "new")]
        rows = {
            "manifests and inventories": [diff("--manifests", *releases) for _ in range(RUNS)],
            "raw images": [diff(*disks) for _ in range(RUNS)],
        }
    print(machine(), "\n")
    print(table(rows))
    quick = median(rows["manifests and inventories"]) <= MANIFESTS_LIMIT_SECONDS
    return 0 if quick and median(rows["raw images"]) <= IMAGES_LIMIT_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
