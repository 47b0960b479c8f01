"""Configuration files of an image as text: lines, assignments, and which of several files of one name counts.

This module and those it imports need nothing but the standard library, because ``builder.closure`` runs them inside a
build (see the import contracts in pyproject.toml).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.facts.counting import is_mask, is_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from builder.facts.tree import FileTree

MAX_CONFIGURATION: Final = 4 << 20
# systemd src/basic/constants.h, CONF_PATHS; the order is the precedence.
CONFIGURATION_ROOTS: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
# systemd src/basic/string-util.h, WHITESPACE. What Unicode calls white space besides is a character as any other.
SPACE: Final = " \t\n\r"
_FIELD: Final = re.compile(f"[^{SPACE}]+")
_BYTE_ORDER_MARK: Final = "\ufeff"
# LF, CR and NUL each end a line; different ones behind each other end it once.
_LINE_END: Final = re.compile(r"\n(?:\r\0?|\0\r?)?|\r(?:\n\0?|\0\n?)?|\0(?:\n\r?|\r\n?)?")
_KMOD_LINE: Final = re.compile(r"((?:\\.|[^\\\n])*)(?:\n|\\?\Z)", re.DOTALL)
_KMOD_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Assignment:
    """``key=value`` in a section of an INI file, and the number of its (first) line."""

    section: str
    key: str
    value: str
    line: int


def lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, without line breaks; none if there is no such file."""
    return enumerate((line.rstrip("\r") for line in _text(tree, path).split("\n")), start=1)


def plain_lines(tree: FileTree, path: str, comments: str = "#") -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor comments, stripped, of a file in which no line goes on in the next.

    Those of systemd end a line as its units do, and those of others at least there.
    """
    for number, line in _systemd_lines(tree, path):
        text = line.strip(SPACE)
        if text and not text.startswith(tuple(comments)):
            yield number, text


def joined_lines(tree: FileTree, path: str, comments: str = "#") -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor comments, stripped; a backslash at the end joins the next line."""
    stripped = ((number, line.strip()) for number, line in lines(tree, path))
    return _joined((row for row in stripped if not row[1].startswith(tuple(comments))), _open_line)


def unit_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Lines of units and of the manager's configuration (systemd src/shared/conf-parser.c, ``config_parse``).

    A backslash that no other one escapes, as the very last character, stands for a space and joins the next line,
    between comments too. The byte order mark that a file may begin with is none of its text.
    """
    said = (row for row in _systemd_lines(tree, path) if not row[1].lstrip(SPACE).startswith(("#", ";")))
    return _joined(_unmarked(said), _open_unit_line)


def udev_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Rules of udev (systemd src/udev/udev-rules.c, ``udev_rules_parse_file``): a backslash at the end is cut off."""
    begun = ((number, line.lstrip(SPACE)) for number, line in _systemd_lines(tree, path))
    return _joined((row for row in begun if not row[1].startswith("#")), _open_rule)


def _joined(rows: Iterable[tuple[int, str]], open_line: Callable[[str], str | None]) -> Iterator[tuple[int, str]]:
    """Whole lines, stripped, with the number of their first part; what is left at the end of the file is one, too.

    ``open_line`` says what of a line that goes on in the next one stands before it, and None of one that does not.
    """
    pending, start = "", 0
    for number, text in rows:
        start = start if pending else number
        whole = pending + text
        beginning = open_line(whole)
        pending = beginning or ""
        if beginning is None and whole.strip(SPACE):
            yield start, whole.strip(SPACE)
    if pending.strip(SPACE):
        yield start, pending.strip(SPACE)


def _open_line(text: str) -> str | None:
    return f"{text[:-1]} " if text.endswith("\\") else None


def _open_unit_line(text: str) -> str | None:
    return f"{text[:-1]} " if (len(text) - len(text.rstrip("\\"))) % 2 else None


def _open_rule(text: str) -> str | None:
    return text[:-1] if text.endswith("\\") else None


def _unmarked(rows: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines without the byte order mark; systemd takes the first one that begins a line."""
    marked = False
    for number, line in rows:
        is_mark = not marked and line.startswith(_BYTE_ORDER_MARK)
        marked = marked or is_mark
        yield number, line.removeprefix(_BYTE_ORDER_MARK) if is_mark else line


def kmod_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Lines of modprobe.d (kmod libkmod/libkmod-util.c, ``getline_wrapped``).

    A backslash goes away with the line break behind it, or alone. Only the first character makes a comment.
    """
    number = 1
    for match in _KMOD_LINE.finditer(_text(tree, path)):
        line = _KMOD_ESCAPE.sub(lambda found: found[1].strip("\n"), match[1])
        if line.strip(SPACE) and not line.startswith("#"):
            yield number, line.strip(SPACE)
        number += match[0].count("\n")


def _text(tree: FileTree, path: str) -> str:
    return bytes(tree.content(path, MAX_CONFIGURATION)).decode("utf-8", "backslashreplace")


def _systemd_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Lines as systemd reads them (src/basic/fileio.c, ``read_line_full``)."""
    text = _text(tree, path)
    whole = _LINE_END.split(text) if "\r" in text or "\0" in text else text.split("\n")
    return enumerate(whole, start=1)


def assignments(tree: FileTree, path: str) -> Iterator[Assignment]:
    """The assignments of an INI file (systemd.syntax(7)), with empty ones; what is neither is passed over."""
    section = ""
    for line, text in unit_lines(tree, path):
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            continue
        key, equals, value = text.partition("=")
        if equals:
            yield Assignment(section, key.strip(SPACE), value.strip(SPACE), line)


def fstab_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Lines as fstab(5) is read (glibc misc/mntent_r.c, ``get_mnt_entry``): only LF ends one, NUL cuts it short."""
    for number, line in lines(tree, path):
        text = line.partition("\0")[0].strip(SPACE)
        if text and not text.startswith("#"):
            yield number, text


def fields(text: str) -> list[str]:
    """What stands between the blanks of a line."""
    return _FIELD.findall(text)


def drop_ins(tree: FileTree, directory: str, suffix: str) -> tuple[str, ...]:
    """The files that are read of a directory like ``sysctl.d`` below the roots, in the order in which they apply.

    Of several files of one name the one in the first root counts; a mask switches the name off. What leads to no file,
    such as a directory, counts for nothing.
    """
    return ordered(tree, tuple(f"{root}/{directory}" for root in CONFIGURATION_ROOTS), suffix)


def ordered(tree: FileTree, directories: Sequence[str], suffix: str) -> tuple[str, ...]:
    """Like :func:`drop_ins` for directories by precedence."""
    chosen: dict[str, str] = {}
    for directory in directories:
        for name in tree.names(directory):
            if name.endswith(suffix) and is_read(tree, f"{directory}/{name}"):
                chosen.setdefault(name, f"{directory}/{name}")
    return tuple(path for _, path in sorted(chosen.items()) if not is_mask(tree, path))


def variables(text: str) -> dict[str, str]:
    """The assignments of an os-release file (os-release(5)), quotes removed."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip(SPACE).partition("=")
        if equals and not key.startswith("#"):
            is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[key] = value[1:-1] if is_quoted else value
    return found
