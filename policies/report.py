"""What came out of a check, as JSON-able values; presenters turn them into text, SARIF and the like."""

from __future__ import annotations

from datetime import date  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from policies.facts.boot import ImageIdentity  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.finding import Finding  # noqa: TC001
from policies.waiver import Waiver  # noqa: TC001

Outcome = Literal["passed", "failed", "waived", "crashed", "deferred", "not-applicable"]


class WaivedFinding(Struct, frozen=True, kw_only=True):
    """A finding that does not count, and why."""

    finding: Annotated[Finding, Meta(description="What was found.")]
    waiver: Annotated[Waiver, Meta(description="Who answers for it, why and until when.")]


class Explanation(Struct, frozen=True, kw_only=True):
    """What a control says of itself, so that a report can be read without bedplate and years later."""

    looks_at: Annotated[str, Meta(description="What it checks.")]
    rationale: Annotated[str, Meta(description="Why it matters.")]
    example: Annotated[str, Meta(description="Something that it finds.")]
    fix: Annotated[str, Meta(description="How to make it hold.")]
    limits: Annotated[str, Meta(description="What it does not find.")]
    references: Annotated[tuple[str, ...], Meta(description="Requirements of others that it serves.")]


class PackSummary(Struct, frozen=True, kw_only=True):
    """A pack that was asked for."""

    name: Annotated[str, Meta(description="Name of a built-in pack, or file name without its ending.")]
    description: Annotated[str, Meta(description="What it is for.")]


class Result(Struct, frozen=True, kw_only=True):
    """One control's outcome."""

    control: Annotated[str, Meta(description="Id.")]
    title: Annotated[str, Meta(description="What should hold.")]
    door: Annotated[str, Meta(description="Way in that it closes.")]
    severity: Annotated[str, Meta(description="critical, high, medium or low.")]
    pack: Annotated[str, Meta(description="Pack that asked for it.")]
    explanation: Annotated[Explanation, Meta(description="What the control says of itself.")]
    parameters: Annotated[dict[str, tuple[str, ...]], Meta(description="With defaults filled in.")]
    outcome: Annotated[
        Outcome,
        Meta(
            description='"waived": all findings are; "crashed" counts as failed; "deferred": can hold only once the '
            'image is signed, and must then; "not-applicable": only for a tree.'
        ),
    ]
    findings: Annotated[tuple[Finding, ...], Meta(description="That count.")]
    waived: Annotated[tuple[WaivedFinding, ...], Meta(description="That do not.")]


class Report(Struct, frozen=True, kw_only=True):
    """The verdict and all that led to it."""

    schema: Annotated[Literal["bedplate.check.v1"], Meta(description="Version of this document.")] = "bedplate.check.v1"
    passed: Annotated[bool, Meta(description="No control failed or crashed, and there are no problems.")]
    kind: Annotated[Literal["image", "tree"], Meta(description="What was looked at.")]
    identity: Annotated[ImageIdentity, Meta(description="What it calls itself.")]
    digest: Annotated[
        str | None, Meta(description="SHA-256 of the disk image in lower-case hexadecimal; null if it was not taken.")
    ] = None
    checked_on: Annotated[date | None, Meta(description="Day of the check in UTC, which decides on waivers.")] = None
    policy: Annotated[
        str | None, Meta(description="SHA-256 of the policy document in lower-case hexadecimal; null without one.")
    ] = None
    bedplate: Annotated[str | None, Meta(description="Version of bedplate that checked.")] = None
    packs: Annotated[tuple[PackSummary, ...], Meta(description="Packs that were asked for.")] = ()
    departures: Annotated[
        tuple[str, ...],
        Meta(description="In what the packs are laxer, or other, than the packs of bedplate that they include."),
    ] = ()
    results: Annotated[tuple[Result, ...], Meta(description="By id.")]
    problems: Annotated[tuple[str, ...], Meta(description="Why the answer is no besides findings.")]
