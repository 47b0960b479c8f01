"""What digests settle without a look inside: the same disk, or the same files, have the same of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.compare.baseline import Outside, Unknown
from builder.compare.files import merge
from builder.compare.parts import pair

if TYPE_CHECKING:
    import re

    from builder.compare.baseline import Baseline


def same_disk(old: Baseline, new: Baseline) -> bool:
    """Whether both sides state the same digest of the whole disk."""
    both = pair(old.artifacts, new.artifacts)
    return isinstance(both, tuple) and "disk" in both[0] and both[0]["disk"] == both[1].get("disk")


def settled(old: Baseline, new: Baseline, paths: re.Pattern[str]) -> bool:
    """Whether what follows from the files at ``paths`` is the same: same disk, or known inventories agree there.

    Links count like files: an inventory has their targets.
    """
    if isinstance(old.files, Unknown | Outside) or isinstance(new.files, Unknown | Outside):
        return same_disk(old, new)
    return same_disk(old, new) or not any(
        entry is not None and paths.fullmatch(entry.path) for both in merge(old.files, new.files) for entry in both
    )
