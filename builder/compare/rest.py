"""The bytes of a disk that no other topic tells: gaps, unused sectors, fields of file systems, hash trees.

Everything else is compared by what it means. Where all of that is the same and the disks are not, something differs
that nobody looked at, and that is a difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Unknown
from builder.compare.difference import Change, Difference, Field, Verdict, node_id
from builder.compare.disk import PARTITIONS
from builder.compare.parts import topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic

REST: Final = "rest"
# No number of a partition is such a word.
REST_ID: Final = node_id(PARTITIONS, REST)
_TOLD: Final = frozenset({Verdict.DIFFERS, Verdict.INCOMPLETE})


def with_rest(old: Baseline, new: Baseline, topics: Sequence[Topic], elsewhere: frozenset[str]) -> tuple[Topic, ...]:
    """The topics, with the rest of the disks among the partitions, if they differ in nothing else.

    ``elsewhere`` are the topics that are not about bytes of the disk, such as the provenance.
    """
    found = tuple(digest for digest in map(_disk, (old, new)) if digest is not None)
    told = any(item.verdict in _TOLD and item.name not in elsewhere for item in topics)
    if len(set(found)) < len((old, new)) or told:
        return tuple(topics)
    difference = Difference(
        id=REST_ID,
        kind="disk",
        subject="bytes of the disk outside of all that is compared",
        change=Change.CONTENT,
        old=found[0],
        new=found[1],
        fields=(Field(name=REST, old=found[0], new=found[1]),),
    )
    return tuple(topic(item.name, item.title, (difference,)) if item.name == PARTITIONS else item for item in topics)


def _disk(side: Baseline) -> str | None:
    return None if isinstance(side.artifacts, Unknown | Outside) else side.artifacts.get("disk")
