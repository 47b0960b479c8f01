"""A rule of one's own: a control that is written in a pack, as expressions over the facts."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from policies.control import Door, Need, Severity  # noqa: TC001 -- msgspec resolves annotations at run time

Text = Annotated[str, Meta(min_length=1, pattern=r"\S")]
Cel = Annotated[str, Meta(min_length=1, max_length=4096)]
FactPath = Annotated[str, Meta(pattern=r"^[a-z_]+(\.[a-z_]+)*$")]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as its pack says it; plain values that can be kept, compared and written down."""

    title: Annotated[Text, Meta(description="What holds in a good image.")]
    severity: Annotated[Severity, Meta(description="How bad it is if it does not hold.")]
    door: Annotated[Door, Meta(description="The way in that it closes; reports are grouped by it.")]
    rationale: Annotated[Text, Meta(description="Why it matters.")]
    fix: Annotated[Text, Meta(description="How to make it hold.")]
    references: Annotated[tuple[str, ...], Meta(description="Requirements of others that it serves.")] = ()
    needs: Annotated[
        tuple[Need, ...],
        Meta(description="What it cannot do without: a directory has no disk, uki and initrd. Known from each."),
    ] = ()
    each: Annotated[
        tuple[FactPath, ...],
        Meta(description='Lists of the facts, such as "root.files"; every entry is looked at as `item` of `area`.'),
    ] = ()
    fails: Annotated[Cel, Meta(description="CEL that is true for what must not be, over `facts`, `area` and `item`.")]
    subject: Annotated[Cel, Meta(description='CEL that gives the subject of the finding, "AREA:PATH" or "AREA:NAME".')]
    message: Annotated[Cel, Meta(description="CEL that continues the subject to a sentence.")]
    value: Annotated[
        Cel | None, Meta(description="CEL that gives the evidence; else it is the entry, or the expression.")
    ] = None
