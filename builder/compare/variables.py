"""The Secure Boot variables that a release enrols, entry by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Difference, node_id
from builder.compare.parts import changed_fields, not_compared, pair, presence, topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from builder.compare.enrolled import EnrolledEntry

NAME: Final = "secure-boot"
_TITLE: Final = "Secure Boot variables"


def compare_variables(old: Baseline, new: Baseline) -> Topic:
    """Certificates and digests in PK, KEK, db and dbx: added, removed, or only in another order.

    Raises MalformedSignatureError for a variable that changed and is no signature list.
    """
    both = pair(old.variables, new.variables)
    if not isinstance(both, tuple):
        return not_compared(NAME, _TITLE, both)
    names = sorted(both[0].keys() | both[1].keys())
    contents = ((name, both[0].get(name, b""), both[1].get(name, b"")) for name in names)
    changed = [content for content in contents if content[1] != content[2]]
    return topic(NAME, _TITLE, _changed(changed)) if changed else topic(NAME, _TITLE, ())


def variable_of(difference: Difference) -> str:
    """The variable that a difference of this topic is about."""
    return difference.id.split("/")[1]


def _changed(variables: Sequence[tuple[str, bytes, bytes]]) -> Iterator[Difference]:
    from builder.compare.enrolled import entries  # noqa: PLC0415 -- X.509 takes a while to import

    for name, old, new in variables:
        found = list(_variable(name, entries(old), entries(new)))
        yield from found or [
            Difference(
                id=node_id(NAME, name, "=lists"),
                kind="packing",
                subject=f"{name}: division into lists",
                change=Change.METADATA,
            )
        ]


def _variable(name: str, old: Sequence[EnrolledEntry], new: Sequence[EnrolledEntry]) -> Iterator[Difference]:
    left, right = ({(entry.owner, entry.sha256): entry for entry in side} for side in (old, new))
    for key in sorted(left.keys() ^ right.keys()):
        one, other = left.get(key), right.get(key)
        entry = other or one
        if entry is not None:
            yield Difference(
                id=node_id(NAME, name, entry.sha256, entry.owner),
                kind="certificate" if entry.details else "signature list entry",
                subject=f"{name}: {entry.name}",
                change=presence(one, other),
                old=None if one is None else one.sha256,
                new=None if other is None else other.sha256,
                fields=changed_fields(dict(one.details) if one else {}, dict(other.details) if other else {}),
            )
    if left.keys() == right.keys() and list(old) != list(new):
        yield Difference(
            id=node_id(NAME, name, "=order"), kind="order", subject=f"{name}: order of the entries", change=Change.ORDER
        )
