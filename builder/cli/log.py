"""``bedplate log``: the releases of an image, and what changed from each to the next."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.exitcodes import ExitCode
from builder.cli.options import EXISTING_DIRECTORY, trust_option, trusted_keys
from builder.cli.output import format_of, to_stderr, to_stdout
from builder.cli.reports import ReportFile, report_of, write

if TYPE_CHECKING:
    from pathlib import Path

    from builder.history.log import Log


class LogForm(enum.StrEnum):
    """A form of the history."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


@click.command(
    cls=Verb,
    short_help="Show releases, and what moved their PCRs.",
    examples=(
        "bedplate log dist/inference-node --trust keys/production/release.pub",
        "bedplate log dist/inference-node --trust keys/production/release.pub --report html=timeline.html",
    ),
)
@click.argument("directories", nargs=-1, required=True, type=EXISTING_DIRECTORY)
@trust_option("that must have signed the releases")
@format_of(LogForm)
@report_of(LogForm)
@click.pass_context
def command(
    ctx: click.Context,
    directories: tuple[Path, ...],
    trusted: tuple[Path, ...],
    output_format: LogForm,
    report_files: tuple[ReportFile[LogForm], ...],
) -> None:
    """Show the releases in DIRECTORIES by version: sizes, packages, verdicts, and which PCRs moved by what.

    A directory is a release, or holds some. Statements and inventories are read, images are not: `bedplate verify`
    checks a release against its image, and `bedplate diff` tells more of one step.

    Exit code 1 means that a release is not signed by a key of --trust; without --trust all of them are shown as not
    verified.
    """
    from builder.history.read import read_log  # noqa: PLC0415 -- for a fast --help

    log = read_log(directories, trusted_keys(trusted))
    for release in log.releases:
        to_stderr("".join(f"warning: {release.place}: {problem}\n" for problem in release.problems))
    if not trusted:
        to_stderr("warning: UNVERIFIED: no key was given, so anybody may have written what these releases say\n")
    write(report_files, lambda form: render(log, form))
    to_stdout(render(log, output_format), nl=False)
    if trusted and not log.verified:
        ctx.exit(ExitCode.NO)


def render(log: Log, form: LogForm) -> bytes:
    """The history in one form; it ends with a line feed."""
    match form:
        case LogForm.TEXT:
            from builder.cli.log_text import table  # noqa: PLC0415

            return table(log).encode()
        case LogForm.JSON:
            from msgspec import json  # noqa: PLC0415

            return json.format(json.encode(log), indent=2) + b"\n"
        case LogForm.HTML:
            from builder.presenters.timeline import timeline  # noqa: PLC0415

            return timeline(log)
