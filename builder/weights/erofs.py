"""The file system of packed weights: an EROFS image without compression, planned before a byte of a model is read.

Everything but the files' data follows from their paths and sizes, so an image is written, or checked, in one pass.
Order on disk: superblock, inodes, directories, then the data of the files in the order of their paths, each from a
block of its own and in one piece. All files belong to root, are read-only and have the time 0.

Source: Linux fs/erofs/erofs_fs.h, namei.c (names are found by binary search) and dir.c.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.image.crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BLOCK: Final = 4096
_BLOCK_BITS: Final = 12
_SUPER_OFFSET: Final = 1024
_SUPERBLOCK: Final = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24s")
_MAGIC: Final = 0xE0F5E1E2
_COMPAT_SB_CHKSUM: Final = 0x1
_CHECKSUM_FIELD: Final = slice(_SUPER_OFFSET + 4, _SUPER_OFFSET + 8)
_INODE: Final = struct.Struct("<HHHHQIIIIQII16s")
_INODE_SLOT: Final = 32
_EXTENDED_PLAIN: Final = 1  # i_format: bit 0 is the extended inode, the layout above it is 0, flat and plain
# Inodes of 64 bytes at multiples of 64 cross no block.
_FIRST_INODE: Final = _SUPER_OFFSET + _SUPERBLOCK.size
_DIRENT: Final = struct.Struct("<QHBB")
_TYPE_REGULAR, _TYPE_DIRECTORY = 1, 2  # include/linux/fs_types.h
_MAX_BLOCKS: Final = (1 << 32) - 2


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the data of the file at ``path`` lies in the image; the last block ends with zeros. All in bytes."""

    path: str
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next file may begin."""
        return self.offset + -(-self.size // BLOCK) * BLOCK


@dataclass(frozen=True, slots=True)
class Plan:
    """An image of ``size`` bytes: ``metadata`` at its start, whole blocks, then the data of the files in order."""

    metadata: bytes
    extents: tuple[Extent, ...]
    size: int


@dataclass(slots=True)
class _Node:
    """A file or directory while it is being planned; ``number`` counts inodes from 0, the root."""

    number: int
    parent: int
    is_directory: bool = False
    size: int = 0
    address: int = 0
    children: dict[bytes, _Node] = field(default_factory=dict)
    blocks: list[bytes] = field(default_factory=list)

    @property
    def nid(self) -> int:
        return (_FIRST_INODE + self.number * _INODE.size) // _INODE_SLOT

    @property
    def file_type(self) -> int:
        return _TYPE_DIRECTORY if self.is_directory else _TYPE_REGULAR


def plan(sizes: Mapping[str, int]) -> Plan:
    """The image of files of these sizes; the order of ``sizes`` does not matter.

    Raises InvalidInputError for no files, for a file that is a directory, too, and for more than EROFS can hold.
    """
    if not sizes:
        raise InvalidInputError("a model without files cannot be packed")
    nodes, files = _nodes(sorted(sizes))
    block = -(-(_FIRST_INODE + len(nodes) * _INODE.size) // BLOCK)
    for node in nodes:
        if node.is_directory:
            node.blocks = list(_directory_blocks(node))
            node.size = (len(node.blocks) - 1) * BLOCK + len(node.blocks[-1])
            node.address = block
            block += len(node.blocks)
    metadata_blocks = block
    extents = []
    for path, node in files.items():
        node.size = sizes[path]
        node.address = block if node.size else 0
        extents.append(Extent(path, block * BLOCK, node.size))
        block += -(-node.size // BLOCK)
    if block > _MAX_BLOCKS:
        raise InvalidInputError(f"{block} blocks of {BLOCK} bytes are more than EROFS can hold ({_MAX_BLOCKS})")
    inodes = b"".join(_inode(node) for node in nodes)
    directories = b"".join(part.ljust(BLOCK, b"\0") for node in nodes for part in node.blocks)
    head = (bytes(_FIRST_INODE) + inodes).ljust(metadata_blocks * BLOCK - len(directories), b"\0")
    return Plan(_with_superblock(head + directories, block, len(nodes)), tuple(extents), block * BLOCK)


def _nodes(paths: Sequence[str]) -> tuple[list[_Node], dict[str, _Node]]:
    """All nodes, the root first, and those of the files by path."""
    root = _Node(0, 0, is_directory=True)
    nodes, files = [root], {}
    for path in paths:
        node = root
        *directories, name = path.encode().split(b"/")
        for part in directories:
            if part not in node.children:
                nodes.append(_Node(len(nodes), node.number, is_directory=True))
                node.children[part] = nodes[-1]
            node = node.children[part]
            if not node.is_directory:
                raise InvalidInputError(f"{path}: {part.decode()} is both a file and a directory")
        nodes.append(_Node(len(nodes), node.number))
        node.children[name] = files[path] = nodes[-1]
    return nodes, files


def _directory_blocks(node: _Node) -> Iterator[bytes]:
    """A directory's blocks: the entries first, then their names back to back; only the last block may be short."""
    parent_nid = (_FIRST_INODE + node.parent * _INODE.size) // _INODE_SLOT
    entries = [(b".", node.nid, _TYPE_DIRECTORY), (b"..", parent_nid, _TYPE_DIRECTORY)]
    entries += [(name, child.nid, child.file_type) for name, child in node.children.items()]
    block: list[tuple[bytes, int, int]] = []
    used = 0
    for entry in sorted(entries):
        needed = _DIRENT.size + len(entry[0])
        if used + needed > BLOCK:
            yield _directory_block(block).ljust(BLOCK, b"\0")
            block, used = [], 0
        block.append(entry)
        used += needed
    yield _directory_block(block)


def _directory_block(entries: Sequence[tuple[bytes, int, int]]) -> bytes:
    at = len(entries) * _DIRENT.size
    table, names = [], []
    for name, nid, file_type in entries:
        table.append(_DIRENT.pack(nid, at, file_type, 0))
        names.append(name)
        at += len(name)
    return b"".join((*table, *names))


def _inode(node: _Node) -> bytes:
    if node.is_directory:
        subdirectories = sum(child.is_directory for child in node.children.values())
        mode, links = stat.S_IFDIR | 0o555, 2 + subdirectories
    else:
        mode, links = stat.S_IFREG | 0o444, 1
    return _INODE.pack(
        _EXTENDED_PLAIN, 0, mode, 0, node.size, node.address, node.number + 1, 0, 0, 0, 0, links, bytes(16)
    )


def _with_superblock(metadata: bytes, blocks: int, inodes: int) -> bytes:
    """``metadata`` with the superblock in its first block; the UUID is a digest of the rest, so of paths and sizes."""
    file_system_uuid = uuid.UUID(bytes=hashlib.sha256(metadata).digest()[:16], version=4)
    superblock = _SUPERBLOCK.pack(
        _MAGIC, 0, _COMPAT_SB_CHKSUM, _BLOCK_BITS, 0, _FIRST_INODE // _INODE_SLOT, inodes, 0, 0, blocks, 0, 0,
        file_system_uuid.bytes, b"weights".ljust(16, b"\0"), 0, 0, 0, 0, 0, 0, 0, 0, bytes(24),
    )  # fmt: skip
    image = bytearray(metadata)
    image[_SUPER_OFFSET : _SUPER_OFFSET + len(superblock)] = superblock
    image[_CHECKSUM_FIELD] = crc32c(image[_SUPER_OFFSET:BLOCK]).to_bytes(4, "little")
    return bytes(image)
