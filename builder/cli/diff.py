"""``bedplate diff``: what changed between two baselines, and which PCRs that moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.exitcodes import ExitCode
from builder.cli.output import Format, format_option, print_json, to_stderr

if TYPE_CHECKING:
    from builder.compare.difference import Report


@click.command(
    cls=Verb,
    short_help="Show what changed between two baselines, and which PCRs that moved.",
    examples=(
        "bedplate diff dist/inference-node/1.0.0 dist/inference-node/1.1.0 --trust keys/production/release.pub",
        "bedplate diff --manifests old/release.intoto.jsonl dist/inference-node/1.1.0 --format json",
        "bedplate diff theirs.raw ours.raw --full",
    ),
)
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public key (PEM) that must have signed both releases; may be given several times.",
)
@click.option("--manifests", is_flag=True, help="Compare statements and inventories only; open no image.")
@click.option("--deep", is_flag=True, help="Compare changed files by their content; opens both images.")
@click.option("--full", is_flag=True, help="In text, show every difference with all of its fields.")
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    old: Path,
    new: Path,
    trusted: tuple[Path, ...],
    output_format: Format,
    *,
    manifests: bool,
    deep: bool,
    full: bool,
) -> None:
    """Compare OLD with NEW: releases, a release's statements or reference values alone, or disk images of anybody's.

    Exit code 0 means that everything was compared and nothing differs; 1, that something differs or could not be
    compared. Without --trust nobody vouches for what a release says of itself.
    """
    from builder.baseline.source import read_baseline  # noqa: PLC0415 -- for a fast --help
    from builder.compare.baselines import compare  # noqa: PLC0415
    from builder.compare.difference import Verdict  # noqa: PLC0415

    if deep and manifests:
        raise click.UsageError("--deep opens images, --manifests opens none")
    keys = []
    if trusted:
        from builder.release.keyring import load_trusted  # noqa: PLC0415

        keys = [load_trusted(path) for path in trusted]
    sides = [read_baseline(path, keys, images=not manifests) for path in (old, new)]
    report = compare(*sides)
    if deep:
        from builder.baseline.deepen import deepen  # noqa: PLC0415

        report = deepen(report, old, new)
    for side in (report.old, report.new):
        to_stderr("".join(f"warning: {side.place}: {remark}\n" for remark in side.remarks))
    _print(report, output_format, full=full)
    if report.verdict is not Verdict.EQUAL:
        ctx.exit(ExitCode.NO)


def _print(report: Report, output_format: Format, *, full: bool) -> None:
    if output_format is Format.JSON:
        print_json(report)
        return
    from builder.cli.diff_text import outline  # noqa: PLC0415
    from builder.cli.tree import print_tree  # noqa: PLC0415

    print_tree(outline(report, full=full))
