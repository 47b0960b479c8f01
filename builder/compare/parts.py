"""Two parts side by side, and topics made of what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from builder.compare.baseline import OUTSIDE, Outside, Part, Unknown
from builder.compare.difference import Change, Difference, Field, Topic, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Value = TypeVar("_Value")


def pair(old: Part[_Value], new: Part[_Value]) -> tuple[_Value, _Value] | Unknown | Outside:
    """Both values; or OUTSIDE if neither side can have one; or why they cannot be compared."""
    if isinstance(old, Outside) and isinstance(new, Outside):
        return OUTSIDE
    reasons = [
        f"{side}: {part.reason if isinstance(part, Unknown) else 'sources of its kind do not have it'}"
        for side, part in (("old", old), ("new", new))
        if isinstance(part, Unknown | Outside)
    ]
    if reasons:
        return Unknown("; ".join(reasons))
    return old, new  # type: ignore[return-value]  # neither is Unknown or Outside


def topic(
    name: str, title: str, differences: Iterable[Difference], incomplete: Iterable[str] = (), *, outside: bool = False
) -> Topic:
    """A topic with its verdict."""
    found, missing = tuple(differences), tuple(incomplete)
    verdict = Verdict.DIFFERS if found else Verdict.INCOMPLETE if missing else Verdict.EQUAL
    if outside and verdict is Verdict.EQUAL:
        verdict = Verdict.OUTSIDE
    return Topic(name=name, title=title, verdict=verdict, differences=found, incomplete=missing)


def not_compared(name: str, title: str, why: Unknown | Outside) -> Topic:
    """A topic of which ``pair`` says that there are no two values."""
    return topic(name, title, (), (why.reason,) if isinstance(why, Unknown) else (), outside=True)


def changed_fields(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Field, ...]:
    """The entries in which two mappings differ, by name."""
    return tuple(
        Field(name=name, old=old.get(name), new=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def presence(old: object | None, new: object | None, otherwise: Change = Change.CONTENT) -> Change:
    """Added, removed, or ``otherwise`` if both are there."""
    if old is None:
        return Change.ADDED
    return Change.REMOVED if new is None else otherwise
