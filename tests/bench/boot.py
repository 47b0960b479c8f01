"""How long a boot to `ready` takes beside stock mkosi: python -m tests.bench.boot [ROUNDS].

Three disks: the image as it is built; the same root with the initrd that mkosi makes by itself; and the disk that mkosi
makes of the same packages when it is left to itself, with that initrd and a root of which nothing was taken. The
packages of the last two come from the machine's Debian archive. They boot in turns in QEMU without KVM, Secure Boot
off, from power-on to the phase that systemd measures when everything is started.

The limit is half the time of stock mkosi. The second disk shows what of that the initrd does: firmware, kernel and root
take about half of its time.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from builder.definition.load import load
from builder.definition.mirror import find_mirror
from builder.definition.render import RenderedFile, RenderedTree, file_stem, render
from builder.files import mapped
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, read_system_partition
from builder.measurement.phases import Phase
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.build import Workspace, mkosi_command, mkosi_environment
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.vm.boot import boot
from builder.vm.observation import Outcome
from tests.bench.build import asked
from tests.bench.timing import BEDPLATE, machine, processor_seconds, timed
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.mkosi.toolchain import Toolchain

RATIO_LIMIT: Final = 0.5
UKI_LIMIT_BYTES: Final = 25 * 10**6
TIMEOUT: Final = 1200.0
OWN, DEFAULT, STOCK = "the image", "its root with mkosi's default initrd", "stock mkosi, same packages"
PROCESSOR: Final = "user + sys"
SHOWN: Final = ("image", "enter-initrd", "leave-initrd", "sysinit", "ready", PROCESSOR)


def with_default_initrd(tree: RenderedTree) -> RenderedTree:
    """The rendered tree without its initrd, so that mkosi makes its own, with the kernel modules that it chooses."""
    place = PurePosixPath("mkosi.conf")
    config = tree.entries[place]
    if not isinstance(config, RenderedFile):
        raise TypeError(f"{place} is a link")
    text, found = re.subn(
        r"^(Initrds|KernelModulesInitrd\w*)=.*\n(?:[ \t].*\n)*", "", config.content.decode(), flags=re.MULTILINE
    )
    if not found:
        raise ValueError(f"{place} names no initrd")
    text = text.replace("    initrd\n    packages\n", "    packages\n")
    entries = {path: entry for path, entry in tree.entries.items() if path.parts[:2] != ("mkosi.images", "initrd")}
    return RenderedTree(entries | {place: RenderedFile(text.encode(), executable=False)})


STOCK_CONFIG: Final = """\
[Distribution]
Distribution=debian
Release={suite}
[Output]
Output={output}
OutputDirectory=mkosi.output
Format=disk
SectorSize=512
[Content]
Packages={packages}
WithDocs=no
Bootable=yes
Bootloader=uki
UnifiedKernelImages=yes
# Without the first, a boot waits for an answer on a console that nobody has.
KernelCommandLine=systemd.firstboot=no quiet panic=30
"""
# What the disk needs to have the same partitions, from the same archive.
KEPT: Final = ("mkosi.repart", "mkosi.sandbox")


def left_to_mkosi(tree: RenderedTree, suite: str) -> RenderedTree:
    """The packages and partitions of the rendered tree, and nothing else of it."""
    packages = [
        package
        for image in ("base", "packages")
        if isinstance(config := tree.entries[PurePosixPath(f"mkosi.images/{image}/mkosi.conf")], RenderedFile)
        for package in asked(config.content.decode())
    ]
    text = STOCK_CONFIG.format(suite=suite, output=file_stem(load(IMAGE).definition), packages=",".join(packages))
    entries = {path: entry for path, entry in tree.entries.items() if path.parts[0] in KEPT}
    return RenderedTree(entries | {PurePosixPath("mkosi.conf"): RenderedFile(text.encode(), executable=False)})


def disk_of(toolchain: Toolchain, folder: Path, change: Callable[[RenderedTree], RenderedTree]) -> Path:
    """The disk that mkosi makes of the rendered tree once ``change`` has changed it, from the machine's archive."""
    mirror = find_mirror(None, os.environ, None)
    if mirror is None:
        raise LookupError(
            "mkosi's default initrd needs packages that are in no lock: name an archive in BEDPLATE_MIRROR"
        )
    workspace = Workspace(*(folder / name for name in ("tree", "output", "scratch", "packages")))
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages):
        directory.mkdir(parents=True)
    loaded = load(IMAGE)
    change(render(loaded, mirror)).write(workspace.tree)
    # The engine that `bedplate build` has just made or found; it is the same in both roots.
    engines = find_cache(os.environ).layers.glob("engine-*/engine.tar")
    if (
        engine := max(engines, key=lambda path: path.with_name("layer.json").stat().st_mtime, default=None)
    ) is not None:
        shutil.copyfile(engine, workspace.output / engine.name)
    timed(
        mkosi_command(toolchain, workspace, "--force", "build"),
        environment=mkosi_environment(toolchain),
        cwd=workspace.tree,
    )
    return workspace.output / f"{file_stem(loaded.definition)}.raw"


def own_disk(folder: Path) -> Path:
    """The disk that bedplate builds."""
    timed([BEDPLATE, "build", str(IMAGE), "-o", str(folder), "--progress", "quiet"])
    (disk,) = folder.glob("*/*.unsigned/*.raw")
    return disk


def one_boot(toolchain: Toolchain, disk: Path, folder: Path) -> Mapping[str, float]:
    """Seconds since power-on by milestone, and of the processor. Raises ValueError if it does not come to ready."""
    before = processor_seconds()
    observed = boot(toolchain, disk, secure_boot=None, until=Phase.READY, timeout=TIMEOUT, workdir=folder)
    if observed.outcome is not Outcome.REACHED:
        raise ValueError(f"{disk} did not come to ready: {observed.outcome}")
    return {**observed.milestones, PROCESSOR: processor_seconds() - before}


def uki_bytes(disk: Path) -> int:
    """The size of the UKI."""
    with mapped(disk, what="disk image") as view:
        return read_system_partition(read_disk(BinaryView.of(view, "disk image"))).uki.size


def main(rounds: int) -> int:
    """Print the tables; 0 if the ratio to stock mkosi and the size keep their limits."""
    cache = find_cache(os.environ)
    toolchain = ensure_toolchain(cache, None, Silent(), supply=shipped_supply())
    with tempfile.TemporaryDirectory(dir=cache.directory, prefix="bench-") as place:
        folder = Path(place)
        print(machine(), flush=True)
        suite = load(IMAGE).definition.distribution.suite
        disks = {
            OWN: own_disk(folder / "own"),
            DEFAULT: disk_of(toolchain, folder / "default", with_default_initrd),
            STOCK: disk_of(toolchain, folder / "stock", partial(left_to_mkosi, suite=suite)),
        }
        sizes = {name: uki_bytes(disk) for name, disk in disks.items()}
        boots: dict[str, list[Mapping[str, float]]] = {name: [] for name in disks}
        for _ in range(rounds):
            for name, disk in disks.items():
                boots[name].append(one_boot(toolchain, disk, folder))
    print(f"{machine()}\n\n| | UKI | {' | '.join(SHOWN)} |\n|---|---:|{'---:|' * len(SHOWN)}")
    for name, seconds in boots.items():
        medians = (statistics.median(one[phase] for one in seconds) for phase in SHOWN)
        print(f"| {name} | {sizes[name] / 1e6:.1f} MB | {' | '.join(f'{figure:.1f} s' for figure in medians)} |")
    print("\n| ratio to | by the clock | by the processor |\n|---|---:|---:|")
    kept = sizes[OWN] <= UKI_LIMIT_BYTES
    for name in (DEFAULT, STOCK):
        by_clock, by_processor = (
            statistics.median(one[figure] for one in boots[OWN]) / statistics.median(one[figure] for one in boots[name])
            for figure in ("ready", PROCESSOR)
        )
        print(f"| {name} | {by_clock:.3f} | {by_processor:.3f} |")
        kept = kept and (name != STOCK or by_clock <= RATIO_LIMIT)
    print(f"\nlimits: {RATIO_LIMIT} of {STOCK} by the clock, a UKI of {UKI_LIMIT_BYTES / 1e6:.0f} MB")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
