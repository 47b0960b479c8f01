"""Verify a release: signatures before anything is parsed, then every digest, then the image against its own claims.

All mismatches are collected, because the first one alone seldom tells what happened. What is verified is the directory
as it was read; whoever can write to it later can change it later.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.definition.model import Profile
from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import read_bytes
from builder.release.claims import check_image, check_provenance
from builder.release.files import check_files, list_files
from builder.release.layout import LOCK, MAX_STATEMENTS_BYTES, NO_RELEASE_HINT, STATEMENTS
from builder.release.lock_claims import check_lock
from builder.release.signed import SignedStatements, read_signed
from builder.release.verdict_claims import Demands, check_verdict, departures_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from builder.release.statements import ReferenceMeasurements, Subject
    from builder.release.summary import VerificationSummary
    from builder.release.verdict import ImageFacts
    from builder.weights.identity import Model
    from signing.dsse import Envelope
    from signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """A release whose every claim held.

    ``key_ids`` are the trusted keys that signed all of it, at least one; ``envelopes`` are its statements with the
    signatures of all keys. ``departures`` are sentences on what its policy allows beyond the packs that it must have
    been checked by, and on its waivers.
    """

    directory: Path
    key_ids: tuple[str, ...]
    reference: ReferenceMeasurements
    provenance: dict[str, Any]
    verdict: VerificationSummary
    departures: tuple[str, ...]
    model: Model | None
    files: tuple[Subject, ...]
    envelopes: tuple[Envelope, ...]

    @property
    def lock(self) -> str | None:
        """The SHA-256 (hex) of the lock whose packages the image is made of; None for a build without one."""
        return next((file.digest["sha256"] for file in self.files if file.name == LOCK), None)

    def file(self, name: str) -> Subject:
        """A file of the release with the digest that was signed. Raises InvalidInputError if there is none."""
        for subject in self.files:
            if subject.name == name:
                return subject
        raise InvalidInputError(f"{self.directory} has no {name}, so it cannot be rebuilt")


def verify_release(
    directory: Path,
    trusted: Sequence[PublicKey],
    *,
    threshold: int = 1,
    allow_development: bool = False,
    packs: Sequence[str] = (),
    today: dt.date | None = None,
    image: ImageFacts | None = None,
) -> VerifiedRelease:
    """Verify the release in ``directory`` with at least ``threshold`` of the trusted keys.

    The image must have been checked by ``packs`` and, for production, by zero-operator-access; the controls run again.
    Waivers must hold ``today`` (in UTC). ``image`` are facts that were read before, used if they are of this image.

    Raises NotVerifiedError with every problem found, InvalidInputError if ``directory`` is no release at all, and
    InvalidRequestError without trusted keys. A release that is older than another one is as good as that one: which
    version is wanted is for the caller to compare.
    """
    if not directory.is_dir():
        raise InvalidInputError(f"{directory} is not a directory")
    listing = list_files(directory)
    if not (directory / STATEMENTS).exists():
        raise InvalidInputError(f"{directory} is no release: it has no {STATEMENTS}", hint=NO_RELEASE_HINT)
    data = read_bytes(directory / STATEMENTS, what="release statements", limit=MAX_STATEMENTS_BYTES)
    signed = read_signed(data, trusted, threshold)
    problems = (
        *_check_subjects(signed),
        *check_files(directory, listing, signed.subjects, signed.bundles),
        *check_image(directory, signed),
        *check_provenance(signed),
        *check_lock(directory, signed),
        *check_verdict(directory, signed, Demands(packs, today or dt.datetime.now(dt.UTC).date()), image),
    )
    refused = tuple(_check_profile(signed.reference.image.profile, allow_development=allow_development))
    if problems:
        # What is wrong with the disk itself can show in several places.
        raise NotVerifiedError(f"{directory} is not what was signed", (*dict.fromkeys(problems), *refused))
    if refused:
        raise NotVerifiedError(f"{directory} is what was signed, but not for production", refused)
    return VerifiedRelease(
        directory,
        signed.key_ids,
        signed.reference,
        signed.provenance,
        signed.verdict,
        departures_of(directory, signed, packs),
        signed.model,
        signed.subjects,
        signed.envelopes,
    )


def _check_subjects(signed: SignedStatements) -> Iterator[str]:
    if any(statement.subject != signed.subjects for statement in signed.statements.values()):
        yield f"{STATEMENTS}: the statements are about different files"
    if len({subject.name for subject in signed.subjects}) != len(signed.subjects):
        yield f"{STATEMENTS}: a file is named twice"


def _check_profile(profile: str, *, allow_development: bool) -> Iterator[str]:
    if profile != Profile.PRODUCTION.value and not (allow_development and profile == Profile.DEVELOPMENT.value):
        yield f"it is a {profile} image, which may have a way in (--allow-development)"
