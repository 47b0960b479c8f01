"""systemd in a tree: all units, what the start pulls in, generators, presets and configuration."""

from __future__ import annotations

import fnmatch
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.errors import InvalidInputError
from builder.facts.counting import is_mask, is_read
from builder.facts.syntax import CONFIGURATION_ROOTS, drop_ins, ordered
from builder.facts.text import commented, merged, settings, statements
from builder.facts.unit_files import UnitFiles, find_units, is_unit_name, template_of
from builder.facts.units import PULLING, read_unit
from policies.facts import DaemonConfiguration, Edge, Generator, PresetRule, Systemd, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from builder.facts.tree import FileTree

_GENERATORS: Final[dict[str, Literal["system", "user", "environment"]]] = {
    "system-generators": "system",
    "user-generators": "user",
    "system-environment-generators": "environment",
    "user-environment-generators": "environment",
}
_GENERATOR_ROOTS: Final = ("/run", "/etc", "/usr/local/lib", "/usr/lib")
_NETWORK_SUFFIXES: Final = (".network", ".netdev", ".link", ".dnssd")
_ACTIONS: Final[dict[str, Literal["enable", "disable", "ignore"]]] = {
    "enable": "enable", "disable": "disable", "ignore": "ignore",
}  # fmt: skip
_MAX_UNITS: Final = 5_000


def systemd(tree: FileTree, start_unit: str, extra: Sequence[Edge] = ()) -> Systemd:
    """What systemd finds in a tree whose manager starts ``start_unit``; ``extra`` are edges from elsewhere (udev).

    Raises InvalidInputError where units that ask for instances make more than 5000 units.
    """
    files = find_units(tree)
    names = {name for name in files.entries if name not in files.alias_of}
    names |= {files.resolve(link.other) for link in files.links if template_of(link.other)[1]} | files.extended
    units = {name: read_unit(files, name) for name in sorted(names)}
    chains, dangling = _walk(files, units, start_unit, extra)
    _add_instances(files, units)
    return Systemd(
        start_unit=start_unit,
        units=tuple(
            replace(unit, pulled_in_by=chains[name]) if name in chains else unit for name, unit in sorted(units.items())
        ),
        generators=tuple(_generators(tree)),
        presets=tuple(_presets(tree)),
        configuration=tuple(_configuration(tree)),
        dangling=dangling,
    )


def _add_instances(files: UnitFiles, units: dict[str, Unit]) -> None:
    """Add the instances of templates that units name, also where the start does not bring them in (OnFailure=)."""
    pending = list(units.values())
    while pending:
        for edge in pending.pop().edges:
            name = files.resolve(edge.unit)
            if name not in units and template_of(name)[1] and is_unit_name(name) and files.is_there(name):
                pending.append(_add(files, units, name))


def _add(files: UnitFiles, units: dict[str, Unit], name: str) -> Unit:
    """Read a unit that others name; templates may make instances of themselves without end."""
    if len(units) >= _MAX_UNITS:
        hint = "look for a template whose instances ask for further instances"
        raise InvalidInputError(f"there are more than {_MAX_UNITS} units, such as {name}", hint=hint)
    units[name] = read_unit(files, name)
    return units[name]


def _walk(
    files: UnitFiles, units: dict[str, Unit], start: str, extra: Sequence[Edge]
) -> tuple[dict[str, tuple[str, ...]], tuple[Edge, ...]]:
    """The shortest chain to each unit that the start pulls in; adds the instances that it meets to ``units``."""
    chains: dict[str, tuple[str, ...]] = {}
    dangling: list[Edge] = []
    pending: deque[tuple[Edge | None, str, tuple[str, ...]]] = deque([(None, start, ())])
    pending.extend((edge, edge.unit, (str(edge.origin),)) for edge in extra)
    # What generators, the kernel and the manager make of units without a file, nobody knows here: all may be started.
    pending.extend((None, name, ()) for name in sorted(files.extended) if not files.paths(name))
    while pending:
        edge, asked, chain = pending.popleft()
        name = files.resolve(asked)
        if name in chains:
            continue
        if not files.paths(name) or not is_unit_name(name):
            if edge is not None:
                dangling.append(edge)
            if not files.is_there(name) or not is_unit_name(name):
                continue
        if name not in units:
            _add(files, units, name)
        unit = units[name]
        if unit.masked_by is not None:
            continue
        # A template cannot start; a socket with Accept= makes instances of it.
        chains[name] = (*chain, *([asked] if asked != name else []), name)
        pending.extend((item, item.unit, chains[name]) for item in unit.edges if item.kind in PULLING)
    return chains, tuple(dict.fromkeys(dangling))


def _generators(tree: FileTree) -> Iterator[Generator]:
    """Those that run, and masks; what cannot run hides no other (systemd src/shared/exec-util.c, ``do_execute``)."""
    for directory, manager in _GENERATORS.items():
        chosen: dict[str, str] = {}
        for root in reversed(_GENERATOR_ROOTS):
            for name in tree.names(f"{root}/systemd/{directory}"):
                path = f"{root}/systemd/{directory}/{name}"
                if name not in chosen or is_mask(tree, path) or _runs(tree, path):
                    chosen[name] = path
        for name, path in sorted(chosen.items()):
            masked = is_mask(tree, path) or not _runs(tree, path)
            yield Generator(name=name, path=path, manager=manager, masked=masked)


def _runs(tree: FileTree, path: str) -> bool:
    node = tree.find(path)
    return node is not None and node.is_file and bool(node.mode & 0o111)


def _presets(tree: FileTree) -> Iterator[PresetRule]:
    for path in drop_ins(tree, "systemd/system-preset", ".preset"):
        for origin, text in statements(tree, path, commented):
            words = text.split()
            if len(words) > 1 and words[0] in _ACTIONS:
                yield PresetRule(action=_ACTIONS[words[0]], pattern=words[1], origin=origin)


def _configuration(tree: FileTree) -> Iterator[DaemonConfiguration]:
    roots = CONFIGURATION_ROOTS
    names = {name for root in roots for name in tree.names(f"{root}/systemd")}
    daemons = {name.removesuffix(".d") for name in names if name.endswith((".conf", ".conf.d"))}
    for name in sorted(daemons):
        yield _one(tree, "systemd", name)
    names = {name for root in roots for name in tree.names(f"{root}/systemd/network")}
    for name in sorted(fnmatch.filter(names, "*.*")):
        if name.removesuffix(".d").endswith(_NETWORK_SUFFIXES) and not name.endswith(".d"):
            yield _one(tree, "systemd/network", name)


def _one(tree: FileTree, directory: str, name: str) -> DaemonConfiguration:
    paths = [f"{root}/{directory}/{name}" for root in CONFIGURATION_ROOTS]
    main = [path for path in paths if is_read(tree, path)][:1]
    used = tuple(path for path in main if not is_mask(tree, path))
    used += ordered(tree, [f"{path}.d" for path in paths], ".conf")
    held = merged([setting for path in used for setting in settings(tree, path)])
    return DaemonConfiguration(name=name, directory=directory, settings=held, files=used)
