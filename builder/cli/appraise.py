"""``bedplate appraise``: evidence of a node against the releases that it may run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.appraise_inputs import (
    KeyFiles,
    read_certificates,
    read_event_log,
    read_input,
    read_nonce,
    read_reference,
    read_trusted_keys,
    trusted_key,
)
from builder.cli.arguments import Verb, key_passphrase
from builder.cli.output import Format, format_option, print_json, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.evidence.appraisal import AppraisalResult
    from builder.evidence.policy import AppraisalPolicy
    from builder.release.revocations import VerifiedRevocations
    from signing.keys import PublicKey
    from signing.signer import Signer

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
@click.option(
    "--certify", type=_FILE, help="Statement of TPM2_Certify that the attestation key is in its certifier's TPM."
)
@click.option("--certify-signature", type=_FILE, help="Its signature.")
@click.option("--certify-nonce", metavar="HEX", help="The nonce that it must answer.")
@click.option("--certifier", type=_FILE, help="Key that made it: PEM, or as a TPM gives it; else --ak-cert is its.")
@click.option("--trust-on-first-use", "first_use", is_flag=True, help="Trust the key that came with the evidence.")
@click.option("--nitro-root", "nitro_roots", help="AWS's root, for NitroTPM documents.", multiple=True, type=_FILE)
@click.option("--eventlog", "log_file", type=_FILE, help="The firmware's event log, to explain what differs.")
@click.option("--userspace-log", "userspace_file", type=_FILE, help="Also systemd's log, tpm2-measure.log.")
@click.option("--revocations", type=_FILE, help="Signed list of revoked releases.")
@click.option(
    "--revocations-serial",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    help="Highest serial number of such lists seen so far: refuse an older list.",
)
@click.option("--minimum-version", metavar="VERSION", help="Refuse older releases.")
@click.option("--maximum-age", metavar="DAYS", type=click.IntRange(min=1), help="Refuse releases built before.")
@click.option("--secure-boot", type=click.Choice(["enabled", "disabled", "any"]), default="enabled", show_default=True)
@click.option("--phase", "phases", multiple=True, help="Boot phase to accept.  [default: sysinit and ready]")
@click.option("--allow-development", is_flag=True, help="Accept a development image, which may have a way in.")
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]), help="Time of the appraisal, UTC.  [default: now]"
)
@click.option(
    "--ear", type=click.Path(dir_okay=False, path_type=Path), help="Also write a signed attestation result (EAR)."
)
@click.option("--ear-key", type=_FILE, help="Private key (PEM) that signs it. $BEDPLATE_KEY_PASSPHRASE opens it.")
@click.option("--policy-id", metavar="URI", help="What the attestation result calls the policy.")
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
    certify: Path | None,
    certify_signature: Path | None,
    certify_nonce: str | None,
    certifier: Path | None,
    nitro_roots: tuple[Path, ...],
    log_file: Path | None,
    userspace_file: Path | None,
    revocations: Path | None,
    revocations_serial: int | None,
    minimum_version: str | None,
    maximum_age: int | None,
    secure_boot: str,
    phases: tuple[str, ...],
    at: datetime | None,
    ear: Path | None,
    ear_key: Path | None,
    policy_id: str | None,
    output_format: Format,
    *,
    stored: bool,
    first_use: bool,
    allow_development: bool,
) -> None:
    """Verify the evidence, compare it with every release, and say yes, or no with every reason.

    Evidence is recognised by its content: a quote of tpm2-tools (message, signature and PCR file, in any order), an
    attestation of go-tpm-tools or go-attestation, the JSON of trustee, or a NitroTPM document. Of several quotes the
    files stand together.
    """
    from builder.evidence.evidence_files import Grounds, recognise, verify_evidence  # noqa: PLC0415 -- fast --help

    now = (at or datetime.now(UTC)).replace(tzinfo=UTC)
    token = _token(ear, ear_key, policy_id)
    keys = read_trusted_keys(trusted)
    policy = _policy(
        _revocations(revocations, keys, threshold, revocations_serial), now, minimum_version, maximum_age, secure_boot,
        phases, stored=stored, first_use=first_use, allow_development=allow_development,
    )  # fmt: skip
    references = [read_reference(path, keys, threshold) for path in releases]
    untrusted = recognise([read_input(path, "evidence") for path in files])
    ak = trusted_key(
        KeyFiles(
            ak_file, ak_certificate, ak_intermediates, ak_roots, certifier, certify, certify_signature, certify_nonce
        ),
        now,
    )
    grounds = Grounds(ak, first_use, read_certificates(nitro_roots), now)
    evidence = verify_evidence(untrusted, read_nonce(nonce, stored=stored), grounds)
    log = read_input(log_file, "event log") if log_file else getattr(untrusted, "event_log", None)
    verified_log, log_problems = read_event_log(log, userspace_file, evidence)
    from builder.evidence.appraisal import RefusalReason, appraise, refuse  # noqa: PLC0415

    result = appraise(evidence, references, policy, event_log=verified_log)
    if log_problems:
        result = refuse(result, RefusalReason.EVENT_LOG, log_problems)
    if token is not None:
        token.write(result, now)
    _show(result, output_format)


@dataclass(frozen=True, slots=True)
class _Token:
    """Where an attestation result goes, who signs it, and what it calls the policy."""

    path: Path
    signer: Signer
    policy_id: str

    def write(self, result: AppraisalResult, now: datetime) -> None:
        from builder.evidence.ear import sign_ear  # noqa: PLC0415
        from builder.files import write_atomically  # noqa: PLC0415

        write_atomically(self.path, sign_ear(result, now, self.policy_id, self.signer).encode())


def _token(path: Path | None, key: Path | None, policy_id: str | None) -> _Token | None:
    """What --ear and its companions say; the key is opened before anything is appraised."""
    from builder.release.keyring import load_signer  # noqa: PLC0415

    if path is None and key is None and policy_id is None:
        return None
    if path is None or key is None or policy_id is None:
        raise click.UsageError("--ear, --ear-key and --policy-id go together")
    return _Token(path, load_signer(key, key_passphrase()), policy_id)


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
    revocations: VerifiedRevocations | None,
    now: datetime,
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
        revocations=revocations,
        require_nonce=not stored,
    )


def _revocations(
    path: Path | None, keys: Sequence[PublicKey], threshold: int, last_serial: int | None
) -> VerifiedRevocations | None:
    from builder.release.revocations import load_revocations  # noqa: PLC0415

    if path is None:
        if last_serial is not None:
            raise click.UsageError("--revocations-serial goes with --revocations")
        return None
    return load_revocations(read_input(path, "revocations"), keys, threshold, last_serial=last_serial or 0)
