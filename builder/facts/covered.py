"""What is in the image where the start mounts another file system: it is not there when the image runs."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from builder.facts.tree import FileTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import Node

# systemd src/shared/mount-setup.c, mount_table, in root and initrd; /tmp is a tmpfs by tmp.mount.
_PLACES: Final = frozenset({"run", "tmp", "dev", "proc", "sys"})


def uncovered(tree: FileTree) -> FileTree:
    """The tree in which configuration is looked for: it has but directories in these places.

    Else a file in /run, which systemd would look at first, masked or replaced another one until the start only.
    """
    return FileTree({path: node for path, node in tree.nodes.items() if not _is_covered(node)})


def covered_files(tree: FileTree) -> Iterator[str]:
    """Paths of what is covered; images have device nodes and links in /dev for those who start them in other ways."""
    for path, node in sorted(tree.nodes.items()):
        is_usual = path.startswith("/dev/") and not node.is_file
        if _is_covered(node) and not is_usual:
            yield path


def _is_covered(node: Node) -> bool:
    return node.path.split("/")[1] in _PLACES and not stat.S_ISDIR(node.mode)
