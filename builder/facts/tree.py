"""A file system to read facts from: paths with metadata, contents on demand.

Three kinds of sources become the same tree: a file system image, an unpacked initrd, and a directory on disk.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.filesystem import MAX_FILES, join
from policies.facts.paths import chase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from builder.image.filesystem import FileEntry, FileSystem
    from builder.image.initrd import Initrd

_EMPTY: Final = memoryview(b"")
_PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Node:
    """One path. ``mode`` is st_mode, ``pieces`` gives the content of a regular file in order."""

    path: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    xattrs: tuple[tuple[str, bytes], ...]
    target: str | None
    device: tuple[int, int] | None
    pieces: Callable[[], Iterator[memoryview]]

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    def read(self) -> memoryview:
        """The whole content of a regular file."""
        return join(self.pieces())

    def head(self) -> memoryview:
        """The first piece of the content, which a packed file has sooner than the whole; empty for an empty file."""
        return next(self.pieces(), _EMPTY)


@dataclass(frozen=True)
class FileTree:
    """Nodes by absolute path, "/" among them."""

    nodes: Mapping[str, Node]

    def find(self, path: str) -> Node | None:
        """The node that ``path`` leads to, symbolic links followed inside the tree; None if there is none."""
        found = chase(path, self._target)
        return None if found is None else self.nodes.get(found)

    def real(self, path: str) -> str | None:
        """Where a path leads, links followed, whether or not there is anything; None for one that leads nowhere."""
        return chase(path, self._target)

    def names(self, directory: str) -> tuple[str, ...]:
        """Sorted names in the directory that a path leads to; none if there is no such directory."""
        node = self.find(directory)
        return () if node is None else self._children.get(node.path, ())

    def entry(self, path: str) -> Node | None:
        """The node at ``path`` itself, which may be a symbolic link; links in its directories are followed."""
        found = chase(path, self._target, last=False)
        return None if found is None else self.nodes.get(found)

    def content(self, path: str, limit: int) -> memoryview:
        """What the file that ``path`` leads to holds, at most ``limit`` bytes; empty if it is no file.

        Raises InvalidInputError for a file that is larger: half a configuration is no fact.
        """
        node = self.find(path)
        if node is None or not node.is_file:
            return _EMPTY
        if node.size > limit:
            raise InvalidInputError(f"{path} has {node.size} bytes, more than the {limit} that such a file may have")
        return node.read()

    def _target(self, path: str) -> str | None:
        node = self.nodes.get(path)
        return None if node is None else node.target

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        children: dict[str, list[str]] = {}
        for path in self.nodes:
            if path != "/":
                directory, _, name = path.rpartition("/")
                children.setdefault(directory or "/", []).append(name)
        return {directory: tuple(sorted(names)) for directory, names in children.items()}


def file_system_tree(image: FileSystem) -> FileTree:
    """The tree of a file system image. Raises MalformedImageError for what breaks its format."""
    return _tree(_image_node(entry) for entry in image.entries())


def initrd_tree(initrd: Initrd) -> FileTree:
    """The tree that is there when the kernel has unpacked an initrd."""
    nodes = [
        Node(
            path=_text(f"/{entry.path}"),
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            size=entry.size,
            mtime=entry.mtime,
            xattrs=(),
            target=None if entry.target is None else _text(entry.target),
            device=entry.device,
            pieces=_constant(entry.content),
        )
        for entry in initrd.files
    ]
    if nodes and nodes[0].path != "/":  # the kernel's own rootfs directory (init/noinitramfs.c, default_rootfs)
        nodes.insert(0, Node("/", stat.S_IFDIR | 0o755, 0, 0, 0, 0, (), None, None, _constant(_EMPTY)))
    return _tree(nodes)


def directory_tree(top: Path) -> FileTree:
    """The tree below a directory on disk; other file systems mounted in it are part of it, links stay inside.

    Raises OSError for what cannot be read: a file that nobody looked at is no good file. Raises InvalidInputError for a
    tree that is deeper than a path may name, or has too many files.
    """
    try:
        return _tree(_disk_node(top, path) for path in _paths(top))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InvalidInputError(
            f"a path in {top} is longer than the 4095 bytes that Linux takes of one, so what it leads to was not read",
            hint="remove it, or check an image of the directory",
        ) from error


def _paths(top: Path) -> list[Path]:
    paths, pending = [top], [top]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                path = top.__class__(entry.path)
                paths.append(path)
                pending += [path] if entry.is_dir(follow_symlinks=False) else []
        if len(paths) > MAX_FILES:
            raise InvalidInputError(f"there are more than {MAX_FILES} files in {top}")
    return paths


def empty_tree() -> FileTree:
    """A root directory with nothing in it."""
    return _tree([Node("/", stat.S_IFDIR | 0o755, 0, 0, 0, 0, (), None, None, _constant(_EMPTY))])


def mounted(tree: FileTree, place: str, other: FileTree) -> FileTree:
    """A tree with another one over a directory of it, which hides what was there."""
    kept = {path: node for path, node in tree.nodes.items() if path != place and not path.startswith(f"{place}/")}
    below = {
        place if path == "/" else place + path: replace(node, path=place if path == "/" else place + path)
        for path, node in other.nodes.items()
    }
    return FileTree(kept | below)


def _tree(nodes: Iterable[Node]) -> FileTree:
    by_path: dict[str, Node] = {}
    for node in nodes:
        if node.path in by_path:  # names that differ only in how they break UTF-8
            raise MalformedImageError("file tree", None, f"two files are called {node.path}")
        by_path[node.path] = node
    if "/" not in by_path:
        raise MalformedImageError("file tree", None, "it has no files")
    return FileTree(by_path)


def _image_node(entry: FileEntry) -> Node:
    return Node(
        path=_text(f"/{entry.path}"),
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime=entry.mtime,
        xattrs=entry.xattrs,
        target=None if entry.target is None else _text(entry.target),
        device=entry.device,
        pieces=entry.pieces,
    )


def _disk_node(top: Path, path: Path) -> Node:
    status = path.lstat()
    relative = "" if path == top else str(path.relative_to(top))
    is_device = stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)
    names = [] if stat.S_ISLNK(status.st_mode) else os.listxattr(path, follow_symlinks=False)
    return Node(
        path=_text(f"/{relative}"),
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if stat.S_ISREG(status.st_mode) else 0,
        mtime=int(status.st_mtime),
        xattrs=tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names)),
        target=_text(str(path.readlink())) if stat.S_ISLNK(status.st_mode) else None,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else None,
        pieces=lambda: _read_pieces(path),
    )


def _read_pieces(path: Path) -> Iterator[memoryview]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield memoryview(piece)


def _text(name: str) -> str:
    """Bytes that are not UTF-8 as backslash escapes: facts are valid Unicode."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _constant(content: memoryview) -> Callable[[], Iterator[memoryview]]:
    return lambda: iter((content,))
