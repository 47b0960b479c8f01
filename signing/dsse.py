"""DSSE envelopes: signing and verifying bytes together with their type (DSSE protocol and envelope, version 1.0.2).

What is signed is the pre-authentication encoding of type and payload, never the JSON around it::

    PAE(type, body) = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body

Verifying works on the received bytes and does not look into the payload. The order is: decode, verify, compare the
type with what is expected, and only then parse the payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from signing.errors import InvalidRequestError, InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from signing.keys import PublicKey
    from signing.signer import Signer


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature. ``key_id`` is an unauthenticated hint, empty when there is none; nothing here relies on it."""

    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its type and its signatures. Nothing in it is verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """A payload that enough trusted keys signed as ``payload_type``.

    ``key_ids`` are the identifiers of the trusted keys that did, computed from the keys, sorted.
    """

    payload_type: str
    payload: bytes
    key_ids: tuple[str, ...]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a DSSE signature covers."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, signers: Sequence[Signer]) -> Envelope:
    """Sign the payload with every signer, in order.

    Raises InvalidRequestError if there is no type or no signer, or if one key would sign twice.
    """
    if not payload_type:
        raise InvalidRequestError("an envelope needs a payload type")
    if not signers:
        raise InvalidRequestError("an envelope needs at least one signer", hint="give a signing key")
    if len({signer.public_key for signer in signers}) != len(signers):
        raise InvalidRequestError("the same key was given twice", hint="give every signing key once")
    message = pre_authentication_encoding(payload_type, payload)
    signatures = tuple(Signature(signer.public_key.key_id, signer.sign(message)) for signer in signers)
    return Envelope(payload_type, payload, signatures)


def verify(envelope: Envelope, trusted: Sequence[PublicKey], *, threshold: int = 1) -> VerifiedPayload:
    """The payload, if at least ``threshold`` different trusted keys signed it.

    Every signature is tried with every trusted key; identifiers in the envelope are ignored, and a key counts once
    however often it signed or is listed. Signatures of unknown keys do no harm and no good.

    Raises InvalidRequestError if the question has no meaning (no trusted keys, a threshold below 1 or above their
    number), InvalidSignatureError if the answer is no. The caller must still compare ``payload_type``.
    """
    keys = frozenset(trusted)
    if not keys:
        raise InvalidRequestError("there are no trusted keys to verify with", hint="give at least one public key")
    if not 1 <= threshold <= len(keys):
        raise InvalidRequestError(
            f"the threshold is {threshold}, it must be 1 to the number of trusted keys, {len(keys)}"
        )
    accepted = sorted(signers(envelope, keys))
    if len(accepted) < threshold:
        raise InvalidSignatureError(
            f"{len(accepted)} of {len(keys)} trusted keys signed this envelope, {threshold} must have",
            hint="the envelope was changed, or it was signed by other keys",
        )
    return VerifiedPayload(envelope.payload_type, envelope.payload, tuple(accepted))


def signers(envelope: Envelope, keys: Iterable[PublicKey]) -> frozenset[str]:
    """The identifiers of those of some keys that signed the envelope, whoever trusts them; maybe none."""
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    return frozenset(key.key_id for key in keys if _signature_by(key, envelope.signatures, message))


def _signature_by(key: PublicKey, signatures: Sequence[Signature], message: bytes) -> Signature | None:
    for signature in signatures:
        try:
            key.verify(signature.signature, message)
        except InvalidSignatureError:
            continue
        return signature
    return None
