"""Revoked releases: a signed list that a verifier takes beside the releases that it trusts.

An in-toto statement in a DSSE envelope, like the statements of a release, with a predicate type of its own::

    {"serial": 7,
     "issued": "2026-03-01T12:00:00+00:00",
     "revoked": [{"digest": "<sha256>", "reason": "..."},
                 {"name": "inference-node", "version": "1.0.0", "reason": "..."}],
     "minimum_versions": {"inference-node": "1.2.0"}}

A digest is that of the signed statement of reference measurements or of any file of the release (the disk image, the
UKI). The subject of the statement is the predicate itself. A list does not add to an earlier one: it takes its place,
and ``serial``, which only grows, says which is newer. Whoever can keep a newer list away can show an old one, so a
verifier keeps the highest serial number that it has seen and says it whenever it loads a list.
"""

from __future__ import annotations

import hashlib
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.attestation import read_attestation, sign_attestation
from builder.release.statements import NamePart, Sha256, Subject, convert
from builder.release.version import UNLIKE, are_alike, compare_versions, is_below

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey
    from signing.signer import Signer

REVOCATIONS: Final = "https://bedplate.dev/revocations/v1"
MAX_REVOCATIONS_BYTES: Final = 8 << 20
# What every JSON reader holds exactly.
MAX_SERIAL: Final = 2**53 - 1
_SUBJECT: Final = "revocations"
_PROOF: Final = object()


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One revoked release: by a digest, or by name and version. ``reason`` is for people and not empty."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    digest: Sha256 | None = None
    name: NamePart | None = None
    version: NamePart | None = None

    def __post_init__(self) -> None:
        """Raises ValueError unless exactly one release is named in exactly one way."""
        named = self.name is not None, self.version is not None
        if named[0] != named[1] or (self.digest is not None) == named[0]:
            raise ValueError("a revocation has either a digest, or a name and a version")


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    serial: Annotated[int, msgspec.Meta(ge=1, le=MAX_SERIAL)]
    issued: str
    revoked: tuple[Revocation, ...]
    minimum_versions: dict[NamePart, NamePart]


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What a list says, as yet signed by nobody.

    ``minimum_versions`` has the lowest version that may run, by the name of the image. It may be empty: nothing is
    revoked (yet).
    """

    serial: int
    issued: datetime
    revoked: tuple[Revocation, ...]
    minimum_versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VerifiedRevocations:
    """A list that trusted keys signed; made by ``load_revocations``."""

    content: RevocationList
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
        found = [
            entry.reason
            for entry in self.content.revoked
            if (entry.digest in digests if entry.digest else (entry.name, entry.version) == (image.name, image.version))
        ]
        lowest = self.content.minimum_versions.get(image.name)
        if lowest is not None and is_below(image.version, lowest):
            unlike = "" if are_alike(image.version, lowest) else f", with which it cannot be compared: {UNLIKE}"
            found.append(f"the lowest version that may run is {lowest}{unlike}")
        return tuple(found)


def load_revocations(
    data: bytes, trusted: Sequence[PublicKey], threshold: int = 1, *, last_serial: int = 0
) -> VerifiedRevocations:
    """Verify and read a list. ``last_serial`` is the highest serial number that the caller has seen, 0 if none.

    Raises NotVerifiedError if it is not signed by enough of the trusted keys or is older than a list that was seen,
    InvalidInputError if it is no list of revocations, and InvalidRequestError without trusted keys or for an impossible
    threshold.
    """
    if len(data) > MAX_REVOCATIONS_BYTES:
        raise InvalidInputError(f"revocations of {len(data)} bytes are longer than {MAX_REVOCATIONS_BYTES}")
    signed = read_attestation(data, trusted, REVOCATIONS, threshold=threshold, what="list of revocations")
    predicate = convert(signed.statement.predicate, _Predicate, what="revocations")
    if signed.statement.subject != _subjects(predicate):
        raise InvalidInputError("the subject of the revocations is not their digest")
    if predicate.serial < last_serial:
        raise NotVerifiedError(
            "the list of revocations is an old one",
            (f"its serial number is {predicate.serial}, a list with {last_serial} was seen before",),
        )
    content = RevocationList(
        predicate.serial, _time(predicate.issued), predicate.revoked, MappingProxyType(predicate.minimum_versions)
    )
    return VerifiedRevocations(content, signed.key_ids, _PROOF)


def amended(
    previous: VerifiedRevocations | None,
    revoked: Sequence[Revocation],
    minimum_versions: Mapping[str, str],
    issued: datetime,
) -> RevocationList:
    """The list that takes the place of ``previous``: all of that, and more. Without a previous one, the first list.

    Raises InvalidInputError if it would say nothing new, would take something back (a lower minimum version), or would
    be issued before the list that it replaces, and for a time without zone.
    """
    _time(issued.isoformat())
    if previous is None:
        return RevocationList(1, issued, tuple(revoked), MappingProxyType(dict(minimum_versions)))
    old = previous.content
    fresh = tuple(entry for entry in revoked if entry not in old.revoked)
    raised = {name: version for name, version in minimum_versions.items() if old.minimum_versions.get(name) != version}
    if not fresh and not raised:
        raise InvalidInputError(f"the list with the serial number {old.serial} says all of that already")
    for name, version in raised.items():
        if name in old.minimum_versions and compare_versions(version, old.minimum_versions[name]) < 0:
            problem = f"{version} is below {old.minimum_versions[name]}, the lowest version of {name} that may run now"
            raise InvalidInputError(problem, hint="a minimum version only rises")
    if issued < old.issued:
        raise InvalidInputError(f"the previous list was issued at {old.issued.isoformat()}, which is still to come")
    lowest = MappingProxyType({**old.minimum_versions, **raised})
    return RevocationList(old.serial + 1, issued, (*old.revoked, *fresh), lowest)


def sign_revocations(content: RevocationList, signers: Sequence[Signer]) -> bytes:
    """A signed list, as one envelope in JSON. Raises InvalidInputError if it cannot be read back."""
    value = {
        "serial": content.serial,
        "issued": content.issued.isoformat(),
        "revoked": [msgspec.to_builtins(entry) for entry in content.revoked],
        "minimum_versions": dict(content.minimum_versions),
    }
    predicate = convert(value, _Predicate, what="revocations")
    _time(predicate.issued)
    return sign_attestation(REVOCATIONS, predicate, _subjects(predicate), signers)


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
