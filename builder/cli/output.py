"""What verbs print: data on standard output, in the form that ``--format`` asks for; words on standard error."""

from __future__ import annotations

import enum
import os
import re
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Callback = TypeVar("Callback", bound="Callable[..., Any]")
# Wide enough that no row of ours wraps where a program reads it.
_PIPE_WIDTH: Final = 400


class Format(enum.StrEnum):
    """How a verb that reports prints its report."""

    TEXT = "text"
    JSON = "json"


def format_of(forms: type[enum.StrEnum]) -> Callable[[Callback], Callback]:
    """The option ``--format`` of a verb that has these forms of its report, of which text is the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice([item.value for item in forms]),
        callback=lambda _context, _parameter, value: forms(value),
        default=Format.TEXT.value,
        show_default=True,
        help="Form of the report on standard output.",
    )


format_option = format_of(Format)


def print_json(value: Any) -> None:
    """A JSON document on standard output, indented; ``value`` may be anything that msgspec can encode."""
    from msgspec import json  # noqa: PLC0415 -- only verbs that report need it

    to_stdout(json.format(json.encode(value), indent=2).decode())


def print_text(text: str) -> None:
    """Lines of a report on standard output."""
    to_stdout(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on standard output: fitted to a terminal, one line per row elsewhere."""
    if not sys.stdout.isatty() and not any("\n" in cell for row in rows for cell in row):
        to_stdout(plain_table(columns, rows), nl=False)
        return
    from rich import box  # noqa: PLC0415 -- rich takes a while to load
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, so that a bracket in a cell is not taken for rich's markup.
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    with console.capture() as capture:
        console.print(table)
    to_stdout(re.sub(r"[ ]+$", "", capture.get(), flags=re.MULTILINE), nl=False)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same table without rich, which takes a tenth of a second that a pipe need not wait for."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    rule = "─" * (sum(widths) + 3 * (len(widths) - 1))
    lines = ["   ".join(map(str.ljust, row, widths)).rstrip(" ") for row in (columns, *rows)]
    return "".join(f"{line}\n" for line in (lines[0], rule, *lines[1:]))


def to_stdout(data: str | bytes, *, nl: bool = True) -> None:
    """Data on standard output; what the system says of writing it names it as the place."""
    try:
        click.echo(data, nl=nl)
    except BrokenPipeError:  # nobody reads it any more, which is no failure
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def to_stderr(text: str) -> None:
    """Words for a person; the first of an error, warning or hint is coloured on a terminal unless NO_COLOR is set."""
    lines = [_coloured(line) for line in text.splitlines(keepends=True)]
    click.echo("".join(lines), nl=False, err=True, color=False if os.environ.get("NO_COLOR") else None)


def _coloured(line: str) -> str:
    for word, colour in (("error:", "red"), ("warning:", "yellow"), ("hint:", "cyan")):
        if line.startswith(word):
            return click.style(word, fg=colour, bold=True) + line[len(word) :]
    return line
