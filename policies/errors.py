"""The errors of policies; the command line maps them to exit codes."""

from __future__ import annotations


class InvalidPolicyError(Exception):
    """A pack or a waiver file is not acceptable: unknown control or parameter, empty, broken, included in a circle.

    The message is one sentence that names the file and the place.
    """


class MissingExtraError(Exception):
    """A pack needs a Python package that is not installed; the message names it, the hint says how to get it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
