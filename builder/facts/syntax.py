"""Configuration files of an image as text: lines, assignments, and which of several files of one name counts.

This module and those it imports need nothing but the standard library, because ``builder.closure`` runs them inside a
build (see the import contracts in pyproject.toml).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.facts.tree import FileTree

MAX_CONFIGURATION: Final = 4 << 20
# systemd src/basic/constants.h, CONF_PATHS; the order is the precedence.
CONFIGURATION_ROOTS: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")


@dataclass(frozen=True, slots=True)
class Assignment:
    """``key=value`` in a section of an INI file, and the number of its (first) line."""

    section: str
    key: str
    value: str
    line: int


def lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, without line breaks; none if there is no such file."""
    text = bytes(tree.content(path, MAX_CONFIGURATION)).decode("utf-8", "backslashreplace")
    return enumerate((line.rstrip("\r") for line in text.split("\n")), start=1)


def joined_lines(tree: FileTree, path: str, comments: str = "#") -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor comments, stripped; a backslash at the end joins the next line."""
    pending, start = "", 0
    for number, line in lines(tree, path):
        text = line.strip()
        if text.startswith(tuple(comments)) or not (text or pending):
            continue
        start = start if pending else number
        if text.endswith("\\"):
            pending += text[:-1] + " "
            continue
        whole, pending = (pending + text).strip(), ""
        if whole:
            yield start, whole
    if pending.strip():
        yield start, pending.strip()


def assignments(tree: FileTree, path: str) -> Iterator[Assignment]:
    """The assignments of an INI file (systemd.syntax(7)), with empty ones; what is neither is passed over."""
    section = ""
    for line, text in joined_lines(tree, path, "#;"):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if equals:
            yield Assignment(section, key.strip(), value.strip(), line)


def is_mask(tree: FileTree, path: str) -> bool:
    """Whether a configuration file is switched off: a link to /dev/null, or empty."""
    node = tree.entry(path)
    if node is None:
        return False
    return node.target == "/dev/null" or (node.is_file and node.size == 0)


def drop_ins(tree: FileTree, directory: str, suffix: str) -> tuple[str, ...]:
    """The files that are read of a directory like ``sysctl.d`` below the roots, in the order in which they apply.

    Of several files of one name the one in the first root counts; a mask switches the name off.
    """
    return ordered(tree, tuple(f"{root}/{directory}" for root in CONFIGURATION_ROOTS), suffix)


def ordered(tree: FileTree, directories: Sequence[str], suffix: str) -> tuple[str, ...]:
    """Like :func:`drop_ins` for directories by precedence."""
    chosen: dict[str, str] = {}
    for directory in directories:
        for name in tree.names(directory):
            if name.endswith(suffix):
                chosen.setdefault(name, f"{directory}/{name}")
    return tuple(path for _, path in sorted(chosen.items()) if not is_mask(tree, path))


def variables(text: str) -> dict[str, str]:
    """The assignments of an os-release file (os-release(5)), quotes removed."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[key] = value[1:-1] if is_quoted else value
    return found
