"""Which model an image serves, as its root says, and whether the root opens the weights of that model and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.image.erofs import Erofs, open_erofs
from builder.release.statements import convert, read_json
from builder.weights.identity import Model
from builder.weights.node_files import LISTEN_DROP_IN, MODEL_FILE, MOUNT_UNIT, READ_UNIT, VERITY_UNIT, weights_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView


def read_model(root: BinaryView) -> Model | None:
    """The model that the root file system names, None if it names none.

    Raises InvalidInputError for a file that names none strictly, and if the units that open, read and mount the weights
    are not those of this model, or are there without one: what the root says must be what it does.
    """
    files = open_erofs(root)
    if files.find(str(MODEL_FILE)) is None:
        for unit in (VERITY_UNIT, READ_UNIT, MOUNT_UNIT):
            if files.find(str(unit)) is not None:
                raise InvalidInputError(
                    f"/{unit} opens weights, but there is no /{MODEL_FILE} that says of which model"
                )
        return None
    place = f"/{MODEL_FILE}"
    model = convert(read_json(bytes(files.read_file(place)), what=place), Model, what=place)
    for path, expected in weights_files(model).items():
        if _content(files, str(path)) != expected:
            raise InvalidInputError(f"/{path} is not that of the model {model.name}, which /{MODEL_FILE} names")
    for override in _overrides():
        if files.find(override) is not None:
            raise InvalidInputError(f"/{override} changes how the weights of {model.name} are opened, read or mounted")
    return model


def _overrides() -> Iterator[str]:
    """Where systemd would look for other unit files of these names, and for drop-ins (systemd.unit(5))."""
    for top in ("etc", "usr/local/lib"):
        yield f"{top}/systemd/system/{LISTEN_DROP_IN.parent.name}/{LISTEN_DROP_IN.name}"
    for unit in (VERITY_UNIT.name, READ_UNIT.name, MOUNT_UNIT.name):
        yield f"etc/systemd/system/{unit}"
        yield f"usr/local/lib/systemd/system/{unit}"
        yield from (f"{top}/systemd/system/{unit}.d" for top in ("etc", "usr/local/lib", "usr/lib"))


def check_model(root: BinaryView, stated: Model | None) -> Iterator[str]:
    """Every problem: the root and the statement must name the same model, or both none."""
    try:
        found = read_model(root)
    except InvalidInputError as error:
        yield f"model: {error}"
        return
    if found == stated:
        return
    if stated is None:
        yield "model: the image has weights, and no statement says of which model"
    elif found is None:
        yield f"model: the statement names {stated.name}, but the image has no weights"
    else:
        yield f"model: the statement names {_shown(stated)}, the image {_shown(found)}"


def _content(files: Erofs, path: str) -> bytes | None:
    return None if files.find(path) is None else bytes(files.read_file(path))


def _shown(model: Model) -> str:
    return f"{model.name} ({model.licence}, model {model.sha256}, root hash {model.root_hash})"
