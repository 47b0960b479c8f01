"""The dm-verity hash tree of data that passes by: levels grow at once, so memory does not depend on the size.

Sources as in :mod:`builder.image.verity`, which reads such trees.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable

BLOCK: Final = 4096
DIGEST: Final = 32
PER_BLOCK: Final = BLOCK // DIGEST
_SUPERBLOCK: Final = struct.Struct("<8sII16s32sIIQH6s256s168s")
_ZERO_BLOCK: Final = bytes(BLOCK)


def superblock(tree_uuid: uuid.UUID, salt: bytes, data_blocks: int) -> bytes:
    """The block at the start of a hash device."""
    return _SUPERBLOCK.pack(
        b"verity\0\0", 1, 1, tree_uuid.bytes, b"sha256".ljust(32, b"\0"), BLOCK, BLOCK, data_blocks, len(salt),
        bytes(6), salt.ljust(256, b"\0"), bytes(168),
    ).ljust(BLOCK, b"\0")  # fmt: skip


@dataclass(frozen=True, slots=True)
class TreeShape:
    """Where each level of a tree over ``data_blocks`` lies on the hash device: the level below the root comes first.

    ``starts`` and ``counts`` are in blocks, from the level above the data upwards; the superblock is block 0.
    """

    starts: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, data_blocks: int) -> TreeShape:
        """The shape for this number of blocks. A single one needs no level: its own hash is the root hash."""
        counts = []
        blocks = data_blocks
        while blocks > 1:
            blocks = -(-blocks // PER_BLOCK)
            counts.append(blocks)
        starts = [1 + sum(counts[level + 1 :]) for level in range(len(counts))]
        return cls(tuple(starts), tuple(counts))

    @property
    def size(self) -> int:
        """Bytes of the hash device, superblock included."""
        return (1 + sum(self.counts)) * BLOCK


class Hasher:
    """Hashes blocks with a salt before them; a block of zeros, of which sparse models have many, only once."""

    def __init__(self, salt: bytes) -> None:
        self._salted = hashlib.sha256(salt)
        self.zero = self.digest(_ZERO_BLOCK)

    def digest(self, block: bytes | memoryview) -> bytes:
        """The digest of one block."""
        state = self._salted.copy()
        state.update(block)
        return state.digest()

    def digests(self, data: memoryview) -> bytes:
        """The digests of whole blocks, back to back. May run in several threads at once: hashlib lets go of the GIL."""
        salted = self._salted
        found = []
        for offset in range(0, len(data), BLOCK):
            state = salted.copy()
            state.update(data[offset : offset + BLOCK])
            found.append(state.digest())
        return b"".join(found)


class TreeBuilder:
    """Takes the digests of all data blocks in order and hands on every block of the tree when it is complete.

    ``emit`` gets level, number inside the level and content, and returns the block that the parent is to hash: the same
    when a tree is made; when one is checked, the block that is there, so that each block is judged by itself.
    """

    def __init__(self, hasher: Hasher, data_blocks: int, emit: Callable[[int, int, bytes], bytes]) -> None:
        self._hasher, self._emit = hasher, emit
        self._levels = len(TreeShape.of(data_blocks).counts)
        self._pending = [bytearray() for _ in range(self._levels + 1)]
        self._emitted = [0] * self._levels

    def add(self, digests: bytes) -> None:
        """Take the digests of the next data blocks."""
        self._pending[0] += digests
        self._settle(0)

    def add_zeros(self, blocks: int) -> None:
        """Take the digests of ``blocks`` blocks of zeros."""
        while blocks:
            count = min(blocks, PER_BLOCK)
            self.add(self._hasher.zero * count)
            blocks -= count

    def finish(self) -> bytes:
        """The root hash, after the last block."""
        for level in range(self._levels):
            if self._pending[level]:
                self._pass_on(level, bytes(self._pending[level].ljust(BLOCK, b"\0")))
                self._pending[level].clear()
        return bytes(self._pending[self._levels])

    def _settle(self, level: int) -> None:
        pending = self._pending[level]
        while level < self._levels and len(pending) >= BLOCK:
            block = bytes(pending[:BLOCK])
            del pending[:BLOCK]
            self._pass_on(level, block)

    def _pass_on(self, level: int, block: bytes) -> None:
        judged = self._emit(level, self._emitted[level], block)
        self._emitted[level] += 1
        self._pending[level + 1] += self._hasher.digest(judged)
        self._settle(level + 1)
