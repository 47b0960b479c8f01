"""The contents of files in the image at hand, by area and path."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.baseline.any_image import open_files
from builder.errors import BedplateError
from builder.files import mapped
from builder.image.filesystem import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.baseline.any_image import ImageFiles


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an image by area and path."""

    image: ImageFiles

    def read(self, area: str | None, path: str) -> bytes:
        """The content of a regular file. Raises BedplateError if there is none."""
        if area == "root":
            return bytes(read_file(self.image.root, path))
        entry = self.image.initrd.find(path)
        if entry is None:
            raise BedplateError(f"there is no {path} in the initrd")
        return bytes(entry.content)


@contextlib.contextmanager
def open_contents(disk: Path) -> Iterator[Contents]:
    """The files of a disk image. Raises InvalidInputError if it is none."""
    with mapped(disk, what="disk image") as view:
        yield Contents(open_files(view))


def find_disk(path: Path) -> Path | None:
    """The disk image that ``path`` is or, if it is a release, holds."""
    if not path.is_dir():
        return path if path.suffix == ".raw" else None
    disks = [disk for disk in sorted(path.glob("*.raw")) if not disk.name.endswith((".root.raw", ".root-verity.raw"))]
    return disks[0] if len(disks) == 1 else None
