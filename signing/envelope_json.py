"""The JSON form of DSSE envelopes, JSON Lines of them, and the sigstore bundle that shows one signature.

Decoding is strict where two readers could disagree (duplicate keys, both base64 alphabets in one value, missing or
surplus padding, non-zero trailing bits, bytes after the object) and ignores unknown fields, as the DSSE envelope
specification demands of consumers; nothing of an unknown field is kept.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import msgspec

from signing.dsse import Envelope, Signature
from signing.errors import InvalidRequestError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from signing.keys import PublicKey

# A statement with the package list of a whole image has 1 to 2 MiB.
MAX_ENVELOPE_BYTES = 32 << 20
MAX_ENVELOPES = 64
MAX_SIGNATURES = 32
MAX_TEXT = 1024
BUNDLE_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_URL_SAFE = str.maketrans("-_", "+/")


def encode(envelope: Envelope) -> bytes:
    """One line of compact JSON without a line feed; the same envelope always gives the same bytes."""
    return _json(_as_object(envelope))


def decode(data: bytes) -> Envelope:
    """Read one envelope. Nothing is verified. Raises MalformedSignatureError."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise MalformedSignatureError(f"an envelope has at most {MAX_ENVELOPE_BYTES} bytes, this has {len(data)}")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise MalformedSignatureError(f"the envelope is not JSON: {problem}") from None
    signatures = _field(value, "envelope", "signatures", list)
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise MalformedSignatureError(f"an envelope has 1 to {MAX_SIGNATURES} signatures, this has {len(signatures)}")
    payload_type = _text(value, "envelope", "payloadType")
    if not payload_type:
        raise MalformedSignatureError("the envelope's payloadType is empty")
    payload = _base64(_field(value, "envelope", "payload", str), "payload")
    return Envelope(payload_type, payload, tuple(_signature(item) for item in signatures))


def encode_lines(envelopes: Iterable[Envelope]) -> bytes:
    """JSON Lines, one envelope a line, every line ended by a line feed. Raises InvalidRequestError if there is none."""
    lines = b"".join(encode(envelope) + b"\n" for envelope in envelopes)
    if not lines:
        raise InvalidRequestError("there are no envelopes to write")
    return lines


def decode_lines(data: bytes) -> tuple[Envelope, ...]:
    """Read JSON Lines; the last line feed may be missing. Raises MalformedSignatureError, also if there is none."""
    lines = data.removesuffix(b"\n").split(b"\n", MAX_ENVELOPES)
    envelopes = []
    for number, line in enumerate(lines, 1):
        if number > MAX_ENVELOPES:
            raise MalformedSignatureError(f"more than {MAX_ENVELOPES} envelopes")
        try:
            envelopes.append(decode(line))
        except MalformedSignatureError as error:
            raise MalformedSignatureError(f"line {number}: {error}") from None
    return tuple(envelopes)


def encode_bundle(envelope: Envelope, key: PublicKey) -> bytes:
    """A sigstore bundle (v0.3) with the one signature that names ``key``, for verifiers like cosign.

    Bundles have exactly one signature, so an envelope of several keys has a bundle for each of them. Raises
    InvalidRequestError if no signature or more than one names the key.
    """
    named = [signature for signature in envelope.signatures if signature.key_id == key.key_id]
    if len(named) != 1:
        raise InvalidRequestError(f"{len(named)} signatures of the envelope name the key {key.key_id}, one must")
    hint = base64.b64encode(bytes.fromhex(key.key_id)).decode()
    # Without the identifier: sigstore's verifier computes one of its own and passes over signatures that have another.
    shown = Envelope(envelope.payload_type, envelope.payload, (Signature("", named[0].signature),))
    return _json(
        {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}},
            "dsseEnvelope": _as_object(shown),
        }
    )


def _as_object(envelope: Envelope) -> dict[str, Any]:
    return {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": envelope.payload_type,
        "signatures": [
            {"keyid": item.key_id, "sig": base64.b64encode(item.signature).decode()} for item in envelope.signatures
        ],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _signature(item: object) -> Signature:
    key_id = _text(item, "signature", "keyid") if isinstance(item, dict) and "keyid" in item else ""
    return Signature(key_id, _base64(_field(item, "signature", "sig", str), "sig"))


def _text(value: object, where: str, name: str) -> str:
    text: str = _field(value, where, name, str)
    if len(text) > MAX_TEXT:
        raise MalformedSignatureError(f"{name} has more than {MAX_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MalformedSignatureError(f"{name} holds half a surrogate pair, which has no UTF-8 form") from None
    return text


def _field(value: object, where: str, name: str, kind: type) -> Any:
    if not isinstance(value, dict):
        raise MalformedSignatureError(f"the {where} is not a JSON object")
    if name not in value:
        raise MalformedSignatureError(f"the {where} has no {name}")
    if not isinstance(value[name], kind):
        raise MalformedSignatureError(f"{name} of the {where} is not a JSON {'array' if kind is list else 'string'}")
    return value[name]


def _base64(text: str, name: str) -> bytes:
    """Decode either alphabet of RFC 4648 (sections 4 and 5), not both at once."""
    standard = text
    if ("-" in text or "_" in text) and "+" not in text and "/" not in text:
        standard = text.translate(_URL_SAFE)
    try:
        # As strict as base64.b64decode(validate=True), and five times as fast: a payload has some 100 kB.
        decoded = msgspec.convert(standard, bytes)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise MalformedSignatureError(f"{name} is not base64") from None
    # The decoder lets non-zero trailing bits pass; then two texts would stand for the same bytes. Only the last four
    # characters can have such bits, and to encode all of a large payload again would take as long as to decode it.
    last = len(decoded) % 3 or 3
    if base64.b64encode(decoded[-last:]).decode() != standard[-4:]:
        raise MalformedSignatureError(f"{name} is not base64 in its one form")
    return decoded


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return value


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
