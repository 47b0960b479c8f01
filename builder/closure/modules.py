"""Kernel modules by name, with what they depend on and the firmware that they ask for (modules.dep(5), modinfo(8))."""

from __future__ import annotations

import fnmatch
import lzma
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.closure.edges import File
from builder.errors import InvalidInputError
from builder.facts.syntax import kmod_lines, plain_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree, Node

_DIRECTORY: Final = "/usr/lib/modules"
_FIRMWARE: Final = "/usr/lib/firmware"
# What depmod(8) reads besides the modules; it writes all the others again.
_DEPMOD_INPUTS: Final = ("modules.builtin", "modules.builtin.modinfo", "modules.order")
_FIRMWARE_OF: Final = re.compile(rb"\0firmware=([^\0]+)")


@dataclass(frozen=True, slots=True)
class Kernels:
    """The modules of all kernels of a tree. Names have underscores, as the kernel itself shows them.

    ``paths`` has every module's path by name, ``built_in`` names without one, ``needs`` the paths that a path needs.
    """

    paths: Mapping[str, tuple[str, ...]]
    built_in: frozenset[str]
    needs: Mapping[str, tuple[str, ...]]
    files: tuple[str, ...]

    def find(self, pattern: str) -> tuple[str, ...] | None:
        """The paths of the modules that a pattern names; none for what is built in, None for what is not there."""
        wanted = pattern.replace("-", "_")
        names = fnmatch.filter(self.paths, wanted)
        if not names and not fnmatch.filter(self.built_in, wanted):
            return None
        return tuple(path for name in names for path in self.paths[name])


def read_kernels(tree: FileTree) -> Kernels:
    """The modules below /usr/lib/modules. Raises InvalidInputError if a release has modules and no modules.dep."""
    paths: dict[str, list[str]] = {}
    needs: dict[str, tuple[str, ...]] = {}
    built_in: set[str] = set()
    files: list[str] = []
    for release in tree.names(_DIRECTORY):
        top = f"{_DIRECTORY}/{release}"
        files += [f"{top}/{name}" for name in _DEPMOD_INPUTS if tree.find(f"{top}/{name}")]
        files += [f"{top}/{name}" for name in tree.names(top) if name.startswith(("vmlinuz", "vmlinux"))]
        built_in |= {_name(line) for _, line in plain_lines(tree, f"{top}/modules.builtin")}
        dependencies = {}
        for _, line in plain_lines(tree, f"{top}/modules.dep"):
            path, _, rest = line.partition(":")
            dependencies[f"{top}/{path}"] = tuple(f"{top}/{word}" for word in rest.split())
        for path in tree.nodes:
            if path.startswith(f"{top}/") and re.search(r"\.ko(\.\w+)?$", path):
                if path not in dependencies:
                    raise InvalidInputError(f"{top}/modules.dep does not list {path}", hint="run depmod first")
                paths.setdefault(_name(path), []).append(path)
        needs |= dependencies
        for source, names in _soft(tree, f"{top}/modules.softdep"):
            soft = tuple(path for name in names for path in paths.get(name, ()))
            for path in paths.get(source, ()):
                needs[path] = (*needs.get(path, ()), *soft)
    return Kernels({name: tuple(found) for name, found in paths.items()}, frozenset(built_in), needs, tuple(files))


def module_edges(kernels: Kernels, node: Node, firmware: tuple[str, ...]) -> Iterator[Edge]:
    """What a module needs: other modules, and of ``firmware`` (names in /usr/lib/firmware) what it may ask for."""
    for path in kernels.needs.get(node.path, ()):
        yield File(path, f"{node.path} depends on it")
    if not firmware:
        return
    for match in _FIRMWARE_OF.finditer(_unpacked(node)):
        pattern = match[1].decode("utf-8", "replace")
        for name in firmware:
            if fnmatch.fnmatchcase(name, pattern) or name.rpartition(".")[0] == pattern:  # .xz, .zst
                yield File(f"{_FIRMWARE}/{name}", f"{node.path} asks for it")


def firmware_names(tree: FileTree) -> tuple[str, ...]:
    """The files below /usr/lib/firmware by their names there."""
    top = f"{_FIRMWARE}/"
    return tuple(path.removeprefix(top) for path in tree.nodes if path.startswith(top))


def _soft(tree: FileTree, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Modules with what should be loaded with them (modprobe.d(5), softdep)."""
    for _, line in kmod_lines(tree, path):
        words = line.split()
        if words[0] == "softdep":
            yield words[1].replace("-", "_"), tuple(w.replace("-", "_") for w in words[2:] if not w.endswith(":"))


def _name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _unpacked(node: Node) -> bytes:
    content = bytes(node.read())
    if node.path.endswith(".ko"):
        return content
    if node.path.endswith(".ko.xz"):
        return lzma.decompress(content)
    raise InvalidInputError(f"{node.path} is packed in a way that is not read, so its firmware cannot be told")
