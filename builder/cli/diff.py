"""``bedplate diff``: what changed between two baselines, and which PCRs that moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.diff_forms import DiffForm, render, show
from builder.cli.diff_gate import Gate
from builder.cli.diff_node import NodeOptions, node_options, read_node
from builder.cli.exitcodes import ExitCode
from builder.cli.options import EXISTING, EXISTING_FILE, FILE, trust_option, trusted_keys
from builder.cli.output import format_of, to_stderr
from builder.cli.reports import ReportFile, report_of, write

if TYPE_CHECKING:
    from pathlib import Path


@click.command(
    cls=Verb,
    short_help="Show what changed between two baselines, and which PCRs that moved.",
    examples=(
        "bedplate diff dist/inference-node/1.0.0 dist/inference-node/1.1.0 --trust keys/production/release.pub",
        "bedplate diff --manifests old/release.intoto.jsonl dist/inference-node/1.1.0 --format json",
        "bedplate diff theirs.raw ours.raw --full",
        "bedplate diff dist/inference-node/1.0.0 dist/inference-node/1.1.0 --trust keys/production/release.pub \\",
        "    --allow security-update.yaml --attest keys/reviewer/release.key -o reviewed.json",
        "bedplate diff dist/inference-node/1.0.0 --node quote.msg --node quote.sig --node pcrs.bin --ak ak.pub",
    ),
)
@click.argument("old", type=EXISTING)
@click.argument("new", required=False, type=EXISTING)
@trust_option("that must have signed both releases")
@click.option("--manifests", is_flag=True, help="Compare statements and inventories only; open no image.")
@click.option("--deep", is_flag=True, help="Compare changed files by their content; opens both images.")
@click.option("--full", is_flag=True, help="In text, show every difference with all of its fields.")
@click.option(
    "--allow",
    "rules",
    type=EXISTING_FILE,
    help="Rules (YAML) that say what may differ; exit code 0 if nothing else does.",
)
@click.option(
    "--attest",
    "key",
    type=EXISTING_FILE,
    help="Private key of a reviewer, to sign with that --allow allows what changed. $BEDPLATE_KEY_PASSPHRASE opens an "
    "encrypted one.",
)
@click.option("-o", "--output", type=FILE, help="File to write the signed review to.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@node_options
@format_of(DiffForm)
@report_of(DiffForm)
@click.pass_context
def command(
    ctx: click.Context,
    old: Path,
    new: Path | None,
    trusted: tuple[Path, ...],
    rules: Path | None,
    key: Path | None,
    output: Path | None,
    output_format: DiffForm,
    report_files: tuple[ReportFile[DiffForm], ...],
    *,
    node: NodeOptions,
    manifests: bool,
    deep: bool,
    full: bool,
    force: bool,
) -> None:
    """Compare OLD with NEW: releases, a release's statements or reference values alone, or disk images of anybody's.

    With --node a release is compared with what a node's verified evidence shows. That is no appraisal, which
    `bedplate appraise` makes.

    Exit code 0 means that everything was compared and nothing differs; 1, that something differs or could not be
    compared. With --allow 0 means that the rules allow all that differs, and 1 that they do not: every difference that
    is refused is told with the rule that would have to allow it. --attest then signs a statement that
    `bedplate verify --reviewers` asks for.

    Without --trust nobody vouches for what a release says of itself, and rules must say `unverified: true`.
    """
    from builder.baseline.compared import compared  # noqa: PLC0415 -- for a fast --help
    from builder.compare.difference import Scope, Verdict  # noqa: PLC0415

    gate = Gate.read(rules, key, output, force=force)
    if deep and manifests:
        raise click.UsageError("--deep opens images, --manifests opens none")
    node.check(new)
    if deep and new is None:
        raise click.UsageError("--deep compares files, and evidence has none")
    keys = trusted_keys(trusted)
    scope = Scope.MANIFESTS if manifests else Scope.DEEP if deep else Scope.IMAGES
    if new is None:
        from builder.baseline.source import read_baseline  # noqa: PLC0415
        from builder.compare.baselines import compare  # noqa: PLC0415

        report = compare(*read_node(read_baseline(old, keys, images=old.is_file()), node))
    else:
        report = compared(old, new, keys, scope)
    for side in (report.old, report.new):
        to_stderr("".join(f"warning: {side.place}: {remark}\n" for remark in side.remarks))
    judgement = None if gate is None else gate.judge(report)
    write(report_files, lambda form: render(report, judgement, form, full=full))
    show(report, judgement, output_format, full=full)
    if gate is not None and judgement is not None:
        gate.attest(judgement, scope)
    good = report.verdict is Verdict.EQUAL if judgement is None else judgement.allowed
    ctx.exit(ExitCode.YES if good else ExitCode.NO)
