"""What udev's rules need: programs that they run and units that devices pull in (udev(7), systemd.device(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.closure.edges import File, Module, Program, Unit
from builder.facts.syntax import ordered, udev_lines
from builder.facts.unit_files import is_unit_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree

_DIRECTORIES: Final = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d")
_RUN: Final = re.compile(r'(?:RUN(?:\{program\})?|PROGRAM|IMPORT\{program\})\s*(?:\+=|:=|==|=)\s*e?"((?:[^"\\]|\\.)*)"')
_BUILTIN: Final = re.compile(r'(?:RUN|IMPORT)\{builtin\}\s*(?:\+=|:=|==|=|!=)\s*e?"([^"]*)"')
_WANTS: Final = re.compile(r'ENV\{SYSTEMD_(?:USER_)?WANTS\}\s*(?:\+=|:=|=)\s*e?"([^"]*)"')
# udev runs a bare name from its own directory only (systemd src/udev/udev-event.c, udev_event_spawn).
_SEARCH: Final = ("/usr/lib/udev",)


def rule_files(tree: FileTree) -> tuple[str, ...]:
    """The rules files that udev reads."""
    return ordered(tree, _DIRECTORIES, ".rules")


def udev_edges(tree: FileTree) -> Iterator[Edge]:
    """The rules and all that they can start. A program is named in full or lies in /usr/lib/udev."""
    for path in rule_files(tree):
        yield File(path, "udev reads its rules")
        for number, line in udev_lines(tree, path):
            yield from _line_edges(line, f"{path}:{number}")


def _line_edges(line: str, place: str) -> Iterator[Edge]:
    for match in _RUN.finditer(line):
        program = match[1].split()[0].strip("'\"") if match[1].split() else ""
        if program and not program.startswith("$env{"):  # the value of another rule, found where it is set
            yield Program(program, f"udev runs it ({place})", search=_SEARCH)
    for match in _BUILTIN.finditer(line):
        words = match[1].split()
        if words[:2] == ["kmod", "load"]:
            for module in words[2:]:
                if "$" not in module:
                    yield Module(module, f"udev loads it ({place})", optional=True)
    for match in _WANTS.finditer(line):
        for word in match[1].split():
            # An instance that is named by the device stands for its template.
            name = re.sub(r"@.*(\.\w+)$", r"@\1", word) if "$" in word or "%" in word else word
            if is_unit_name(name):
                yield Unit(name, f"a device wants it ({place})", optional=True)
