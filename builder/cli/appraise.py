"""``bedplate appraise``: evidence of a node against the releases that it may run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.output import Format, format_option, print_json, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from builder.evidence.appraisal import AppraisalResult
    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.policy import AppraisalPolicy
    from builder.evidence.trust import TrustedAk
    from builder.evidence.verified import VerifiedEventLog
    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    cls=Verb,
    short_help="Appraise a node's evidence against the releases that it may run.",
    examples=(
        "bedplate appraise --evidence quote.msg --evidence quote.sig --evidence pcrs.bin --ak ak.pem \\",
        "    --nonce 5f3c... --release dist/inference-node/1.0.0 --trust keys/production/release.pub",
        "bedplate appraise --evidence document.cbor --nitro-root aws-root.pem --nonce 5f3c... \\",
        "    --release release.intoto.jsonl --trust release.pub --eventlog binary_bios_measurements --format json",
    ),
)
@click.option(
    "--evidence", "files", required=True, help="File of evidence; a quote has three.", multiple=True, type=_FILE
)
@click.option(
    "--release",
    "releases",
    required=True,
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Release directory, its release.intoto.jsonl, or one signed statement; may be given several times.",
)
@click.option(
    "--trust", "trusted", required=True, help="Public key (PEM) that signs releases.", multiple=True, type=_FILE
)
@click.option(
    "--threshold", type=click.IntRange(min=1), default=1, show_default=True, help="How many must have signed."
)
@click.option("--nonce", metavar="HEX", help="The nonce that the evidence must answer.")
@click.option("--stored", is_flag=True, help="Appraise stored evidence, whose freshness cannot be checked.")
@click.option("--ak", "ak_file", type=_FILE, help="Attestation key: PEM, or as a TPM gives it.")
@click.option("--ak-cert", "ak_certificate", type=_FILE, help="Certificate of the attestation key.")
@click.option(
    "--ak-intermediate", "ak_intermediates", help="Certificate between it and the root.", multiple=True, type=_FILE
)
@click.option(
    "--ak-root", "ak_roots", help="Root that attestation keys' certificates lead to.", multiple=True, type=_FILE
)
@click.option("--trust-on-first-use", "first_use", is_flag=True, help="Trust the key that came with the evidence.")
@click.option("--nitro-root", "nitro_roots", help="AWS's root, for NitroTPM documents.", multiple=True, type=_FILE)
@click.option("--eventlog", "log_file", type=_FILE, help="The firmware's event log, to explain what differs.")
@click.option("--userspace-log", "userspace_file", type=_FILE, help="Also systemd's log, tpm2-measure.log.")
@click.option("--revocations", type=_FILE, help="Signed list of revoked releases.")
@click.option("--minimum-version", metavar="VERSION", help="Refuse older releases.")
@click.option("--maximum-age", metavar="DAYS", type=click.IntRange(min=1), help="Refuse releases built before.")
@click.option("--secure-boot", type=click.Choice(["enabled", "disabled", "any"]), default="enabled", show_default=True)
@click.option("--phase", "phases", multiple=True, help="Boot phase to accept.  [default: sysinit and ready]")
@click.option("--allow-development", is_flag=True, help="Accept a development image, which may have a way in.")
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]), help="Time of the appraisal, UTC.  [default: now]"
)
@format_option
def command(
    files: tuple[Path, ...],
    releases: tuple[Path, ...],
    trusted: tuple[Path, ...],
    threshold: int,
    nonce: str | None,
    ak_file: Path | None,
    ak_certificate: Path | None,
    ak_intermediates: tuple[Path, ...],
    ak_roots: tuple[Path, ...],
    nitro_roots: tuple[Path, ...],
    log_file: Path | None,
    userspace_file: Path | None,
    revocations: Path | None,
    minimum_version: str | None,
    maximum_age: int | None,
    secure_boot: str,
    phases: tuple[str, ...],
    at: datetime | None,
    output_format: Format,
    *,
    stored: bool,
    first_use: bool,
    allow_development: bool,
) -> None:
    """Verify the evidence, compare it with every release, and say yes, or no with every reason.

    Evidence is recognised by its content: a quote of tpm2-tools (message, signature and PCR file, in any order), an
    attestation of go-tpm-tools or go-attestation, the JSON of an Azure vTPM, or a NitroTPM document.
    """
    from builder.evidence.evidence_files import Grounds, recognise, verify_evidence  # noqa: PLC0415 -- fast --help

    now = (at or datetime.now(UTC)).replace(tzinfo=UTC)
    keys = _trusted_keys(trusted)
    policy = _policy(
        keys, threshold, now, revocations, minimum_version, maximum_age, secure_boot, phases,
        stored=stored, first_use=first_use, allow_development=allow_development,
    )  # fmt: skip
    references = [_reference(path, keys, threshold) for path in releases]
    untrusted = recognise([_read(path, "evidence") for path in files])
    ak = _attestation_key(ak_file, ak_certificate, ak_intermediates, ak_roots, now)
    grounds = Grounds(ak, first_use, _certificates(nitro_roots), now)
    evidence = verify_evidence(untrusted, _nonce(nonce, stored=stored), grounds)
    log = _read(log_file, "event log") if log_file else getattr(untrusted, "event_log", None)
    verified_log, log_problems = _event_log(log, userspace_file, evidence)
    from builder.evidence.appraisal import RefusalReason, appraise, refuse  # noqa: PLC0415

    result = appraise(evidence, references, policy, event_log=verified_log)
    if log_problems:
        result = refuse(result, RefusalReason.EVENT_LOG, log_problems)
    _show(result, output_format)


def _show(result: AppraisalResult, output_format: Format) -> None:
    from builder.evidence.appraisal_report import appraisal_report  # noqa: PLC0415

    if output_format is Format.JSON:
        print_json(appraisal_report(result))
    match = result.accepted()
    if output_format is Format.JSON:
        return
    image = match.release.reference.image
    lines = [
        f"accepted: {image.name} {image.version} {image.architecture}, profile {image.profile}",
        f"  Secure Boot  {match.mode or 'not shown'}",
        f"  boot phase   {match.phase.label if match.phase else 'not shown'}",
        f"  PCRs         {', '.join(map(str, match.compared))} as in the release",
        *(f"  PCR {pcr:<8} not compared: {reason}" for pcr, reason in match.uncompared.items()),
        f"  signed by    {', '.join(match.key_ids)}",
        f"  evidence by  {match.trust.kind.value}, {match.trust.detail}",
    ]
    print_text("\n".join(lines))


def _policy(
    keys: Sequence[PublicKey],
    threshold: int,
    now: datetime,
    revocations: Path | None,
    minimum_version: str | None,
    maximum_age: int | None,
    secure_boot: str,
    phases: tuple[str, ...],
    *,
    stored: bool,
    first_use: bool,
    allow_development: bool,
) -> AppraisalPolicy:
    from builder.evidence.policy import DEFAULT_PHASES, DEFAULT_TRUST, AppraisalPolicy  # noqa: PLC0415
    from builder.evidence.trust import TrustKind  # noqa: PLC0415
    from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
    from builder.measurement.phases import Phase  # noqa: PLC0415
    from builder.release.revocations import load_revocations  # noqa: PLC0415

    labels = {phase.label: phase for phase in Phase}
    if unknown := [phase for phase in phases if phase not in labels]:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(labels)}", param_hint="--phase")
    modes = [SecureBootMode.ENABLED, SecureBootMode.DISABLED] if secure_boot == "any" else [SecureBootMode(secure_boot)]
    return AppraisalPolicy(
        at=now,
        phases=frozenset(labels[phase] for phase in phases) or DEFAULT_PHASES,
        secure_boot=frozenset(modes),
        trust=DEFAULT_TRUST | ({TrustKind.FIRST_USE} if first_use else frozenset()),
        allow_development=allow_development,
        minimum_version=minimum_version,
        maximum_age=None if maximum_age is None else timedelta(days=maximum_age),
        revocations=load_revocations(_read(revocations, "revocations"), keys, threshold) if revocations else None,
        require_nonce=not stored,
    )


def _nonce(text: str | None, *, stored: bool) -> ExpectedNonce:
    from builder.evidence.freshness import NoNonce  # noqa: PLC0415

    if (text is None) is not stored:
        raise click.UsageError("name either --nonce, or --stored for evidence whose freshness cannot be checked")
    if text is None:
        return NoNonce.FRESHNESS_NOT_CHECKED
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.BadParameter("this is not hexadecimal", param_hint="--nonce") from None


def _event_log(
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
        userspace, unlogged = parse_userspace_log(_read(userspace_file, "measurement log")), frozenset({10})
    try:
        return verify_event_log(log, evidence, userspace=userspace, unlogged=unlogged), ()
    except NotVerifiedError as error:
        return None, tuple(f"{error}: {problem}" for problem in error.problems)


def _attestation_key(
    key: Path | None, certificate: Path | None, intermediates: tuple[Path, ...], roots: tuple[Path, ...], now: datetime
) -> TrustedAk | None:
    from builder.evidence.evidence_files import read_attestation_key  # noqa: PLC0415
    from builder.evidence.public_area import PublicArea  # noqa: PLC0415
    from builder.evidence.trust import trust_certificate, trust_pinned_key  # noqa: PLC0415

    read = None if key is None else read_attestation_key(_read(key, "attestation key"))
    if (certificate is None) != (not roots):
        raise click.UsageError("--ak-cert and --ak-root go together")
    if certificate is None:
        return None if read is None else trust_pinned_key(read)
    area = read if isinstance(read, PublicArea) else None
    (leaf,) = _certificates((certificate,))
    return trust_certificate(leaf, _certificates(intermediates), _certificates(roots), now, area)


def _reference(path: Path, keys: Sequence[PublicKey], threshold: int) -> TrustedReference:
    from builder.release.layout import STATEMENTS  # noqa: PLC0415
    from builder.release.trusted import load_trusted_reference  # noqa: PLC0415

    return load_trusted_reference(_read(path / STATEMENTS if path.is_dir() else path, "release"), keys, threshold)


def _trusted_keys(paths: Sequence[Path]) -> list[PublicKey]:
    from builder.release.keyring import load_trusted  # noqa: PLC0415

    return [load_trusted(path) for path in paths]


def _certificates(paths: Sequence[Path]) -> list[x509.Certificate]:
    from builder.evidence.certificates import parse_certificate  # noqa: PLC0415

    return [parse_certificate(_read(path, "certificate"), str(path)) for path in paths]


def _read(path: Path, what: str) -> bytes:
    from builder.evidence.evidence_files import MAX_EVIDENCE_BYTES  # noqa: PLC0415
    from builder.files import read_bytes  # noqa: PLC0415

    return read_bytes(path, what=what, limit=MAX_EVIDENCE_BYTES)
