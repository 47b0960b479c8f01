"""``bedplate diff``: what changed between two baselines, and which PCRs that moved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.diff_node import NodeFiles, read_node
from builder.cli.exitcodes import ExitCode
from builder.cli.output import Format, format_option, print_json, to_stderr

if TYPE_CHECKING:
    from builder.compare.difference import Report

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    cls=Verb,
    short_help="Show what changed between two baselines, and which PCRs that moved.",
    examples=(
        "bedplate diff dist/inference-node/1.0.0 dist/inference-node/1.1.0 --trust keys/production/release.pub",
        "bedplate diff --manifests old/release.intoto.jsonl dist/inference-node/1.1.0 --format json",
        "bedplate diff theirs.raw ours.raw --full",
        "bedplate diff dist/inference-node/1.0.0 --node quote.msg --node quote.sig --node pcrs.bin --ak ak.pub",
    ),
)
@click.argument("old", type=click.Path(exists=True, path_type=Path))
@click.argument("new", required=False, type=click.Path(exists=True, path_type=Path))
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
@click.option("--node", "evidence", multiple=True, type=_FILE, help="Evidence of a node, in place of NEW.")
@click.option("--ak", "attestation_key", type=_FILE, help="Attestation key of the node: PEM, or as a TPM gives it.")
@click.option("--nonce", metavar="HEX", help="Nonce of the evidence.  [default: freshness is not checked]")
@click.option("--eventlog", "event_log", type=_FILE, help="The node's event log, to name the events that differ.")
@click.option("--userspace-log", type=_FILE, help="Also systemd's log, tpm2-measure.log.")
@click.option(
    "--secure-boot",
    type=click.Choice(["enabled", "disabled"]),
    default="enabled",
    show_default=True,
    help="Which of the release's ways to boot the node is compared with.",
)
@click.option(
    "--phase",
    type=click.Choice(["firmware", "enter-initrd", "leave-initrd", "sysinit", "ready"]),
    default="ready",
    show_default=True,
    help="How far the node's boot has come.",
)
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    old: Path,
    new: Path | None,
    trusted: tuple[Path, ...],
    evidence: tuple[Path, ...],
    attestation_key: Path | None,
    nonce: str | None,
    event_log: Path | None,
    userspace_log: Path | None,
    secure_boot: str,
    phase: str,
    output_format: Format,
    *,
    manifests: bool,
    deep: bool,
    full: bool,
) -> None:
    """Compare OLD with NEW: releases, a release's statements or reference values alone, or disk images of anybody's.

    With --node a release is compared with what a node's verified evidence shows. That is no appraisal, which
    `bedplate appraise` makes.

    Exit code 0 means that everything was compared and nothing differs; 1, that something differs or could not be
    compared. Without --trust nobody vouches for what a release says of itself.
    """
    from builder.baseline.source import read_baseline  # noqa: PLC0415 -- for a fast --help
    from builder.compare.baselines import compare  # noqa: PLC0415
    from builder.compare.difference import Verdict  # noqa: PLC0415

    if deep and manifests:
        raise click.UsageError("--deep opens images, --manifests opens none")
    node = NodeFiles(evidence, attestation_key, nonce, event_log, userspace_log, secure_boot, phase)
    node.check(new)
    if deep and new is None:
        raise click.UsageError("--deep compares files, and evidence has none")
    keys = []
    if trusted:
        from builder.release.keyring import load_trusted  # noqa: PLC0415

        keys = [load_trusted(path) for path in trusted]
    if new is None:
        report = compare(*read_node(read_baseline(old, keys, images=old.is_file()), node))
    else:
        report = compare(*(read_baseline(path, keys, images=not manifests) for path in (old, new)))
    if deep and new is not None:
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
