"""Where systemd finds unit files: names, links, masks and drop-ins (systemd.unit(5), "Unit File Load Path")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from builder.facts.counting import is_mask, is_unit
from builder.facts.syntax import ordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.facts.tree import FileTree

# systemd src/libsystemd/sd-path/path-lookup.c, without what generators and the manager itself write at run time.
DIRECTORIES: Final = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
TYPES: Final = frozenset(
    {"service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"}
)
_DEPENDENCY_DIRECTORIES: Final = {".wants": "Wants", ".requires": "Requires", ".upholds": "Upholds"}
_MAX_ALIASES: Final = 16
_UNIT_NAME_MAX: Final = 256  # systemd src/basic/unit-name.h, with the NUL
# Types whose units the manager or a generator makes without a file in the image.
_MADE: Final = frozenset({"device", "mount", "swap", "slice", "scope"})


@dataclass(frozen=True, slots=True)
class DependencyLink:
    """A link in NAME.wants, NAME.requires or NAME.upholds: ``unit`` wants ``other``."""

    unit: str
    kind: str
    other: str
    path: str


@dataclass(frozen=True)
class UnitFiles:
    """The unit files of a tree. ``entries`` has every path per name, by precedence.

    ``passed_over`` are those that systemd does not take for a unit, and that stand before one that it takes.
    """

    tree: FileTree
    entries: Mapping[str, tuple[str, ...]]
    links: tuple[DependencyLink, ...]
    passed_over: tuple[str, ...] = ()

    @cached_property
    def alias_of(self) -> dict[str, str]:
        """The unit that each alias stands for, where the entry that counts is a link to another name."""
        found: dict[str, str] = {}
        for name, paths in self.entries.items():
            node = self.tree.entry(paths[0])
            target = "" if node is None or node.target is None else node.target.rpartition("/")[2]
            if is_unit_name(target) and target != name and not self._is_linked(paths[0]):
                found[name] = target
        return found

    def _is_linked(self, path: str) -> bool:
        """Whether a link leads to a file outside the load path: that file is the unit then, under the link's name."""
        node = self.tree.entry(path)
        if node is None or node.target is None:
            return False
        other = self.tree.entry(f"{path.rpartition('/')[0]}/{node.target}" if node.target[0] != "/" else node.target)
        return other is not None and other.path.rpartition("/")[0] not in self._real_directories

    @cached_property
    def _real_directories(self) -> frozenset[str]:
        return frozenset(node.path for node in map(self.tree.find, DIRECTORIES) if node is not None)

    @cached_property
    def aliases(self) -> dict[str, tuple[str, ...]]:
        """The names that stand for each unit."""
        found: dict[str, list[str]] = {}
        for alias in sorted(self.alias_of):
            found.setdefault(self.resolve(alias), []).append(alias)
        return {name: tuple(names) for name, names in found.items()}

    def resolve(self, name: str) -> str:
        """The unit that a name stands for: aliases followed, also those of templates."""
        for _ in range(_MAX_ALIASES):
            template, instance = template_of(name)
            if name in self.alias_of:
                name = self.alias_of[name]
            elif template is not None and name not in self.entries and template in self.alias_of:
                name = instantiate(self.alias_of[template], instance or "")
            else:
                return name
        return name

    def paths(self, name: str) -> tuple[str, ...]:
        """The unit files of a name, by precedence; those of its template for an instance that has none."""
        template, _ = template_of(name)
        return self.entries.get(name) or (self.entries.get(template, ()) if template else ())

    def mask(self, name: str) -> str | None:
        """What masks a unit: the link to /dev/null, or the empty file."""
        paths = self.paths(name)
        return paths[0] if paths and is_mask(self.tree, paths[0]) else None

    def drop_ins(self, name: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
        """The drop-in files of a unit in the order in which they apply."""
        names = [part for own in (name, *aliases) for part in drop_in_names(own)]
        present = [part for part in names if part in self._drop_in_directories]
        directories = [f"{directory}/{part}.d" for directory in DIRECTORIES for part in present]
        return ordered(self.tree, directories, ".conf")

    @cached_property
    def links_of(self) -> Mapping[str, tuple[DependencyLink, ...]]:
        """The links of each directory of dependencies, by the name before its suffix."""
        found: dict[str, list[DependencyLink]] = {}
        for link in self.links:
            found.setdefault(link.unit, []).append(link)
        return {name: tuple(links) for name, links in found.items()}

    @cached_property
    def extended(self) -> frozenset[str]:
        """Units that have a directory of drop-ins or dependencies of their own, whether or not they have a file.

        Generators, the kernel and the manager make units without one in the image, and others name an instance first.
        A directory for all units of a type that may be so, such as mount.d, stands for "-.mount" here.
        """
        own = {f"-.{name}" if name in _MADE else name for name in self._own}
        return frozenset(self.resolve(name) for name in own if is_unit_name(name))

    def is_there(self, name: str) -> bool:
        """Whether anything in the image is about this unit besides what is for all of its type."""
        own = (*drop_in_names(name),)[:-1]
        return bool(self.paths(name)) or name in self.extended or not self._own.isdisjoint(own)

    @cached_property
    def _own(self) -> frozenset[str]:
        return self._drop_in_directories | self.links_of.keys()

    @cached_property
    def _drop_in_directories(self) -> frozenset[str]:
        return frozenset(
            name[:-2]
            for directory in DIRECTORIES
            for name in self.tree.names(directory)
            if name.endswith(".d") and self.tree.names(f"{directory}/{name}")
        )


def find_units(tree: FileTree) -> UnitFiles:
    """The unit files of a tree."""
    entries: dict[str, list[str]] = {}
    links: dict[tuple[str, str, str], DependencyLink] = {}
    for directory in _directories(tree):
        for name in tree.names(directory):
            if is_unit_name(name):
                entries.setdefault(name, []).append(f"{directory}/{name}")
                continue
            stem, dot, suffix = name.rpartition(".")
            kind = _DEPENDENCY_DIRECTORIES.get(dot + suffix)
            if kind is not None:
                for other in tree.names(f"{directory}/{name}"):
                    link = DependencyLink(stem, kind, other, f"{directory}/{name}/{other}")
                    links.setdefault((stem, kind, other), link)
    valid = (link for link in links.values() if is_unit_name(link.other) and not is_mask(tree, link.path))
    counting, passed_over = _counting(tree, entries)
    return UnitFiles(tree, counting, tuple(valid), passed_over)


def _counting(
    tree: FileTree, entries: Mapping[str, Sequence[str]]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The entries that count, or all where none does, and those passed over before one that counts."""
    folders = frozenset(node.path for node in map(tree.find, DIRECTORIES) if node is not None)
    kept: dict[str, tuple[str, ...]] = {}
    passed_over: list[str] = []
    for name, paths in sorted(entries.items()):
        units = tuple(path for path in paths if is_unit(tree, path, folders, entries))
        kept[name] = units or tuple(paths)
        if units:
            passed_over += paths[: paths.index(units[0])]
    return kept, tuple(passed_over)


def _directories(tree: FileTree) -> Iterator[str]:
    """The search path, a directory that two of its names lead to only once."""
    seen: set[str] = set()
    for directory in DIRECTORIES:
        node = tree.find(directory)
        if node is not None and node.path not in seen:
            seen.add(node.path)
            yield directory


def is_unit_name(name: str) -> bool:
    """Whether a name is that of a unit (systemd src/basic/unit-name.c, ``unit_name_is_valid``)."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and suffix in TYPES and len(name.encode("utf-8", "surrogateescape")) < _UNIT_NAME_MAX


def template_of(name: str) -> tuple[str | None, str | None]:
    """Template and instance: ("getty@.service", "tty1") for getty@tty1.service; (None, None) without an "@"."""
    stem, _, suffix = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return (f"{prefix}@.{suffix}", instance or None) if at else (None, None)


def instantiate(template: str, instance: str) -> str:
    """The instance of a template; a name that is no template stays."""
    stem, _, suffix = template.rpartition(".")
    return f"{stem}{instance}.{suffix}" if stem.endswith("@") else template


def drop_in_names(name: str) -> Iterator[str]:
    """Names whose directories hold drop-ins and dependencies for a unit, the most specific first, its type last.

    systemd src/shared/dropin.c, ``unit_file_find_dirs``: of a-b@i.service those of the template and what begins so,
    a-.service, and then the same for a-@i.service.
    """
    yield name
    stem, _, suffix = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    parts = prefix.split("-")
    beginnings = [f"{'-'.join(parts[:count])}-" for count in range(len(parts) - 1, 0, -1)]
    if instance:
        yield f"{prefix}@.{suffix}"
    yield from (f"{beginning}.{suffix}" for beginning in beginnings)
    for beginning in beginnings if at else ():
        if instance:
            yield f"{beginning}@{instance}.{suffix}"
        yield f"{beginning}@.{suffix}"
    yield suffix
