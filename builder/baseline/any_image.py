"""Disk images of anybody's: those that boot a UKI by themselves, and those with a boot loader and its entries."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from builder.baseline.image import image_baseline, open_image
from builder.baseline.loader_image import loader_baseline, open_loader_image
from builder.compare.baseline import Outside, Unknown
from builder.errors import BedplateError
from builder.facts.boot_programs import is_uki
from builder.facts.boot_volumes import fat_volume
from builder.image.binary import BinaryView
from builder.image.disk import UKI_PATH
from builder.image.partitions import read_layout

if TYPE_CHECKING:
    from builder.compare.baseline import Baseline
    from builder.image.filesystem import FileSystem
    from builder.image.initrd import Initrd


class ImageFiles(Protocol):
    """The files of an image."""

    @property
    def root(self) -> FileSystem:
        """The root file system."""
        ...

    @property
    def initrd(self) -> Initrd:
        """The initrd, empty if there is none."""
        ...


def any_baseline(image: memoryview, place: str) -> Baseline:
    """What a disk image tells. Raises InvalidInputError for one of which nothing can be compared."""
    side = loader_baseline(image, place) if boots_loader(image) else image_baseline(image, place)
    artifacts = {} if isinstance(side.artifacts, Unknown | Outside) else side.artifacts
    return replace(side, artifacts={**artifacts, "disk": hashlib.sha256(image).hexdigest()})


def open_files(image: memoryview) -> ImageFiles:
    """The files of a disk image. Raises InvalidInputError."""
    return open_loader_image(image) if boots_loader(image) else open_image(image)


def boots_loader(image: memoryview) -> bool:
    """Whether firmware finds something else than a UKI where it looks; a disk on which it finds nothing has none."""
    view = BinaryView.of(image, "disk image")
    for partition in read_layout(view).of_type("esp"):
        try:
            file = fat_volume(partition.view(view), "esp").find(UKI_PATH)
            return file is not None and not is_uki(file.read())
        except BedplateError:
            return False  # the reader of UKIs says what is wrong
    return False
