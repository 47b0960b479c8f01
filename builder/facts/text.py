"""Statements and settings of an image's configuration files, each with the place that it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.facts.syntax import assignments, joined_lines
from policies.facts import Origin, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.facts.tree import FileTree


def statements(tree: FileTree, path: str, comments: str = "#") -> Iterator[tuple[Origin, str]]:
    """Lines that are neither empty nor comments, stripped; a backslash at the end joins the next line."""
    for line, text in joined_lines(tree, path, comments):
        yield Origin(path=path, line=line), text


def settings(tree: FileTree, path: str) -> Iterator[Setting]:
    """The assignments of an INI file (systemd.syntax(7)), with empty ones; what is neither is passed over."""
    for item in assignments(tree, path):
        yield Setting(section=item.section, key=item.key, value=item.value, origin=Origin(path=path, line=item.line))


def merged(assignments: Sequence[Setting], never_reset: frozenset[str] = frozenset()) -> tuple[Setting, ...]:
    """What holds after empty assignments threw away what came before them."""
    kept: list[Setting] = []
    for setting in assignments:
        if setting.value:
            kept.append(setting)
        elif setting.key not in never_reset:
            kept = [other for other in kept if (other.section, other.key) != (setting.section, setting.key)]
    return tuple(kept)
