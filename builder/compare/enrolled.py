"""Certificates and signature lists as a comparison shows them. Imported on need: X.509 takes a while to load."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from builder.compare.baseline import Certificate
from signing import pkcs7
from signing.certificate import load_certificate, name
from signing.efi import SignatureType
from signing.esl import parse_signature_lists

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography import x509

_SHOWN: Final = 16


@dataclass(frozen=True, slots=True)
class EnrolledEntry:
    """An entry of a signature list: what it is in words, its owner, its SHA-256, and a certificate's fields by name."""

    name: str
    owner: str
    sha256: str
    details: tuple[tuple[str, str], ...] = ()


def entries(signature_lists: bytes) -> tuple[EnrolledEntry, ...]:
    """The entries of a variable in order. Raises MalformedSignatureError for what is no signature list."""
    return tuple(_entries(signature_lists))


def signature_certificates(signatures: Sequence[bytes]) -> tuple[Certificate, ...]:
    """The certificates in Authenticode signatures (PKCS #7), unverified. Raises MalformedSignatureError."""
    found = (data for signature in signatures for data in pkcs7.parse(signature).certificates)
    return tuple(certificate_of(data, "a certificate of the UKI's signature") for data in found)


def _entries(signature_lists: bytes) -> Iterator[EnrolledEntry]:
    for one in parse_signature_lists(signature_lists):
        for entry in one.entries:
            digest = hashlib.sha256(entry.data).hexdigest()
            if one.type is SignatureType.X509:
                certificate = certificate_of(entry.data, "an enrolled certificate")
                yield EnrolledEntry(certificate.name, str(entry.owner), digest, certificate.details)
            else:
                words = f"{one.type.name} {entry.data[:_SHOWN].hex()}"
                yield EnrolledEntry(words, str(entry.owner), digest)


def certificate_of(data: bytes, what: str) -> Certificate:
    """A DER certificate by its fields. Raises MalformedSignatureError that names ``what``."""
    certificate = load_certificate(data, what)
    return Certificate(name(certificate), hashlib.sha256(data).hexdigest(), tuple(_details(certificate)))


def _details(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    yield "issuer", ascii(certificate.issuer.rfc4514_string())
    yield "key", _key(certificate)
    yield "not after", certificate.not_valid_after_utc.isoformat()
    yield "not before", certificate.not_valid_before_utc.isoformat()
    yield "serial number", f"{certificate.serial_number:x}"
    yield "SHA-256", hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
