"""COSE_Sign1 (RFC 9052, 4.2): one signature over one payload, with ECDSA on P-256 or P-384 (RFC 9053, 2.1).

``[protected, unprotected, payload, signature]``, tagged 18 or not. The signature is over the CBOR array
``["Signature1", protected, external_aad, payload]`` with the protected header as it was received. The algorithm is
read from the protected header only, and must be the one that the caller allows.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.evidence import cbor

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAG_SIGN1: Final = 18
_NAME: Final = "COSE_Sign1"
_FIELDS: Final = 4
# Labels of RFC 9052, 3.1.
HEADER_ALGORITHM: Final = 1
HEADER_CRITICAL: Final = 2
HEADER_CONTENT_TYPE: Final = 3
_CONTEXT: Final = "Signature1"

Headers: TypeAlias = "dict[cbor.Key, cbor.Value]"


class CoseAlgorithm(enum.IntEnum):
    """A signature algorithm by its number in the IANA registry "COSE Algorithms"."""

    ES256 = -7
    ES384 = -35

    @property
    def curve(self) -> type[ec.EllipticCurve]:
        """The curve that goes with the algorithm here; RFC 9053 would allow any."""
        return ec.SECP256R1 if self is CoseAlgorithm.ES256 else ec.SECP384R1

    @property
    def coordinate_size(self) -> int:
        """Bytes of r and of s."""
        return 32 if self is CoseAlgorithm.ES256 else 48

    @property
    def hash(self) -> hashes.HashAlgorithm:
        """The hash that is signed."""
        return hashes.SHA256() if self is CoseAlgorithm.ES256 else hashes.SHA384()


@dataclass(frozen=True, slots=True)
class UntrustedSign1:
    """The four fields of a COSE_Sign1 that nobody verified. ``protected`` are the bytes that were signed."""

    protected: bytes
    protected_headers: Headers
    unprotected_headers: Headers
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifiedSign1:
    """A payload that the given key signed, and the protected headers that it signed with it."""

    payload: bytes
    headers: Headers
    algorithm: CoseAlgorithm


def parse_sign1(data: bytes, *, limit: int) -> UntrustedSign1:
    """Read a COSE_Sign1 of at most ``limit`` bytes. Raises MalformedImageError if it breaks the format."""
    document = cbor.loads(data, _NAME, limit=limit)
    if isinstance(document, cbor.Tagged):
        if document.tag != _TAG_SIGN1:
            raise MalformedImageError(_NAME, None, f"it has the tag {document.tag} instead of {_TAG_SIGN1}")
        document = document.value
    if not isinstance(document, list) or len(document) != _FIELDS:
        raise MalformedImageError(_NAME, None, f"it is not an array of {_FIELDS} fields")
    protected, unprotected, payload, signature = document
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise MalformedImageError(_NAME, None, "the protected header, the payload or the signature is no byte string")
    # RFC 9052, 3: an empty map may be written as an empty string.
    headers = cbor.loads(protected, f"{_NAME} protected header", limit=limit) if protected else {}
    if not isinstance(headers, dict) or not isinstance(unprotected, dict):
        raise MalformedImageError(_NAME, None, "a header is no map")
    twice = sorted(str(label) for label in headers.keys() & unprotected.keys())
    if twice:
        raise MalformedImageError(_NAME, None, f"the header {', '.join(twice)} is both protected and unprotected")
    return UntrustedSign1(protected, headers, unprotected, payload, signature)


def verify_sign1(
    message: UntrustedSign1, key: ec.EllipticCurvePublicKey, algorithm: CoseAlgorithm, external: bytes = b""
) -> VerifiedSign1:
    """Verify the signature of ``message`` with ``key`` and the one allowed ``algorithm``.

    Raises NotVerifiedError if the algorithm in the protected header, the curve of the key or the signature is
    another, or a critical header is there, none of which is understood here.
    """
    problem = _unfit(message, key, algorithm)
    if problem is None:
        size = algorithm.coordinate_size
        r, s = (int.from_bytes(part, "big") for part in (message.signature[:size], message.signature[size:]))
        signed = _signed_bytes(message.protected, external, message.payload)
        try:
            key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(algorithm.hash))
        except InvalidSignature:
            problem = "the signature was not made over this document by the key of its certificate"
    if problem is not None:
        raise NotVerifiedError("the COSE signature is not valid", (problem,))
    return VerifiedSign1(message.payload, message.protected_headers, algorithm)


def sign1(
    payload: bytes,
    key: ec.EllipticCurvePrivateKey,
    algorithm: CoseAlgorithm,
    headers: Mapping[cbor.Key, cbor.Value] | None = None,
    *,
    tagged: bool = True,
    external: bytes = b"",
) -> bytes:
    """A COSE_Sign1 over ``payload``, with the algorithm and ``headers`` in the protected header.

    Raises InvalidInputError if the key's curve is not the algorithm's or ``headers`` name an algorithm.
    """
    if not isinstance(key.curve, algorithm.curve):
        raise InvalidInputError(f"a key on {key.curve.name} does not sign with {algorithm.name}")
    if headers is not None and HEADER_ALGORITHM in headers:
        raise InvalidInputError("the header of the algorithm is set by the signature itself")
    protected = cbor2.dumps({HEADER_ALGORITHM: int(algorithm), **(headers or {})}, canonical=True)
    r, s = decode_dss_signature(key.sign(_signed_bytes(protected, external, payload), ec.ECDSA(algorithm.hash)))
    size = algorithm.coordinate_size
    message = [protected, {}, payload, r.to_bytes(size, "big") + s.to_bytes(size, "big")]
    return cbor2.dumps(cbor2.CBORTag(_TAG_SIGN1, message) if tagged else message)


def _unfit(message: UntrustedSign1, key: ec.EllipticCurvePublicKey, algorithm: CoseAlgorithm) -> str | None:
    found = message.protected_headers.get(HEADER_ALGORITHM)
    if found != algorithm:
        return f"the algorithm is {found!r} instead of {int(algorithm)} ({algorithm.name})"
    if HEADER_CRITICAL in message.protected_headers or HEADER_CRITICAL in message.unprotected_headers:
        return "it has critical headers, none of which is understood"
    if not isinstance(key.curve, algorithm.curve):
        return f"the key is on {key.curve.name}, which is not the curve of {algorithm.name}"
    if len(message.signature) != 2 * algorithm.coordinate_size:
        return f"the signature has {len(message.signature)} bytes instead of {2 * algorithm.coordinate_size}"
    return None


def _signed_bytes(protected: bytes, external: bytes, payload: bytes) -> bytes:
    return cbor2.dumps([_CONTEXT, protected, external, payload])
