"""How long builds take beside stock mkosi that makes the same image: python -m tests.bench.build [ROUNDS].

mkosi gets the rendered tree without bedplate's layers: root and initrd each install their packages, in one run, on the
disk, from a local archive. It must come to the same disk image, bit by bit, or there is nothing to compare. In each
round it runs first, then bedplate from a cold start and after changes, each as a whole process. The toolchain tree is
there in both cases.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from builder.definition.load import load
from builder.definition.lock import ENGINE_PART, LOCK_FILE, Part, encode_lock, read_lock
from builder.definition.mirror import find_mirror
from builder.definition.render import ENGINE_TREE, RenderedFile, RenderedTree, file_stem, render
from builder.files import sha256_file
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.build import Workspace, mkosi_command, mkosi_environment
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from tests.bench.timing import BEDPLATE, Timing, machine, median, processor_median, table, timed
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.mkosi.toolchain import Toolchain
    from builder.vault.supply import Supply

STOCK: Final = "stock mkosi"
# By what is compared: the most that it may take, in times of stock mkosi.
LIMITS: Final = {
    "cold: nothing but the toolchain": 0.6,
    "warm vault, no layers": 0.5,
    "one file of the image changed": 0.2,
    "one package more": 0.5,
    "command line changed": 0.1,
    "policy changed": 0.1,
    "nothing changed": 0.1,
}
COLD, WARM, FILE, PACKAGE, COMMAND_LINE, POLICY, NOTHING = LIMITS
# It is in the lock for the toolchain, and the root has all that it depends on.
ADDED: Final = "openssl"


@dataclass(frozen=True)
class Bench:
    """A folder for everything, on the disk that the cache is on, and what is built."""

    folder: Path
    toolchain: Toolchain
    supply: Supply

    @property
    def image(self) -> Path:
        return self.folder / "images/inference-node"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def disk(self) -> Path:
        (found,) = (self.folder / "dist").glob("*/*.unsigned/*.raw")
        return found

    def reset(self) -> None:
        """The definition as it is shipped, no build, and a cache that has nothing but the toolchain."""
        for directory in (self.image.parent, self.cache, self.folder / "dist"):
            shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(IMAGE.parent, self.image.parent, symlinks=True)
        self.cache.mkdir()
        (self.cache / "toolchain").symlink_to(find_cache(os.environ).toolchains)
        if find_mirror(None, os.environ, None) is None:
            self.share_vault()

    def share_vault(self) -> None:
        """Give the cache the packages that an earlier build fetched."""
        shutil.rmtree(self.cache / "vault", ignore_errors=True)
        (self.cache / "vault").symlink_to(find_cache(os.environ).directory / "vault")

    def build(self) -> Timing:
        os.sync()
        command = [BEDPLATE, "build", str(self.image), "-o", str(self.folder / "dist"), "--progress", "quiet"]
        return timed(command, environment={"BEDPLATE_CACHE": str(self.cache)})

    def stock(self) -> tuple[Timing, str]:
        """mkosi by hand; what it took, and the digest of the disk."""
        place = self.folder / "stock"
        shutil.rmtree(place, ignore_errors=True)
        workspace = Workspace(*(place / name for name in ("tree", "output", "scratch", "packages", "archive")))
        for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages):
            directory.mkdir(parents=True)
        loaded = load(IMAGE)
        date = loaded.definition.source_date
        self.supply.write_archive(place / "archive", Part.ROOT, Part.INITRD, date=date)
        without_layers(render(loaded, None)).write(workspace.tree)
        runs = [workspace]
        if (workspace.tree / ENGINE_TREE).is_dir():
            # The engine is an image of its own, which the disk takes in.
            names = (place / name for name in ("engine-scratch", "engine-packages", "engine-archive"))
            engine = Workspace(workspace.tree / ENGINE_TREE, workspace.output, *names)
            for directory in (engine.scratch, engine.packages):
                directory.mkdir()
            self.supply.write_archive(place / "engine-archive", ENGINE_PART, date=date)
            runs.insert(0, engine)
        os.sync()
        timings = [
            timed(
                mkosi_command(self.toolchain, run, "--force", "build"),
                environment=mkosi_environment(self.toolchain),
                cwd=run.tree,
            )
            for run in runs
        ]
        timing = Timing(sum(one.wall for one in timings), sum(one.processor for one in timings))
        digest = sha256_file(workspace.output / f"{file_stem(loaded.definition)}.raw")
        shutil.rmtree(place)
        return timing, digest


def without_layers(tree: RenderedTree) -> RenderedTree:
    """The rendered tree as somebody would write it who does not share an installation."""
    texts = {
        str(path): entry.content.decode()
        for path, entry in tree.entries.items()
        if path.name == "mkosi.conf" and isinstance(entry, RenderedFile)
    }
    base, packages = (asked(texts.pop(f"mkosi.images/{name}/mkosi.conf")) for name in ("base", "packages"))
    changes = {
        "mkosi.conf": (
            ("BaseTrees=%O/packages.tar\n", f"Packages={','.join((*base, *packages))}\nWithDocs=no\n"),
            ("    initrd\n    packages\n", "    initrd\n"),
        ),
        "mkosi.images/initrd/mkosi.conf": (
            ("BaseTrees=%O/base.tar\n", f"Packages={','.join(base)}\nWithDocs=no\n"),
            ("Dependencies=base\n", ""),
        ),
    }
    entries = {path: entry for path, entry in tree.entries.items() if path.parts[:2] not in _SHARED}
    for name, replacements in changes.items():
        text = texts[name]
        for old, new in replacements:
            if old not in text:
                raise ValueError(f"{name} has no line {old!r}")
            text = text.replace(old, new)
        entries[PurePosixPath(name)] = RenderedFile(text.encode(), executable=False)
    return RenderedTree(dict(sorted(entries.items())))


_SHARED: Final = {("mkosi.images", "base"), ("mkosi.images", "packages")}


def asked(config: str) -> list[str]:
    """The values of Packages= in a mkosi.conf."""
    _, _, rest = config.partition("\nPackages=\n")
    names = []
    for line in rest.splitlines():
        if not line.startswith((" ", "#")):
            break
        if not line.strip().startswith("#"):
            names.append(line.strip())
    return names


def change_file(bench: Bench) -> None:
    unit = bench.image / "files/usr/lib/systemd/network/20-dhcp.network"
    unit.write_text(unit.read_text() + "# changed\n")


def extend(bench: Bench, text: str) -> None:
    with (bench.image / "image.yaml").open("a") as file:
        file.write(text)


def change_policy(bench: Bench) -> None:
    """Ask for a pack more. Raises ValueError if the definition has no list of packs to add to."""
    definition = bench.image / "image.yaml"
    text = definition.read_text()
    changed = text.replace("packs: [inference-node.yaml]", "packs: [inference-node.yaml, hardened-kernel]")
    if changed == text:
        raise ValueError(f"{definition} does not name its pack as it did")
    definition.write_text(changed)


def add_package(bench: Bench) -> None:
    """Ask for a package more, and move it into the root's part of the lock."""
    extend(bench, f"packages: [{ADDED}]\n")
    path = bench.image / LOCK_FILE
    lock = read_lock(path)
    rows = tuple(
        msgspec.structs.replace(row, parts=tuple(sorted({*row.parts, Part.ROOT}))) if row.name == ADDED else row
        for row in lock.packages
    )
    wanted = lock.requested | {
        Part.ROOT: (*lock.requested[Part.ROOT][:2], *sorted({*lock.requested[Part.ROOT][2:], ADDED}))
    }
    path.write_bytes(encode_lock(msgspec.structs.replace(lock, packages=rows, requested=wanted)))


def one_round(bench: Bench, rows: dict[str, list[Timing]]) -> None:
    """Every row once. Raises ValueError if mkosi makes another image."""
    timing, digest = bench.stock()
    rows[STOCK].append(timing)
    bench.reset()
    rows[COLD].append(bench.build())
    if sha256_file(bench.disk()) != digest:
        raise ValueError("stock mkosi and bedplate made different images, so there is nothing to compare")
    shutil.rmtree(bench.cache / "layers")
    shutil.rmtree(bench.folder / "dist")
    bench.share_vault()
    rows[WARM].append(bench.build())
    changes: dict[str, Callable[[Bench], None]] = {
        NOTHING: lambda _: None,
        FILE: change_file,
        COMMAND_LINE: lambda bench: extend(bench, "kernel: {command_line: [nosmt]}\n"),
        POLICY: change_policy,
        PACKAGE: add_package,
    }
    for name, change in changes.items():
        change(bench)
        rows[name].append(bench.build())


def main(rounds: int) -> int:
    """Print the table; 0 if every ratio of medians keeps its limit, by the clock."""
    cache = find_cache(os.environ)
    supply = shipped_supply()
    toolchain = ensure_toolchain(cache, None, Silent(), supply=supply)
    rows: dict[str, list[Timing]] = {name: [] for name in (STOCK, *LIMITS)}
    with tempfile.TemporaryDirectory(dir=cache.directory, prefix="bench-") as name:
        bench = Bench(Path(name), toolchain, supply)
        print(machine(), flush=True)
        for _ in range(rounds):
            one_round(bench, rows)
    print(f"{machine()}\n\n{table(rows)}\n")
    print("| | ratio by the clock | by the processor | limit |\n|---|---:|---:|---:|")
    kept = True
    for name, limit in LIMITS.items():
        wall = median(rows[name]) / median(rows[STOCK])
        processor = processor_median(rows[name]) / processor_median(rows[STOCK])
        kept = kept and wall <= limit
        print(f"| {name} | {wall:.3f} | {processor:.3f} | {limit} |")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
