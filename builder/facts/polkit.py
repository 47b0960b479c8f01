"""Where polkit and pklocalauthority(8) read rules, actions and authorities."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree


def polkit_files(tree: FileTree, suffix: str) -> Iterator[str]:
    """The files of a suffix below all folders called polkit-1, links followed to each folder once; by path."""
    tops = [path for path in sorted(tree.nodes) if path.endswith("/polkit-1")]
    for top in tops:
        for path in sorted(_below(tree, top, set())):
            node = tree.find(path)
            if path.endswith(suffix) and node is not None and node.is_file:
                yield path


def _below(tree: FileTree, folder: str, seen: set[str]) -> Iterator[str]:
    node = tree.find(folder)
    if node is None or node.path in seen:
        return
    seen.add(node.path)
    for name in tree.names(folder):
        yield f"{folder}/{name}"
        yield from _below(tree, f"{folder}/{name}", seen)
