"""The evidence of a running node as the second side of ``bedplate diff``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from builder.cli.options import EXISTING_FILE, PHASE, together

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.baseline import Baseline


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """``--node`` and the options that go with it."""

    evidence: tuple[Path, ...]
    attestation_key: Path | None
    nonce: str | None
    event_log: Path | None
    userspace_log: Path | None
    secure_boot: str
    phase: str

    def check(self, new: Path | None) -> None:
        """Raises UsageError unless there is one second side, with all that belongs to it."""
        if bool(self.evidence) == (new is not None):
            raise click.UsageError("name either NEW, or the evidence of a node with --node")
        options = (self.attestation_key, self.nonce, self.event_log, self.userspace_log)
        if not self.evidence and any(option is not None for option in options):
            raise click.UsageError("--ak, --nonce, --eventlog and --userspace-log go with --node")
        if self.evidence and self.attestation_key is None:
            raise click.UsageError("--node needs --ak, the key that you trust to speak for the node")


def read_node(release: Baseline, options: NodeOptions) -> tuple[Baseline, Baseline]:
    """The release and the node. Raises NotVerifiedError for evidence or a log that does not hold."""
    from builder.baseline.node import release_and_node  # noqa: PLC0415 -- evidence, which most diffs are without
    from builder.cli.appraise_inputs import read_event_log, read_evidence, read_nonce  # noqa: PLC0415
    from builder.cli.attester import AttesterOptions  # noqa: PLC0415
    from builder.errors import NotVerifiedError  # noqa: PLC0415
    from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
    from builder.measurement.phases import Phase  # noqa: PLC0415

    nonce = read_nonce(options.nonce, stored=options.nonce is None)
    grounds = AttesterOptions(options.attestation_key).grounds(datetime.now(UTC))
    untrusted, evidence = read_evidence(options.evidence, nonce, grounds)
    log, problems = read_event_log(options.event_log, options.userspace_log, untrusted, evidence)
    if problems:
        raise NotVerifiedError("the event log is not the node's", problems)
    phases = {phase.label: phase for phase in Phase}
    return release_and_node(
        release, evidence, log, mode=SecureBootMode(options.secure_boot), phase=phases[options.phase]
    )


# Gives the command a NodeOptions.
node_options = together(
    NodeOptions,
    "node",
    click.option(
        "--node",
        "evidence",
        multiple=True,
        type=EXISTING_FILE,
        help="Evidence of a node, in place of NEW; a quote has three files.",
    ),
    click.option("--ak", "attestation_key", type=EXISTING_FILE, help="Attestation key: PEM, or as a TPM gives it."),
    click.option("--nonce", metavar="HEX", help="Nonce of the evidence.  [default: freshness is not checked]"),
    click.option(
        "--eventlog", "event_log", type=EXISTING_FILE, help="The firmware's event log, to explain differences."
    ),
    click.option("--userspace-log", type=EXISTING_FILE, help="Also systemd's log, tpm2-measure.log."),
    click.option(
        "--secure-boot",
        type=click.Choice(["enabled", "disabled"]),
        default="enabled",
        show_default=True,
        help="Which of the release's ways to boot the node is compared with.",
    ),
    click.option("--phase", type=PHASE, default="ready", show_default=True, help="How far the node's boot has come."),
)
