"""The statement of a rebuilder: that a release's disk image came out again, bit by bit.

An in-toto statement in a DSSE envelope; its subject is the disk image, its predicate::

    {"image": {"name": ..., "version": ..., "architecture": ..., "profile": ...},
     "lock": "<sha256 of image.lock>", "toolchain": "made", "bedplate": "0.1.0",
     "finishedOn": "2026-03-01T12:00:00Z"}

``toolchain`` says whether the tools were made of the lock's packages for this rebuild, or taken from the rebuilder's
cache ("cached"), where somebody may have changed them. That and the last two are the rebuilder's word.

One key is one rebuilder: however often a key signs, it counts once. A key that signed any statement of the release is
no rebuilder, also if nobody trusts it for releases: whoever made the release would vouch for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.mkosi.toolchain import Origin
from builder.release.attestation import (
    read_attestation,
    require_attesters,
    require_past,
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
    toolchain: Origin
    bedplate: str
    finished_on: str = msgspec.field(name="finishedOn")


@dataclass(frozen=True, slots=True)
class Rebuilder:
    """A key that says that it rebuilt a release, and from where it says that its tools were."""

    key_id: str
    toolchain: Origin


def require_independent(release: VerifiedRelease, key: PublicKey) -> None:
    """Raise InvalidInputError if ``key`` signed any statement of the release: its word would be no second opinion."""
    if _makers(release, [key]):
        raise InvalidInputError(
            f"the key {key.key_id} signed {release.directory} itself, expected the key of an independent rebuilder",
            hint="attest with a key that signed nothing of the release",
        )


def sign_rebuild(release: VerifiedRelease, rebuilt: Rebuilt, bedplate: str, time: dt.datetime, signer: Signer) -> bytes:
    """The envelope.

    Raises NotVerifiedError if the rebuilt image is not the published one, since nobody signs that, and
    InvalidInputError as ``require_independent`` does.
    """
    require_independent(release, signer.public_key)
    disk = _disk(release)
    # The digest that was signed and not that of a file, which could be another one since it was verified.
    if rebuilt.digest != disk.digest["sha256"]:
        raise NotVerifiedError("the rebuilt image differs", (f"{rebuilt.digest} is not {disk.digest['sha256']}",))
    predicate = _Predicate(
        image=release.reference.image,
        lock=release.file(LOCK).digest["sha256"],
        toolchain=rebuilt.toolchain,
        bedplate=bedplate,
        finished_on=timestamp(time),
    )
    return sign_attestation(REBUILD, predicate, (disk,), [signer])


def require_rebuilders(
    release: VerifiedRelease,
    statements: Mapping[str, bytes],
    trusted: Sequence[PublicKey],
    count: int,
    *,
    now: dt.datetime | None = None,
) -> tuple[Rebuilder, ...]:
    """The trusted keys that say that they rebuilt ``release`` before ``now``, at least ``count`` different ones, by id.

    ``statements`` are envelopes by the name of their file. One that is not about this very release is a mismatch, even
    if enough others are good: somebody rebuilt something else. Raises NotVerifiedError with every problem.
    """
    origins: dict[str, Origin] = {}

    def read(data: bytes) -> tuple[str, ...]:
        key_ids, origin = _said(release, data, trusted, now)
        for key_id in key_ids:
            if origins.get(key_id) is not Origin.MADE:
                origins[key_id] = origin
        return key_ids

    key_ids = require_attesters(
        statements, count, read, subject=str(release.directory), role="rebuilder", deed="rebuilt"
    )
    return tuple(Rebuilder(key_id, origins[key_id]) for key_id in key_ids)


def _said(
    release: VerifiedRelease, data: bytes, trusted: Sequence[PublicKey], now: dt.datetime | None
) -> tuple[tuple[str, ...], Origin]:
    """Who signed a statement, and from where their tools were."""
    said = read_attestation(data, trusted, REBUILD, what="statement of a rebuilder")
    predicate = convert(said.statement.predicate, _Predicate, what="rebuild statement")
    if said.statement.subject != (_disk(release),):
        raise InvalidInputError("it is about another disk image")
    if predicate.image != release.reference.image or predicate.lock != release.file(LOCK).digest["sha256"]:
        raise InvalidInputError("it is about another image or lock")
    require_past("finishedOn", predicate.finished_on, now)
    if own := sorted(_makers(release, trusted).intersection(said.key_ids)):
        raise InvalidInputError(f"it is signed by {own[0]}, which signed the release itself")
    return said.key_ids, predicate.toolchain


def _makers(release: VerifiedRelease, keys: Sequence[PublicKey]) -> set[str]:
    """The ids of those of some keys that signed a statement of the release."""
    return {key_id for envelope in release.envelopes for key_id in dsse.signers(envelope, keys)}


def _disk(release: VerifiedRelease) -> Subject:
    image = release.reference.image
    return release.file(Names.of(image).disk)
