"""Statements and settings of an image's configuration files, each with the place that it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.facts.syntax import assignments, plain_lines
from builder.facts.unit_values import split
from policies.facts import Origin, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from builder.facts.tree import FileTree

    Lines = Callable[[FileTree, str], Iterator[tuple[int, str]]]

# Settings whose words may be quoted and escaped, and that controls look into.
_WORDS: Final = frozenset(
    {
        "BindPaths", "BindReadOnlyPaths", "DefaultEnvironment", "Environment", "ExtensionDirectories",
        "ExtensionImages", "ManagerEnvironment", "MountImages", "PassEnvironment",
    }
)  # fmt: skip
_QUOTING: Final = frozenset("\"'\\")


def statements(tree: FileTree, path: str, lines: Lines = plain_lines) -> Iterator[tuple[Origin, str]]:
    """What a file says, line by line, as the program reads it whose ``lines`` these are."""
    for line, text in lines(tree, path):
        yield Origin(path=path, line=line), text


def commented(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Lines of a file of systemd's in which ";" begins a comment, too."""
    return plain_lines(tree, path, "#;")


def settings(tree: FileTree, path: str) -> Iterator[Setting]:
    """The assignments of an INI file (systemd.syntax(7)), with empty ones; what is neither is passed over.

    Lists of words stand without quotes and escapes, as the manager takes them.
    """
    for item in assignments(tree, path):
        is_spelled = item.key in _WORDS and not _QUOTING.isdisjoint(item.value)
        value = " ".join(split(item.value)) if is_spelled else item.value
        yield Setting(section=item.section, key=item.key, value=value, origin=Origin(path=path, line=item.line))


def merged(assignments: Sequence[Setting], never_reset: frozenset[str] = frozenset()) -> tuple[Setting, ...]:
    """What holds after empty assignments threw away what came before them."""
    kept: list[Setting] = []
    for setting in assignments:
        if setting.value:
            kept.append(setting)
        elif setting.key not in never_reset:
            kept = [other for other in kept if (other.section, other.key) != (setting.section, setting.key)]
    return tuple(kept)
