"""What appraising verbs are given, read and verified: releases, nonces and event logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.evidence_files import Grounds, UntrustedEvidence
    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.verified import VerifiedEventLog
    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey


def read_nonce(text: str | None, *, stored: bool) -> ExpectedNonce:
    """The nonce to expect. Raises UsageError unless there is one, or the evidence is called stored."""
    from builder.evidence.freshness import NoNonce  # noqa: PLC0415 -- fast --help

    if (text is None) is not stored:
        raise click.UsageError("name either --nonce, or --stored for evidence whose freshness cannot be checked")
    return NoNonce.FRESHNESS_NOT_CHECKED if text is None else hexadecimal(text, "--nonce")


def read_evidence(
    files: Sequence[Path], nonce: ExpectedNonce, grounds: Grounds
) -> tuple[UntrustedEvidence, VerifiedEvidence]:
    """The evidence in files, as it came and as far as it was verified. Raises as ``verify_evidence``."""
    from builder.errors import inside  # noqa: PLC0415
    from builder.evidence.evidence_files import recognise, verify_evidence  # noqa: PLC0415

    contents = [read_input(path, "evidence") for path in files]
    with inside(", ".join(map(str, files))):
        untrusted = recognise(contents)
        return untrusted, verify_evidence(untrusted, nonce, grounds)


def read_event_log(
    log_file: Path | None, userspace_file: Path | None, untrusted: UntrustedEvidence, evidence: VerifiedEvidence
) -> tuple[VerifiedEventLog | None, tuple[str, ...]]:
    """The log if the evidence proves it, or the reasons why it does not; that of the file, else what came along."""
    from builder.errors import NotVerifiedError, inside  # noqa: PLC0415
    from builder.evidence.assumed_phases import UNLOGGED, assume_phases  # noqa: PLC0415
    from builder.evidence.eventlog import parse_event_log  # noqa: PLC0415
    from builder.evidence.evidence_files import UntrustedQuotes  # noqa: PLC0415
    from builder.evidence.systemd_log import parse_userspace_log  # noqa: PLC0415
    from builder.evidence.verified import verify_event_log  # noqa: PLC0415

    data = untrusted.event_log if isinstance(untrusted, UntrustedQuotes) else None
    if log_file is not None:
        data = read_input(log_file, "event log")
    if data is None:
        if userspace_file is not None:
            raise click.UsageError("--userspace-log goes with --eventlog")
        return None, ()
    with inside("the event log of the evidence" if log_file is None else str(log_file)):
        log = parse_event_log(data)
    if userspace_file is None:
        userspace, unlogged = assume_phases(log, evidence), UNLOGGED
    else:
        lines = read_input(userspace_file, "measurement log")
        with inside(str(userspace_file)):
            userspace, unlogged = parse_userspace_log(lines), frozenset({10})
    try:
        return verify_event_log(log, evidence, userspace=userspace, unlogged=unlogged), ()
    except NotVerifiedError as error:
        return None, tuple(f"{error}: {problem}" for problem in error.problems)


def read_reference(path: Path, keys: Sequence[PublicKey], threshold: int) -> TrustedReference:
    """What the statements of a release, or of a release directory, say. Raises as ``load_trusted_reference``."""
    from builder.errors import inside  # noqa: PLC0415
    from builder.release.layout import STATEMENTS  # noqa: PLC0415
    from builder.release.trusted import load_trusted_reference  # noqa: PLC0415

    file = path / STATEMENTS if path.is_dir() else path
    data = read_input(file, "release")
    with inside(str(file)):
        return load_trusted_reference(data, keys, threshold)


def read_input(path: Path, what: str) -> bytes:
    """A file of evidence, or of what evidence is compared with. Raises InvalidInputError."""
    from builder.evidence.evidence_files import MAX_EVIDENCE_BYTES  # noqa: PLC0415
    from builder.files import read_bytes  # noqa: PLC0415

    return read_bytes(path, what=what, limit=MAX_EVIDENCE_BYTES)


def hexadecimal(text: str, option: str) -> bytes:
    """The bytes that an option names. Raises BadParameter."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter("this is not hexadecimal", param_hint=option) from None
