"""Packing a model: one pass over its data makes file system, hash tree, partition table and identity."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from builder.errors import InvalidInputError
from builder.files import new_file, write_atomically
from builder.image.verity import partition_uuids
from builder.weights import erofs
from builder.weights.disk import DiskLayout, head_and_tail
from builder.weights.hash_tree import BLOCK, Hasher, TreeBuilder, TreeShape, superblock
from builder.weights.identity import (
    TYPE,
    Licence,
    ModelFile,
    ModelName,
    VerityTree,
    WeightsIdentity,
    encode_identity,
    model_digest,
)
from builder.weights.source import SourceFile, scan
from builder.weights.stream import Streamer

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Stage

# The same for all: a salt is there so that nobody prepares for it, and nobody can prepare for SHA-256.
SALT: Final = hashlib.sha256(b"bedplate weights v1").digest()
DISK_SUFFIX: Final = ".weights.raw"
IDENTITY_SUFFIX: Final = ".weights.json"


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """What packing made."""

    disk: Path
    identity_file: Path
    identity: WeightsIdentity


def pack(model: Path, name: str, licence: str, output: Path, stage: Stage) -> PackedWeights:
    """Write ``NAME.weights.raw`` and ``NAME.weights.json`` into ``output`` for the file or directory ``model``.

    The same model gives the same bytes, whenever and wherever; holes stay holes. Raises InvalidInputError for what
    cannot be packed, for files that are there already, and for a model that changes meanwhile.
    """
    _check(name, ModelName, "name", "lower-case letters, digits, dots and dashes, 64 at most")
    _check(licence, Licence, "licence", "1 to 200 printable ASCII characters, best an SPDX identifier")
    disk, document = output / f"{name}{DISK_SUFFIX}", output / f"{name}{IDENTITY_SUFFIX}"
    for target in (disk, document):
        if target.exists():
            raise InvalidInputError(f"{target} already exists", hint="choose another directory, or remove it first")
    files = scan(model)
    plan = erofs.plan({file.path: file.size for file in files})
    if not output.is_dir():
        raise InvalidInputError(f"the directory {output} is not there")
    with new_file(disk) as file:
        packing = _Packing(plan, file, stage)
        digests = packing.write_data(files)
        root_hash = packing.write_tables()
    packed = tuple(
        ModelFile(path=file.path, size=file.size, sha256=digest) for file, digest in zip(files, digests, strict=True)
    )
    identity = WeightsIdentity(
        type=TYPE,
        name=name,
        licence=licence,
        sha256=model_digest(packed),
        files=packed,
        verity=VerityTree(root_hash=root_hash.hex(), salt=SALT.hex(), data_blocks=plan.size // BLOCK),
        size=packing.layout.size,
    )
    write_atomically(document, encode_identity(identity))
    return PackedWeights(disk, document, identity)


def _check(value: str, kind: object, what: str, expected: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise InvalidInputError(f"{value!r} cannot be the {what} of weights", hint=f"it has {expected}") from None


class _Packing:
    """The disk while it is written."""

    def __init__(self, plan: erofs.Plan, target: BinaryIO, stage: Stage) -> None:
        self._plan, self._stage = plan, stage
        self._descriptor = target.fileno()
        self._blocks = plan.size // BLOCK
        self._shape = TreeShape.of(self._blocks)
        self._hasher = Hasher(SALT)
        self._tree = TreeBuilder(self._hasher, self._blocks, self._write_hash_block)
        self.layout = DiskLayout.of(self._blocks)
        os.ftruncate(self._descriptor, self.layout.size)

    def write_data(self, files: tuple[SourceFile, ...]) -> list[str]:
        """Write the file system; the SHA-256 of each file."""
        self._write(self.layout.data_offset, self._plan.metadata)
        self._tree.add(self._hasher.digests(memoryview(self._plan.metadata)))
        with Streamer(self._hasher, self._tree) as streamer:
            return [
                self._write_file(file, extent, streamer) for file, extent in zip(files, self._plan.extents, strict=True)
            ]

    def write_tables(self) -> bytes:
        """Write the rest of the hash tree and both partition tables; the root hash."""
        root_hash = self._tree.finish()
        tree_uuid = partition_uuids(root_hash)[1]
        self._write(self.layout.tree_offset, superblock(tree_uuid, SALT, self._blocks))
        head, tail = head_and_tail(self.layout, root_hash)
        self._write(0, head)
        self._write(self.layout.size - len(tail), tail)
        return root_hash

    def _write_file(self, file: SourceFile, extent: erofs.Extent, streamer: Streamer) -> str:
        base = self.layout.data_offset + extent.offset

        def write(offset: int, data: bytes) -> None:
            self._write(base + offset, data)
            done = extent.offset + offset + len(data)
            self._stage.line(f"{done * 100 // self._plan.size} % of {self._plan.size / 1e6:.0f} MB")

        with file.source.open("rb") as source:
            digest = streamer.file(source.fileno(), 0, file.size, name=str(file.source), write=write)
            status = os.fstat(source.fileno())
        if (status.st_size, status.st_mtime_ns) != (file.size, file.changed):
            raise InvalidInputError(f"{file.source} changed while it was packed")
        return digest

    def _write_hash_block(self, level: int, number: int, block: bytes) -> bytes:
        self._write(self.layout.tree_offset + (self._shape.starts[level] + number) * BLOCK, block)
        return block

    def _write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written
