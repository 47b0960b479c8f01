"""The errors that a user can meet, by what they mean for the caller.

The command line maps each class to an exit code (see ``builder.cli.exitcodes``). A message is one sentence without a
final period that names the file, the place, what was found and what was expected; a hint says what to do next.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class BedplateError(Exception):
    """Base of all errors that bedplate raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InvalidInputError(BedplateError):
    """What the user gave (a definition, a file, an option) is not what bedplate accepts."""


class MalformedImageError(InvalidInputError):
    """A structure inside an image, a UKI or another binary file breaks its format.

    ``structure`` names the format's own term ("GPT header", "EROFS inode 37"), ``offset`` is the byte offset inside
    the buffer that was being read, or ``None`` where no single place is at fault.
    """

    def __init__(self, structure: str, offset: int | None, problem: str, *, hint: str | None = None) -> None:
        place = structure if offset is None else f"{structure} at offset {offset:#x}"
        super().__init__(f"{place}: {problem}", hint=hint)
        self.structure = structure
        self.offset = offset
        self.problem = problem


class UnpredictableError(InvalidInputError):
    """A measurement cannot be predicted from what is known; a guess would be worse than no value."""


class NotVerifiedError(BedplateError):
    """A check was made and the answer is no.

    ``problems`` holds every reason found, never only the first.
    """

    def __init__(self, message: str, problems: tuple[str, ...], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class ToolFailedError(BedplateError):
    """An external program ran and failed, or ran longer than it may."""


class StoppedError(ToolFailedError):
    """An external program was stopped because nobody needs any more what it makes."""


class ToolMissingError(BedplateError):
    """An external program is not there, or too old."""


def in_words(error: Exception) -> str:
    """What a reader of text or JSON says of bad input, as a sentence goes on, without the terms of Python."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return f"the byte {error.object[error.start]:#04x} at offset {error.start:#x} is not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
    return str(error)


@contextmanager
def inside(file: str) -> Iterator[None]:
    """Put the name of a file before what its reader, which knows bytes only, says of it.

    Raises InvalidInputError for every InvalidInputError, with its hint.
    """
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}", hint=error.hint) from error
