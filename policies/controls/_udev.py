"""Commands that rules of udev run (udev(7))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from policies.facts import Area, UdevProgram

RUNNING: Final = frozenset({"RUN", "RUN{program}", "PROGRAM", "IMPORT{program}"})
VARIABLE: Final = re.compile(r"(?:\$env|%E)\{([^}]+)\}")
# Words are separated by spaces, single quotes keep one together.
_WORD: Final = re.compile(r"'[^']*'|[^ ]+")


def commands_of(area: Area, rule: UdevProgram, keys: Collection[str] = RUNNING) -> Iterator[list[str]]:
    """The words of what a rule with one of the keys runs; none of another rule.

    A variable that comes first stands for all that rules of the area, and files that they import, put into it.
    """
    if rule.key not in keys:
        return
    unquoted = rule.command.lstrip("'")
    variable = VARIABLE.match(unquoted)
    commands = [rule.command]
    if variable is not None:
        settings = area.configuration.udev_settings
        values = [item.value for item in settings if item.key == f"ENV{{{variable[1]}}}"]
        commands = [value + unquoted[variable.end() :] for value in values]
    yield from filter(None, map(words_of, commands))


def words_of(command: str) -> list[str]:
    """The words of a command, without quotes."""
    return [word.strip("'") for word in _WORD.findall(command)]
