"""The configuration of the system bus: its files, with all that they include (dbus-daemon(1), "CONFIGURATION FILE")."""

from __future__ import annotations

from posixpath import normpath
from typing import TYPE_CHECKING, Final

from builder.facts.markup import elements
from policies.facts import BusOption, BusRule, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.markup import Element
    from builder.facts.tree import FileTree
    from policies.facts import BrokenLine

# What dbus-daemon's system.conf includes, and dbus-broker reads likewise; of two main files /etc's counts.
_MAIN: Final = ("/etc/dbus-1/system.conf", "/usr/share/dbus-1/system.conf")
_FOLDERS: Final = ("/usr/share/dbus-1/system.d", "/etc/dbus-1/system.d")
_LOCAL: Final = "/etc/dbus-1/system-local.conf"
_PATHS: Final = frozenset({"include", "includedir", "servicedir"})
_OPTIONS: Final = frozenset({*_PATHS, "listen", "auth", "allow_anonymous", "servicehelper"})
_MAX_INCLUDED: Final = 128


def bus_elements(tree: FileTree, broken: list[BrokenLine]) -> Iterator[tuple[str, Element]]:
    """The elements of all files, each with its file; ``broken`` gets what is no XML."""
    main = [path for path in _MAIN if tree.find(path) is not None][:1]
    local = [_LOCAL] if tree.find(_LOCAL) is not None else []
    folders = [f"{folder}/{name}" for folder in _FOLDERS for name in tree.names(folder) if name.endswith(".conf")]
    pending = [*main, *folders, *local]
    read = set(pending)
    while pending:
        path = pending.pop(0)
        for element in elements(tree, path, broken):
            yield path, element
            for other in _included(tree, path, element):
                if other not in read and len(read) < _MAX_INCLUDED:
                    read.add(other)
                    pending.append(other)


def bus_rules(found: list[tuple[str, Element]]) -> Iterator[BusRule]:
    """What policies among the elements allow and deny."""
    for path, policy in found:
        if policy.name != "policy":
            continue
        scope = " ".join(f"{key}={value}" for key, value in policy.attributes.items())
        for rule in policy.children:
            if rule.name in {"allow", "deny"}:
                origin = Origin(path=path, line=rule.line)
                yield BusRule(allow=rule.name == "allow", scope=scope, attributes=rule.attributes, origin=origin)


def bus_options(found: list[tuple[str, Element]]) -> Iterator[BusOption]:
    """Where the bus listens, whom it lets in, and what it reads and runs besides."""
    for path, element in found:
        if element.name in _OPTIONS:
            value = _place(path, element) if element.name in _PATHS else element.text.strip()
            yield BusOption(name=element.name, value=value, origin=Origin(path=path, line=element.line))


def service_folders(tree: FileTree) -> tuple[str, ...]:
    """The folders of services that the configuration adds to the usual ones."""
    return tuple(option.value for option in bus_options(list(bus_elements(tree, []))) if option.name == "servicedir")


def _place(path: str, element: Element) -> str:
    """The path that an element names, which is relative to the folder of its file."""
    text = element.text.strip()
    return normpath(text if text.startswith("/") else f"{path.rpartition('/')[0]}/{text}")


def _included(tree: FileTree, path: str, element: Element) -> Iterator[str]:
    place = _place(path, element)
    if element.name == "include" and tree.find(place) is not None:
        yield place
    elif element.name == "includedir":
        yield from (f"{place}/{name}" for name in tree.names(place) if name.endswith(".conf"))
