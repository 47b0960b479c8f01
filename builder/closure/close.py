"""The worklist: from the rules of an image to all paths that can be reached."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.closure.bus import BUSES, bus_edges
from builder.closure.edges import File, Library, Module, Program, Tree, Unit
from builder.closure.implied import implied_edges
from builder.closure.modules import firmware_names, module_edges, read_kernels
from builder.closure.mounts import FSTAB_GENERATOR, fstab_edges
from builder.closure.programs import is_elf, library_path, name_service_edges, program_edges
from builder.closure.rules import path_pattern
from builder.closure.snippets import snippet_edges
from builder.closure.udev import udev_edges
from builder.closure.units import may_be_made_up, unit_edges
from builder.errors import InvalidInputError
from builder.facts.unit_files import find_units, is_unit_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.closure.edges import Edge
    from builder.closure.rules import Rules
    from builder.facts.tree import FileTree, Node

_UDEV: Final = "/usr/bin/udevadm"
_LIBC: Final = "libc.so.6"
_MAX_LINKS: Final = 40
# A link to these leads to what is there when the machine runs; /dev/null masks a file.
_RUN_TIME: Final = ("/dev/", "/proc/", "/run/", "/sys/", "/var/", "../proc/", "../run/", "../var/")


@dataclass(frozen=True, slots=True)
class Closed:
    """What is reached: paths and units, each with who asked for it first."""

    paths: Mapping[str, str]
    units: Mapping[str, str]


class BrokenClosureError(InvalidInputError):
    """Something that is needed is not there; ``problems`` has all of it."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        hint = "add the package that has it, take away what asks for it, or list it in prune.allow_missing"
        super().__init__("the image needs what it does not have:\n  " + "\n  ".join(problems), hint=hint)
        self.problems = problems


def close(tree: FileTree, rules: Rules, owners: Mapping[str, str]) -> Closed:
    """The closure of a tree. ``owners`` has the package of each path (without a leading slash) that has one.

    Raises BrokenClosureError with everything that is needed and missing, and InvalidInputError for what is not known.
    """
    work = _Worklist(tree, rules)
    work.follow(_first_edges(rules))
    while edges := set(_late_edges(work, owners)) - work.followed:
        work.follow(sorted(edges, key=repr))
    work.settle()
    if work.problems:
        raise BrokenClosureError(tuple(dict.fromkeys(work.problems)))
    return Closed(dict(sorted(work.paths.items())), dict(sorted(work.units.items())))


def _first_edges(rules: Rules) -> Iterator[Edge]:
    yield from (Unit(rule.text, f"{rule.place} starts it", rule.optional) for rule in rules.units)
    yield from (File(rule.text, f"{rule.place} keeps it", rule.optional) for rule in rules.keep)
    yield from (Module(rule.text, f"{rule.place} keeps it", rule.optional) for rule in rules.modules)


def _late_edges(work: _Worklist, owners: Mapping[str, str]) -> Iterator[Edge]:
    """Snippets of packages that have something that runs, or of nobody."""
    running = {owners[path[1:]] for path in work.running if path[1:] in owners}
    yield from snippet_edges(
        work.tree, frozenset(work.paths), lambda path: owners.get(path[1:]) is None or owners[path[1:]] in running
    )


class _Worklist:
    """Paths and units that were reached, and the problems on the way. ``running`` are programs and units."""

    def __init__(self, tree: FileTree, rules: Rules) -> None:
        self.tree = tree
        self.paths: dict[str, str] = {}
        self.units: dict[str, str] = {}
        self.running: set[str] = set()
        self.problems: list[str] = []
        self._missing = frozenset(rule.text for rule in rules.missing)
        self._units = find_units(tree)
        self._kernels = read_kernels(tree)
        self._firmware = firmware_names(tree)
        self._libraries = library_path(tree)
        self.followed: set[Edge] = set()
        self._unfound: list[Library] = []
        self._pending: list[Edge] = []

    def follow(self, edges: Iterable[Edge]) -> None:
        """Follow edges, and the edges of what they lead to, until nothing new comes."""
        self._pending = list(edges)[::-1]
        while self._pending:
            self._follow(self._pending.pop())

    def _follow(self, edge: Edge) -> None:
        if edge in self.followed:
            return
        self.followed.add(edge)
        match edge:
            case File():
                self._file(edge)
            case Program():
                self._program(edge)
            case Library():
                self._library(edge)
            case Unit():
                self._unit(edge)
            case Module():
                self._module(edge)

    def _file(self, edge: File) -> None:
        if "*" in edge.path or "?" in edge.path:
            pattern = path_pattern(edge.path)
            found = [path for path in self.tree.nodes if pattern.fullmatch(path)]
            if not found:
                self._lacks(edge.path, edge)
            for path in found:
                self._reach(path, edge.because)
        elif not self._reach(edge.path, edge.because):
            self._lacks(edge.path, edge)

    def _program(self, edge: Program) -> None:
        names = [edge.name] if edge.name.startswith("/") else [f"{top}/{edge.name}" for top in edge.search]
        for name in names:
            node = self.tree.find(name)
            if node is not None and node.is_file and node.mode & 0o111:
                self._reach(name, edge.because)
                return
        self._lacks(edge.name, edge)

    def _library(self, edge: Library) -> None:
        for soname in edge.sonames:
            places = [soname] if "/" in soname else [f"{top}/{soname}" for top in (*edge.search, *self._libraries)]
            for place in places:
                node = self.tree.find(place)
                if node is not None and node.is_file:
                    self._reach(place, edge.because)
                    if soname == _LIBC:
                        self._pending += name_service_edges(self.tree)
                    break
            else:
                continue
            return
        self._unfound.append(edge)

    def settle(self) -> None:
        """Judge the libraries that were not found, when all others are known.

        ld.so(8) takes a library that is loaded already wherever it was found, such as systemd's private one, to which
        only the programs have the path.
        """
        loaded = {path.rpartition("/")[2] for path in self.paths}
        for edge in self._unfound:
            if loaded.isdisjoint(edge.sonames):
                self._lacks(" or ".join(edge.sonames), edge)

    def _unit(self, edge: Unit) -> None:
        name = self._units.resolve(edge.name)
        if name in self.units:
            return
        if not is_unit_name(name) or not self._units.paths(name):
            if not may_be_made_up(name):
                self._lacks(edge.name, edge)
            return
        self.units[name] = edge.because
        # An alias that leads here by another name's entry is part of the way.
        if edge.name != name and (entries := self._units.entries.get(edge.name)):
            self._reach(entries[0], edge.because)
        self.running.update(self._units.paths(name)[:1])
        for found in unit_edges(self._units, name):
            # At once: a program inside such a tree is not looked into, its libraries are those of the tree.
            if isinstance(found, Tree):
                self._tree(found)
            else:
                self._pending.append(found)

    def _module(self, edge: Module) -> None:
        found = self._kernels.find(edge.pattern)
        if found is None:
            self._lacks(edge.pattern, edge, kind="the kernel module ")
        for path in found or ():
            self._reach(path, edge.because)
            for other in self._kernels.files:
                self._reach(other, "depmod and mkosi read it")

    def _tree(self, edge: Tree) -> None:
        node = self.tree.find(edge.path)
        if node is None or not stat.S_ISDIR(node.mode):
            self.problems.append(f"{edge.path} is not there: {edge.because}")
            return
        self._reach(node.path, edge.because)
        for path in self.tree.nodes:
            if path.startswith(f"{node.path}/"):
                self.paths.setdefault(path, edge.because)

    def _lacks(self, what: str, edge: Edge, kind: str = "") -> None:
        if not edge.optional and what not in self._missing:
            self.problems.append(f"{kind}{what} is not there: {edge.because}")

    def _reach(self, path: str, because: str) -> bool:
        """Take in a path with all links on the way; whether it leads anywhere."""
        for _ in range(_MAX_LINKS):
            node = self.tree.entry(path)
            if node is None:
                return False
            self._take_directories(path, because)
            is_new = node.path not in self.paths
            self.paths.setdefault(node.path, because)
            if node.target is None:
                if is_new:
                    self._look_into(node)
                return True
            path = node.target if node.target.startswith("/") else f"{node.path.rpartition('/')[0]}/{node.target}"
            if node.target.startswith(_RUN_TIME) and self.tree.find(path) is None:
                return True
        return False

    def _take_directories(self, path: str, because: str) -> None:
        """The directories above a path as it is written; those that are links lead to others."""
        parts = [part for part in path.split("/") if part]
        walked = ""
        for part in parts[:-1]:
            walked = f"{walked}/{part}"
            node = self.tree.entry(walked)
            if node is not None and node.path not in self.paths and node.target is not None:
                self._reach(walked, because)

    def _look_into(self, node: Node) -> None:
        if not stat.S_ISREG(node.mode):
            return
        self._pending += implied_edges(node.path)
        if node.path == _UDEV:
            self._pending += udev_edges(self.tree)
        if node.path in BUSES:
            self._pending += bus_edges(self.tree)
        if node.path == FSTAB_GENERATOR:
            self._pending += fstab_edges(self.tree)
        if node.path.startswith("/usr/lib/modules/"):
            if ".ko" in node.path:
                self._pending += module_edges(self._kernels, node, self._firmware)
            return
        self._pending += program_edges(node)
        if is_elf(node):
            self.running.add(node.path)
