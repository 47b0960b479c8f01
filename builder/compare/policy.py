"""The verdict of the policy packs on each side, and the waivers that it needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Unknown
from builder.compare.difference import Change, Difference, node_id
from builder.compare.parts import changed_fields, not_compared, pair, presence, topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.compare.baseline import Baseline, PolicyVerdict
    from builder.compare.difference import Topic

NAME: Final = "policy"
_TITLE: Final = "Policy"


def compare_policy(old: Baseline, new: Baseline) -> Topic:
    """Outcome by control, waivers by control, what is asked of each.

    A release without a verdict says nothing, on either side.
    """
    both = pair(old.verdict, new.verdict)
    if not isinstance(both, tuple):
        return not_compared(NAME, _TITLE, both)
    left, right = both
    if left is None and right is None:
        return topic(NAME, _TITLE, (), outside=True)
    if left is None or right is None:
        side = "old" if left is None else "new"
        return not_compared(NAME, _TITLE, Unknown(f"{side}: the release was made without a verdict"))
    incomplete = [
        f"what was asked of each control: {side}: the release does not hold its policy"
        for side, verdict in (("old", left), ("new", right))
        if verdict.demands is None
    ]
    return topic(NAME, _TITLE, (*_differences(left, right), *_demands(left, right)), incomplete)


def _differences(old: PolicyVerdict, new: PolicyVerdict) -> Iterator[Difference]:
    sides = [
        {"verdict": "passed" if side.passed else "failed"}
        | {f"control/{control}": outcome for control, outcome in side.outcomes.items()}
        | {f"waiver/{control}": words for control, words in side.waivers.items()}
        for side in (old, new)
    ]
    for field in changed_fields(*sides):
        kind, _, control = field.name.partition("/")
        yield Difference(
            id=node_id(NAME, field.name),
            kind=kind,
            subject=control or "verdict",
            change=presence(field.old, field.new),
            old=field.old,
            new=field.new,
        )


def _demands(old: PolicyVerdict, new: PolicyVerdict) -> Iterator[Difference]:
    """What else is asked of the controls of both sides; of the others their outcomes tell."""
    left, right = old.demands or {}, new.demands or {}
    for field in changed_fields(*({name: side[name] for name in left.keys() & right.keys()} for side in (left, right))):
        yield Difference(
            id=node_id(NAME, "demand", field.name), kind="demand", subject=field.name, change=Change.CONTENT,
            old=field.old, new=field.new,
        )  # fmt: skip
