"""The forms of a check's report: one goes to standard output, any number into files."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from policies.report import Report


class ReportFormat(enum.StrEnum):
    """A form of the report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    HTML = "html"


class ReportFile(NamedTuple):
    """A file that one form of the report goes into."""

    form: ReportFormat
    path: Path


def _parse(_context: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> tuple[ReportFile, ...]:
    files = tuple(map(_parsed, values))
    paths = [file.path.absolute() for file in files]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise click.BadParameter(f"{files[index].path} is named twice")
    return files


def _parsed(value: str) -> ReportFile:
    form, equals, name = value.partition("=")
    forms = [item.value for item in ReportFormat]
    if form not in forms or not equals or not name:
        raise click.BadParameter(f"{value!r} is not FORMAT=FILE, FORMAT one of {', '.join(forms)}")
    path = Path(name)
    if path.is_dir() or not path.parent.is_dir():
        raise click.BadParameter(f"{name} is no file in a directory that exists")
    return ReportFile(ReportFormat(form), path)


format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice([item.value for item in ReportFormat]),
    callback=lambda _context, _parameter, value: ReportFormat(value),
    default=ReportFormat.TEXT.value,
    show_default=True,
    help="Form of the report on standard output.",
)

report_option = click.option(
    "--report",
    "report_files",
    multiple=True,
    metavar="FORMAT=FILE",
    callback=_parse,
    help="Write the report into a file too, whatever the verdict; may be given several times.",
)


def render(report: Report, form: ReportFormat) -> bytes:
    """The report in one form; it ends with a line feed."""
    # One presenter is needed at most times, and the one for HTML takes a while to load.
    match form:
        case ReportFormat.TEXT:
            from policies.presenters.text import text  # noqa: PLC0415

            return f"{text(report)}\n".encode()
        case ReportFormat.JSON:
            from msgspec import json  # noqa: PLC0415

            return json.format(json.encode(report), indent=2) + b"\n"
        case ReportFormat.SARIF:
            from policies.presenters.sarif import sarif  # noqa: PLC0415

            return sarif(report)
        case ReportFormat.JUNIT:
            from policies.presenters.junit import junit  # noqa: PLC0415

            return junit(report)
        case ReportFormat.HTML:
            from policies.presenters.html import html  # noqa: PLC0415

            return html(report)


def write(report: Report, files: Iterable[ReportFile]) -> None:
    """Write the report into the files; each is there whole or not at all."""
    from builder.files import write_atomically  # noqa: PLC0415

    for file in files:
        write_atomically(file.path, render(report, file.form))
