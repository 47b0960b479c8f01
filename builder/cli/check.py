"""``bedplate check``: whether an image satisfies its policy packs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.errors import printable
from builder.cli.exitcodes import ExitCode
from builder.cli.output import Format, format_option, print_json, print_table, print_text

if TYPE_CHECKING:
    from policies.control import Control

_DEFAULT_PACK = "zero-operator-access"


@click.command(
    cls=Verb,
    short_help="Check that an image leaves no way in.",
    examples=(
        "bedplate check dist/inference-node/1.0.0",
        "bedplate check other.raw --pack zero-operator-access --format json",
        "bedplate check --explain ZOA-101",
    ),
)
@click.argument("image", required=False, type=click.Path(exists=True, path_type=Path))
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
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    image: Path | None,
    packs: tuple[str, ...],
    waiver_files: tuple[Path, ...],
    explain: str | None,
    output_format: Format,
    *,
    list_controls: bool,
) -> None:
    """Check IMAGE: a disk image, a release, or a directory that holds a root file system.

    All controls of the packs run on what is in the finished image. Exit code 1 means that at least one failed. For a
    directory, controls of the boot chain are not applicable, and the report says so.
    """
    from policies.pack import load as load_packs  # noqa: PLC0415 -- for a fast --help

    if explain is not None:
        _explain(explain, [item.control for item in load_packs(packs)] if packs else [], output_format)
        return
    selection = load_packs(packs or (_DEFAULT_PACK,))
    if list_controls:
        _list([item.control for item in selection], output_format)
        return
    if image is None:
        raise click.UsageError("Missing argument 'IMAGE'.", ctx)

    import datetime as dt  # noqa: PLC0415

    from builder.cli.verdict import verdict_text  # noqa: PLC0415
    from builder.release.check import read_facts  # noqa: PLC0415
    from policies.engine import run  # noqa: PLC0415
    from policies.waiver import load as load_waivers  # noqa: PLC0415

    waivers = [waiver for path in waiver_files for waiver in load_waivers(path)]
    report = run(read_facts(image), selection, waivers, today=dt.datetime.now(tz=dt.UTC).date())
    if output_format is Format.JSON:
        print_json(report)
    else:
        print_text(printable(verdict_text(report)))
    if not report.passed:
        ctx.exit(ExitCode.NO)


def _explain(control_id: str, of_packs: list[Control], output_format: Format) -> None:
    from policies.registry import by_id  # noqa: PLC0415

    controls = {**by_id(), **{control.id: control for control in of_packs}}
    control = controls.get(control_id.upper())
    if control is None:
        raise click.UsageError(f"there is no control {control_id!r}; bedplate check --list shows all")
    if output_format is Format.JSON:
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


def _list(controls: list[Control], output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json([_described(control) for control in controls])
        return
    rows = [(control.id, control.door.heading, control.severity.value, control.title) for control in controls]
    print_table(("id", "door", "severity", "what holds"), rows)


def _described(control: Control) -> dict[str, object]:
    fields = {name: getattr(control, name) for name in control.__dataclass_fields__ if name not in {"check", "rule"}}
    return fields | {"parameters": [{"name": p.name, "default": p.default} for p in control.parameters]}
