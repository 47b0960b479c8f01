"""Changed files compared by their content: the one part of a diff that needs both images at hand."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.baseline import diffoscope
from builder.baseline.contents import find_disk, open_contents
from builder.compare.deep.inside import NEEDS_DIFFOSCOPE, Inside, look_inside
from builder.compare.difference import Change
from builder.compare.files import NAME as FILES
from builder.errors import BedplateError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.baseline.contents import Contents
    from builder.compare.difference import Difference, Report, Topic

MAX_FILE_BYTES: Final = 64 << 20
# What an auditor waits for, and reads. What is left then is incomplete.
MAX_SECONDS: Final = 600.0
MAX_NODES: Final = 200_000
_NO_IMAGE: Final = "the image is not at hand"


def deepen(report: Report, old: Path, new: Path) -> Report:
    """The report with what differs inside of the files whose content changed.

    ``old`` and ``new`` are the disk images, or releases that hold them. A side without an image, and a file that cannot
    be looked into, make its node incomplete; so do files for which diffoscope is needed and not installed, and those
    that are left when MAX_SECONDS are over or MAX_NODES differences were found.
    """
    disks = [find_disk(path) for path in (old, new)]
    if not any(topic.name == FILES and topic.differences for topic in report.topics):
        return report
    with ExitStack() as stack:
        sides = [None if disk is None else stack.enter_context(open_contents(disk)) for disk in disks]
        return replace(
            report,
            topics=tuple(_Files(*sides).topic(topic) if topic.name == FILES else topic for topic in report.topics),
        )


class _Files:
    """Looks into one changed file after the other, as long as there is time and room."""

    def __init__(self, old: Contents | None, new: Contents | None) -> None:
        self._old, self._new = old, new
        self._end = time.monotonic() + MAX_SECONDS
        self._nodes = 0

    def topic(self, topic: Topic) -> Topic:
        """The topic with what is inside of its files."""
        return replace(topic, differences=tuple(map(self._difference, topic.differences)))

    def _difference(self, item: Difference) -> Difference:
        names = {field.name for field in item.fields}
        if item.change is not Change.CONTENT or "sha256" not in names or "type" in names:
            return item
        if self._old is None or self._new is None:
            return replace(item, incomplete=_NO_IMAGE)
        inside = self._inside(item, self._old, self._new)
        self._nodes += sum(map(_count, inside.children))
        return replace(item, children=inside.children, incomplete=inside.incomplete)

    def _inside(self, item: Difference, old: Contents, new: Contents) -> Inside:
        if time.monotonic() > self._end:
            return Inside((), f"the comparison took more than {MAX_SECONDS:g} seconds")
        if self._nodes > MAX_NODES:
            return Inside((), f"the comparison found more than {MAX_NODES} differences inside of files")
        try:
            contents = [side.read(item.area, item.subject) for side in (old, new)]
        except BedplateError as error:
            return Inside((), str(error))
        if max(map(len, contents)) > MAX_FILE_BYTES:
            return Inside((), f"it has more than {MAX_FILE_BYTES} bytes")
        return _look_inside(item, *contents)


def _look_inside(item: Difference, old: bytes, new: bytes) -> Inside:
    """By our own comparators, and by diffoscope where they say that they do not know the kind."""
    inside = look_inside(item.id, item.subject, old, new)
    if not _needs_diffoscope(inside) or not diffoscope.is_installed():
        return inside
    more = diffoscope.look_inside(item.id, item.subject, old, new)
    if more.incomplete is not None:
        return Inside((*inside.children, *more.children), more.incomplete)
    whole = inside.incomplete is None or inside.incomplete.endswith(NEEDS_DIFFOSCOPE)
    return Inside((*map(_answered, inside.children), *more.children), incomplete=None if whole else inside.incomplete)


def _needs_diffoscope(node: Inside | Difference) -> bool:
    reason = node.incomplete or ""
    return reason.endswith(NEEDS_DIFFOSCOPE) or any(map(_needs_diffoscope, node.children))


def _answered(item: Difference) -> Difference:
    """The node without the remark that diffoscope is needed, which has told of the whole file."""
    reason = item.incomplete if item.incomplete is None or not item.incomplete.endswith(NEEDS_DIFFOSCOPE) else None
    return replace(item, children=tuple(map(_answered, item.children)), incomplete=reason)


def _count(item: Difference) -> int:
    return 1 + sum(map(_count, item.children))
