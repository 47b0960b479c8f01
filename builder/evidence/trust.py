"""Why an attestation key is trusted. There is no default: each way is a function, and the result names which it was.

pin            the caller has the key from a place it trusts (an enrolment, an inventory).
certificate    an authority states that the key is an attestation key: its certificate leads to a root of the caller's.
certified      another attestation key, itself trusted, states with TPM2_Certify that a key with this Name is loaded
               in the same TPM. That means: same TPM as the certifier, and the public area's attributes are true. It
               says nothing about when, unless a nonce was asked for, and is as good as the trust in the certifier.
first use      the key came with the evidence. It proves only that the evidence was made by one holder of one key.

A key that is given without its public area has attributes that nobody here knows. Whoever vouches for it (the caller
who pins it, the authority that certified it) also vouches that it is a restricted signing key of a TPM; with any other
key its holder can write quotes as he likes.

A usual endorsement key cannot sign; that it shares a TPM with an attestation key is shown by a dialogue in which the
verifier keeps a secret, and leaves no record that anybody else could check: ``builder.evidence.endorsement``. Whoever
held that dialogue elsewhere pins the key.
"""

from __future__ import annotations

import enum
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.attest import parse_certify
from builder.evidence.certificates import fingerprint, subject, verify_path
from builder.evidence.freshness import check_nonce
from builder.evidence.public_area import PublicArea, require_attestation_key
from builder.evidence.signature import check_signature
from signing.certificate import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.signature import PublicKey, TpmSignature

# tcg-kp-AIKCertificate (TCG Infrastructure Working Group, "TCG Credential Profiles", 3.2.16).
ATTESTATION_KEY_USAGE: Final = x509.ObjectIdentifier("2.23.133.8.3")


class TrustKind(enum.StrEnum):
    """How an attestation key came to be trusted."""

    PINNED_KEY = "pinned-key"
    CERTIFICATE = "certificate"
    CERTIFIED_KEY = "certified-key"
    ENDORSED = "endorsed"
    FIRST_USE = "first-use"


@dataclass(frozen=True, slots=True)
class Trust:
    """The ground on which a key is trusted.

    ``detail`` says it for a person (the root, the certifier, the key's fingerprint); ``certifier`` is the ground of
    the certifying key and present only with CERTIFIED_KEY.
    """

    kind: TrustKind
    detail: str
    certifier: Trust | None = None

    @property
    def root_kind(self) -> TrustKind:
        """The kind at the end of the chain of certifiers: FIRST_USE there means that nobody vouched for anything."""
        return self.kind if self.certifier is None else self.certifier.root_kind


@dataclass(frozen=True, slots=True)
class TrustedAk:
    """An attestation key and why it is trusted; made by the functions of this module.

    ``public_area`` is known if the TPM's own description of the key was given; its attributes were checked then.
    """

    key: PublicKey
    trust: Trust
    public_area: PublicArea | None


def trust_pinned_key(key: PublicKey | PublicArea) -> TrustedAk:
    """Trust a key because the caller says so. Raises NotVerifiedError if its public area is no attestation key's."""
    return _trusted(key, TrustKind.PINNED_KEY, "pinned by you")


def trust_on_first_use(key: PublicKey | PublicArea) -> TrustedAk:
    """Trust a key that came with the evidence, for want of anything better. Raises as ``trust_pinned_key``."""
    return _trusted(key, TrustKind.FIRST_USE, "trusted on first use, nobody vouches for it")


def trust_certificate(
    certificate: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    expected: PublicKey | PublicArea | None = None,
) -> TrustedAk:
    """Trust the key of a certificate that leads to one of ``roots`` at the time ``at``.

    What a certificate must be is in ``builder.evidence.certificates``; beyond that, an extended key usage, if there
    is one, must name attestation keys. A key that is ``expected`` must be that of the certificate, and an attestation
    key by its public area if it is given as one. Raises NotVerifiedError, or InvalidInputError if no root is given or
    ``at`` has no time zone.
    """
    chain = verify_path(certificate, intermediates, roots, at)
    check_usage(certificate, ATTESTATION_KEY_USAGE, "attestation")
    key = certificate_key(certificate)
    public_area = require_attestation_key(expected) if isinstance(expected, PublicArea) else None
    if expected is not None and key != (expected if public_area is None else public_area.key):
        raise NotVerifiedError(
            "the attestation key is not trusted",
            (f"the key that is expected is not that of the certificate {subject(certificate)}",),
        )
    detail = f"certificate {subject(certificate)} by root {subject(chain[-1])} (SHA-256 {fingerprint(chain[-1])})"
    return TrustedAk(key, Trust(TrustKind.CERTIFICATE, detail), public_area)


def trust_certified_key(
    public_area: PublicArea,
    statement: bytes,
    signature: TpmSignature,
    certifier: TrustedAk,
    nonce: ExpectedNonce,
) -> TrustedAk:
    """Trust a key because a trusted one certified it: ``statement`` is the TPMS_ATTEST of TPM2_Certify.

    Raises NotVerifiedError if the signature is not the certifier's, the Name is not that of ``public_area``, the
    nonce is another, or the key is no attestation key; and as ``parse_certify``.
    """
    attest = parse_certify(check_statement(certifier, signature, statement))
    check_nonce(nonce, attest.extra_data)
    require_attestation_key(public_area)
    if not hmac.compare_digest(attest.name, public_area.name):
        raise NotVerifiedError(
            "the attestation key is not trusted",
            (f"the key with Name {attest.name.hex()} is certified, not {public_area.name.hex()}",),
        )
    ground = f"{certifier.trust.kind.value}, {certifier.trust.detail}"
    detail = f"certified by the key {key_fingerprint(certifier.key)} ({ground})"
    return TrustedAk(public_area.key, Trust(TrustKind.CERTIFIED_KEY, detail, certifier.trust), public_area)


def check_statement(ak: TrustedAk, signature: TpmSignature, statement: bytes, *, allow_sha1: bool = False) -> bytes:
    """``statement``, if ``ak`` signed it.

    Raises NotVerifiedError as ``check_signature``, and if the key's public area binds it to another scheme or hash:
    it cannot have signed with this one (TPM 2.0 Library, Part 2, 12.2.3.5 "TPMS_RSA_PARMS" and 12.2.3.6).
    """
    area = ak.public_area
    if area is not None and area.scheme is not None:
        used, bound = (signature.scheme, signature.hash), (area.scheme, area.scheme_hash)
        if used != bound:
            raise NotVerifiedError(
                "the signature is not valid",
                (f"it is {' over '.join(used)}, the attestation key signs {bound[0]} over {bound[1]} only",),
            )
    return check_signature(ak.key, signature, statement, allow_sha1=allow_sha1)


def load_public_key(data: bytes) -> PublicKey:
    """An RSA or ECC public key (SubjectPublicKeyInfo), PEM or DER. Raises InvalidInputError if it is something else."""
    try:
        pem = data.lstrip().startswith(b"-----")
        key = load_pem_public_key(data) if pem else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInputError(f"attestation key: this is no public key: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise InvalidInputError("attestation key: only RSA and ECC keys are supported")
    return key


def key_fingerprint(key: PublicKey) -> str:
    """The SHA-256 of the key's DER SubjectPublicKeyInfo, in lower-case hexadecimal."""
    digest = Hash(SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _trusted(key: PublicKey | PublicArea, kind: TrustKind, why: str) -> TrustedAk:
    if isinstance(key, PublicArea):
        area = require_attestation_key(key)
        return TrustedAk(area.key, Trust(kind, f"key {key_fingerprint(area.key)} {why}"), area)
    return TrustedAk(key, Trust(kind, f"key {key_fingerprint(key)} {why}"), None)


def check_usage(certificate: x509.Certificate, wanted: x509.ObjectIdentifier, whose: str) -> None:
    """Require that an extended key usage, if there is one, names ``wanted``. Raises NotVerifiedError."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    except UNREADABLE as error:
        raise InvalidInputError(f"{subject(certificate)}: its extensions cannot be read: {error}") from None
    if wanted not in usages:
        named = ", ".join(usage.dotted_string for usage in usages)
        raise NotVerifiedError(
            "the attestation key is not trusted",
            (f"the certificate {subject(certificate)} is for other uses ({named}), not for an {whose} key",),
        )


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The RSA or ECC key in a certificate. Raises InvalidInputError if it has another."""
    try:
        key = certificate.public_key()
    except UNREADABLE as error:
        raise InvalidInputError(f"{subject(certificate)}: its key cannot be read: {error}") from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise InvalidInputError(f"{subject(certificate)}: only RSA and ECC keys are supported")
    return key
