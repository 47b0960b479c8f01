"""Files of a squashfs 4.0 image: names, owners, modes, attributes and contents.

Source: Linux Documentation/filesystems/squashfs.rst, fs/squashfs/namei.c and dir.c. Directory order matters: the kernel
stops looking for a name at the first one that is greater.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.image.filesystem import MAX_NAME
from builder.image.inode_tree import InodeTree, link_target
from builder.image.squashfs_inode import SquashfsInode, file_pieces, read_inode
from builder.image.squashfs_layout import Blocks, Cursor, SquashfsSuperblock, read_superblock
from builder.image.squashfs_xattr import read_xattrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView
    from builder.image.filesystem import Xattrs

_HEADER: Final = struct.Struct("<III")
_ENTRY: Final = struct.Struct("<HhHH")
_MAX_ENTRIES: Final = 256  # of one header (squashfs_fs.h, SQUASHFS_DIR_COUNT)
_MAX_DIRECTORY: Final = 64 << 20  # 200 000 names of full length
# What is packed may be small for what is in it; hashing it all must still end.
_MAX_EXPANSION: Final = 64
_MIN_BUDGET: Final = 256 << 20
_ZEROS: Final = memoryview(bytes(1 << 20))


@dataclass(frozen=True, slots=True, eq=False)
class Squashfs(InodeTree[SquashfsInode]):
    """An image to read from; made by :func:`open_squashfs`."""

    superblock: SquashfsSuperblock
    blocks: Blocks

    @property
    def name(self) -> str:
        """What the format is called."""
        return "squashfs"

    @property
    def image(self) -> BinaryView:
        """See InodeTree."""
        return self.blocks.image

    @property
    def budget(self) -> int:
        """See InodeTree."""
        return max(len(self.image) * _MAX_EXPANSION, _MIN_BUDGET)

    def root(self) -> SquashfsInode:
        """See InodeTree."""
        return read_inode(self.blocks, self.superblock, self.superblock.root)

    def xattrs(self, inode: SquashfsInode) -> Xattrs:
        """See InodeTree."""
        return read_xattrs(self.blocks, self.superblock, inode)

    def target(self, inode: SquashfsInode) -> str:
        """See InodeTree."""
        return link_target(inode, lambda: inode.target)

    def pieces(self, inode: SquashfsInode) -> Iterator[memoryview]:
        """See InodeTree; a piece per block."""
        limit = self.superblock.block_size
        for piece in file_pieces(self.blocks, self.superblock, inode):
            if piece.is_fragment:
                whole = self.blocks.fragment(piece.start, piece.stored, limit)
                data = whole[piece.offset : piece.offset + piece.length]
            elif piece.stored:
                data = self.blocks.data(piece.start, piece.stored, piece.length, inode.structure)
            else:
                data = _ZEROS[: piece.length]
            if len(data) != piece.length:
                raise inode.error(f"a block has {len(data)} bytes of the {piece.length} that belong to the file")
            yield data

    def children(self, directory: SquashfsInode, parent: SquashfsInode) -> Iterator[tuple[str, SquashfsInode]]:  # noqa: ARG002
        """See InodeTree; no ``.`` and ``..`` are stored."""
        previous = b""
        for reference, kind, number, name in self._raw_entries(directory):
            if not 0 < len(name) <= MAX_NAME or b"/" in name or b"\0" in name or name in {b".", b".."}:
                raise directory.error(f"{name!r} is no file name")
            if name <= previous:
                raise directory.error(f"the name {name!r} is out of order, or there twice")
            previous = name
            child = read_inode(self.blocks, self.superblock, reference)
            if (child.kind, child.stated_number) != (kind, number):
                problem = f"the inode of {name!r} is of type {child.kind}, number {child.stated_number}"
                raise directory.error(f"{problem}, not {kind} and {number} as the directory says")
            yield name.decode("utf-8", "surrogateescape"), child

    def _raw_entries(self, directory: SquashfsInode) -> Iterator[tuple[int, int, int, bytes]]:
        """Reference of the inode, type, inode number and name of each entry; headers stand before runs of them."""
        if directory.size > _MAX_DIRECTORY:
            raise directory.error(f"a directory has {directory.size} bytes")
        cursor = Cursor(self.blocks, self.superblock.directories + directory.start, directory.offset)
        left = directory.size
        while left > 0:
            count, block, base = cursor.unpack(_HEADER)
            left -= _HEADER.size
            if count >= _MAX_ENTRIES:
                raise directory.error(f"a header is for {count + 1} entries, more than {_MAX_ENTRIES}")
            for _ in range(count + 1):
                offset, difference, kind, length = cursor.unpack(_ENTRY)
                left -= _ENTRY.size + length + 1
                if left < 0:
                    raise directory.error("its entries go on behind its end")
                yield block << 16 | offset, kind, base + difference, cursor.read(length + 1)


def open_squashfs(volume: BinaryView) -> Squashfs:
    """The image at the start of ``volume``. Raises MalformedImageError for what is broken or not supported."""
    superblock, size = read_superblock(volume)
    # Nothing may lie behind the end that the image states: it is not part of it.
    image = volume.named("squashfs image").view(0, size)
    return Squashfs(superblock, Blocks(image, superblock.compression))
