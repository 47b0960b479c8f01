"""All facts of one file tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.facts.accounts import accounts
from builder.facts.configuration import configuration
from builder.facts.contents import read_contents
from builder.facts.covered import covered_files, uncovered
from builder.facts.files import files, packages
from builder.facts.kernel import kernel
from builder.facts.passed_over import passed_over
from builder.facts.rights import rights
from builder.facts.syntax import MAX_CONFIGURATION, variables
from builder.facts.systemd import systemd
from builder.facts.udev_rules import udev_programs
from builder.facts.unit_values import split
from builder.facts.units import asked_of_systemctl
from policies.facts import Area, AreaName, Edge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.boot_volumes import Gaps
    from builder.facts.tree import FileTree
    from policies.facts import Systemd, UdevProgram

_START = {"root": "default.target", "initrd": "initrd.target"}


def area(tree: FileTree, name: AreaName, gaps: Gaps, *, digests: bool = False) -> Area:
    """The facts of a tree, with digests of files or without; ``gaps`` gets what was not looked at.

    Raises BedplateError for a tree or database that cannot be read whole.
    """
    present = uncovered(tree)
    manager = service_manager(tree, name)
    for path in covered_files(tree):
        gaps.add(f"{name}:{path}", "the start mounts a file system over it, so it is not there when the image runs")
    for path in passed_over(present):
        gaps.add(f"{name}:{path}", "it is no file that systemd reads, and stands before one that it reads instead")
    contents = read_contents(tree, digests=digests)
    for path, problem in contents.unread.items():
        gaps.add(f"{name}:{path}", problem)
    return Area(
        name=name,
        files=files(tree, contents.digests),
        packages=packages(tree),
        os_release=os_release(present),
        accounts=accounts(present),
        systemd=manager,
        configuration=configuration(present, manager),
        rights=rights(present),
        kernel=kernel(present),
        elf=tuple(contents.elf),
        scripts=tuple(contents.scripts),
        secrets=tuple(contents.secrets),
    )


def service_manager(tree: FileTree, name: AreaName) -> Systemd:
    """systemd in a tree, and what the start of this area brings in."""
    present = uncovered(tree)
    return systemd(present, _START[name], [edge for rule in udev_programs(present) for edge in _wanted(rule)])


def _wanted(rule: UdevProgram) -> Iterator[Edge]:
    """What a device that turns up brings in: by ENV{SYSTEMD_WANTS} (systemd.device(5)), or by systemctl.

    A name without a type is that of a service (systemd src/core/device.c, ``device_add_udev_wants``).
    """
    words = split(rule.command, escapes=False)
    if rule.key == "ENV{SYSTEMD_WANTS}":
        for word in words:
            yield Edge(kind="Wants", unit=word if "." in word else f"{word}.service", origin=rule.origin)
    elif words and words[0].rpartition("/")[2] == "systemctl":
        for unit in asked_of_systemctl(words[1:]):
            yield Edge(kind="systemctl", unit=unit, origin=rule.origin)


def os_release(tree: FileTree) -> dict[str, str]:
    """What the tree calls itself (os-release(5))."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        content = tree.content(path, MAX_CONFIGURATION)
        if content:
            return variables(bytes(content).decode("utf-8", "backslashreplace"))
    return {}
