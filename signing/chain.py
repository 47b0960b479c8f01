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

from signing.certificate import name
from signing.errors import InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CHAIN = 8
_UNDERSTOOD_CRITICAL = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
_ExtensionValue = TypeVar("_ExtensionValue", bound=x509.ExtensionType)


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
        # Every certificate of the chain but the leaf is an authority below the next one.
        below = len(chain) - 1
        candidates = (certificate for certificate in (anchor, *embedded) if certificate not in chain)
        issuer = next((c for c in candidates if _has_issued(c, chain[-1], authorities_below=below)), None)
        if issuer is None or len(chain) == MAX_CHAIN:
            raise InvalidSignatureError(
                f"the signer's certificate {name(leaf)} does not lead to the trusted certificate {name(anchor)}",
                hint="check that the image was signed with this Secure Boot identity",
            )
        chain.append(issuer)
    for certificate in chain:
        _check_extensions(certificate)
    return tuple(chain)


def _has_issued(issuer: x509.Certificate, child: x509.Certificate, *, authorities_below: int) -> bool:
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return False
    if constraints.path_length is not None and authorities_below > constraints.path_length:
        return False
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return False
    named = _extension(child, x509.AuthorityKeyIdentifier)
    own = _extension(issuer, x509.SubjectKeyIdentifier)
    if named is not None and own is not None and named.key_identifier not in {None, own.digest}:
        return False
    return _has_signed(issuer, child)


def _has_signed(issuer: x509.Certificate, child: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
        return isinstance(child.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512)
    except (InvalidSignature, TypeError, ValueError, UnsupportedAlgorithm):
        return False


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
