"""How fast weights are packed, beside veritysetup on the same bytes: python -m tests.bench.weights [GB]."""

from __future__ import annotations

import os
import random
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from builder.definition.mirror import find_mirror
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.weights.disk import DiskLayout
from builder.weights.hash_tree import BLOCK
from builder.weights.identity import read_identity
from tests.bench.timing import BEDPLATE, Timing, machine, median, table, timed

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

RUNS = 3
GB = 1 << 30
SPARSE_GB = 8
DENSE_BYTES = 1 * GB
SPEED_LIMIT = 0.7
MEMORY_LIMIT_BYTES = 200_000_000


def sparse(path: Path, size: int) -> Path:
    """A file of ``size`` bytes that has data of one MiB at five places, and holes."""
    noise = random.Random(1)  # noqa: S311 -- content that does not compress, the same each time
    with path.open("wb") as file:
        file.truncate(size)
        for place in range(5):
            file.seek(place * size // 5)
            file.write(noise.randbytes(1 << 20))
    return path


def dense(path: Path, size: int) -> Path:
    """A file of ``size`` random bytes."""
    noise = random.Random(2)  # noqa: S311
    with path.open("wb") as file:
        for _ in range(size >> 24):
            file.write(noise.randbytes(1 << 24))
    return path


def pack(model: Path, output: Path) -> Timing:
    """One run of the whole process into a directory that is emptied before."""
    for old in output.glob("*"):
        old.unlink()
    return timed([BEDPLATE, "weights", "pack", str(model), "--name", "model", "--licence", "none", "-o", str(output)])


def data_partition(packed: Path) -> tuple[Path, str, str]:
    """The file system out of a packed disk, holes as holes, and its salt and root hash."""
    identity = read_identity(packed / "model.weights.json")
    layout = DiskLayout.of(identity.verity.data_blocks)
    image = packed / "data.img"
    skip, count = layout.data_offset // BLOCK, identity.verity.data_blocks
    # Blocks of 4 KiB, so that dd leaves a hole for each that is zero.
    argv = ["dd", f"if={packed}/model.weights.raw", f"of={image}", f"bs={BLOCK}", f"skip={skip}", f"count={count}"]
    subprocess.run([*argv, "conv=sparse"], check=True, capture_output=True)
    os.truncate(image, layout.data_size)
    return image, identity.verity.salt, identity.verity.root_hash


def veritysetup(toolchain: Toolchain, packed: Path) -> tuple[list[Timing], bool]:
    """The runs of ``veritysetup format`` on the file system, and whether it comes to the same root hash."""
    image, salt, root_hash = data_partition(packed)
    argv = ("veritysetup", "format", f"--salt={salt}", str(image), str(packed / "tree.img"))
    command = toolchain.command(argv, writable=[packed])
    timings = [timed(command) for _ in range(RUNS)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Root hash:\s+([0-9a-f]{64})", shown)
    return timings, found is not None and found[1] == root_hash


def main() -> int:
    """Time both on a sparse and a dense model, and say whether the limits are kept.

    The limit of speed holds for the sparse one: of the dense one, pack writes all data, and veritysetup only the tree.
    """
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SPARSE_GB
    toolchain = ensure_toolchain(find_cache(os.environ), find_mirror(None, os.environ, None), Silent())
    rows, kept = {}, True
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for label, model in (
            (f"sparse, {size} GiB", sparse(directory / "sparse.bin", size * GB)),
            ("dense, 1 GiB", dense(directory / "dense.bin", DENSE_BYTES)),
        ):
            packed = directory / model.stem
            packed.mkdir()
            ours = [pack(model, packed) for _ in range(RUNS)]
            theirs, same = veritysetup(toolchain, packed)
            rows |= {f"weights pack, {label}": ours, f"veritysetup format, {label}": theirs}
            speed = median(theirs) / median(ours)
            print(f"{label}: {speed:.2f} times the speed of veritysetup, root hash {'equal' if same else 'DIFFERENT'}")
            kept = kept and same and (speed >= SPEED_LIMIT or not label.startswith("sparse"))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"largest process: {memory / 1e6:.0f} MB\n\n{machine()}\n\n{table(rows)}")
    return 0 if kept and memory <= MEMORY_LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
