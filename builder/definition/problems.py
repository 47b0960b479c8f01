"""What is wrong with a definition, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUOTE_LIMIT: Final = 60


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text file; lines and columns count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a sentence without final period, and what to do about it."""

    position: Position
    sentence: str
    hint: str | None = None


class InvalidDefinitionError(InvalidInputError):
    """A definition file that cannot be accepted; ``problems`` holds all that was found, in the order of the file."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        ordered = sorted(problems, key=lambda problem: problem.position)
        lines = [f"{source}:{item.position.line}:{item.position.column}: {item.sentence}" for item in ordered]
        if len(ordered) == 1:
            super().__init__(lines[0], hint=ordered[0].hint)
        else:
            hints = [f" ({item.hint})" if item.hint else "" for item in ordered]
            listing = "\n".join(line + hint for line, hint in zip(lines, hints, strict=True))
            super().__init__(f"{source} has {len(ordered)} problems:\n{listing}")
        self.source = source
        self.problems = tuple(ordered)


def quote(text: str) -> str:
    """``text`` from a file for a message: cut when long, with control characters and surrogates escaped."""
    cut = text if len(text) <= _QUOTE_LIMIT else text[: _QUOTE_LIMIT - 3] + "..."
    # repr escapes what cannot be printed, which also keeps terminal escape sequences out of messages.
    return repr(cut)
