"""What D-Bus can start: services by their bus names (D-Bus Specification, "Message Bus Starting Services")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.closure.edges import File, Program, Unit
from builder.facts.syntax import assignments
from builder.facts.unit_values import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree

BUSES: Final = frozenset({"/usr/bin/dbus-daemon", "/usr/bin/dbus-broker-launch"})
_SERVICES: Final = ("/etc/dbus-1/system-services", "/usr/share/dbus-1/system-services")


def bus_edges(tree: FileTree) -> Iterator[Edge]:
    """The service files of the system bus, and the unit of each, or its program where no unit is named."""
    for directory in _SERVICES:
        for name in tree.names(directory):
            if name.endswith(".service"):
                path = f"{directory}/{name}"
                yield File(path, "the bus starts services by it")
                held = {item.key: item for item in assignments(tree, path)}
                if unit := held.get("SystemdService"):
                    yield Unit(unit.value, f"the bus starts it ({path}:{unit.line})", optional=True)
                elif line := held.get("Exec"):
                    for words in commands(line.value):
                        yield Program(words[0], f"the bus starts it ({path}:{line.line})")
