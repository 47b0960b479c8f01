"""Revoked releases: a signed list that a verifier takes beside the releases that it trusts.

An in-toto statement in a DSSE envelope, like the statements of a release, with a predicate type of its own::

    {"issued": "2026-03-01T12:00:00+00:00",
     "revoked": [{"digest": "<sha256>", "reason": "..."},
                 {"name": "inference-node", "version": "1.0.0", "reason": "..."}]}

A digest is that of the signed statement of reference measurements or of any file of the release (the disk image, the
UKI). The subject of the statement is the predicate itself. A list does not add to an earlier one: it takes its place,
and ``issued`` says which is newer.
"""

from __future__ import annotations

import hashlib
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.statements import (
    PAYLOAD_TYPE,
    NamePart,
    Subject,
    convert,
    decode_statement,
    encode_statement,
)
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey
    from signing.signer import Signer

REVOCATIONS: Final = "https://bedplate.dev/revocations/v1"
MAX_REVOCATIONS_BYTES: Final = 8 << 20
_SUBJECT: Final = "revocations"
_PROOF: Final = object()


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One revoked release: by a digest, or by name and version. ``reason`` is for people and not empty."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$(?!\n)")] | None = None
    name: NamePart | None = None
    version: NamePart | None = None

    def __post_init__(self) -> None:
        """Raises ValueError unless exactly one release is named in exactly one way."""
        named = self.name is not None, self.version is not None
        if named[0] != named[1] or (self.digest is not None) == named[0]:
            raise ValueError("a revocation has either a digest, or a name and a version")


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issued: str
    revoked: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True)
class VerifiedRevocations:
    """A list that trusted keys signed; made by ``load_revocations``. It may be empty: nothing is revoked (yet)."""

    issued: datetime
    revoked: tuple[Revocation, ...]
    key_ids: tuple[str, ...]
    # No default, so that dataclasses.replace() needs it, too.
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _PROOF:
            raise TypeError("a VerifiedRevocations is made by load_revocations")

    def reasons(self, release: TrustedReference) -> tuple[str, ...]:
        """Why the release is revoked; none if it is not."""
        image = release.reference.image
        digests = release.subjects | {release.digest}
        return tuple(
            entry.reason
            for entry in self.revoked
            if (entry.digest in digests if entry.digest else (entry.name, entry.version) == (image.name, image.version))
        )


def load_revocations(data: bytes, trusted: Sequence[PublicKey], threshold: int = 1) -> VerifiedRevocations:
    """Verify and read a list.

    Raises NotVerifiedError if it is not signed by enough of the trusted keys, InvalidInputError if it is no list of
    revocations, and InvalidRequestError without trusted keys or for an impossible threshold.
    """
    if len(data) > MAX_REVOCATIONS_BYTES:
        raise InvalidInputError(f"revocations of {len(data)} bytes are longer than {MAX_REVOCATIONS_BYTES}")
    try:
        verified = dsse.verify(envelope_json.decode(data), trusted, threshold=threshold)
    except MalformedSignatureError as error:
        raise InvalidInputError(f"this is no list of revocations: {error}") from error
    except InvalidSignatureError as error:
        raise NotVerifiedError("the revocations are not signed by keys that you trust", (str(error),)) from error
    if verified.payload_type != PAYLOAD_TYPE:
        raise InvalidInputError(f"the payload type is {verified.payload_type!r}, expected {PAYLOAD_TYPE!r}")
    statement = decode_statement(verified.payload)
    if statement.predicate_type != REVOCATIONS:
        raise InvalidInputError(f"the predicate type is {statement.predicate_type!r}, expected {REVOCATIONS!r}")
    predicate = convert(statement.predicate, _Predicate, what="revocations")
    if statement.subject != _subjects(predicate):
        raise InvalidInputError("the subject of the revocations is not their digest")
    return VerifiedRevocations(_time(predicate.issued), predicate.revoked, verified.key_ids, _PROOF)


def sign_revocations(revoked: Sequence[Revocation], issued: datetime, signers: Sequence[Signer]) -> bytes:
    """A signed list, as one envelope in JSON. Raises InvalidInputError if ``issued`` has no time zone."""
    predicate = _Predicate(issued=issued.isoformat(), revoked=tuple(revoked))
    _time(predicate.issued)
    payload = encode_statement(REVOCATIONS, predicate, _subjects(predicate))
    return envelope_json.encode(dsse.sign(PAYLOAD_TYPE, payload, signers))


def _subjects(predicate: _Predicate) -> tuple[Subject, ...]:
    digest = hashlib.sha256(msgspec.json.encode(predicate, order="sorted")).hexdigest()
    return (Subject(name=_SUBJECT, digest={"sha256": digest}),)


def _time(text: str) -> datetime:
    try:
        issued = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"revocations: {text!r} is no time") from None
    if issued.tzinfo is None:
        raise InvalidInputError(f"revocations: the time {text} has no time zone")
    return issued.astimezone(UTC)
