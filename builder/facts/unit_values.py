"""Values in unit files: specifiers in names, and the commands of Exec lines (systemd.unit(5), systemd.service(5)).

Standard library only, see ``builder.facts.syntax``.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def expand(word: str, name: str) -> str:
    """The specifiers of systemd.unit(5) that unit names are made with."""
    stem = name.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    for specifier, value in {
        "%i": instance,
        "%I": instance,
        "%n": name,
        "%N": stem,
        "%p": prefix,
        "%j": prefix,
    }.items():
        word = word.replace(specifier, value)
    return word


def commands(value: str) -> Iterator[list[str]]:
    """The words of each command of an Exec line; a lone ";" separates commands."""
    try:
        words = shlex.split(value)
    except ValueError:  # an open quote: systemd refuses the line, what is in it is still worth a look
        words = value.split()
    command: list[str] = []
    for word in (*words, ";"):
        if word != ";":
            command.append(word)
        elif command:
            yield command
            command = []
