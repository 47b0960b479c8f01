"""The evidence of a running node as the second side of ``bedplate diff``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.baseline import Baseline


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """What ``--node`` and the options that go with it name."""

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


def read_node(release: Baseline, files: NodeFiles) -> tuple[Baseline, Baseline]:
    """The release and the node. Raises NotVerifiedError for evidence or a log that does not hold."""
    from builder.baseline.node import release_and_node  # noqa: PLC0415 -- evidence, which most diffs are without
    from builder.cli.appraise_inputs import KeyFiles, read_event_log, read_input, read_nonce, trusted_key  # noqa: PLC0415
    from builder.errors import NotVerifiedError  # noqa: PLC0415
    from builder.evidence.evidence_files import Grounds, recognise, verify_evidence  # noqa: PLC0415
    from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
    from builder.measurement.phases import Phase  # noqa: PLC0415

    now = datetime.now(UTC)
    key = trusted_key(KeyFiles(files.attestation_key, None, (), (), None, None, None, None), now)
    untrusted = recognise([read_input(path, "evidence") for path in files.evidence])
    nonce = read_nonce(files.nonce, stored=files.nonce is None)
    evidence = verify_evidence(untrusted, nonce, Grounds(key, first_use=False, nitro_roots=(), at=now))
    data = read_input(files.event_log, "event log") if files.event_log else getattr(untrusted, "event_log", None)
    log, problems = read_event_log(data, files.userspace_log, evidence)
    if problems:
        raise NotVerifiedError("the event log is not the node's", problems)
    phases = {phase.label: phase for phase in Phase}
    return release_and_node(release, evidence, log, mode=SecureBootMode(files.secure_boot), phase=phases[files.phase])
