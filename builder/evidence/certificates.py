"""Certificate paths of attestation keys: from a leaf to a root that the caller gave, at a time that the caller states.

Path building, signatures, validity, path lengths and name constraints are those of ``cryptography``'s verifier
(RFC 5280). Its policy for web servers does not fit here: attestation certificates carry usages and names of the TCG's
or none. So, instead of that policy, required here are

- of an issuer: basic constraints with CA set, and key usage, if present, with certificate signing;
- of the leaf: not CA; key usage, if present, with digital signature, or for an endorsement key with key encipherment
  or key agreement.

Subject alternative names and extended key usages may be present and critical; only the caller can judge them. Any
other critical extension that the verifier does not know is refused. SHA-1 signatures, RSA keys under 2048 bits and
certificates before version 3 are refused. Revocation lists are not looked at: this package has no network.
"""

from __future__ import annotations

import enum
import re
import warnings
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from builder.errors import InvalidInputError, NotVerifiedError
from signing.certificate import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# Between leaf and root. AWS uses three, TPM makers one or two.
MAX_INTERMEDIATES: Final = 8
MAX_CERTIFICATE: Final = 8192
# Certificates in one PEM file.
MAX_BUNDLE: Final = 16
_MAX_SUBJECT: Final = 256
# What of cryptography's messages says nothing of a certificate, and messages that say it in terms of its search.
_NOISE: Final = re.compile(
    r"validation failed: |candidates exhausted: |Python extension validator failed: ValueError: "
    r"| \(encountered processing .*\)$",
    re.DOTALL,
)
_IN_OTHER_WORDS: Final = {
    "all candidates exhausted with no interior errors": "the certificate of its issuer is not given",
    "chain construction exceeds max depth": "its issuers do not lead to a root that is given",
}


class CertificateUse(enum.Enum):
    """What the key of a leaf is for."""

    ATTESTATION = "attestation"
    ENDORSEMENT = "endorsement"


def parse_certificate(data: bytes, what: str) -> x509.Certificate:
    """Read one DER or PEM certificate. Raises InvalidInputError, for ``what``, if it is none, several or too long."""
    found = parse_certificates(data, what)
    if len(found) != 1:
        raise InvalidInputError(f"{what}: there are {len(found)} certificates, expected is one")
    return found[0]


def parse_certificates(data: bytes, what: str) -> list[x509.Certificate]:
    """Read one DER certificate, or as many PEM ones as are there. Raises InvalidInputError as ``parse_certificate``."""
    pem = data.lstrip().startswith(b"-----")
    limit = MAX_CERTIFICATE * (MAX_BUNDLE if pem else 1)
    if len(data) > limit:
        raise InvalidInputError(f"{what}: a certificate of {len(data)} bytes is longer than {limit}")
    try:
        with warnings.catch_warnings():
            # Of serial numbers that are not positive, which some makers of TPMs and processors give. They say nothing.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificates(data) if pem else [x509.load_der_x509_certificate(data)]
    except UNREADABLE as error:
        raise InvalidInputError(f"{what}: this is no certificate: {error}") from None


def verify_path(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    use: CertificateUse = CertificateUse.ATTESTATION,
) -> tuple[x509.Certificate, ...]:
    """The certificates from ``leaf`` to one of ``roots``, both included, if all of them hold at the time ``at``.

    Raises NotVerifiedError if there is no such path, and InvalidInputError if no root is given, ``at`` has no time
    zone, or there are more than MAX_INTERMEDIATES.
    """
    if not roots:
        raise InvalidInputError("no root certificate is given, so no certificate can be trusted")
    if at.tzinfo is None:
        raise InvalidInputError("the time at which certificates must be valid has no time zone")
    if len(intermediates) > MAX_INTERMEDIATES:
        raise InvalidInputError(f"{len(intermediates)} intermediate certificates are more than {MAX_INTERMEDIATES}")
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(list(roots)))
            .time(at)
            .max_chain_depth(MAX_INTERMEDIATES)
            .extension_policies(ca_policy=_issuer_policy(), ee_policy=_leaf_policy(use))
            .build_client_verifier()
        )
        chain = verifier.verify(leaf, list(intermediates)).chain
    except (verification.VerificationError, *UNREADABLE) as error:
        problems = [f"{subject(leaf)} at {at:%Y-%m-%d %H:%M:%S %Z}: {_reason(error)}"]
        problems += [text for item in (leaf, *intermediates, *roots) if (text := _outside(item, at))]
        raise NotVerifiedError("the certificate does not lead to a trusted root", tuple(problems)) from None
    return tuple(chain)


def subject(certificate: x509.Certificate) -> str:
    """The certificate's subject for a message; its serial number if it has no subject that can be read."""
    try:
        text = certificate.subject.rfc4514_string()[:_MAX_SUBJECT]
    except UNREADABLE:
        text = ""
    # Whoever made the certificate chose the name; it must not steer the terminal that shows it.
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return printable or f"certificate {fingerprint(certificate)}"


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of the certificate's DER, in lower-case hexadecimal."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(certificate.public_bytes(Encoding.DER))
    return digest.finalize().hex()


def _reason(error: Exception) -> str:
    """What cryptography says, without where in its code it says so."""
    text = _NOISE.sub("", str(error))
    return _IN_OTHER_WORDS.get(text, text)


def _outside(certificate: x509.Certificate, at: datetime) -> str | None:
    """Words for a certificate that is not valid at the time ``at``."""
    try:
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except UNREADABLE:
        return f"{subject(certificate)} has a validity that cannot be read"
    return None if first <= at <= last else f"{subject(certificate)} is valid from {first} to {last}"


def _issuer_policy() -> verification.ExtensionPolicy:
    any_criticality = verification.Criticality.AGNOSTIC
    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, any_criticality, _must_be_authority)
        .may_be_present(x509.KeyUsage, any_criticality, _must_sign_certificates)
    )


def _leaf_policy(use: CertificateUse) -> verification.ExtensionPolicy:
    any_criticality = verification.Criticality.AGNOSTIC
    usage = _must_sign_data if use is CertificateUse.ATTESTATION else _must_share_secrets
    return (
        verification.ExtensionPolicy.permit_all()
        .may_be_present(x509.BasicConstraints, any_criticality, _must_be_leaf)
        .may_be_present(x509.KeyUsage, any_criticality, usage)
    )


def _must_be_authority(
    _policy: verification.Policy, certificate: x509.Certificate, extension: x509.BasicConstraints
) -> None:
    if not extension.ca:
        raise ValueError(f"{subject(certificate)} may not issue certificates")


def _must_sign_certificates(
    _policy: verification.Policy, certificate: x509.Certificate, extension: x509.KeyUsage | None
) -> None:
    if extension is not None and not extension.key_cert_sign:
        raise ValueError(f"the key of {subject(certificate)} may not sign certificates")


def _must_be_leaf(
    _policy: verification.Policy, certificate: x509.Certificate, extension: x509.BasicConstraints | None
) -> None:
    if extension is not None and extension.ca:
        raise ValueError(f"{subject(certificate)} is an authority's certificate, not an attestation key's")


def _must_sign_data(
    _policy: verification.Policy, certificate: x509.Certificate, extension: x509.KeyUsage | None
) -> None:
    if extension is not None and not extension.digital_signature:
        raise ValueError(f"the key of {subject(certificate)} may not sign data")


def _must_share_secrets(
    _policy: verification.Policy, certificate: x509.Certificate, extension: x509.KeyUsage | None
) -> None:
    if extension is not None and not (extension.key_encipherment or extension.key_agreement):
        raise ValueError(f"the key of {subject(certificate)} may not share secrets")
