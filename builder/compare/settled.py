"""What digests settle without a look inside: the same disk, or the same files, have the same of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.compare.baseline import Outside, Unknown
from builder.compare.files import merge
from builder.compare.parts import pair
from builder.compare.reach import EndlessError, reached

if TYPE_CHECKING:
    from builder.compare.baseline import Baseline
    from builder.compare.entries import Entry
    from builder.compare.reach import Place


def same_disk(old: Baseline, new: Baseline) -> bool:
    """Whether both sides state the same digest of the whole disk."""
    both = pair(old.artifacts, new.artifacts)
    return isinstance(both, tuple) and "disk" in both[0] and both[0]["disk"] == both[1].get("disk")


def settled(old: Baseline, new: Baseline, place: Place) -> bool:
    """Whether what follows from the files of ``place`` is the same: same disk, or known inventories agree there.

    Files that links lead to count, wherever they are; where links have no end, nothing is settled.
    """
    if same_disk(old, new):
        return True
    if isinstance(old.files, Unknown | Outside) or isinstance(new.files, Unknown | Outside):
        return False
    try:
        return not changed_at(old.files, new.files, place)
    except EndlessError:
        return False


def changed_at(
    old: tuple[Entry, ...], new: tuple[Entry, ...], place: Place
) -> tuple[tuple[Entry | None, Entry | None], ...]:
    """The pairs of entries that differ, or stand alone, of all that the names of ``place`` lead to on either side.

    Raises EndlessError.
    """
    changed = tuple(merge(old, new))
    if not changed:
        return ()
    counts = reached(old, place) | reached(new, place)
    return tuple(both for both in changed if any(item and (item.area, item.path) in counts for item in both))
