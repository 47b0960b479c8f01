"""The build record: what an unsigned build was made from, written by the build and carried into the provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from builder.errors import InvalidInputError
from builder.files import read_bytes
from builder.mkosi.layer_store import LayerUse  # noqa: TC001 -- msgspec reads the annotations
from builder.mkosi.manifest import InstalledPackage  # noqa: TC001 -- msgspec reads the annotations
from builder.mkosi.prune_report import PruneReport  # noqa: TC001 -- likewise
from builder.release.layout import BUILD_RECORD, MAX_RECORD_BYTES, STATEMENTS

if TYPE_CHECKING:
    from pathlib import Path


class ToolPackage(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A package of the toolchain tree."""

    name: str
    version: str
    architecture: str


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Inputs and circumstances of one build. Digests are SHA-256 in lower-case hexadecimal.

    ``inputs`` is the digest of all that decides the result but the package archive: two builds with the same value may
    be taken for each other as long as the archive has not moved.
    """

    name: str
    version: str
    architecture: str
    profile: str
    stem: str
    inputs: str
    definition: str
    tree: str
    source_date_epoch: int
    seed: str
    bedplate: str
    lock: str | None
    toolchain: str
    toolchain_packages: tuple[ToolPackage, ...]
    root_packages: tuple[InstalledPackage, ...]
    initrd_packages: tuple[InstalledPackage, ...]
    engine_packages: tuple[InstalledPackage, ...] = ()
    pruned: dict[str, PruneReport] = {}
    layers: tuple[LayerUse, ...] = ()
    started: str
    finished: str
    disk: str
    policy: str


def encode_record(record: BuildRecord) -> bytes:
    """The record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def load_record(directory: Path) -> BuildRecord:
    """The record of an unsigned build. Raises InvalidInputError if ``directory`` is none."""
    path = directory / BUILD_RECORD
    if not path.exists():
        hint = "`bedplate build` makes one"
        if (directory / STATEMENTS).exists():
            hint = "this is a release, which is signed already"
        raise InvalidInputError(f"{directory} is no unsigned build: it has no {BUILD_RECORD}", hint=hint)
    data = read_bytes(path, what="build record", limit=MAX_RECORD_BYTES)
    try:
        return msgspec.json.decode(data, type=BuildRecord)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no build record: {error}", hint="`bedplate build` writes one") from error
