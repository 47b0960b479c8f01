"""The statement of a reviewer: that what changed between two releases is what certain rules allow.

An in-toto statement in a DSSE envelope; its subject is ``release.intoto.jsonl`` of the new release, whose digest binds
all of that release, its predicate::

    {"old": {"image": {"name": ..., "version": ..., "architecture": ..., "profile": ...}, "statements": "<sha256>"},
     "new": {"image": {...}, "statements": "<sha256>"},
     "rules": {"name": "security-update", "sha256": "..."}, "scope": "images", "diff": "<sha256>",
     "result": "ALLOWED", "reviewer": "<key id>", "bedplate": "0.1.0", "finishedOn": "2026-03-01T12:00:00Z"}

A verifier compares and judges again and believes only what comes out the same. What it cannot check, the time and the
version of bedplate, is the reviewer's word. One key is one reviewer, and a key that signed the release is none, whether
or not the verifier trusts it with releases.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec.structs import replace

from builder.compare.difference import Scope  # noqa: TC001 -- msgspec resolves annotations at run time
from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.attestation import (
    read_attestation,
    require_attesters,
    require_past,
    sign_attestation,
    timestamp,
)
from builder.release.layout import STATEMENTS
from builder.release.statements import ImageIdentity, Sha256, Subject, convert
from builder.review.report import RulesUsed  # noqa: TC001 -- msgspec resolves annotations at run time

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from builder.compare.difference import Report, Side
    from builder.review.report import Judgement
    from signing.keys import PublicKey
    from signing.signer import Signer

REVIEW: Final = "https://bedplate.dev/review/v1"


class _Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    image: ImageIdentity
    statements: Sha256


class _Predicate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    old: _Release
    new: _Release
    rules: RulesUsed
    scope: Scope
    diff: Sha256
    result: Literal["ALLOWED"]
    reviewer: str
    bedplate: str
    finished_on: str = msgspec.field(name="finishedOn")


def diff_digest(report: Report) -> str:
    """The SHA-256 of a diff: of all that it says, but for where the sides lie and by which keys they were verified."""
    sides = [replace(side, place="", verified_by=()) for side in (report.old, report.new)]
    return hashlib.sha256(msgspec.json.encode(replace(report, old=sides[0], new=sides[1]), order="sorted")).hexdigest()


def sign_review(judgement: Judgement, scope: Scope, bedplate: str, time: dt.datetime, signer: Signer) -> bytes:
    """The envelope. Raises NotVerifiedError for what the rules refuse, and for a release that nobody trusted signed."""
    if not judgement.allowed:
        problems = tuple(refusal.subject for refusal in judgement.refused)
        raise NotVerifiedError(f"{judgement.rules.name} does not allow what changed", problems)
    report = judgement.diff
    if signer.public_key.key_id in report.new.signers:
        raise InvalidInputError(
            "the reviewer's key signed the release itself", hint="a review is worth something if somebody else made it"
        )
    predicate = _Predicate(
        old=_release(report.old),
        new=_release(report.new),
        rules=judgement.rules,
        scope=scope,
        diff=diff_digest(report),
        result="ALLOWED",
        reviewer=signer.public_key.key_id,
        bedplate=bedplate,
        finished_on=timestamp(time),
    )
    return sign_attestation(REVIEW, predicate, (_subject(predicate.new),), [signer])


def require_reviewers(
    statements: Mapping[str, bytes],
    trusted: Sequence[PublicKey],
    count: int,
    judged: Callable[[Scope], Judgement],
    *,
    now: dt.datetime | None = None,
) -> tuple[str, ...]:
    """The ids of the trusted keys that say that they reviewed the change before ``now``, at least ``count`` of them.

    ``statements`` are envelopes by the name of their file; ``judged`` gives the judgement of the releases that are
    here, by the rules that count here, as far as a scope goes. A statement that says anything else is a mismatch,
    even if enough others are good. Raises NotVerifiedError with every problem.
    """
    return require_attesters(
        statements,
        count,
        lambda data: (_reviewer(data, trusted, judged, now),),
        subject="the change",
        role="reviewer",
        deed="reviewed",
    )


def _reviewer(
    data: bytes, trusted: Sequence[PublicKey], judged: Callable[[Scope], Judgement], now: dt.datetime | None
) -> str:
    review = read_attestation(data, trusted, REVIEW, what="statement of a reviewer")
    predicate = convert(review.statement.predicate, _Predicate, what="review")
    require_past("finishedOn", predicate.finished_on, now)
    problems = [*_lies(predicate, judged(predicate.scope))]
    if review.statement.subject != (_subject(predicate.new),):
        problems.append("its subject is not the new release that it speaks of")
    if predicate.reviewer not in review.key_ids:
        problems.append(f"it names the reviewer {predicate.reviewer!r}, who has not signed it")
    if problems:
        raise NotVerifiedError("it is not about this change", tuple(problems))
    return predicate.reviewer


def _lies(said: _Predicate, judgement: Judgement) -> Iterator[str]:
    """What a statement says otherwise than it comes out here."""
    report = judgement.diff
    for name, told, side in (("old", said.old, report.old), ("new", said.new, report.new)):
        if told != _release(side):
            yield f"it is about another {name} release: {told.image.name} {told.image.version}, {told.statements}"
    if said.rules != judgement.rules:
        yield f"it was made with other rules: {said.rules.name} {said.rules.sha256}"
    if not judgement.allowed:
        yield f"{judgement.rules.name} does not allow what changed: {judgement.refused[0].subject}"
    if said.diff != diff_digest(report):
        yield f"the diff of this scope ({said.scope.value}) comes out otherwise here, with {said.bedplate} it was made"
    if said.reviewer in report.new.signers:
        yield f"its reviewer {said.reviewer} signed the release itself"


def _release(side: Side) -> _Release:
    if side.statements is None or side.image is None or not side.verified_by:
        raise NotVerifiedError(
            "only verified releases can be reviewed", (f"{side.place} is no release that a trusted key signed",)
        )
    return _Release(image=side.image, statements=side.statements)


def _subject(release: _Release) -> Subject:
    return Subject(name=STATEMENTS, digest={"sha256": release.statements})
