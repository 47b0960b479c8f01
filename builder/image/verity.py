"""dm-verity: the superblock, the hash tree recomputed from the data, and the partition UUIDs that follow from its root.

Sources: Linux Documentation/admin-guide/device-mapper/verity.rst, cryptsetup docs/on-disk-format-verity (wiki
"DMVerity"), UAPI.2 Discoverable Partitions Specification.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView

_SUPERBLOCK = struct.Struct("<8sII16s32sIIQH6s256s168s")
_SIGNATURE = b"verity\0\0"
_VERSION = 1
_HASH_TYPE_NORMAL = 1
_DIGEST_SIZES = {"sha256": 32, "sha384": 48, "sha512": 64}
_BLOCK_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
_MAX_SALT = 256
_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class VeritySuperblock:
    """What the tree was made with; sizes are bytes. The root hash depends on all of it but ``uuid``."""

    uuid: uuid.UUID
    algorithm: str
    data_block_size: int
    hash_block_size: int
    data_blocks: int
    salt: bytes

    @property
    def data_size(self) -> int:
        """The bytes that the tree covers."""
        return self.data_blocks * self.data_block_size

    @property
    def digest_slot(self) -> int:
        """The bytes that a digest takes in a hash block: its size rounded up to a power of two."""
        return 1 << (_DIGEST_SIZES[self.algorithm] - 1).bit_length()

    @property
    def level_blocks(self) -> tuple[int, ...]:
        """How many hash blocks each level has, from the one above the data to the single block below the root hash.

        A single data block needs none: its own hash is the root hash.
        """
        levels = []
        blocks, per_block = self.data_blocks, self.hash_block_size // self.digest_slot
        while blocks > 1:
            blocks = -(-blocks // per_block)
            levels.append(blocks)
        return tuple(levels)


@dataclass(frozen=True, slots=True)
class VerifiedVerity:
    """Data and tree that were recomputed and agree with ``root_hash``.

    Only the first ``data_size`` bytes of the data device are covered; whoever reads the file system must stay inside.
    """

    superblock: VeritySuperblock
    root_hash: bytes
    data_size: int


def read_superblock(hash_device: BinaryView) -> VeritySuperblock:
    """The superblock at the start of a hash device.

    Raises MalformedImageError for an unknown version, hash type or algorithm, impossible sizes, and padding that is
    not zero up to the first hash block.
    """
    block = hash_device.named("verity superblock")
    (
        signature, version, hash_type, raw_uuid, raw_algorithm,
        data_block_size, hash_block_size, data_blocks, salt_size, pad1, raw_salt, pad2,
    ) = block.unpack(_SUPERBLOCK)  # fmt: skip
    if signature != _SIGNATURE:
        raise block.error(0, "there is no signature 'verity'")
    if (version, hash_type) != (_VERSION, _HASH_TYPE_NORMAL):
        raise block.error(8, f"version {version} and hash type {hash_type} are not the supported 1 and 1")
    name, _, rest = raw_algorithm.partition(b"\0")
    algorithm = name.decode("latin-1")
    if algorithm not in _DIGEST_SIZES or any(rest):
        raise block.error(32, f"the hash algorithm {algorithm!r} is not one of {', '.join(_DIGEST_SIZES)}")
    if data_block_size not in _BLOCK_SIZES or hash_block_size not in _BLOCK_SIZES:
        raise block.error(64, f"block sizes {data_block_size} and {hash_block_size} are not powers of two up to 65536")
    if not 0 < data_blocks < 1 << 48:
        raise block.error(72, f"{data_blocks} data blocks are none, or more than can be")
    if salt_size > _MAX_SALT:
        raise block.error(80, f"a salt of {salt_size} bytes is longer than {_MAX_SALT}")
    if any(pad1) or any(raw_salt[salt_size:]) or any(pad2):
        raise block.error(82, "the padding is not zero")
    if any(block.slice(_SUPERBLOCK.size, hash_block_size - _SUPERBLOCK.size)):
        raise block.error(_SUPERBLOCK.size, "the rest of the superblock's block is not zero")
    return VeritySuperblock(
        uuid.UUID(bytes=raw_uuid), algorithm, data_block_size, hash_block_size, data_blocks, raw_salt[:salt_size]
    )


def root_hash(data: BinaryView, superblock: VeritySuperblock) -> bytes:
    """The root hash recomputed from the data. Raises MalformedImageError if the data ends before its last block."""
    covered = _covered(data, superblock)
    return _grow(_digests(covered.data, superblock.data_block_size, superblock), superblock)[0]


def check(data: BinaryView, hash_device: BinaryView, expected_root: bytes) -> VerifiedVerity:
    """Recompute the whole tree and compare its every block with the stored one, and its root with ``expected_root``.

    Raises NotVerifiedError that names the offset of every block that is wrong (the first 20 of them), and
    MalformedImageError if a device is too short or the superblock is broken.
    """
    superblock = read_superblock(hash_device)
    covered = _covered(data, superblock)
    total = sum(superblock.level_blocks) * superblock.hash_block_size
    stored = hash_device.named("verity hash tree").view(superblock.hash_block_size, total)
    digests = _digests(covered.data, superblock.data_block_size, superblock)
    computed_root, tree = _grow(digests, superblock)
    if computed_root == expected_root and tree == stored.data:
        return VerifiedVerity(superblock, computed_root, superblock.data_size)
    problems = list(_diagnose(covered, stored, superblock, expected_root, digests))
    if not problems:  # all blocks agree with each other, with another root
        problems = [f"the root hash of the data is {computed_root.hex()}, expected {expected_root.hex()}"]
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [f"and {len(problems) - _MAX_PROBLEMS} more"]
    raise NotVerifiedError(f"dm-verity: {problems[0]}", tuple(problems))


def partition_uuids(root: bytes) -> tuple[uuid.UUID, uuid.UUID]:
    """The UUIDs of the data and the hash partition: the first and the last 128 bits of the root hash (UAPI.2).

    Raises InvalidInputError for a root hash that is too short for two.
    """
    if len(root) < 32:  # noqa: PLR2004 -- two UUIDs
        raise InvalidInputError(f"a root hash of {len(root)} bytes has no two UUIDs in it")
    return uuid.UUID(bytes=root[:16]), uuid.UUID(bytes=root[-16:])


def _covered(data: BinaryView, superblock: VeritySuperblock) -> BinaryView:
    if superblock.data_size > len(data):
        raise data.named("verity data").error(0, f"{len(data)} bytes, but the tree covers {superblock.data_size}")
    return data.view(0, superblock.data_size, "verity data")


def _grow(digests: bytes, superblock: VeritySuperblock) -> tuple[bytes, bytes]:
    """The root hash and the whole tree over the digests of the data, as on disk: the level below the root first."""
    levels: list[bytes] = []
    for blocks in superblock.level_blocks:
        level = digests.ljust(blocks * superblock.hash_block_size, b"\0")
        levels.append(level)
        digests = _digests(memoryview(level), superblock.hash_block_size, superblock)
    return digests[: _DIGEST_SIZES[superblock.algorithm]], b"".join(reversed(levels))


def _digests(data: memoryview, block_size: int, superblock: VeritySuperblock) -> bytes:
    """The digests of all blocks, each in its slot. This is the hot loop, so the salt is hashed once."""
    salted = hashlib.new(superblock.algorithm, superblock.salt)
    padding = bytes(superblock.digest_slot - _DIGEST_SIZES[superblock.algorithm])
    digests = []
    for offset in range(0, len(data), block_size):
        state = salted.copy()
        state.update(data[offset : offset + block_size])
        digests.append(state.digest())
    return padding.join(digests) + padding


def _diagnose(
    data: BinaryView, stored: BinaryView, superblock: VeritySuperblock, expected_root: bytes, digests: bytes
) -> Iterator[str]:
    """Name what is wrong, from the root hash down: every block is judged by the digest in its parent.

    ``digests`` are those of the data blocks. Below a hash block that is wrong itself nothing can be judged.
    """
    slot, size = superblock.digest_slot, superblock.hash_block_size
    counts = (*superblock.level_blocks, 0)[-2::-1]
    lowest = stored.slice(len(stored) - superblock.level_blocks[0] * size, len(digests)) if counts else memoryview(b"")
    if counts and not any(digests[at : at + slot] == lowest[at : at + slot] for at in range(0, len(digests), slot)):
        yield (
            f"no data block has the hash that the tree at offset {stored.base:#x} says: the data, the tree, or the "
            f"salt and sizes in the superblock at offset {stored.base - size:#x} are not of the same image"
        )
        return
    judged = [(0, expected_root.ljust(slot, b"\0"))]
    offset = 0
    for count, below in zip(counts, (*counts[1:], superblock.data_blocks), strict=True):
        level = stored.view(offset, count * size)
        actual = _digests(level.data, size, superblock)
        children: list[tuple[int, bytes]] = []
        for index, digest in judged:
            if actual[index * slot : (index + 1) * slot] != digest:
                yield f"the hash block at offset {level.base + index * size:#x} does not have the hash in its parent"
                continue
            first = index * (size // slot)
            mine = range(first, min(first + size // slot, below))
            children.extend((child, level.read(child * slot, slot)) for child in mine)
        judged = children
        offset += count * size
    for index, digest in judged:
        if digests[index * slot : (index + 1) * slot] != digest:
            place = data.base + index * superblock.data_block_size
            yield f"the data block at offset {place:#x} does not have the hash in the tree"
