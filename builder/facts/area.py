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
from policies.facts import Area, AreaName, Edge

if TYPE_CHECKING:
    from builder.facts.boot_volumes import Gaps
    from builder.facts.tree import FileTree
    from policies.facts import Systemd

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
    # A device that turns up pulls in units by ENV{SYSTEMD_WANTS} (systemd.device(5)).
    wanted = [
        Edge(kind="Wants", unit=unit, origin=program.origin)
        for program in udev_programs(present)
        if program.key == "ENV{SYSTEMD_WANTS}"
        for unit in program.command.split()
    ]
    return systemd(present, _START[name], wanted)


def os_release(tree: FileTree) -> dict[str, str]:
    """What the tree calls itself (os-release(5))."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        content = tree.content(path, MAX_CONFIGURATION)
        if content:
            return variables(bytes(content).decode("utf-8", "backslashreplace"))
    return {}
