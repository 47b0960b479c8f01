"""What pruning did to an image, in numbers: written as JSON beside mkosi's output."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from builder.facts.syntax import assignments
from builder.facts.unit_files import find_units
from builder.image.elf import ELF_MAGIC, parse_elf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.facts.tree import FileTree, Node

SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Size:
    """``bytes`` of regular files; ``files`` are all but directories; ``programs`` are ELF files that can be started.

    ``set_id`` files take rights from their owner or group, ``sockets`` are the addresses in socket units.
    """

    bytes: int
    files: int
    programs: int
    set_id: int
    sockets: int


def measure(tree: FileTree) -> Size:
    """The size of a tree."""
    nodes = [node for node in tree.nodes.values() if not stat.S_ISDIR(node.mode)]
    files = [node for node in nodes if node.is_file]
    return Size(
        bytes=sum(node.size for node in files),
        files=len(nodes),
        programs=sum(1 for node in files if _is_program(node)),
        set_id=sum(1 for node in files if node.mode & SET_ID),
        sockets=_addresses(tree),
    )


def as_document(before: Size, after: Size, dropped: Iterable[Node], owners: Mapping[str, str]) -> dict[str, Any]:
    """The report as plain JSON values: ``before``, ``after``, and the packages that lost most, by bytes."""
    lost: dict[str, list[int]] = {}
    for node in dropped:
        if not stat.S_ISDIR(node.mode):
            count = lost.setdefault(owners.get(node.path[1:], "(no package)"), [0, 0])
            count[0] += 1
            count[1] += node.size
    most = sorted(lost.items(), key=lambda item: (-item[1][1], item[0]))
    return {
        "before": _fields(before),
        "after": _fields(after),
        "dropped": [{"package": name, "files": files, "bytes": size} for name, (files, size) in most[:_MOST]],
        "dropped_packages": len(most),
    }


def _fields(size: Size) -> dict[str, int]:
    return {name: getattr(size, name) for name in ("bytes", "files", "programs", "set_id", "sockets")}


def _is_program(node: Node) -> bool:
    if bytes(node.head()[:4]) != ELF_MAGIC:
        return False
    elf = parse_elf(node.read())
    return elf is not None and elf.soname is None and (elf.interpreter is not None or bool(node.mode & 0o111))


def _addresses(tree: FileTree) -> int:
    units = find_units(tree)
    count = 0
    for name, paths in units.entries.items():
        if name.endswith(".socket") and name not in units.alias_of and units.mask(name) is None:
            held = assignments(tree, paths[0])
            count += sum(
                1 for item in held if item.section == "Socket" and item.key.startswith("Listen") and item.value
            )
    return count
