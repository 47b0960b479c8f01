"""Changed files compared by their content: the one part of a diff that needs both images at hand."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.baseline.image import open_image
from builder.compare.deep.inside import look_inside
from builder.compare.difference import Change
from builder.compare.files import NAME as FILES
from builder.errors import BedplateError
from builder.files import mapped
from builder.image.filesystem import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from builder.baseline.image import OpenImage
    from builder.compare.difference import Difference, Report, Topic

MAX_FILE_BYTES: Final = 64 << 20
_NO_IMAGE: Final = "the image is not at hand"


@dataclass(frozen=True, slots=True)
class _Contents:
    """The files of an image by area and path."""

    image: OpenImage

    def read(self, area: str | None, path: str) -> bytes:
        """The content of a regular file. Raises BedplateError if there is none."""
        if area == "root":
            return bytes(read_file(self.image.root, path))
        entry = self.image.initrd.find(path)
        if entry is None:
            raise BedplateError(f"there is no {path} in the initrd")
        return bytes(entry.content)


def deepen(report: Report, old: Path, new: Path) -> Report:
    """The report with what differs inside of the files whose content changed.

    ``old`` and ``new`` are the disk images, or releases that hold them. A side without an image, and a file that cannot
    be looked into, make its node incomplete.
    """
    disks = [_disk(path) for path in (old, new)]
    if not any(topic.name == FILES and topic.differences for topic in report.topics):
        return report
    with ExitStack() as stack:
        sides = [
            None if disk is None else _Contents(open_image(stack.enter_context(mapped(disk, what="disk image"))))
            for disk in disks
        ]
        return replace(
            report,
            topics=tuple(_topic(topic, *sides) if topic.name == FILES else topic for topic in report.topics),
        )


def _disk(path: Path) -> Path | None:
    if not path.is_dir():
        return path if path.suffix == ".raw" else None
    disks = [disk for disk in sorted(path.glob("*.raw")) if not disk.name.endswith((".root.raw", ".root-verity.raw"))]
    return disks[0] if len(disks) == 1 else None


def _topic(topic: Topic, old: _Contents | None, new: _Contents | None) -> Topic:
    return replace(topic, differences=tuple(_difference(item, old, new) for item in topic.differences))


def _difference(item: Difference, old: _Contents | None, new: _Contents | None) -> Difference:
    names = {field.name for field in item.fields}
    if item.change is not Change.CONTENT or "sha256" not in names or "type" in names:
        return item
    if old is None or new is None:
        return replace(item, incomplete=_NO_IMAGE)
    try:
        contents = [side.read(item.area, item.subject) for side in (old, new)]
    except BedplateError as error:
        return replace(item, incomplete=str(error))
    if any(len(content) > MAX_FILE_BYTES for content in contents):
        return replace(item, incomplete=f"it has more than {MAX_FILE_BYTES} bytes")
    inside = look_inside(item.id, item.subject, contents[0], contents[1])
    return replace(item, children=inside.children, incomplete=inside.incomplete)
