"""The statement of a rebuilder: that a release's disk image came out again, bit by bit.

An in-toto statement in a DSSE envelope; its subject is the disk image, its predicate::

    {"image": {"name": ..., "version": ..., "architecture": ..., "profile": ...},
     "lock": "<sha256 of image.lock>", "bedplate": "0.1.0", "finishedOn": "2026-03-01T12:00:00Z"}

One key is one rebuilder: however often a key signs, it counts once. A key that signed the release is no rebuilder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.layout import LOCK, Names
from builder.release.statements import (
    PAYLOAD_TYPE,
    ImageIdentity,
    Subject,
    convert,
    decode_statement,
    encode_statement,
)
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from builder.release.rebuild import Rebuilt
    from builder.release.verify import VerifiedRelease
    from signing.keys import PublicKey
    from signing.signer import Signer

REBUILD: Final = "https://bedplate.dev/rebuild/v1"
MAX_REBUILD_BYTES: Final = 1 << 20


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    image: ImageIdentity
    lock: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$(?!\n)")]
    bedplate: str
    finished_on: str = msgspec.field(name="finishedOn")


def sign_rebuild(release: VerifiedRelease, rebuilt: Rebuilt, bedplate: str, time: dt.datetime, signer: Signer) -> bytes:
    """The envelope. Raises NotVerifiedError if the rebuilt image is not the published one: nobody signs that."""
    if not rebuilt.is_identical:
        raise NotVerifiedError("the rebuilt image differs", (f"{rebuilt.digest} is not {rebuilt.published}",))
    predicate = _Predicate(
        image=release.reference.image,
        lock=_file(release, LOCK).digest["sha256"],
        bedplate=bedplate,
        finished_on=time.isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
    statement = encode_statement(REBUILD, predicate, (_disk(release),))
    return envelope_json.encode(dsse.sign(PAYLOAD_TYPE, statement, [signer]))


def require_rebuilders(
    release: VerifiedRelease, statements: Mapping[str, bytes], trusted: Sequence[PublicKey], count: int
) -> tuple[str, ...]:
    """The ids of the trusted keys that say that they rebuilt ``release``, at least ``count`` different ones.

    ``statements`` are envelopes by the name of their file. One that is not about this very release is a mismatch, even
    if enough others are good: somebody rebuilt something else. Raises NotVerifiedError with every problem.
    """
    problems: list[str] = []
    rebuilders: set[str] = set()
    for name, data in statements.items():
        try:
            rebuilders |= set(_rebuilders(release, data, trusted))
        except NotVerifiedError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
        except InvalidInputError as error:
            problems.append(f"{name}: {error}")
    if len(rebuilders) < count:
        problems.append(f"{len(rebuilders)} of the trusted rebuilders say that they rebuilt it, {count} are needed")
    if problems:
        raise NotVerifiedError(f"{release.directory} is not rebuilt as is demanded", tuple(problems))
    return tuple(sorted(rebuilders))


def _rebuilders(release: VerifiedRelease, data: bytes, trusted: Sequence[PublicKey]) -> tuple[str, ...]:
    try:
        verified = dsse.verify(envelope_json.decode(data), trusted)
    except MalformedSignatureError as error:
        raise InvalidInputError(f"it is no statement of a rebuilder: {error}") from error
    except InvalidSignatureError as error:
        raise NotVerifiedError("it is not signed by a trusted rebuilder", (str(error),)) from error
    statement = decode_statement(verified.payload)
    if verified.payload_type != PAYLOAD_TYPE or statement.predicate_type != REBUILD:
        raise InvalidInputError(f"its predicate type is {statement.predicate_type!r}, expected {REBUILD!r}")
    predicate = convert(statement.predicate, _Predicate, what="rebuild statement")
    if statement.subject != (_disk(release),):
        raise InvalidInputError("it is about another disk image")
    if predicate.image != release.reference.image or predicate.lock != _file(release, LOCK).digest["sha256"]:
        raise InvalidInputError("it is about another image or lock")
    if own := sorted(set(verified.key_ids) & set(release.key_ids)):
        raise InvalidInputError(f"it is signed by {own[0]}, which signed the release itself")
    return verified.key_ids


def _disk(release: VerifiedRelease) -> Subject:
    image = release.reference.image
    return _file(release, Names(f"{image.name}_{image.version}_{image.architecture}").disk)


def _file(release: VerifiedRelease, name: str) -> Subject:
    for subject in release.files:
        if subject.name == name:
            return subject
    raise InvalidInputError(f"{release.directory} has no {name}, so it cannot be rebuilt")
