"""``bedplate connect``: ask a running node for evidence, appraise it, and pin its TLS key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from builder.cli.appraise_policy import (
    PolicyOptions,
    ReleaseOptions,
    describe_match,
    policy_options,
    release_options,
)
from builder.cli.arguments import Verb
from builder.cli.attester import AttesterOptions, EndorsementOptions, attester_options, endorsement_options
from builder.cli.options import FILE
from builder.cli.output import Format, format_option, print_json, print_text

if TYPE_CHECKING:
    from pathlib import Path

    from builder.connect.origin import Origin
    from builder.evidence.node_appraisal import AppraisedNode


@click.command(
    cls=Verb,
    short_help="Ask a running node for evidence, and appraise it.",
    examples=(
        "bedplate connect https://node.example --ak node.tpmt --release dist/inference-node/1.0.0 \\",
        "    --trust keys/production/release.pub",
        "bedplate connect https://node.example --trust-on-first-use --save-ak node.tpmt \\",
        "    --manifest release.intoto.jsonl --trust release.pub --format json",
        "bedplate connect https://node.example --ek-root tpms.pem --manifest release.intoto.jsonl --trust release.pub",
    ),
)
@click.argument("url")
@release_options
@attester_options
@endorsement_options
@policy_options
@click.option(
    "--save-ak",
    type=FILE,
    help="After a yes, write the attestation key that the node shows, for --ak of later calls.",
)
@click.option(
    "--pin",
    type=FILE,
    help="After a yes, write the node's TLS certificate (PEM), for clients that pin it.",
)
@format_option
def command(
    url: str,
    save_ak: Path | None,
    pin: Path | None,
    output_format: Format,
    *,
    release_options: ReleaseOptions,
    policy_options: PolicyOptions,
    attester: AttesterOptions,
    endorsement: EndorsementOptions,
) -> None:
    """Ask the node at URL for evidence with a fresh nonce, and say yes, or no with every reason.

    The evidence must be bound to the nonce and to the TLS key of the very connection that it came on. After a yes, this
    key is the node's until it boots again: whoever pins it speaks to the machine that was appraised.

    With --ek-root the node's TPM shows that it holds the attestation key, and that the authority certified it. That is
    as good as the care with which the authority chooses: makers of TPMs certify all that they sell.
    """
    from builder.connect.node import connect  # noqa: PLC0415 -- for a fast --help
    from builder.connect.origin import parse_origin  # noqa: PLC0415
    from builder.files import remove_earlier  # noqa: PLC0415

    origin = parse_origin(url)
    now = datetime.now(UTC)
    keys = release_options.keys()
    policy = policy_options.policy(
        keys, release_options.threshold, now, first_use=attester.first_use, require_nonce=True
    )
    grounds = endorsement.grounds(attester.grounds(now))
    # What an earlier call left must not seem to be of this one.
    for path in (save_ak, pin):
        if path is not None:
            remove_earlier(path)
    _show(connect(origin, release_options.references(keys), grounds, policy), origin, save_ak, pin, output_format)


def _show(node: AppraisedNode, origin: Origin, save_ak: Path | None, pin: Path | None, output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json(_report(node, origin))
    accepted = node.accepted()
    document = node.verified.document
    _save(node, save_ak, pin)
    if output_format is Format.JSON:
        return
    model = document.model
    lines = [
        *describe_match(accepted.match),
        f"  model        {f'{model.name}, {model.licence}, {model.sha256}' if model else 'the node names none'}",
        f"  TLS key      SHA-256 {accepted.tls_key.fingerprint}",
    ]
    print_text("\n".join(lines))


def _save(node: AppraisedNode, save_ak: Path | None, pin: Path | None) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415

    from builder.evidence.evidence_files import UntrustedQuotes  # noqa: PLC0415
    from builder.evidence.public_area import PublicArea  # noqa: PLC0415
    from builder.files import write_atomically  # noqa: PLC0415

    accepted = node.accepted()
    evidence = node.verified.document.evidence
    if save_ak is not None:
        if not isinstance(evidence, UntrustedQuotes) or not isinstance(evidence.key, PublicArea):
            raise click.UsageError("--save-ak is for evidence of a TPM; this is a document that AWS signed")
        write_atomically(save_ak, evidence.key.raw)
    if pin is not None:
        certificate = load_der_x509_certificate(accepted.tls_key.certificate)
        write_atomically(pin, certificate.public_bytes(Encoding.PEM))


def _report(node: AppraisedNode, origin: Origin) -> dict[str, Any]:
    from builder.evidence.appraisal_report import appraisal_report  # noqa: PLC0415

    document = node.verified.document
    tls_key = node.verified.challenge.tls_key
    endorsement = document.endorsement_certificate
    return {
        "schema": "bedplate.connect/v1",
        "node": str(origin),
        "tls_key": {"sha256": tls_key.fingerprint},
        "endorsement_certificate": None if endorsement is None else endorsement.hex(),
        "model": document.model,
        "appraisal": appraisal_report(node.result),
    }
