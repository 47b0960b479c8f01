"""What ``bedplate appraise`` is given, read and verified: keys, certificates, releases, nonces and event logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography import x509

    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.public_area import PublicArea
    from builder.evidence.trust import TrustedAk
    from builder.evidence.verified import VerifiedEventLog
    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey


def read_nonce(text: str | None, *, stored: bool) -> ExpectedNonce:
    """The nonce to expect. Raises UsageError unless there is one, or the evidence is called stored."""
    from builder.evidence.freshness import NoNonce  # noqa: PLC0415 -- fast --help

    if (text is None) is not stored:
        raise click.UsageError("name either --nonce, or --stored for evidence whose freshness cannot be checked")
    return NoNonce.FRESHNESS_NOT_CHECKED if text is None else _hexadecimal(text, "--nonce")


def read_event_log(
    data: bytes | None, userspace_file: Path | None, evidence: VerifiedEvidence
) -> tuple[VerifiedEventLog | None, tuple[str, ...]]:
    """The log if the evidence proves it, or the reasons why it does not."""
    from builder.errors import NotVerifiedError  # noqa: PLC0415
    from builder.evidence.assumed_phases import UNLOGGED, assume_phases  # noqa: PLC0415
    from builder.evidence.eventlog import parse_event_log  # noqa: PLC0415
    from builder.evidence.systemd_log import parse_userspace_log  # noqa: PLC0415
    from builder.evidence.verified import verify_event_log  # noqa: PLC0415

    if data is None:
        if userspace_file is not None:
            raise click.UsageError("--userspace-log goes with --eventlog")
        return None, ()
    log = parse_event_log(data)
    if userspace_file is None:
        userspace, unlogged = assume_phases(log, evidence), UNLOGGED
    else:
        userspace, unlogged = parse_userspace_log(read_input(userspace_file, "measurement log")), frozenset({10})
    try:
        return verify_event_log(log, evidence, userspace=userspace, unlogged=unlogged), ()
    except NotVerifiedError as error:
        return None, tuple(f"{error}: {problem}" for problem in error.problems)


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Files that say what attestation key is trusted, and why.

    With ``certify``, a statement of TPM2_Certify, ``certifier`` or the certificate is of the key that made it.
    """

    key: Path | None
    certificate: Path | None
    intermediates: Sequence[Path]
    roots: Sequence[Path]
    certifier: Path | None
    certify: Path | None
    certify_signature: Path | None
    certify_nonce: str | None

    def check(self) -> None:
        """Raises UsageError for files that say nothing without others."""
        if (self.certificate is None) != (not self.roots):
            raise click.UsageError("--ak-cert and --ak-root go together")
        if (self.certify is None) != (self.certify_signature is None):
            raise click.UsageError("--certify and --certify-signature go together")
        if self.certify is None and (self.certifier is not None or self.certify_nonce is not None):
            raise click.UsageError("--certifier and --certify-nonce go with --certify")
        if self.certify is not None and self.certifier is not None and self.certificate is not None:
            raise click.UsageError("the key of --certify is either --certifier, or that of --ak-cert")


def trusted_key(files: KeyFiles, now: datetime) -> TrustedAk | None:
    """The attestation key and why it is trusted; None if no file is named.

    Raises UsageError as ``KeyFiles.check``, NotVerifiedError if nobody who is trusted vouches for the key.
    """
    from builder.evidence.evidence_files import read_attestation_key  # noqa: PLC0415
    from builder.evidence.public_area import PublicArea  # noqa: PLC0415
    from builder.evidence.trust import trust_pinned_key  # noqa: PLC0415

    files.check()
    read = None if files.key is None else read_attestation_key(read_input(files.key, "attestation key"))
    area = read if isinstance(read, PublicArea) else None
    if files.certify is not None:
        return _certified_key(files, area, now)
    if files.certificate is not None:
        return _by_certificate(files.certificate, files, area, now)
    return None if read is None else trust_pinned_key(read)


def _by_certificate(certificate: Path, files: KeyFiles, area: PublicArea | None, now: datetime) -> TrustedAk:
    from builder.evidence.trust import trust_certificate  # noqa: PLC0415

    leaf, *more = read_certificates([certificate])
    intermediates = [*more, *read_certificates(files.intermediates)]
    return trust_certificate(leaf, intermediates, read_certificates(files.roots), now, area)


def _certified_key(files: KeyFiles, area: PublicArea | None, now: datetime) -> TrustedAk:
    from builder.evidence.evidence_files import read_attestation_key  # noqa: PLC0415
    from builder.evidence.freshness import NoNonce  # noqa: PLC0415
    from builder.evidence.tpm2_tools import read_signature  # noqa: PLC0415
    from builder.evidence.trust import trust_certified_key, trust_pinned_key  # noqa: PLC0415

    if area is None or files.certify is None or files.certify_signature is None:
        raise click.UsageError("--certify is about a key as a TPM describes it: name it with --ak, not as PEM")
    if files.certificate is not None:
        certifier = _by_certificate(files.certificate, files, None, now)
    elif files.certifier is not None:
        certifier = trust_pinned_key(read_attestation_key(read_input(files.certifier, "certifying key")))
    else:
        raise click.UsageError("--certify needs its key: either --certifier, or --ak-cert with --ak-root")
    signature = read_signature(read_input(files.certify_signature, "signature"), certifier.public_area or certifier.key)
    nonce: ExpectedNonce = NoNonce.FRESHNESS_NOT_CHECKED
    if files.certify_nonce is not None:
        nonce = _hexadecimal(files.certify_nonce, "--certify-nonce")
    statement = read_input(files.certify, "statement of TPM2_Certify")
    return trust_certified_key(area, statement, signature, certifier, nonce)


def read_reference(path: Path, keys: Sequence[PublicKey], threshold: int) -> TrustedReference:
    """What the statements of a release, or of a release directory, say. Raises as ``load_trusted_reference``."""
    from builder.release.layout import STATEMENTS  # noqa: PLC0415
    from builder.release.trusted import load_trusted_reference  # noqa: PLC0415

    return load_trusted_reference(read_input(path / STATEMENTS if path.is_dir() else path, "release"), keys, threshold)


def read_trusted_keys(paths: Sequence[Path]) -> list[PublicKey]:
    """Public keys that sign releases."""
    from builder.release.keyring import load_trusted  # noqa: PLC0415

    return [load_trusted(path) for path in paths]


def read_certificates(paths: Sequence[Path]) -> list[x509.Certificate]:
    """X.509 certificates, DER or PEM; a PEM file may have several, the leaf's file first the leaf."""
    from builder.evidence.certificates import parse_certificates  # noqa: PLC0415

    return [item for path in paths for item in parse_certificates(read_input(path, "certificate"), str(path))]


def read_input(path: Path, what: str) -> bytes:
    """A file of evidence, or of what evidence is compared with. Raises InvalidInputError."""
    from builder.evidence.evidence_files import MAX_EVIDENCE_BYTES  # noqa: PLC0415
    from builder.files import read_bytes  # noqa: PLC0415

    return read_bytes(path, what=what, limit=MAX_EVIDENCE_BYTES)


def _hexadecimal(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter("this is not hexadecimal", param_hint=option) from None
