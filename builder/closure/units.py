"""What units need: other units, programs, and the files that they are made of (systemd.unit(5), systemd.service(5))."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final

from builder.closure.edges import SEARCH, File, Module, Program, Tree, Unit
from builder.closure.unit_root import UnitRoot
from builder.errors import InvalidInputError
from builder.facts.syntax import Assignment, assignments
from builder.facts.unit_files import instantiate, is_unit_name, template_of
from builder.facts.unit_values import commands, expand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree
    from builder.facts.unit_files import UnitFiles

# A missing unit fails the one that asks for it by these; by the others it is passed over.
_REQUIRED: Final = frozenset({"Requires", "BindsTo", "Sockets"})
_WANTED: Final = frozenset({"Wants", "Upholds", "Requisite", "OnFailure", "OnSuccess", "Slice"})
_PROGRAMS: Final = frozenset(
    {
        "ExecCondition", "ExecStart", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecReloadPost", "ExecStop",
        "ExecStopPre", "ExecStopPost",
    }
)  # fmt: skip
# Begin like the settings that start programs and start none.
_NO_PROGRAMS: Final = frozenset({"ExecSearchPath", "ExecPaths"})
# The programs of such a unit come from an image that is not looked into.
_IMAGES: Final = frozenset({"RootImage", "RootMStack", "ExtensionImages", "ExtensionDirectories", "MountImages"})
_ENVIRONMENT_FILES: Final = frozenset({"EnvironmentFile", "LoadCredential", "LoadCredentialEncrypted"})
# The manager makes these up where no file defines them, or a generator or the kernel brings them.
_MADE_UP: Final = frozenset({"slice", "device", "scope", "mount", "swap"})
_ACTIVATED_BY: Final = {"socket": "Service", "timer": "Unit", "path": "Unit"}
_YES: Final = frozenset({"yes", "y", "true", "t", "on", "1"})
_NO: Final = frozenset({"no", "n", "false", "f", "off", "0"})


def unit_edges(files: UnitFiles, name: str) -> Iterator[Edge | Tree]:
    """What a unit needs when it is started, its own files among it. ``name`` is no alias.

    Raises InvalidInputError for a setting that starts programs in a way that is not known.
    """
    aliases = files.aliases.get(name, ())
    paths = files.paths(name)[:1]
    for path in (*paths, *(path for alias in aliases for path in files.entries[alias][:1])):
        yield File(path, f"the unit {name}")
    if files.mask(name) is not None:
        return
    drop_ins = files.drop_ins(name, aliases)
    for path in drop_ins:
        yield File(path, f"a drop-in of {name}")
    yield from _links(files, name, aliases)
    held = [(path, item) for path in (*paths, *drop_ins) for item in assignments(files.tree, path)]
    root = UnitRoot.of([item for _, item in held])
    if root.path is not None:
        yield Tree(root.path, f"it is the root of {name}")
    for path, item in held:
        yield from _setting_edges(files, name, path, item, root)
    yield from _kind_edges(name, [item for _, item in held])


def _links(files: UnitFiles, name: str, aliases: tuple[str, ...]) -> Iterator[Edge]:
    template, instance = template_of(name)
    names = {name, *aliases, template}
    for link in files.links:
        if link.unit in names:
            other = instantiate(link.other, instance or "")
            # A link to a unit that was taken away is no edge and goes away with it.
            if files.paths(files.resolve(other)):
                yield File(link.path, f"{name} {link.kind.lower()} {other}")
                yield Unit(other, f"{name} {link.kind.lower()} it ({link.path})")


def _setting_edges(files: UnitFiles, name: str, path: str, item: Assignment, root: UnitRoot) -> Iterator[Edge]:
    place = f"{path}:{item.line}"
    if item.key in _REQUIRED | _WANTED:
        for word in item.value.split():
            other = expand(word, name)
            optional = item.key in _WANTED or other.rpartition(".")[2] in _MADE_UP
            yield Unit(other, f"{name} has {item.key}={word} ({place})", optional)
    elif item.key in _IMAGES and item.value:
        raise InvalidInputError(
            f"{place}: {name} takes files from an image ({item.key}=), which is not looked into",
            hint="put the files into the image and name their directory with RootDirectory=, or turn pruning off",
        )
    elif item.key in _PROGRAMS and item.section != "Unit":
        for words in commands(item.value):
            yield from _command_edges(files, name, place, words, root)
    elif item.key.startswith("Exec") and item.key not in _NO_PROGRAMS:
        raise InvalidInputError(f"{place}: {name} has {item.key}=, and nobody knows what it starts")
    elif item.key in _ENVIRONMENT_FILES:
        source = item.value.rpartition(":")[2].removeprefix("-")
        if source.startswith("/") and "%" not in source:
            yield File(source, f"{name} has {item.key}= ({place})", optional=True)


def _command_edges(files: UnitFiles, name: str, place: str, words: list[str], root: UnitRoot) -> Iterator[Edge]:
    """The program of a command line, and what its arguments name: files that are there, and units."""
    program = words[0].lstrip("@-:+!|")
    prefixes = words[0][: len(words[0]) - len(program)]
    program = expand(program, name)
    if "%" in program or "$" in program or not program:
        raise InvalidInputError(f"{place}: {name} starts {words[0]!r}, which is not known before it runs")
    search = [root.outside(top) for top in SEARCH]
    program = root.outside(program) if program.startswith("/") else program
    yield Program(program, f"{name} starts it ({place})", optional="-" in prefixes, search=tuple(search))
    for word in words[1:]:
        value = expand(word, name).rpartition("=")[2]
        value = root.outside(value) if value.startswith("/") else value
        if value.startswith("/") and files.tree.find(value) is not None and not _is_directory(files.tree, value):
            yield File(value, f"{name} gives it to {program} ({place})")
        elif is_unit_name(value) and files.paths(files.resolve(value)):
            yield Unit(value, f"{name} gives it to {program} ({place})")


def _kind_edges(name: str, held: list[Assignment]) -> Iterator[Edge]:
    """What comes with the type of a unit, without a word in its file."""
    stem, _, kind = name.rpartition(".")
    if kind in {"service", "socket", "timer", "path"} and _last(held, "DefaultDependencies") not in _NO:
        yield Unit("sysinit.target", f"{name} has default dependencies")
    if kind in _ACTIVATED_BY:
        stated = _last(held, _ACTIVATED_BY[kind])
        accepts = kind == "socket" and _last(held, "Accept").lower() in _YES
        default = f"{stem.partition('@')[0]}@.service" if accepts else f"{stem}.service"
        yield Unit(expand(stated, name) if stated else default, f"{name} activates it")
    if kind == "automount":
        yield Unit(f"{stem}.mount", f"{name} activates it")
        yield Module("autofs4", f"{name} is mounted through it")
    if kind == "mount":  # systemd src/core/mount.c runs these
        yield Program("/usr/bin/mount", f"the manager mounts {name} by it")
        yield Program("/usr/bin/umount", f"the manager unmounts {name} by it")
    if kind == "swap":  # systemd src/core/swap.c
        yield Program("/usr/sbin/swapon", f"the manager starts {name} by it")
        yield Program("/usr/sbin/swapoff", f"the manager stops {name} by it")
    if name.startswith("modprobe@") and (instance := template_of(name)[1]):
        # Escaped as unit names are (systemd-escape(1)): "\x2d" is a dash.
        module = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), instance)
        yield Module(module, f"{name} loads it", optional=True)


def _last(held: list[Assignment], key: str) -> str:
    values = [item.value for item in held if item.key == key]
    return values[-1] if values else ""


def _is_directory(tree: FileTree, path: str) -> bool:
    node = tree.find(path)
    return node is not None and stat.S_ISDIR(node.mode)


def may_be_made_up(name: str) -> bool:
    """Whether the manager, a generator or the kernel can bring a unit that no file defines."""
    return name.rpartition(".")[2] in _MADE_UP
