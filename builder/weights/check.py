"""Checking packed weights: every byte of the disk against what its identity says it must be.

Nothing of the disk is parsed. The identity decides partition tables, file system structures and the hash tree's
superblock; they are made again and compared. The data is hashed again, block by block and file by file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, NotVerifiedError
from builder.image.verity import partition_uuids
from builder.weights import erofs
from builder.weights.disk import DiskLayout, head_and_tail
from builder.weights.hash_tree import BLOCK, DIGEST, Hasher, TreeBuilder, TreeShape, superblock
from builder.weights.stream import Streamer

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Stage
    from builder.weights.identity import WeightsIdentity

_MAX_PROBLEMS: Final = 20


def verify(disk: Path, identity: WeightsIdentity, stage: Stage) -> WeightsIdentity:
    """``identity``, after all of ``disk`` turned out to be what it says.

    Raises NotVerifiedError that names the offset of everything that differs, the first 20 of them.
    """
    try:
        with disk.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != identity.size:
                raise _refused(disk, [f"it has {size} bytes, expected {identity.size}"])
            problems = _Checking(file.fileno(), identity, stage).problems()
    except OSError as error:
        raise InvalidInputError(f"cannot read the weights {disk}: {error.strerror}") from error
    if problems:
        raise _refused(disk, problems)
    return identity


def _refused(disk: Path, problems: list[str]) -> NotVerifiedError:
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [f"and {len(problems) - _MAX_PROBLEMS} more"]
    return NotVerifiedError(f"{disk} is not what its identity says", tuple(problems))


class _Checking:
    """A disk of the right length while it is read."""

    def __init__(self, descriptor: int, identity: WeightsIdentity, stage: Stage) -> None:
        self._descriptor, self._identity, self._stage = descriptor, identity, stage
        self._blocks = identity.verity.data_blocks
        self._salt = bytes.fromhex(identity.verity.salt)
        self._root_hash = bytes.fromhex(identity.verity.root_hash)
        self._shape = TreeShape.of(self._blocks)
        self._hasher = Hasher(self._salt)
        self._found: list[str] = []

    def problems(self) -> list[str]:
        """All that is wrong."""
        plan = erofs.plan({file.path: file.size for file in self._identity.files})
        layout = DiskLayout.of(self._blocks)
        if (plan.size, layout.size) != (self._blocks * BLOCK, self._identity.size):
            return [f"{self._blocks} blocks and {self._identity.size} bytes are not what its files take"]
        self._layout = layout
        self._compare_tables()
        self._compare_data(plan)
        return self._found

    def _compare_tables(self) -> None:
        layout = self._layout
        head, tail = head_and_tail(layout, self._root_hash)
        self._compare(0, head, "the partition table")
        self._compare(layout.size - len(tail), tail, "the backup of the partition table")
        tree_uuid = partition_uuids(self._root_hash)[1]
        self._compare(layout.tree_offset, superblock(tree_uuid, self._salt, self._blocks), "the superblock of the tree")
        for start, end in (
            (layout.data_offset + layout.data_size, layout.tree_offset),
            (layout.tree_offset + layout.tree_size, layout.size - len(tail)),
        ):
            self._compare(start, bytes(end - start), "the gap between partitions")

    def _compare(self, offset: int, expected: bytes, what: str) -> None:
        actual = os.pread(self._descriptor, len(expected), offset)
        if actual != expected:
            at = next((at for at in range(len(actual)) if actual[at] != expected[at]), len(actual))
            self._found.append(f"{what} is not as the identity gives it, from offset {offset + at:#x} on")

    def _compare_data(self, plan: erofs.Plan) -> None:
        layout = self._layout
        tree = TreeBuilder(self._hasher, self._blocks, self._judge)
        self._compare(layout.data_offset, plan.metadata, "the file system's structures")
        tree.add(self._hasher.digests(memoryview(plan.metadata)))
        with Streamer(self._hasher, tree) as streamer:
            for file, extent in zip(self._identity.files, plan.extents, strict=True):
                self._stage.line(f"{extent.offset * 100 // plan.size} % of {plan.size / 1e6:.0f} MB")
                digest = streamer.file(
                    self._descriptor, layout.data_offset + extent.offset, file.size, name=f"the file {file.path}"
                )
                if digest != file.sha256:
                    self._found.append(f"{file.path} has the SHA-256 {digest}, expected {file.sha256}")
                padding = bytes(extent.end - extent.offset - file.size)
                end = layout.data_offset + extent.offset + file.size
                self._compare(end, padding, f"the padding of {file.path}")
        root_hash = tree.finish()
        if root_hash != self._root_hash:
            self._found.append(f"the root hash is {root_hash.hex()}, expected {self._root_hash.hex()}")

    def _judge(self, level: int, number: int, computed: bytes) -> bytes:
        """Compare a block of the tree with what lies below it; its parent is to judge the block that is there."""
        offset = self._layout.tree_offset + (self._shape.starts[level] + number) * BLOCK
        stored = os.pread(self._descriptor, BLOCK, offset)
        if stored == computed or len(self._found) > _MAX_PROBLEMS:
            return stored
        first = number * (BLOCK // DIGEST)
        below = self._layout.data_offset
        if level:
            below = self._layout.tree_offset + self._shape.starts[level - 1] * BLOCK
        self._found += [
            f"the block at offset {below + (first + at // DIGEST) * BLOCK:#x} does not have its hash, {offset + at:#x}"
            for at in range(0, BLOCK, DIGEST)
            if stored[at : at + DIGEST] != computed[at : at + DIGEST]
        ]
        return stored
