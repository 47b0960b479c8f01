"""Taking away from a directory tree on disk what its closure does not have."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

from builder.closure.close import close
from builder.closure.database import pruned_database, read_database
from builder.closure.report import SET_ID, as_document, measure
from builder.facts.tree import directory_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from builder.closure.rules import Rules


def prune(top: Path, rules: Rules) -> dict[str, Any]:
    """Prune the tree at ``top`` and return the report of it.

    Nothing is taken away unless the whole closure is sound. Raises InvalidInputError, of which BrokenClosureError.
    """
    tree = directory_tree(top)
    database = read_database(tree)
    closed = close(tree, rules, database.owners)
    kept = _with_parents(closed.paths)
    directories = frozenset(path for path, node in tree.nodes.items() if stat.S_ISDIR(node.mode))
    files = pruned_database(database, kept, directories)
    kept |= _with_parents(files)
    before = measure(tree)
    dropped = [node for path, node in tree.nodes.items() if path not in kept]
    # The deepest first, so that a directory is empty when its turn comes.
    for path in sorted(tree.nodes.keys() - kept, reverse=True):
        place = top / path[1:]
        if path in directories:
            place.rmdir()
        else:
            place.unlink()
    # Nothing gains rights by being run.
    for path in kept:
        if (node := tree.nodes.get(path)) is not None and node.is_file and node.mode & SET_ID:
            (top / path[1:]).chmod(stat.S_IMODE(node.mode) & ~SET_ID)
    for path, text in files.items():
        (top / path[1:]).write_bytes(text.encode("utf-8", "surrogateescape"))
    report = as_document(before, measure(directory_tree(top)), dropped, database.owners)
    return report | {"because": dict(closed.paths)}


def _with_parents(paths: Iterable[str]) -> frozenset[str]:
    found = {"/"}
    for path in paths:
        while path not in found:
            found.add(path)
            path = path.rpartition("/")[0] or "/"  # noqa: PLW2901 -- walks up
    return frozenset(found)
