"""The policy verdict of a release as a SLSA Verification Summary Attestation v1, which verifiers of others can read.

Source: https://slsa.dev/spec/v1.1/verification_summary. Its fields say who checked, when, by which policy and with what
result. What else a verifier of bedplate asks for is in one extension field, whose name is a URI as the specification
wants it.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime  # noqa: TC003 -- msgspec reads the annotations
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import quote

from msgspec import Meta, Struct, field

from builder.release.layout import POLICY, POLICY_REPORT
from builder.release.statements import VERIFIER_ID, Subject
from policies.policy import PolicyPack  # noqa: TC001 -- msgspec reads the annotations
from policies.waiver import Waiver  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.release.statements import ImageIdentity
    from policies.policy import Policy
    from policies.report import Report

POLICY_URI: Final = "https://bedplate.dev/policy/v1"
DETAILS: Final = "https://bedplate.dev/policy-verdict/v1"


class Verifier(Struct, frozen=True, kw_only=True):
    """Who checked: bedplate, in a version. Who vouches for it is the signer."""

    id: str
    version: dict[str, str]


class PolicyDescriptor(Struct, frozen=True, kw_only=True):
    """The policy document by digest; ``uri`` names its kind."""

    uri: str
    name: str
    digest: dict[str, str]


class VerdictDetails(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bedplate says beyond the specification's fields."""

    image: Annotated[Subject, Meta(description="The disk image that was checked.")]
    report: Annotated[Subject, Meta(description="The report with every control's outcome.")]
    packs: Annotated[tuple[PolicyPack, ...], Meta(description="Pack files that the policy came from.")]
    outcomes: Annotated[dict[str, int], Meta(description="How many controls came out how.")]
    waivers: Annotated[tuple[Waiver, ...], Meta(description="Findings that somebody answers for, in full.")]


class VerificationSummary(Struct, frozen=True, kw_only=True):
    """The predicate. Fields that it does not know are ignored, as the specification demands."""

    verifier: Verifier
    time_verified: Annotated[datetime, Meta(tz=True)] = field(name="timeVerified")
    resource_uri: str = field(name="resourceUri")
    policy: PolicyDescriptor
    verification_result: Literal["PASSED", "FAILED"] = field(name="verificationResult")
    verified_levels: tuple[str, ...] = field(name="verifiedLevels")
    details: VerdictDetails = field(name=DETAILS)


def summarize(
    report: Report, policy: Policy, identity: ImageIdentity, digests: dict[str, str], disk: str, time: datetime
) -> VerificationSummary:
    """The verdict that follows from a report. ``digests`` are SHA-256 of the release's files by name."""
    return VerificationSummary(
        verifier=Verifier(id=VERIFIER_ID, version={"bedplate": report.bedplate or ""}),
        time_verified=time,
        resource_uri=f"pkg:generic/{quote(identity.name)}@{quote(identity.version)}?arch={quote(identity.architecture)}",
        policy=PolicyDescriptor(uri=POLICY_URI, name=POLICY, digest={"sha256": digests.get(POLICY, "")}),
        verification_result="PASSED" if report.passed else "FAILED",
        verified_levels=levels(policy.packs) if report.passed else ("FAILED",),
        details=VerdictDetails(
            image=_subject(disk, digests),
            report=_subject(POLICY_REPORT, digests),
            packs=policy.packs,
            outcomes=dict(sorted(Counter(result.outcome for result in report.results).items())),
            waivers=policy.waivers,
        ),
    )


def levels(packs: Sequence[PolicyPack]) -> tuple[str, ...]:
    """The packs as levels. Only built-in ones bear bedplate's name: anybody may call a pack of his own as he likes."""
    names = {(not pack.builtin, pack.name.upper().replace("-", "_")) for pack in packs}
    return tuple(f"{'OWN' if own else 'BEDPLATE'}_{name}" for own, name in sorted(names))


def _subject(name: str, digests: dict[str, str]) -> Subject:
    return Subject(name, {"sha256": digests.get(name, "")})
