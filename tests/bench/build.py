"""What `bedplate build` adds to the time of mkosi: python -m tests.bench.build [ROUNDS]."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from builder.definition.load import load
from builder.definition.lock import Part
from builder.definition.render import file_stem, render
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.build import Workspace, mkosi_command, mkosi_environment
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from tests.bench.timing import BEDPLATE, Timing, machine, median, table, timed
from tests.supplies import IMAGE, shipped_supply

LIMIT = 1.10


def main(rounds: int) -> int:
    """Print the table; 0 if the ratio of the medians keeps the limit."""
    cache = find_cache(os.environ)
    with tempfile.TemporaryDirectory(dir=cache.directory, prefix="bench-") as name:
        folder = Path(name)
        by_bedplate(folder)  # fills the vault, and is not counted
        rows: dict[str, list[Timing]] = {"mkosi by hand": [], "`bedplate build --force`": []}
        for number in range(rounds):
            rows["mkosi by hand"].append(by_hand(folder / f"hand-{number}"))
            rows["`bedplate build --force`"].append(by_bedplate(folder))
        ratio = median(rows["`bedplate build --force`"]) / median(rows["mkosi by hand"])
        print(f"{machine()}\n\n{table(rows)}\n\nratio {ratio:.3f}, limit {LIMIT}")
    return 0 if ratio <= LIMIT else 1


def by_hand(folder: Path) -> Timing:
    """mkosi alone, on the tree that `bedplate build` would render."""
    cache = find_cache(os.environ)
    loaded = load(IMAGE)
    supply = shipped_supply()
    toolchain = ensure_toolchain(cache, None, Silent(), supply=supply)
    workspace = Workspace(
        folder / "tree", folder / "output", folder / "scratch", folder / "packages", folder / "archive"
    )
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages):
        directory.mkdir(parents=True)
    supply.write_archive(folder / "archive", Part.ROOT, Part.INITRD, date=loaded.definition.source_date)
    render(loaded, None).write(workspace.tree)
    timing = timed(
        mkosi_command(toolchain, workspace, "--force", "build"),
        environment=mkosi_environment(toolchain),
        cwd=workspace.tree,
    )
    if not (workspace.output / f"{file_stem(loaded.definition)}.raw").is_file():
        raise FileNotFoundError("mkosi left no disk image")
    return timing


def by_bedplate(folder: Path) -> Timing:
    """The whole verb, from the definition to the unsigned build with its record."""
    return timed([BEDPLATE, "build", str(IMAGE), "-o", str(folder / "dist"), "--force", "--progress", "quiet"])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
