"""The disk of packed weights: a GPT with the file system and its hash tree, every byte of it decided by their sizes.

The partition types are bedplate's own, so nothing mounts or opens such a partition but who asks for it by UUID, and
the UUIDs are the two halves of the root hash: a node does not even find the disk of another model.

Source: UEFI Specification 2.10, chapter 5; UAPI.2 Discoverable Partitions Specification for flags and UUIDs.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.image.gpt import read_partition_table
from builder.image.verity import partition_uuids
from builder.weights.hash_tree import BLOCK, TreeShape

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

DATA_TYPE: Final = uuid.UUID("c40aceef-936c-48eb-8421-55dba4d37d78")
TREE_TYPE: Final = uuid.UUID("11f1f6a4-4228-437b-9d7d-86dc732214d4")
DATA_LABEL: Final = "bedplate-weights"
TREE_LABEL: Final = "bedplate-weights-verity"

_SECTOR: Final = 512
_ALIGNMENT: Final = 1 << 20
_ENTRY_COUNT: Final = 128
_HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")
_TABLE_SECTORS: Final = _ENTRY_COUNT * _ENTRY.size // _SECTOR
_MBR_RECORD: Final = struct.Struct("<B3sB3sII")
_MBR_RECORDS_AT: Final = 446
_MAX_U32: Final = 0xFFFFFFFF
# UAPI.2, "Partition Attribute Flags": read-only, and not to be mounted by whoever scans disks.
_FLAGS: Final = 1 << 60 | 1 << 63


@dataclass(frozen=True, slots=True)
class DiskLayout:
    """Where data and tree lie on the disk, and how long it is; all in bytes."""

    data_offset: int
    data_size: int
    tree_offset: int
    tree_size: int
    size: int

    @classmethod
    def of(cls, data_blocks: int) -> DiskLayout:
        """The layout for a file system of this many blocks of 4096 bytes."""
        data_size = data_blocks * BLOCK
        tree_offset = _align(_ALIGNMENT + data_size)
        tree_size = TreeShape.of(data_blocks).size
        return cls(
            _ALIGNMENT,
            data_size,
            tree_offset,
            tree_size,
            _align(tree_offset + tree_size + (_TABLE_SECTORS + 1) * _SECTOR),
        )


def head_and_tail(layout: DiskLayout, root_hash: bytes) -> tuple[bytes, bytes]:
    """What lies before the data, and what ends the disk: both copies of the partition table."""
    disk_uuid = uuid.UUID(bytes=hashlib.sha256(b"bedplate weights disk" + root_hash).digest()[:16], version=4)
    data_uuid, tree_uuid = partition_uuids(root_hash)
    entries = _entry(DATA_TYPE, data_uuid, layout.data_offset, layout.data_size, DATA_LABEL)
    entries += _entry(TREE_TYPE, tree_uuid, layout.tree_offset, layout.tree_size, TREE_LABEL)
    entries = entries.ljust(_ENTRY_COUNT * _ENTRY.size, b"\0")
    last = layout.size // _SECTOR - 1
    primary = _header(1, last, 2, disk_uuid, entries)
    backup = _header(last, 1, last - _TABLE_SECTORS, disk_uuid, entries)
    head = (_protective_mbr(last) + primary + entries).ljust(layout.data_offset, b"\0")
    return head, entries + backup


def named_root_hash(disk: BinaryView) -> bytes | None:
    """The root hash that the partitions of a disk are named after, None if they are not those of weights.

    Nothing shows that the disk holds what has this hash. Raises MalformedImageError for a broken partition table.
    """
    by_type = [(partition.type_guid, partition.unique_guid) for partition in read_partition_table(disk).partitions]
    if [kind for kind, _ in by_type] != [DATA_TYPE, TREE_TYPE]:
        return None
    (_, data), (_, tree) = by_type
    return data.bytes + tree.bytes


def _protective_mbr(last_lba: int) -> bytes:
    record = _MBR_RECORD.pack(0, b"\0\x02\0", 0xEE, b"\xff\xff\xff", 1, min(last_lba, _MAX_U32))
    return (bytes(_MBR_RECORDS_AT) + record).ljust(_SECTOR - 2, b"\0") + b"\x55\xaa"


def _header(lba: int, other: int, entries_lba: int, disk_uuid: uuid.UUID, entries: bytes) -> bytes:
    last = max(lba, other)

    def packed(crc: int) -> bytes:
        return _HEADER.pack(
            b"EFI PART", 0x00010000, _HEADER.size, crc, 0, lba, other, _TABLE_SECTORS + 2, last - _TABLE_SECTORS - 1,
            disk_uuid.bytes_le, entries_lba, _ENTRY_COUNT, _ENTRY.size, zlib.crc32(entries),
        )  # fmt: skip

    return packed(zlib.crc32(packed(0))).ljust(_SECTOR, b"\0")


def _entry(kind: uuid.UUID, unique: uuid.UUID, offset: int, size: int, label: str) -> bytes:
    first = offset // _SECTOR
    name = label.encode("utf-16-le")
    return _ENTRY.pack(kind.bytes_le, unique.bytes_le, first, first + size // _SECTOR - 1, _FLAGS, name)


def _align(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
