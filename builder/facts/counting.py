"""Which entries of search paths count: what systemd passes over hides nothing that lies behind it.

Standard library only: ``builder.closure`` runs this inside a build (see the import contracts in pyproject.toml).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from builder.facts.tree import FileTree

# systemd src/basic/unit-name.h and src/shared/install.c, unit_type_may_alias.
_MAY_ALIAS: Final = frozenset({"service", "socket", "target", "device", "timer", "path"})


def is_mask(tree: FileTree, path: str) -> bool:
    """Whether a configuration file is switched off: a link to /dev/null, or empty."""
    node = tree.entry(path)
    if node is None:
        return False
    return tree.real(path) == "/dev/null" if node.target is not None else node.is_file and node.size == 0


def is_read(tree: FileTree, path: str) -> bool:
    """Whether a path leads to a regular file, or masks (systemd src/basic/conf-files.c, ``files_add``)."""
    node = tree.find(path)
    return (node is not None and node.is_file) or is_mask(tree, path)


def is_unit(tree: FileTree, path: str, folders: Collection[str], names: Collection[str]) -> bool:
    """Whether an entry of the load path, which has ``folders`` and in them ``names``, is a unit, a mask or an alias.

    systemd src/shared/unit-file.c, ``unit_file_build_name_map`` and ``unit_file_resolve_symlink``: a link into the load
    path is an alias by the name that it leads to, any other one is the file itself.
    """
    node = tree.entry(path)
    if node is None or node.target is None:
        return is_read(tree, path)
    name, (folder, _, target) = path.rpartition("/")[2], node.target.rpartition("/")
    above = "" if node.target.startswith("/") else path.rpartition("/")[0]
    place = tree.real(f"{above}/{folder}")
    if place in folders and target != name:
        return target in names and may_stand_for(name, target)
    return is_read(tree, path)


def may_stand_for(alias: str, unit: str) -> bool:
    """Whether systemd takes a name as an alias (src/shared/install.c, ``unit_validate_alias_symlink_or_warn``)."""
    (stem, _, kind), (other, _, other_kind) = alias.rpartition("."), unit.rpartition(".")
    if kind != other_kind or kind not in _MAY_ALIAS:
        return False
    (_, at, instance), (_, other_at, other_instance) = stem.partition("@"), other.partition("@")
    if not at:
        return not other_at or bool(other_instance)
    return bool(other_at) and (other_instance == instance or not other_instance)
