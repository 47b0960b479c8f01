"""How long a diff takes, from manifests and from raw images of 500 MB, and diffoscope beside it, and its memory.

    python -m tests.bench.diff

diffoscope (of the environment, as the extra "dev" installs it) gets the same two raw images, once.
"""

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
from tests.bench.timing import BEDPLATE, machine, median, peak_memory, table, timed
from tests.made_releases import File, Recipe

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

RUNS = 5
FILES = 20_000
MANY_FILES = 200_000
MEMORY_LIMIT_BYTES = 1 << 30
DIFFOSCOPE = str(Path(sys.executable).parent / "diffoscope")
DIFFOSCOPE_SECONDS = 1800
ROOT_BYTES = 440 << 20
INITRD_BYTES = 30 << 20
ESP_MIB = 64
MANIFESTS_LIMIT_SECONDS = 0.5
IMAGES_LIMIT_SECONDS = 5.0
TOOL_SECONDS = 600.0
ESP, ROOT = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"


def manifests(directory: Path, count: int, changed: int) -> tuple[Path, Path]:
    """Two releases without images, of ``count`` files; the first ``changed`` differ, and the packages that own them."""
    files = {
        f"/usr/lib/package{number // 50:04}/file-{number:05}": File(b"%d" % number, f"package{number // 50:04}")
        for number in range(count)
    }
    packages = {("root", f"package{number:04}"): "1.0-1" for number in range(count // 50)}
    others = {path: File(b"new", file.package) for path, file in list(files.items())[:changed]}
    newer = {("root", file.package or ""): "1.0-2" for file in others.values()}
    old = Recipe(root=files, packages=packages)
    new = Recipe(root=files | others, packages=packages | newer)
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


def differing(*command: str | Path) -> list[str]:
    """The command, which must say with exit code 1 that it found a difference."""
    return ["sh", "-c", '"$@" > /dev/null; test $? = 1', "sh", *map(str, command)]


def main() -> int:
    """Time all, and say whether the limits are kept."""
    cache = find_cache(os.environ)
    toolchain = ensure_toolchain(cache, find_mirror(None, os.environ, None), Silent())
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        releases = manifests(directory / "some", FILES, 10)
        many = manifests(directory / "many", MANY_FILES, MANY_FILES // 10)
        disks = [image(toolchain, directory, side, side.encode()) for side in ("old", "new")]
        limit = f"--timeout={DIFFOSCOPE_SECONDS}"
        rows = {
            "manifests and inventories": [
                timed(differing(BEDPLATE, "diff", "--manifests", *releases)) for _ in range(RUNS)
            ],
            "raw images": [timed(differing(BEDPLATE, "diff", *disks)) for _ in range(RUNS)],
            "raw images, diffoscope": [timed(differing(DIFFOSCOPE, limit, "--text", "-", *disks))],
            "manifests of 200 000 files": [timed(differing(BEDPLATE, "diff", "--manifests", *many))],
        }
        memory = peak_memory(differing(BEDPLATE, "diff", "--manifests", *many))
    print(machine(), "\n")
    print(table(rows))
    print(f"\n200 000 files per side: {memory / 1e6:.0f} MB of memory")
    quick = median(rows["manifests and inventories"]) <= MANIFESTS_LIMIT_SECONDS
    is_fine = quick and median(rows["raw images"]) <= IMAGES_LIMIT_SECONDS and memory <= MEMORY_LIMIT_BYTES
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
