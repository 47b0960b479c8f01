"""Exceptions to what a person reads on standard error."""

from __future__ import annotations

import traceback
from typing import Final

import click

from builder.cli.exitcodes import ExitCode, exit_code

_INDENT: Final = "  "


def render(error: BaseException) -> str:
    """``error:`` with the sentence, then the problems that were found, then ``hint:``; ends with a line feed.

    For a bug the traceback comes first.
    """
    code = exit_code(error)
    if code is ExitCode.BUG:
        return _bug(error)
    sentence, hint = _message(error)
    first, *rest = printable(sentence).splitlines() or [type(error).__name__]
    lines = [f"error: {first}", *(_INDENT + line for line in rest)]
    lines += [
        f"{_INDENT}- {one_line(problem)}" for problem in getattr(error, "problems", ()) if isinstance(problem, str)
    ]
    if hint:
        lines.append(f"hint: {printable(hint)}")
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    r"""``text`` with what cannot be printed as ``\x1b`` and the like: a tool's output must not steer the terminal.

    Line feeds and tabs stay. Direction marks and lone surrogates are among what cannot be printed.
    """
    if text.isprintable():
        return text
    return "".join(item if item.isprintable() or item in "\n\t" else ascii(item)[1:-1] for item in text)


def one_line(text: str) -> str:
    """A problem on one line: a file's name with a line feed in it must not make up a line of its own."""
    return printable(text).replace("\n", "\\n")


def _message(error: BaseException) -> tuple[str, str | None]:
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted", None
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "bedplate"
        return _sentence(error.format_message()), f"`{command} --help` shows what it takes"
    if isinstance(error, click.ClickException):
        return _sentence(error.format_message()), None
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}", None
    return str(error), getattr(error, "hint", None)


def _sentence(message: str) -> str:
    """A message of click in the form of ours: it begins in lower case and has no final period."""
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _bug(error: BaseException) -> str:
    trace = "".join(traceback.format_exception(error))
    return (
        f"{printable(trace)}"
        f"error: this is a bug in bedplate: {type(error).__name__}\n"
        "hint: please report it, with the lines above and the command that you ran\n"
    )
