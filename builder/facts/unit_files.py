"""Where systemd finds unit files: names, links, masks and drop-ins (systemd.unit(5), "Unit File Load Path")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import is_mask, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


@dataclass(frozen=True, slots=True)
class DependencyLink:
    """A link in NAME.wants, NAME.requires or NAME.upholds: ``unit`` wants ``other``."""

    unit: str
    kind: str
    other: str
    path: str


@dataclass(frozen=True)
class UnitFiles:
    """The unit files of a tree. ``entries`` has every path per name, by precedence."""

    tree: FileTree
    entries: Mapping[str, tuple[str, ...]]
    links: tuple[DependencyLink, ...]

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
        names = [part for own in (name, *aliases) for part in _drop_in_names(own)]
        present = [part for part in names if part in self._drop_in_directories]
        directories = [f"{directory}/{part}.d" for directory in DIRECTORIES for part in present]
        return ordered(self.tree, directories, ".conf")

    @cached_property
    def _drop_in_directories(self) -> frozenset[str]:
        return frozenset(
            name[:-2] for directory in DIRECTORIES for name in self.tree.names(directory) if name.endswith(".d")
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
    return UnitFiles(tree, {name: tuple(paths) for name, paths in sorted(entries.items())}, tuple(valid))


def _directories(tree: FileTree) -> Iterator[str]:
    """The search path, a directory that two of its names lead to only once."""
    seen: set[str] = set()
    for directory in DIRECTORIES:
        node = tree.find(directory)
        if node is not None and node.path not in seen:
            seen.add(node.path)
            yield directory


def is_unit_name(name: str) -> bool:
    """Whether a file name is that of a unit."""
    stem, _, suffix = name.rpartition(".")
    return bool(stem) and suffix in TYPES


def template_of(name: str) -> tuple[str | None, str | None]:
    """Template and instance: ("getty@.service", "tty1") for getty@tty1.service; (None, None) without an "@"."""
    stem, _, suffix = name.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return (f"{prefix}@.{suffix}", instance or None) if at else (None, None)


def instantiate(template: str, instance: str) -> str:
    """The instance of a template; a name that is no template stays."""
    stem, _, suffix = template.rpartition(".")
    return f"{stem}{instance}.{suffix}" if stem.endswith("@") else template


def _drop_in_names(name: str) -> Iterator[str]:
    """Names whose ``.d`` directories hold drop-ins for a unit, the most specific first."""
    yield name
    template, instance = template_of(name)
    if template is not None and instance is not None:
        yield template
    stem, _, suffix = (template or name).rpartition(".")
    prefix = stem.removesuffix("@")
    parts = prefix.split("-")
    for count in range(len(parts) - 1, 0, -1):
        yield f"{'-'.join(parts[:count])}-.{suffix}"
    yield suffix
