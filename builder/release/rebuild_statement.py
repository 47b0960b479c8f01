"""The statement of a rebuilder: that a release's disk image came out again, bit by bit.

An in-toto statement in a DSSE envelope; its subject is the disk image, its predicate::

    {"image": {"name": ..., "version": ..., "architecture": ..., "profile": ...},
     "lock": "<sha256 of image.lock>", "bedplate": "0.1.0", "finishedOn": "2026-03-01T12:00:00Z"}

One key is one rebuilder: however often a key signs, it counts once. A key that signed any statement of the release is
no rebuilder, also if nobody trusts it for releases: whoever made the release would vouch for themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.attestation import (
    Timestamp,
    read_attestation,
    require_attesters,
    sign_attestation,
    timestamp,
)
from builder.release.layout import LOCK, Names
from builder.release.statements import ImageIdentity, Sha256, convert
from signing import dsse

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from builder.release.rebuild import Rebuilt
    from builder.release.statements import Subject
    from builder.release.verify import VerifiedRelease
    from signing.keys import PublicKey
    from signing.signer import Signer

REBUILD: Final = "https://bedplate.dev/rebuild/v1"


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    image: ImageIdentity
    lock: Sha256
    bedplate: str
    finished_on: Timestamp = msgspec.field(name="finishedOn")


def sign_rebuild(release: VerifiedRelease, rebuilt: Rebuilt, bedplate: str, time: dt.datetime, signer: Signer) -> bytes:
    """The envelope. Raises NotVerifiedError if the rebuilt image is not the published one: nobody signs that."""
    disk = _disk(release)
    # The digest that was signed and not that of a file, which could be another one since it was verified.
    if rebuilt.digest != disk.digest["sha256"]:
        raise NotVerifiedError("the rebuilt image differs", (f"{rebuilt.digest} is not {disk.digest['sha256']}",))
    predicate = _Predicate(
        image=release.reference.image,
        lock=release.file(LOCK).digest["sha256"],
        bedplate=bedplate,
        finished_on=timestamp(time),
    )
    return sign_attestation(REBUILD, predicate, (disk,), [signer])


def require_rebuilders(
    release: VerifiedRelease, statements: Mapping[str, bytes], trusted: Sequence[PublicKey], count: int
) -> tuple[str, ...]:
    """The ids of the trusted keys that say that they rebuilt ``release``, at least ``count`` different ones.

    ``statements`` are envelopes by the name of their file. One that is not about this very release is a mismatch, even
    if enough others are good: somebody rebuilt something else. Raises NotVerifiedError with every problem.
    """
    return require_attesters(
        statements,
        count,
        lambda data: _rebuilders(release, data, trusted),
        subject=str(release.directory),
        role="rebuilder",
        deed="rebuilt",
    )


def _rebuilders(release: VerifiedRelease, data: bytes, trusted: Sequence[PublicKey]) -> tuple[str, ...]:
    said = read_attestation(data, trusted, REBUILD, what="statement of a rebuilder")
    predicate = convert(said.statement.predicate, _Predicate, what="rebuild statement")
    if said.statement.subject != (_disk(release),):
        raise InvalidInputError("it is about another disk image")
    if predicate.image != release.reference.image or predicate.lock != release.file(LOCK).digest["sha256"]:
        raise InvalidInputError("it is about another image or lock")
    makers = {key_id for envelope in release.envelopes for key_id in dsse.signers(envelope, trusted)}
    if own := sorted(makers.intersection(said.key_ids)):
        raise InvalidInputError(f"it is signed by {own[0]}, which signed the release itself")
    return said.key_ids


def _disk(release: VerifiedRelease) -> Subject:
    image = release.reference.image
    return release.file(Names.of(image).disk)
