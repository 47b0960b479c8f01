"""Entries of search paths that are no files and stand before a file of their name.

systemd of today passes over them, that of yesterday took some for the file, and read nothing then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.facts.counting import is_read
from builder.facts.syntax import CONFIGURATION_ROOTS
from builder.facts.unit_files import find_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

_SUFFIXES: Final = (".conf", ".rules", ".preset", ".network", ".netdev", ".link", ".dnssd")


def passed_over(tree: FileTree) -> Iterator[str]:
    """The paths of such entries: units, and other configuration of systemd, udev and kmod."""
    yield from find_units(tree).passed_over
    for path, node in sorted(tree.nodes.items()):
        if path.endswith(_SUFFIXES) and not node.is_file and not is_read(tree, path) and _hides(tree, path):
            yield path


def _hides(tree: FileTree, path: str) -> bool:
    for place, root in enumerate(CONFIGURATION_ROOTS):
        if path.startswith(f"{root}/"):
            behind = (lower + path.removeprefix(root) for lower in CONFIGURATION_ROOTS[place + 1 :])
            return any(is_read(tree, other) for other in behind)
    return False
