"""From a signer's certificate to one trusted certificate, as firmware decides it.

edk2's ``Pkcs7Verify`` calls OpenSSL with the flags PARTIAL_CHAIN and NO_CHECK_TIME and with any purpose allowed: the
anchor need not be a root, and validity periods, extended key usage and revocation lists mean nothing. Refused here
beyond that, because a yes must not depend on leniency: SHA-1 in the chain, name constraints, and critical extensions
other than basic constraints and (extended) key usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_CHAIN = 8
_UNDERSTOOD_CRITICAL = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
_ExtensionValue = TypeVar("_ExtensionValue", bound=x509.ExtensionType)


def load_certificate(data: bytes, what: str) -> x509.Certificate:
    """Parse one DER certificate. Raises MalformedSignatureError that names ``what``."""
    try:
        certificate = x509.load_der_x509_certificate(data)
        # These parse on access: refuse an unusable certificate here and not in the middle of a check.
        _ = certificate.public_key(), certificate.subject, certificate.issuer, certificate.extensions
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise MalformedSignatureError(f"{what} is not a usable X.509 certificate: {error}") from None
    return certificate


def build_chain(
    leaf: x509.Certificate, embedded: Sequence[x509.Certificate], anchor: x509.Certificate
) -> tuple[x509.Certificate, ...]:
    """The certificates from ``leaf`` to ``anchor``, both included; one if they are the same.

    At each step the anchor is tried first, then the embedded certificates in their order, and the first issuer is
    taken. Raises InvalidSignatureError if the anchor is not reached.
    """
    trusted = anchor.public_bytes(Encoding.DER)
    chain = [leaf]
    while chain[-1].public_bytes(Encoding.DER) != trusted:
        issuer = None
        if len(chain) < MAX_CHAIN:
            issuer = _first_issuer(chain, (anchor, *embedded))
        if issuer is None:
            raise InvalidSignatureError(
                f"the signer's certificate {name(leaf)} does not lead to the trusted certificate {name(anchor)}",
                hint="check that the image was signed with this Secure Boot identity",
            )
        chain.append(issuer)
    for certificate in chain:
        _check_extensions(certificate)
    return tuple(chain)


def name(certificate: x509.Certificate) -> str:
    """The subject in the form of RFC 4514, quoted and with everything but printable ASCII escaped."""
    return ascii(certificate.subject.rfc4514_string())


def _first_issuer(chain: Sequence[x509.Certificate], candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    for candidate in candidates:
        if candidate in chain:
            continue
        try:
            # Every certificate of the chain but the leaf is an authority below the candidate.
            _check_issued(chain[-1], candidate, authorities_below=len(chain) - 1)
        except InvalidSignatureError:
            continue
        return candidate
    return None


def _check_issued(child: x509.Certificate, issuer: x509.Certificate, *, authorities_below: int) -> None:
    """Raise InvalidSignatureError unless ``issuer`` signed ``child`` and may sign certificates."""
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise InvalidSignatureError(f"{name(issuer)} is not a certificate authority")
    if constraints.path_length is not None and authorities_below > constraints.path_length:
        raise InvalidSignatureError(f"{name(issuer)} allows {constraints.path_length} authorities below it")
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise InvalidSignatureError(f"the key usage of {name(issuer)} excludes signing certificates")
    if not isinstance(child.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise InvalidSignatureError(f"{name(child)} is signed with a hash other than SHA-2")
    named = _extension(child, x509.AuthorityKeyIdentifier)
    own = _extension(issuer, x509.SubjectKeyIdentifier)
    if named is not None and own is not None and named.key_identifier not in (None, own.digest):
        raise InvalidSignatureError(f"{name(child)} names another key as its issuer's")
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        raise InvalidSignatureError(f"{name(child)} is not signed by {name(issuer)}") from None


def _check_extensions(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        understood = isinstance(extension.value, _UNDERSTOOD_CRITICAL)
        if isinstance(extension.value, x509.NameConstraints) or (extension.critical and not understood):
            raise InvalidSignatureError(
                f"{name(certificate)} has the extension {extension.oid.dotted_string}, which is not supported"
            )


def _extension(certificate: x509.Certificate, kind: type[_ExtensionValue]) -> _ExtensionValue | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
