"""Kernels of a tree: their modules and their configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import lines
from policies.facts import Kernel, KernelModule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

_MODULES: Final = "/usr/lib/modules"
_MODULE: Final = re.compile(r"(?:/usr)?/lib/modules/([^/]+)/(?:.*/)?([^/]+)\.ko(?:\.(?:xz|zst|gz))?")
_SET: Final = re.compile(r"(CONFIG_\w+)=(.*)")


def kernel(tree: FileTree) -> Kernel:
    """What a tree has of kernels. Of several configurations that of the newest release by name is read."""
    releases = tree.names(_MODULES) or tree.names("/lib/modules")
    modules = {*_loadable(tree), *_built_in(tree, releases)}
    path, values = _configuration(tree, releases)
    return Kernel(
        releases=releases,
        modules=tuple(sorted(modules, key=lambda module: (module.release, module.name, module.path or ""))),
        configuration=values,
        configuration_path=path,
    )


def _loadable(tree: FileTree) -> Iterator[KernelModule]:
    for path in tree.nodes:
        match = _MODULE.fullmatch(path) if ".ko" in path else None
        if match is not None:
            yield KernelModule(name=match[2].replace("-", "_"), path=path, release=match[1])


def _built_in(tree: FileTree, releases: tuple[str, ...]) -> Iterator[KernelModule]:
    for release in releases:
        for _, line in lines(tree, f"{_MODULES}/{release}/modules.builtin"):
            name = line.rpartition("/")[2].removesuffix(".ko")
            if name:
                yield KernelModule(name=name.replace("-", "_"), path=None, release=release)


def _configuration(tree: FileTree, releases: tuple[str, ...]) -> tuple[str | None, dict[str, str] | None]:
    for release in reversed(releases):
        for path in (f"{_MODULES}/{release}/config", f"/boot/config-{release}", f"/usr/lib/kernel/config-{release}"):
            node = tree.find(path)
            if node is not None and node.is_file:
                matches = (_SET.fullmatch(line) for _, line in lines(tree, path))
                return path, {match[1]: match[2].strip('"') for match in matches if match}
    return None, None
