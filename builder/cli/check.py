"""``bedplate check``: whether an image satisfies its policy packs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.check_forms import CheckForm, render
from builder.cli.errors import one_line
from builder.cli.exitcodes import ExitCode
from builder.cli.output import format_of, print_json, print_table, print_text, to_stderr, to_stdout
from builder.cli.reports import ReportFile, report_of, write

if TYPE_CHECKING:
    from policies.control import Control

_DEFAULT_PACK = "zero-operator-access"


@click.command(
    cls=Verb,
    short_help="Check that an image leaves no way in.",
    examples=(
        "bedplate check dist/inference-node/1.0.0",
        "bedplate check other.raw --pack zero-operator-access --format json",
        "bedplate check other.raw --report sarif=check.sarif --report html=check.html",
        "bedplate check --explain ZOA-101",
    ),
)
@click.argument("image", required=False, metavar="IMAGE", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--pack", "packs", multiple=True, metavar="NAME|FILE", help=f"Policy pack; may repeat.  [default: {_DEFAULT_PACK}]"
)
@click.option(
    "--waivers",
    "waiver_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of waivers; may be given several times.",
)
@click.option("--explain", metavar="ID", help="Say what a control checks and how to fix what it finds.")
@click.option("--list", "list_controls", is_flag=True, help="List the controls of the packs.")
@format_of(CheckForm)
@report_of(CheckForm)
@click.pass_context
def command(
    ctx: click.Context,
    image: Path | None,
    packs: tuple[str, ...],
    waiver_files: tuple[Path, ...],
    explain: str | None,
    output_format: CheckForm,
    report_files: tuple[ReportFile[CheckForm], ...],
    *,
    list_controls: bool,
) -> None:
    """Check IMAGE: a release, an image of a disk or of a file system, or a directory that holds a root.

    All controls of the packs run on what is in the finished image. Exit code 1 means that at least one failed. For a
    directory, controls of the boot chain are not applicable, and the report says so.
    """
    if explain is not None or list_controls:
        _only_text_or_json(ctx, output_format, report_files)
    from policies.pack import CURRENT, read_packs  # noqa: PLC0415 -- for a fast --help

    if explain is not None:
        _explain(explain, [item.control for item in read_packs(packs).selection] if packs else [], output_format)
        return
    asked = read_packs(packs or (_DEFAULT_PACK,))
    if list_controls:
        _list([item.control for item in asked.selection], output_format)
        return
    if image is None:
        raise click.UsageError("Missing argument 'IMAGE'.", ctx)

    import datetime as dt  # noqa: PLC0415

    from msgspec.structs import replace  # noqa: PLC0415

    from builder import __version__  # noqa: PLC0415
    from builder.files import sha256_file  # noqa: PLC0415
    from builder.release.check import find_image, read_facts  # noqa: PLC0415
    from builder.release.own_policy import told_by_release  # noqa: PLC0415
    from policies.engine import run  # noqa: PLC0415
    from policies.policy import departures_from_included, settle  # noqa: PLC0415
    from policies.waiver import load as load_waivers  # noqa: PLC0415

    waivers = [waiver for path in waiver_files for waiver in load_waivers(path)]
    # No control looks at digests of files; rules of one's own may.
    facts = read_facts(image, digests=any(item.control.rule is not None for item in asked.selection))
    today = dt.datetime.now(tz=dt.UTC).date()
    report = run(facts, asked.selection, waivers, today=today)
    disk = find_image(image)
    report = replace(
        report,
        # Text does not show it, and to read all of a large image takes longer than the rest.
        digest=None if disk is None or (output_format is CheckForm.TEXT and not report_files) else sha256_file(disk),
        bedplate=__version__,
        packs=asked.summaries,
        departures=departures_from_included(settle(packs, CURRENT)) if packs else (),
    )
    write(report_files, lambda form: render(report, form))
    to_stdout(render(report, output_format), nl=False)
    if not report.passed:
        if not packs and not waiver_files:
            to_stderr("".join(f"{one_line(line)}\n" for line in told_by_release(image, facts, asked, today)))
        ctx.exit(ExitCode.NO)


def _only_text_or_json(ctx: click.Context, output_format: CheckForm, files: tuple[ReportFile[CheckForm], ...]) -> None:
    if files or output_format not in {CheckForm.TEXT, CheckForm.JSON}:
        raise click.UsageError("--explain and --list make no report: use --format text or json, without --report", ctx)


def _explain(control_id: str, of_packs: list[Control], output_format: CheckForm) -> None:
    from policies.registry import by_id  # noqa: PLC0415

    controls = {**by_id(), **{control.id: control for control in of_packs}}
    control = controls.get(control_id.upper())
    if control is None:
        raise click.UsageError(f"there is no control {control_id!r}; bedplate check --list shows all")
    if output_format is CheckForm.JSON:
        print_json(_described(control))
        return
    sections = {
        "What it checks": control.looks_at,
        "Why it matters": control.rationale,
        "Example": control.example,
        "Fix": control.fix,
        "Known limits": control.limits,
        "References": "; ".join(control.references),
    }
    parts = [f"{control.id}  {control.title}\n{control.door.heading}, {control.severity.value}"]
    parts += [click.wrap_text(f"{name}: {text}", 100, "", "  ") for name, text in sections.items() if text]
    parts += [f"Parameter {item.name}: {item.description}" for item in control.parameters]
    print_text("\n\n".join(parts))


def _list(controls: list[Control], output_format: CheckForm) -> None:
    if output_format is CheckForm.JSON:
        print_json([_described(control) for control in controls])
        return
    rows = [(control.id, control.door.heading, control.severity.value, control.title) for control in controls]
    print_table(("id", "door", "severity", "what holds"), rows)


def _described(control: Control) -> dict[str, object]:
    fields = {name: getattr(control, name) for name in control.__dataclass_fields__ if name not in {"check", "rule"}}
    return fields | {"parameters": [{"name": p.name, "default": p.default} for p in control.parameters]}
