"""Which weights the image of a release opens, and whether a disk is that of those weights, before a machine has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, MalformedImageError
from builder.files import mapped
from builder.image.binary import BinaryView
from builder.image.disk import read_disk
from builder.release.layout import Names
from builder.release.model import read_model
from builder.release.prove import load_reference
from builder.weights.disk import named_root_hash

if TYPE_CHECKING:
    from pathlib import Path

    from builder.weights.identity import Model

_PACK_HINT = "`bedplate weights pack` makes the disk of a model, and prints the lines that name it in image.yaml"


def served_model(release: Path) -> Model | None:
    """The model that the root of a release names, None if it names none. Raises InvalidInputError."""
    with mapped(release / Names.of(load_reference(release).image).disk, what="disk image") as view:
        return read_model(read_disk(BinaryView.of(view, "disk")).root_view)


def check_weights(release: Path, model: Model | None, disk: Path) -> None:
    """Raise InvalidInputError unless ``disk`` is a file that says that it is the one which the release opens.

    Only its partition table is read. What it really holds, the node finds out block by block.
    """
    if not disk.is_file():
        raise InvalidInputError(f"the weights {disk} are not a regular file", hint=_PACK_HINT)
    if model is None:
        raise InvalidInputError(f"{release} names no weights, so its node opens none", hint=_PACK_HINT)
    try:
        with mapped(disk, what="weights") as view:
            found = named_root_hash(BinaryView.of(view, "weights"))
    except MalformedImageError:
        found = None
    if found is None:
        raise InvalidInputError(f"{disk} is no disk of weights", hint=_PACK_HINT)
    if found.hex() != model.root_hash:
        raise InvalidInputError(
            f"{disk} has the root hash {found.hex()}, but {release} opens the weights of {model.name}, which have "
            f"{model.root_hash}",
            hint=f"attach the disk of {model.name}; `bedplate weights pack` makes the same one of the same model",
        )
