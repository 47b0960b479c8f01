"""All facts of one file tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.facts.accounts import accounts
from builder.facts.configuration import configuration, udev_programs
from builder.facts.elf import programs
from builder.facts.files import files, packages
from builder.facts.kernel import kernel
from builder.facts.secrets import secrets
from builder.facts.syntax import MAX_CONFIGURATION, variables
from builder.facts.systemd import systemd
from policies.facts import Area, AreaName, Edge

if TYPE_CHECKING:
    from builder.facts.tree import FileTree
    from policies.facts import Systemd

_START = {"root": "default.target", "initrd": "initrd.target"}


def area(tree: FileTree, name: AreaName) -> Area:
    """The facts of a tree. Raises BedplateError for a tree or database that cannot be read whole."""
    manager = service_manager(tree, name)
    elf, scripts = programs(tree)
    return Area(
        name=name,
        files=files(tree),
        packages=packages(tree),
        os_release=os_release(tree),
        accounts=accounts(tree),
        systemd=manager,
        configuration=configuration(tree, manager),
        kernel=kernel(tree),
        elf=elf,
        scripts=scripts,
        secrets=secrets(tree),
    )


def service_manager(tree: FileTree, name: AreaName) -> Systemd:
    """systemd in a tree, and what the start of this area brings in."""
    # A device that turns up pulls in units by ENV{SYSTEMD_WANTS} (systemd.device(5)).
    wanted = [
        Edge(kind="Wants", unit=unit, origin=program.origin)
        for program in udev_programs(tree)
        if program.key == "ENV{SYSTEMD_WANTS}"
        for unit in program.command.split()
    ]
    return systemd(tree, _START[name], wanted)


def os_release(tree: FileTree) -> dict[str, str]:
    """What the tree calls itself (os-release(5))."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        content = tree.content(path, MAX_CONFIGURATION)
        if content:
            return variables(bytes(content).decode("utf-8", "backslashreplace"))
    return {}
