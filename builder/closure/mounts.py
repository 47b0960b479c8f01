"""What the units need that systemd-fstab-generator(8) makes of /etc/fstab when the machine starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.closure.edges import Module
from builder.facts.syntax import fields, fstab_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree

FSTAB_GENERATOR: Final = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
_FSTAB: Final = "/etc/fstab"
# The column with the options, and those that ask for an automount unit (src/fstab-generator/fstab-generator.c).
_OPTIONS: Final = 3
_AUTOMOUNT: Final = frozenset({"x-systemd.automount", "comment=systemd.automount"})


def fstab_edges(tree: FileTree) -> Iterator[Edge]:
    """The module by which an automount unit mounts, for each line that asks for such a unit."""
    for number, line in fstab_lines(tree, _FSTAB):
        words = fields(line)
        if len(words) > _OPTIONS and not _AUTOMOUNT.isdisjoint(words[_OPTIONS].split(",")):
            yield Module("autofs4", f"{_FSTAB}:{number} is mounted through it")
