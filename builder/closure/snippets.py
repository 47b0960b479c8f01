"""Directories of snippets that one program reads whole: which of them count once the programs are known.

A package brings its snippets (users, directories, sysctls) for programs of its own. Without any of these they would
prepare the machine for somebody who is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.closure.edges import File, Module
from builder.facts.syntax import drop_ins, plain_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree

# Reader, and the directory that it reads below /etc, /run, /usr/local/lib and /usr/lib.
_DIRECTORIES: Final = (
    ("/usr/bin/systemd-tmpfiles", "tmpfiles.d"),
    ("/usr/bin/systemd-sysusers", "sysusers.d"),
    ("/usr/lib/systemd/systemd-sysctl", "sysctl.d"),
    ("/usr/lib/systemd/systemd-modules-load", "modules-load.d"),
    ("/usr/lib/systemd/systemd-binfmt", "binfmt.d"),
    ("/usr/bin/kmod", "modprobe.d"),
    ("/usr/bin/udevadm", "modprobe.d"),
)


def snippet_edges(tree: FileTree, readers: frozenset[str], is_wanted: Callable[[str], bool]) -> Iterator[Edge]:
    """Snippets whose reader is among ``readers`` and whose path ``is_wanted`` accepts, and what they name."""
    for reader, directory in _DIRECTORIES:
        if reader not in readers:
            continue
        for path in drop_ins(tree, directory, ".conf"):
            if not is_wanted(path):
                continue
            yield File(path, f"{reader} reads it")
            if directory == "modules-load.d":
                for number, line in plain_lines(tree, path, "#;"):
                    yield Module(line, f"{path}:{number} loads it")
            if directory == "tmpfiles.d":
                yield from _copied(tree, path)


def _copied(tree: FileTree, path: str) -> Iterator[Edge]:
    """The sources of C and L lines (tmpfiles.d(5)); without a source it is /usr/share/factory."""
    for number, line in plain_lines(tree, path):
        fields = line.split(maxsplit=6)
        if fields[0][:1] in {"C", "L"} and len(fields) > 1:
            stated = fields[6] if len(fields) > 6 and fields[6] != "-" else f"/usr/share/factory{fields[1]}"  # noqa: PLR2004
            source = stated.strip('"')
            if source.startswith("/"):
                yield File(source, f"{path}:{number} copies or links to it", optional=True)
