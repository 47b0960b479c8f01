"""What `bedplate check` looks at: an image of a disk or of a file system, one in a release or build, or a directory."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.facts.build import facts_of_file_system, facts_of_image, facts_of_tree
from builder.files import named
from builder.image.binary import BinaryView
from builder.image.detect import holds_file_system

if TYPE_CHECKING:
    from pathlib import Path

    from policies.facts import Facts


def find_image(path: Path) -> Path | None:
    """The image that ``path`` is, or the one disk in a release or build; None for a directory tree.

    A directory with /etc or /usr in it is a tree, else a release. Raises InvalidInputError if a release does not hold
    exactly one disk image.
    """
    if not path.is_dir():
        return path
    if any((path / name).exists() for name in ("etc", "usr")):
        return None
    # A release also holds NAME.root.raw and NAME.root-verity.raw, copies of the disk's partitions.
    disks = [disk for disk in sorted(path.glob("*.raw")) if not disk.name.endswith((".root.raw", ".root-verity.raw"))]
    if len(disks) != 1:
        raise InvalidInputError(
            f"{path} is neither a root directory nor a release: it holds {len(disks)} disk images, expected 1",
            hint="name the .raw file itself",
        )
    return disks[0]


def read_facts(path: Path, *, digests: bool = True) -> Facts:
    """The facts of a disk or file system image, of the one disk in a release directory, or of a directory tree.

    Without ``digests`` those of files are left out, which saves a third of the time.

    Raises what :func:`find_image` and the readers of images raise.
    """
    image = find_image(path)
    if image is not None and not image.is_file():
        raise InvalidInputError(f"{image} is neither a file nor a directory", hint="copy what it holds into a file")
    return facts_of_tree(path, digests=digests) if image is None else _of_image(image, digests=digests)


def _of_image(path: Path, *, digests: bool) -> Facts:
    if not path.stat().st_size:
        raise InvalidInputError(f"{path} is empty")
    with path.open("rb") as file:
        # Not closed: facts are copies, but an exception that flies still holds views of it.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    image = memoryview(mapped)
    with named(path):
        if holds_file_system(BinaryView.of(image, "image")):
            return facts_of_file_system(image, digests=digests)
        return facts_of_image(image, digests=digests)
