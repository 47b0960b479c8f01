"""Text files of an image: lines with their numbers, INI files of systemd, directories of drop-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.facts import Origin, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.facts.tree import FileTree

MAX_CONFIGURATION: Final = 4 << 20
# systemd src/basic/constants.h, CONF_PATHS; the order is the precedence.
CONFIGURATION_ROOTS: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")


def lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, without line breaks; none if there is no such file."""
    text = bytes(tree.content(path, MAX_CONFIGURATION)).decode("utf-8", "backslashreplace")
    return enumerate((line.rstrip("\r") for line in text.split("\n")), start=1)


def statements(tree: FileTree, path: str, comments: str = "#") -> Iterator[tuple[Origin, str]]:
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
            yield Origin(path=path, line=start), whole
    if pending.strip():
        yield Origin(path=path, line=start), pending.strip()


def settings(tree: FileTree, path: str) -> Iterator[Setting]:
    """The assignments of an INI file (systemd.syntax(7)), with empty ones; what is neither is passed over."""
    section = ""
    for origin, text in statements(tree, path, "#;"):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if equals:
            yield Setting(section=section, key=key.strip(), value=value.strip(), origin=origin)


def merged(assignments: Sequence[Setting], never_reset: frozenset[str] = frozenset()) -> tuple[Setting, ...]:
    """What holds after empty assignments threw away what came before them."""
    kept: list[Setting] = []
    for setting in assignments:
        if setting.value:
            kept.append(setting)
        elif setting.key not in never_reset:
            kept = [other for other in kept if (other.section, other.key) != (setting.section, setting.key)]
    return tuple(kept)


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
