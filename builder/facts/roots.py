"""The root of a disk image: the file system that is mounted at /, and those that are mounted below it by their type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError
from builder.facts.tree import FileTree, empty_tree, file_system_tree, mounted
from builder.image.detect import holds_file_system, open_file_system

if TYPE_CHECKING:
    from builder.facts.boot_volumes import Gaps
    from builder.image.binary import BinaryView
    from builder.image.partitions import DiskLayout, DiskPartition

_ROOT: Final = "root-x86-64"
# Where a root is that the type does not name: images with GRUB, and all with an MBR.
_MAYBE_ROOT: Final = ("linux-generic", "linux")
# UAPI.2 "Defined Partition Type UUIDs": systemd mounts these where they belong.
BELOW: Final = {"usr-x86-64": "/usr", "home": "/home", "srv": "/srv", "var": "/var"}
_NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Root:
    """The tree, its partition (None for a root that is made at boot) and its file system's name in lower case."""

    tree: FileTree
    partition: DiskPartition | None
    file_system: str


def find_root(disk: BinaryView, layout: DiskLayout, gaps: Gaps) -> Root:
    """The root with all that is mounted below it; a tree without files, and a gap, if there is none to read.

    A second root is a gap: one of the two would be looked at, and the other be started.
    """
    candidates = layout.of_type(_ROOT) or tuple(
        partition for partition in layout.of_type(*_MAYBE_ROOT) if _may_be_root(disk, partition)
    )
    root = Root(empty_tree(), None, _NONE)
    for partition in candidates:
        if root.partition is not None:
            if holds_file_system(partition.view(disk)):
                problem = f"partition {root.partition.number} is the root that was looked at, this would be another one"
                gaps.add(_place(partition), problem)
            continue
        try:
            system = open_file_system(partition.view(disk))
            root = Root(file_system_tree(system), partition, system.name.lower())
        except BedplateError as error:
            gaps.add(_place(partition), error)
    for partition in layout.of_type(*BELOW):
        try:
            tree = file_system_tree(open_file_system(partition.view(disk)))
        except BedplateError as error:
            gaps.add(_place(partition), error)
            continue
        root = Root(mounted(root.tree, BELOW[partition.type], tree), root.partition, root.file_system)
    if len(root.tree.nodes) <= 1:
        gaps.add("root", "no partition holds a root file system that could be read")
    return root


def _may_be_root(disk: BinaryView, partition: DiskPartition) -> bool:
    """Whether an untyped partition has what a root has, or hides what it has."""
    view = partition.view(disk)
    if not holds_file_system(view):
        return False
    try:
        system = open_file_system(view)
        return any(system.entry(path) is not None for path in ("usr", "etc", "sbin/init"))
    except BedplateError:
        return True


def _place(partition: DiskPartition) -> str:
    return f"partition {partition.number} ({partition.type})"
