"""Judging an image by the policy of its build: the same at build, at signing and at verification."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder import __version__
from builder.definition.model import DEFAULT_PACKS, Profile
from builder.errors import InvalidInputError, NotVerifiedError
from builder.facts.build import facts_of_image
from builder.files import mapped, new_directory, read_bytes, write_atomically
from builder.release.layout import MAX_RECORD_BYTES, POLICY
from policies.engine import run
from policies.errors import InvalidPolicyError
from policies.policy import decode, departures_from_included, encode, selection
from policies.waiver import expired

if TYPE_CHECKING:
    from pathlib import Path

    from policies.control import Stage
    from policies.facts import Facts
    from policies.policy import Policy
    from policies.report import Report

PRODUCTION_PACK: Final = DEFAULT_PACKS[Profile.PRODUCTION]


class RefusedImageError(NotVerifiedError):
    """An image does not satisfy its policy. ``report`` has every finding."""

    def __init__(self, report: Report, name: str, *, hint: str) -> None:
        super().__init__(f"{name} does not satisfy its policy", (), hint=hint)
        self.report = report


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts of a disk image, and the SHA-256 of the bytes that they are of."""

    facts: Facts
    digest: str

    @classmethod
    def read(cls, disk: Path, digest: str) -> ImageFacts:
        """Read a disk image whose digest is known. Raises what ``facts_of_image`` does."""
        with mapped(disk, what="disk image") as view:
            return cls(facts_of_image(view), digest)


def judge(image: ImageFacts, policy: Policy, *, today: dt.date, stage: Stage) -> Report:
    """The report on an image. Raises InvalidPolicyError if this bedplate does not know all that the policy asks."""
    selected, unknown = selection(policy)
    if unknown:
        raise InvalidPolicyError("; ".join(unknown))
    report = run(image.facts, selected, policy.waivers, today=today, stage=stage)
    return msgspec.structs.replace(
        report,
        digest=image.digest,
        policy=hashlib.sha256(encode(policy)).hexdigest(),
        bedplate=__version__,
        packs=policy.summaries,
        departures=departures_from_included(policy),
    )


def check_build(disk: Path, digest: str, policy: Policy, *, keep_failed: Path | None) -> Report:
    """Judge the image of a build and write the policy beside it; what only a signed image can satisfy is deferred.

    Raises RefusedImageError if the answer is no; the disk is moved into ``keep_failed``, a directory to make, before.
    """
    write_atomically(disk.parent / POLICY, encode(policy))
    today = dt.datetime.now(dt.UTC).date()
    report = judge(ImageFacts.read(disk, digest), policy, today=today, stage="built")
    if report.passed:
        return report
    kept = "build with --keep-failed DIR to look at the image"
    if keep_failed is not None:
        with new_directory(keep_failed) as kept_directory:
            shutil.move(disk, kept_directory / disk.name)
            write_atomically(kept_directory / POLICY, encode(policy))
        kept = f"the image is in {keep_failed}"
    raise RefusedImageError(report, disk.name, hint=f"`bedplate check --explain ID` says how to fix a finding; {kept}")


def require_production_pack(policy: Policy, profile: str, source: str) -> None:
    """Refuse early what no verifier would accept: a production image that need not satisfy the pack of production."""
    if profile == Profile.PRODUCTION.value and PRODUCTION_PACK not in policy.builtin_packs:
        raise InvalidInputError(
            f"{source}: the packs of a production image do not include {PRODUCTION_PACK}",
            hint=f"name {PRODUCTION_PACK} in policy.packs, or include it in a pack of your own",
        )


def require_valid_waivers(policy: Policy, source: str, today: dt.date) -> None:
    """Refuse early what no image can mend: a policy with a waiver that no longer holds ``today`` (in UTC).

    An earlier build of the same inputs was judged on an earlier day. Raises NotVerifiedError with all such waivers.
    """
    if problems := expired(policy.waivers, today):
        raise NotVerifiedError(
            f"{source} has waivers that have expired",
            problems,
            hint="mend what they excuse, or give them a new last day, and build again",
        )


def load_policy(directory: Path, digest: str) -> Policy:
    """The policy in a build or release. Raises InvalidInputError if it is none, or not the one of this digest."""
    path = directory / POLICY
    data = read_bytes(path, what="policy", limit=MAX_RECORD_BYTES)
    if hashlib.sha256(data).hexdigest() != digest:
        raise InvalidInputError(f"{path} is not the policy that was built for: its digest differs")
    try:
        return decode(data)
    except InvalidPolicyError as error:
        raise InvalidInputError(f"{path}: {error}") from error
