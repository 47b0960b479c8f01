"""The cache of layers: what mkosi made of an image below the disk, by the digest of everything that decided it.

``DIRECTORY/NAME-KEY/`` holds the files of one layer and ``layer.json``, which has their digests. It comes into being
by a rename. What comes out is a copy, compared with its digest while it is made: what was changed is made again, and
what changes later, by whoever may write to the cache, is not what the image is made of.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from builder.errors import InvalidInputError
from builder.files import copy_hashed, locked, new_directory, read_bytes, remove_partial, write_atomically
from builder.full_disk import telling_full_disk
from builder.mkosi.cache import CACHE_HINT
from builder.mkosi.layers import Inputs, differences, explain, key_of
from builder.mkosi.manifest import InstalledPackage  # noqa: TC001 -- msgspec reads the annotations
from builder.mkosi.scratch import SCRATCH_HINT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from builder.mkosi.layers import Layer

_RECORD: Final = "layer.json"
_MAX_RECORD_BYTES: Final = 16 << 20
_KEY_DIGITS: Final = 32
# How many of a name are kept: some images with some versions each. The one that was not used for longest goes.
_KEPT: Final = 6


class LayerRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer: what it was made of, SHA-256 (hex) by file, and the packages that it added."""

    schema: Literal["bedplate.layer.v1"] = "bedplate.layer.v1"
    layer: str
    inputs: Inputs
    files: dict[str, str]
    packages: tuple[InstalledPackage, ...]


class LayerUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer that an image was made of: digest (SHA-256, hex) of its inputs and of each file.

    ``because`` says why it had to be made, and is empty if it was taken from the cache.
    """

    layer: str
    inputs: str
    files: dict[str, str]
    because: str


@dataclass(frozen=True, slots=True)
class LayerStore:
    """A cache directory for layers; it is made when the first one comes in."""

    directory: Path

    @contextlib.contextmanager
    def building(self, layers: Iterable[Inputs]) -> Iterator[None]:
        """Hold the locks of whoever makes the layers of these inputs, so that a second build waits and takes them.

        All builds lock in the same order, so that none waits for one that waits for it.
        """
        with contextlib.ExitStack() as held:
            for prefix in sorted({key_of(inputs)[:2] for inputs in layers}):
                held.enter_context(locked(self.directory / f".lock-{prefix}"))
            yield

    def take(
        self, layer: Layer, inputs: Inputs, output: Path, packages: Collection[InstalledPackage]
    ) -> LayerRecord | str:
        """Put the checked files of a layer into ``output``; or a sentence that says why there is none.

        ``packages`` are those that the lock has for it: what the record lists becomes the provenance's list. A layer
        that is not what it was is deleted.
        """
        place = self._place(layer.name, inputs)
        if not place.is_dir():
            return self._missing(layer.name, inputs)
        record = _read(place)
        if record is None or record.layer != layer.name or record.inputs != inputs or not _is_complete(record, layer):
            self._remove(place)
            return f"the one in the cache has no usable {_RECORD}"
        if set(record.packages) != set(packages):
            self._remove(place)
            return "the one in the cache lists other packages than the lock"
        taken = []
        for name, expected in record.files.items():
            target = output / name
            found = _copy(place / name, target, layer.name)
            taken.append(target)
            if found != expected:
                for path in taken:
                    path.unlink(missing_ok=True)
                self._remove(place)
                return f"{name} of the one in the cache was changed on the disk"
        with contextlib.suppress(OSError):  # for eviction only
            os.utime(place / _RECORD)
        return record

    def put(self, record: LayerRecord, output: Path) -> None:
        """Take in a layer whose files are in ``output``. One that is there already stays as it is."""
        place = self._place(record.layer, record.inputs)
        with _telling(record.layer, self.directory, CACHE_HINT), locked(self.directory / ".lock"):
            remove_partial(self.directory)
            if place.exists():
                return
            with new_directory(place) as partial:
                for name in record.files:
                    shutil.copyfile(output / name, partial / name)
                write_atomically(partial / _RECORD, msgspec.json.encode(record))
            self._evict(record.layer)

    def _place(self, layer: str, inputs: Inputs) -> Path:
        return self.directory / f"{layer}-{key_of(inputs)[:_KEY_DIGITS]}"

    def _all(self, layer: str) -> Iterator[Path]:
        return self.directory.glob(f"{layer}-*")

    def _missing(self, layer: str, inputs: Inputs) -> str:
        """Why there is no such layer: how the most similar one differs."""
        records = [record for place in self._all(layer) if (record := _read(place)) is not None]
        if not records:
            return "none is in the cache"
        return explain(min((differences(record.inputs, inputs) for record in records), key=len))

    def _evict(self, layer: str) -> None:
        ages = []
        for place in self._all(layer):
            try:
                ages.append(((place / _RECORD).stat().st_mtime_ns, place))
            except OSError:
                ages.append((0, place))
        for _, place in sorted(ages, reverse=True)[_KEPT:]:
            shutil.rmtree(place, ignore_errors=True)

    def _remove(self, place: Path) -> None:
        with locked(self.directory / ".lock"):
            shutil.rmtree(place, ignore_errors=True)


def _read(place: Path) -> LayerRecord | None:
    try:
        data = read_bytes(place / _RECORD, what="record of a layer", limit=_MAX_RECORD_BYTES)
        return msgspec.json.decode(data, type=LayerRecord)
    except (InvalidInputError, ValueError, RecursionError):
        return None


def _copy(source: Path, target: Path, layer: str) -> str:
    """Copy a file of the cache; the SHA-256 (hex) of the copy, "missing" if it is no file that can be read."""
    try:
        with _telling(layer, target.parent, SCRATCH_HINT):
            return copy_hashed(source, target)
    except (OSError, InvalidInputError):
        return "missing"


def _telling(layer: str, directory: Path, hint: str) -> AbstractContextManager[None]:
    return telling_full_disk(f"the layer {layer}", directory, hint=hint)


def _is_complete(record: LayerRecord, layer: Layer) -> bool:
    """Whether all files of a layer are named, and no others; a record could name a path that leads elsewhere."""
    names = record.files.keys()
    return names >= set(layer.outputs) and names <= {*layer.outputs, layer.report}
