"""Rules of udev, read as udev reads them: pairs of key and value, and what of them runs or writes something.

Format: udev(7); systemd src/udev/udev-rules.c, ``parse_line`` and ``udev_rule_parse_value``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import SPACE, drop_ins, udev_lines
from builder.facts.text import statements
from builder.facts.unit_values import unescaped
from policies.facts import UdevProgram, UdevSetting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

_SEPARATORS: Final = f"{SPACE},"
# A key, its attribute, the operator, and how the value is marked: "e" for escaped, "i" for any case.
_PAIR: Final = re.compile(
    rf"(?P<key>(?:(?![-+!:]=)[^{SPACE}={{])*)(?P<attribute>\{{[^}}]*\}})?[{SPACE}]*(?P<operator>==|!=|\+=|-=|:=|=)[{SPACE}]*"
    r'(?P<mark>|e|i|ei|ie)"'
)
# Without the mark "e" a backslash means something before a quotation mark only.
_PLAIN: Final = re.compile(r'((?:\\"|[^"])*+)"')
_ESCAPED: Final = re.compile(r'((?:\\.|[^"\\])*)"', re.DOTALL)
_PROGRAM: Final = re.compile(
    r"RUN(?:\{(?:program|builtin)\})?|PROGRAM|IMPORT\{(?:program|builtin|file|cmdline|parent|db)\}|ENV\{SYSTEMD_WANTS\}"
)
_SETTING: Final = re.compile(r"(?:SYSCTL|ATTR|ENV)\{[^}]*\}|OWNER|GROUP|MODE|NAME|SYMLINK")
_ASSIGNS: Final = frozenset({"=", "+=", ":="})
_BLANK_OR_QUOTE: Final = f"{SPACE}\"'"


def udev_programs(tree: FileTree) -> tuple[UdevProgram, ...]:
    """The rules of udev that run a program, read variables from somewhere or ask systemd for a unit."""
    return tuple(
        UdevProgram(key=key, command=value, rule=text, origin=origin)
        for path in drop_ins(tree, "udev/rules.d", ".rules")
        for origin, text in statements(tree, path, udev_lines)
        for key, operator, value in pairs(text)
        if operator != "-=" and _PROGRAM.fullmatch(key)
    )


def udev_settings(tree: FileTree) -> Iterator[UdevSetting]:
    """What rules of udev write into the kernel, into variables, on nodes and as names, with the files they import."""
    for path in drop_ins(tree, "udev/rules.d", ".rules"):
        for origin, text in statements(tree, path, udev_lines):
            found = list(pairs(text))
            for key, operator, value in found:
                if operator in _ASSIGNS and _SETTING.fullmatch(key):
                    yield UdevSetting(key=key, value=value, rule=text, origin=origin)
            for key, _, value in found:
                if key == "IMPORT{file}":
                    yield from _imported(tree, value, text)


def pairs(rule: str) -> Iterator[tuple[str, str, str]]:
    """Key with attribute, operator and value of each pair of a rule, up to one that udev cannot read.

    udev passes over a rule with such a pair; what stands before it counts here all the same.
    """
    position = 0
    while match := _PAIR.match(rule, _behind(rule, position)):
        form = _ESCAPED if "e" in match["mark"] else _PLAIN
        content = form.match(rule, match.end())
        if content is None:
            return
        value = unescaped(content[1]) if form is _ESCAPED else content[1].replace('\\"', '"')
        yield f"{match['key']}{match['attribute'] or ''}", match["operator"], value
        position = content.end()


def _behind(rule: str, position: int) -> int:
    while rule[position : position + 1] and rule[position] in _SEPARATORS:
        position += 1
    return position


def _imported(tree: FileTree, path: str, rule: str) -> Iterator[UdevSetting]:
    """The variables in a file of the image that a rule imports (udev(7), IMPORT{file})."""
    for origin, text in statements(tree, path):
        key, equals, value = text.partition("=")
        if equals:
            yield UdevSetting(
                key=f"ENV{{{key.strip(SPACE)}}}", value=value.strip(_BLANK_OR_QUOTE), rule=rule, origin=origin
            )
