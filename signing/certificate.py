"""Reading X.509 certificates that others made, and naming them in messages."""

from __future__ import annotations

import warnings
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from signing import der
from signing.errors import MalformedSignatureError

# All that the library raises for bytes that are no certificate, or for a part of one that it reads only when asked.
UNREADABLE: Final = (
    KeyError,
    TypeError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def load_certificate(data: bytes, what: str) -> x509.Certificate:
    """Parse exactly one DER certificate. Raises MalformedSignatureError that names ``what``."""
    try:
        certificate = x509.load_der_x509_certificate(data)
        # These parse on access: refuse an unusable certificate here and not in the middle of a check.
        _ = certificate.public_key(), certificate.extensions
    except UNREADABLE as error:
        raise MalformedSignatureError(f"{what} is not a usable X.509 certificate: {str(error)!a}") from None
    return certificate


def issuer_and_serial(data: bytes) -> bytes:
    """PKCS #7's IssuerAndSerialNumber of a DER certificate: both elements as they stand in it.

    Names are compared and copied as bytes, never decoded and encoded again. Raises MalformedSignatureError.
    """
    to_be_signed = (
        der.Reader(data, "certificate").enter(der.SEQUENCE, "certificate").enter(der.SEQUENCE, "tbsCertificate")
    )
    if to_be_signed.peek() == der.context(0):
        to_be_signed.take(der.context(0), "version")
    serial = to_be_signed.take(der.INTEGER, "serialNumber").encoding
    to_be_signed.take(der.SEQUENCE, "signature")
    return der.sequence(to_be_signed.take(der.SEQUENCE, "issuer").encoding, serial)


def name(certificate: x509.Certificate) -> str:
    """The subject in the form of RFC 4514, quoted and with everything but printable ASCII escaped."""
    with warnings.catch_warnings():
        # The library warns of names that break X.520's length limits; a message is not the place to care.
        warnings.simplefilter("ignore")
        try:
            return ascii(certificate.subject.rfc4514_string())
        except UNREADABLE:
            return f"with the serial number {certificate.serial_number:x}"
