"""The mkosi tree that an image was built from: what its definition puts into it, and the scripts that make it.

Packages and their files are compared for themselves. Only here it shows that a file which looks like a package's comes
from the definition, which copies its own over it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Unknown
from builder.compare.difference import Difference, node_id, text
from builder.compare.parts import changed_fields, not_compared, pair, presence, topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic

NAME: Final = "tree"
_TITLE: Final = "Build tree"


def compare_tree(old: Baseline, new: Baseline) -> Topic:
    """The files of the trees by path. The digest of the archives settles it where they are not at hand."""
    both = pair(old.tree, new.tree)
    if not isinstance(both, tuple):
        return topic(NAME, _TITLE, ()) if _same_archive(old, new) else not_compared(NAME, _TITLE, both)
    return topic(NAME, _TITLE, _differences(*both))


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for field in changed_fields(old, new):
        yield Difference(
            id=node_id(NAME, field.name),
            kind="build file",
            subject=text(field.name),
            change=presence(field.old, field.new),
            old=field.old,
            new=field.new,
        )


def _same_archive(old: Baseline, new: Baseline) -> bool:
    sides = [None if isinstance(side.artifacts, Unknown | Outside) else side.artifacts.get(NAME) for side in (old, new)]
    return sides[0] is not None and sides[0] == sides[1]
