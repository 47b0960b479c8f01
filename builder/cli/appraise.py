"""``bedplate appraise``: evidence of a node against the releases that it may run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from builder.cli.appraise_inputs import read_event_log, read_evidence, read_nonce
from builder.cli.appraise_policy import (
    PolicyOptions,
    ReleaseOptions,
    describe_match,
    policy_options,
    release_options,
)
from builder.cli.arguments import Verb, key_passphrase
from builder.cli.attester import AttesterOptions, Certification, attester_options, certification_options
from builder.cli.options import EXISTING_FILE, FILE
from builder.cli.output import Format, format_option, print_json, print_text

if TYPE_CHECKING:
    from pathlib import Path

    from builder.evidence.appraisal import AppraisalResult
    from signing.signer import Signer


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
    "--evidence", "files", required=True, help="File of evidence; a quote has three.", multiple=True, type=EXISTING_FILE
)
@release_options
@click.option("--nonce", metavar="HEX", help="The nonce that the evidence must answer.")
@click.option("--stored", is_flag=True, help="Appraise stored evidence, whose freshness cannot be checked.")
@attester_options
@certification_options
@click.option("--eventlog", "log_file", type=EXISTING_FILE, help="The firmware's event log, to explain what differs.")
@click.option("--userspace-log", "userspace_file", type=EXISTING_FILE, help="Also systemd's log, tpm2-measure.log.")
@policy_options
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]), help="Time of the appraisal, UTC.  [default: now]"
)
@click.option("--ear", type=FILE, help="Also write a signed attestation result (EAR).")
@click.option(
    "--ear-key", type=EXISTING_FILE, help="Private key (PEM) that signs it. $BEDPLATE_KEY_PASSPHRASE opens it."
)
@click.option("--policy-id", metavar="URI", help="What the attestation result calls the policy.")
@format_option
def command(
    files: tuple[Path, ...],
    nonce: str | None,
    log_file: Path | None,
    userspace_file: Path | None,
    at: datetime | None,
    ear: Path | None,
    ear_key: Path | None,
    policy_id: str | None,
    output_format: Format,
    *,
    release_options: ReleaseOptions,
    policy_options: PolicyOptions,
    attester: AttesterOptions,
    certification: Certification,
    stored: bool,
) -> None:
    """Verify the evidence, compare it with every release, and say yes, or no with every reason.

    Evidence is recognised by its content: a quote of tpm2-tools (message, signature and PCR file, in any order), an
    attestation of go-tpm-tools or go-attestation, the JSON of trustee, or a NitroTPM document. Of several quotes the
    files stand together.
    """
    now = (at or datetime.now(UTC)).replace(tzinfo=UTC)
    token = _token(ear, ear_key, policy_id)
    keys = release_options.keys()
    policy = policy_options.policy(
        keys, release_options.threshold, now, first_use=attester.first_use, require_nonce=not stored
    )
    references = release_options.references(keys)
    grounds = attester.grounds(now, certification)
    untrusted, evidence = read_evidence(files, read_nonce(nonce, stored=stored), grounds)
    log, log_problems = read_event_log(log_file, userspace_file, untrusted, evidence)
    from builder.evidence.appraisal import RefusalReason, appraise, refuse  # noqa: PLC0415

    result = appraise(evidence, references, policy, event_log=log)
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
    """What --ear and its companions say; the key is opened before anything is appraised.

    What an earlier appraisal left in the file goes: evidence that is not verified has no result, and must not seem to
    have that one.
    """
    from builder.evidence.ear import require_uri  # noqa: PLC0415
    from builder.files import remove_earlier  # noqa: PLC0415
    from builder.release.keyring import load_signer  # noqa: PLC0415

    if path is None and key is None and policy_id is None:
        return None
    if path is None or key is None or policy_id is None:
        raise click.UsageError("--ear, --ear-key and --policy-id go together")
    token = _Token(path, load_signer(key, key_passphrase()), require_uri(policy_id))
    remove_earlier(path)
    return token


def _show(result: AppraisalResult, output_format: Format) -> None:
    from builder.evidence.appraisal_report import appraisal_report  # noqa: PLC0415

    if output_format is Format.JSON:
        print_json(appraisal_report(result))
    match = result.accepted()
    if output_format is Format.JSON:
        return
    lines = [
        *describe_match(match),
        *(() if result.evidence.nonce else ("  freshness    not checked, the evidence may be an old one",)),
    ]
    print_text("\n".join(lines))
