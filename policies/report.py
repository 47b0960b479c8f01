"""What came out of a check, as JSON-able values; presenters turn them into text, SARIF and the like."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from policies.facts.boot import ImageIdentity  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.finding import Finding  # noqa: TC001
from policies.waiver import Waiver  # noqa: TC001

Outcome = Literal["passed", "failed", "waived", "crashed", "not-applicable"]


class WaivedFinding(Struct, frozen=True, kw_only=True):
    """A finding that does not count, and why."""

    finding: Finding
    waiver: Waiver


class Result(Struct, frozen=True, kw_only=True):
    """One control's outcome."""

    control: Annotated[str, Meta(description="Id.")]
    title: Annotated[str, Meta(description="What should hold.")]
    door: Annotated[str, Meta(description="Way in that it closes.")]
    severity: Annotated[str, Meta(description="critical, high, medium or low.")]
    pack: Annotated[str, Meta(description="Pack that asked for it.")]
    parameters: Annotated[dict[str, tuple[str, ...]], Meta(description="With defaults filled in.")]
    outcome: Annotated[
        Outcome,
        Meta(description='"waived": all findings are; "crashed" counts as failed; "not-applicable": only for a tree.'),
    ]
    findings: Annotated[tuple[Finding, ...], Meta(description="That count.")]
    waived: Annotated[tuple[WaivedFinding, ...], Meta(description="That do not.")]


class Report(Struct, frozen=True, kw_only=True):
    """The verdict and all that led to it."""

    schema: Annotated[Literal["bedplate.check.v1"], Meta(description="Version of this document.")] = "bedplate.check.v1"
    passed: Annotated[bool, Meta(description="No control failed or crashed, and there are no problems.")]
    kind: Annotated[Literal["image", "tree"], Meta(description="What was looked at.")]
    identity: Annotated[ImageIdentity, Meta(description="What it calls itself.")]
    results: Annotated[tuple[Result, ...], Meta(description="By id.")]
    problems: Annotated[tuple[str, ...], Meta(description="Why the answer is no besides findings.")]
