"""Reports in files: verbs whose report has several forms write any number of them beside the one on standard output."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import click

from builder.cli.options import require_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from builder.cli.output import Callback

Form = TypeVar("Form", bound=enum.StrEnum)


@dataclass(frozen=True, slots=True)
class ReportFile(Generic[Form]):
    """A file that one form of the report goes into."""

    form: Form
    path: Path


def report_of(forms: type[Form]) -> Callable[[Callback], Callback]:
    """The option ``--report`` of a verb that has these forms of its report."""

    def parse(
        _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
    ) -> tuple[ReportFile[Form], ...]:
        files = tuple(_parsed(value, forms) for value in values)
        paths = [file.path.absolute() for file in files]
        for index, path in enumerate(paths):
            if path in paths[:index]:
                raise click.BadParameter(f"{files[index].path} is named twice")
        return files

    return click.option(
        "--report",
        "report_files",
        multiple=True,
        metavar="FORMAT=FILE",
        callback=parse,
        help="Write the report into a file too, whatever the verdict; may be given several times.",
    )


def write(files: Iterable[ReportFile[Form]], render: Callable[[Form], bytes]) -> None:
    """Write what ``render`` makes of each form; each file is there whole or not at all."""
    from builder.files import write_atomically  # noqa: PLC0415 -- most runs write none

    for file in files:
        write_atomically(file.path, render(file.form))


def _parsed(value: str, forms: type[Form]) -> ReportFile[Form]:
    form, equals, name = value.partition("=")
    names = [item.value for item in forms]
    if form not in names or not equals or not name:
        raise click.BadParameter(f"{value!r} is not FORMAT=FILE, FORMAT one of {', '.join(names)}")
    if name == "-":
        raise click.BadParameter(f"{value!r} names no file; --format {form} makes the report on standard output")
    return ReportFile(forms(form), require_target(Path(name)))
