"""Baselines of which only a few parts are known."""

from __future__ import annotations

from typing import Any

from builder.compare.baseline import OUTSIDE, Baseline, Source
from builder.compare.difference import Change, Difference

MIRROR = {Change.ADDED: Change.REMOVED, Change.REMOVED: Change.ADDED}
WORDS = {
    "gains": "loses",
    "loses": "gains",
    "upgrade": "downgrade",
    "downgrade": "upgrade",
    "is started": "is no longer started",
    "is no longer started": "is started",
}


def bare(**parts: Any) -> Baseline:
    """A baseline with these parts; everything else is outside of it."""
    required: dict[str, Any] = {"identity": OUTSIDE, "uki": OUTSIDE, "measured": OUTSIDE, "files": OUTSIDE}
    return Baseline(source=Source("disk image", "made"), **(required | parts))


def mirrored(difference: Difference) -> Difference:
    """What the same difference is in the other direction, without the owner of a file, which is the newer side's."""
    return Difference(
        id=difference.id,
        kind=difference.kind,
        subject=difference.subject,
        change=MIRROR.get(difference.change, difference.change),
        old=difference.new,
        new=difference.old,
        area=difference.area,
        notes=tuple(sorted(_mirrored_note(note) for note in difference.notes)),
        fields=tuple(type(field)(name=field.name, old=field.new, new=field.old) for field in difference.fields),
    )


def sorted_notes(difference: Difference) -> Difference:
    return mirrored(mirrored(difference))


def _mirrored_note(note: str) -> str:
    first, blank, rest = note.partition(" ")
    return WORDS.get(note) or f"{WORDS.get(first, first)}{blank}{rest}"
