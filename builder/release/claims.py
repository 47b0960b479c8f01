"""The claims of a release against its image: whatever follows from the image is computed again from its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import mapped, read_bytes
from builder.image.inventory_file import unpack
from builder.release.contents import ImageContents, read_contents
from builder.release.layout import INVENTORY, MAX_RECORD_BYTES, MAX_STATEMENTS_BYTES, REFERENCE_VALUES, Names
from builder.release.measurements import read_measurements
from builder.release.model import check_model
from builder.release.reference import load_variables, measure
from builder.release.statements import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.release.signed import SignedStatements
    from builder.release.statements import ReferenceMeasurements

_MAX_LISTED: Final = 20


def check_image(directory: Path, signed: SignedStatements) -> Iterator[str]:
    """Every problem: a disk image that is broken, and whatever the release says about it that it does not show."""
    reference = signed.reference
    identity = reference.image
    names = Names.of(identity)
    try:
        with mapped(directory / names.disk, what="disk image") as view:
            contents = read_contents(view)
            yield from _check_parts(directory, names, contents)
            yield from _check_inventory(directory, contents)
            yield from _check_measurements(directory, contents, reference)
            yield from check_model(contents.root, signed.model)
    except NotVerifiedError as error:
        yield from (f"{names.disk}: {problem}" for problem in error.problems)
    except InvalidInputError as error:
        yield f"{names.disk}: {error}"


def check_provenance(signed: SignedStatements) -> Iterator[str]:
    """All statements speak of the same image and policy."""
    try:
        built = signed.provenance["buildDefinition"]["externalParameters"]
        stated = {key: built[key] for key in ("name", "version", "architecture", "profile")}
        policy = built["policy"]["digest"]
    except (KeyError, TypeError):
        yield "provenance: it does not say which image was built, and by which policy"
        return
    yield from (
        f"provenance: {place} is {a}, the reference measurements say {b}"
        for place, a, b in unequal(stated, msgspec.to_builtins(signed.reference.image), "")
    )
    if policy != signed.verdict.policy.digest:
        yield f"provenance: the policy is {policy}, the policy verdict is about {signed.verdict.policy.digest}"


def _check_parts(directory: Path, names: Names, contents: ImageContents) -> Iterator[str]:
    parts = {
        names.uki: contents.uki_file,
        names.root: contents.root.slice(0, len(contents.root)),
        names.root_verity: contents.root_verity.slice(0, len(contents.root_verity)),
    }
    for name, part in parts.items():
        try:
            with mapped(directory / name, what="part of the release") as file:
                if file != part:
                    yield f"{name}: it is not the one in {names.disk}"
        except InvalidInputError as error:
            yield f"{name}: {error}"


def _check_inventory(directory: Path, contents: ImageContents) -> Iterator[str]:
    try:
        # The content, since another version of zstd packs the same lines into other bytes.
        stored = unpack(read_bytes(directory / INVENTORY, what="inventory", limit=MAX_STATEMENTS_BYTES))
    except InvalidInputError as error:
        yield f"{INVENTORY}: {error}"
        return
    if stored != contents.inventory():
        yield f"{INVENTORY}: it is not the inventory of the image"


def _check_measurements(directory: Path, contents: ImageContents, reference: ReferenceMeasurements) -> Iterator[str]:
    try:
        computed = measure(contents, load_variables(directory), reference.image.architecture)
    except InvalidInputError as error:
        yield f"reference measurements: they cannot be computed from the image: {error}"
        return
    yield from _differences("reference measurements", reference, computed)
    try:
        data = read_bytes(directory / REFERENCE_VALUES, what="reference values", limit=MAX_RECORD_BYTES)
        stored = read_measurements(read_json(data, what=REFERENCE_VALUES), what=REFERENCE_VALUES)
    except InvalidInputError as error:
        yield str(error)
        return
    yield from _differences(REFERENCE_VALUES, stored, computed)


def _differences(name: str, stated: ReferenceMeasurements, computed: ReferenceMeasurements) -> Iterator[str]:
    left, right = _comparable(stated), _comparable(computed)
    if left == right:
        return
    found = [f"{name}: {place} is {a}, the image gives {b}" for place, a, b in unequal(left, right, "")]
    found = found or [f"{name}: not what the image gives"]  # whatever happens above, different is never equal
    yield from found[:_MAX_LISTED]
    if len(found) > _MAX_LISTED:
        yield f"{name}: {len(found) - _MAX_LISTED} more values differ"


def _comparable(measurements: ReferenceMeasurements) -> Any:
    """Everything but the words about each event, which a later bedplate may choose better; its digests are compared."""
    value = msgspec.to_builtins(measurements)
    for values in value["reference_values"].values():
        for pcr in values["pcrs"].values():
            for event in pcr.get("events", ()):
                del event["description"], event["source"]
    return value


def unequal(left: Any, right: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two JSON values differ, with their dotted path."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from unequal(left.get(key), right.get(key), f"{place}.{key}" if place else key)
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from unequal(a, b, f"{place}[{index}]")
    elif left != right:
        yield place, left, right
