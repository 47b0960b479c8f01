"""A disk image that boots by a boot loader, as most do: all that can be compared without predicting its boot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.baseline.image import beside_uki, described, identity_of
from builder.compare.baseline import Baseline, Source, Unknown
from builder.compare.entries import entries_of
from builder.errors import InvalidInputError
from builder.facts.area import service_manager
from builder.facts.boot_volumes import Gaps, boot_volumes, root_volume
from builder.facts.kernel import kernel
from builder.facts.roots import BELOW, find_root
from builder.facts.start import Start, read_start
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.fat import open_fat
from builder.image.initrd import Initrd
from builder.image.inventory import file_system_inventory
from builder.image.partitions import DiskLayout, read_layout
from builder.release.statements import UkiIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.compare.baseline import BesideUki, Part, Partition
    from builder.compare.entries import Entry
    from builder.facts.roots import Root
    from builder.facts.tree import FileTree
    from builder.image.filesystem import FileSystem
    from policies.facts import AreaName

# Read file by file; of a hash tree, the root hash on the command line says what it must be.
_READ: Final = frozenset({"esp", "xbootldr", "root-x86-64-verity"})
_NO_UKI = "it boots by a boot loader, whose measurements are not predicted"


@dataclass(frozen=True, slots=True)
class LoaderImage:
    """A disk with a root that was found; ``root_tree`` has all that is mounted below it, too."""

    view: BinaryView
    layout: DiskLayout
    found: Root
    root: FileSystem
    start: Start
    gaps: Gaps

    @property
    def initrd(self) -> Initrd:
        """The first initrd, empty without one."""
        return self.start.archives[0] if self.start.archives else Initrd((), ())

    def trees(self) -> dict[AreaName, FileTree]:
        """Root and initrd as file trees."""
        trees: dict[AreaName, FileTree] = {"root": self.found.tree}
        if self.start.initrds:
            trees["initrd"] = self.start.initrds[0]
        return trees


def open_loader_image(image: memoryview) -> LoaderImage:
    """Find root, kernels and initrds of a disk. Raises InvalidInputError without a root that can be read."""
    view = BinaryView.of(image, "disk image")
    layout, gaps = read_layout(view), Gaps()
    found = find_root(view, layout, gaps)
    if found.partition is None:
        raise InvalidInputError(
            f"the disk has no root file system that can be compared: {'; '.join(_no_root(layout, gaps))}"
        )
    volumes = (*boot_volumes(view, layout.of_type("esp", "xbootldr"), gaps), root_volume(found.tree))
    start = read_start(volumes, gaps, digests=False)
    return LoaderImage(view, layout, found, open_file_system(found.partition.view(view)), start, gaps)


def _no_root(layout: DiskLayout, gaps: Gaps) -> Iterator[str]:
    """Why none was found; without a gap, all that the disk has of a root is mounted below one that is made at boot."""
    yield from (f"{gap.place}: {gap.problem}" for gap in gaps.found)
    for partition in layout.of_type(*BELOW):
        place = f"partition {partition.number} ({partition.type})"
        yield f"{place} is mounted at {BELOW[partition.type]}, below a root that is in no partition"


def loader_baseline(image: memoryview, place: str) -> Baseline:
    """Files, packages, units, kernels, partitions and the command line.

    If anything of the disk could not be read, all that could depend on it is unknown: a file system or an initrd that
    is broken holds what it holds.
    """
    opened = open_loader_image(image)
    gap = next((Unknown(f"{item.place}: {item.problem}") for item in opened.gaps.found), None)
    trees = opened.trees()
    unknown = Unknown(_NO_UKI)
    return Baseline(
        source=Source("disk image", place),
        identity=identity_of(_os_release(opened.found.tree)),
        uki=gap or _started(opened),
        measured=unknown,
        files=gap or _files(opened),
        stub=unknown,
        uki_signature=unknown,
        packing=unknown,
        partitions=tuple(_partitions(opened)),
        esp_files=gap or _esp_files(opened),
        systemd=gap or {name: service_manager(tree, name).units for name, tree in trees.items()},
        kernels=gap or {name: kernel(tree) for name, tree in trees.items()},
    )


def _os_release(tree: FileTree) -> str:
    node = tree.find("/usr/lib/os-release") or tree.find("/etc/os-release")
    return "" if node is None or not node.is_file else bytes(node.read()).decode("utf-8", "backslashreplace")


def _started(image: LoaderImage) -> Part[UkiIdentity]:
    """Kernel and command line, if there is one entry only: which of several is started, nobody knows."""
    entries = [entry for entry in image.start.boot.entries if entry.command_line is not None]
    if len(entries) != 1 or entries[0].command_line is None:
        return Unknown(f"it boots by a boot loader with {len(entries)} entries, of which one can be compared")
    line = entries[0].command_line
    hashes = [argument.value or "" for argument in line.all("roothash")]
    text = " ".join(str(argument) for argument in line.arguments)
    return UkiIdentity(stub="", kernel=entries[0].kernel, command_line=text, root_hash=hashes[-1] if hashes else "")


def _files(image: LoaderImage) -> Part[tuple[Entry, ...]]:
    if below := image.layout.of_type(*BELOW):
        return Unknown(f"partition {below[0].number} ({below[0].type}) is mounted below its root")
    if len(image.start.archives) > 1:
        return Unknown(f"it has {len(image.start.archives)} initrds, of which one can be compared")
    return entries_of(file_system_inventory(image.root, image.initrd))


def _partitions(image: LoaderImage) -> Iterator[Partition]:
    """The entries of the table; what lies in a partition of which nothing is read is told by its digest."""
    for item in image.layout.partitions:
        unread = item != image.found.partition and item.type not in _READ
        content = hashlib.sha256(item.view(image.view).data).hexdigest() if unread else None
        yield described(item, content)


def _esp_files(image: LoaderImage) -> Part[tuple[BesideUki, ...]]:
    partitions = image.layout.of_type("esp")
    if len(partitions) != 1 or image.layout.of_type("xbootldr"):
        return Unknown("it has not one partition only that firmware and boot loader load from")
    return tuple(beside_uki(open_fat(partitions[0].view(image.view)), None))
