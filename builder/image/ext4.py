"""Files of an ext2, ext3 or ext4 image: names, owners, modes, attributes and contents."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.image.ext4_blocks import mapped_pieces
from builder.image.ext4_directory import names, starts_with_dots
from builder.image.ext4_layout import (
    FLAG_EA_INODE,
    FLAG_INLINE_DATA,
    ROOT_INODE,
    Ext4Inode,
    Ext4Volume,
    open_volume,
    read_inode,
)
from builder.image.ext4_xattr import inline_data, read_xattrs
from builder.image.filesystem import join
from builder.image.inode_tree import InodeTree, link_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView
    from builder.image.filesystem import Xattrs

# Documentation/filesystems/ext4/directory.rst, "ftype"
_FILE_TYPES: Final = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
# Files may share their data or be holes; hashing them all must still end. No real image comes near this.
_MAX_EXPANSION: Final = 16
_MIN_BUDGET: Final = 16 << 20
_FAST_LINK: Final = 60
_SECTOR: Final = 512


@dataclass(frozen=True, slots=True, eq=False)
class Ext4(InodeTree[Ext4Inode]):
    """An image to read from; made by :func:`open_ext4`."""

    volume: Ext4Volume

    @property
    def name(self) -> str:
        """What the format is called, whichever of the three it is."""
        return "ext4"

    @property
    def image(self) -> BinaryView:
        """See InodeTree."""
        return self.volume.image

    @property
    def budget(self) -> int:
        """See InodeTree."""
        return max(len(self.image) * _MAX_EXPANSION, _MIN_BUDGET)

    def root(self) -> Ext4Inode:
        """See InodeTree."""
        return read_inode(self.volume, ROOT_INODE)

    def xattrs(self, inode: Ext4Inode) -> Xattrs:
        """See InodeTree."""
        return read_xattrs(self.volume, inode)

    def pieces(self, inode: Ext4Inode) -> Iterator[memoryview]:
        """See InodeTree."""
        if not inode.flags & FLAG_INLINE_DATA:
            yield from mapped_pieces(self.volume, inode)
            return
        first, second = inline_data(self.volume, inode)
        if inode.size > len(first) + len(second):
            raise inode.error(f"{inode.size} bytes are more than the {len(first) + len(second)} in the inode")
        yield first[: inode.size]
        if inode.size > len(first):
            yield second[: inode.size - len(first)]

    def target(self, inode: Ext4Inode) -> str:
        """See InodeTree."""
        return link_target(inode, lambda: self._target(inode))

    def _target(self, inode: Ext4Inode) -> bytes:
        if inode.flags & FLAG_INLINE_DATA:
            return bytes(join(self.pieces(inode)))
        if self._has_blocks(inode) != (inode.size >= _FAST_LINK):
            # The kernel goes by the one or by the other, depending on its version (ext4_inode_is_fast_symlink).
            raise inode.error(f"a symbolic link of {inode.size} bytes takes {inode.sectors} sectors")
        if inode.size < _FAST_LINK:
            return inode.block.read(0, inode.size)
        return bytes(join(mapped_pieces(self.volume, inode)))

    def _has_blocks(self, inode: Ext4Inode) -> bool:
        return inode.sectors > (self.volume.superblock.block_size // _SECTOR if inode.acl_block else 0)

    def children(self, directory: Ext4Inode, parent: Ext4Inode) -> Iterator[tuple[str, Ext4Inode]]:
        """See InodeTree."""
        entries = list(names(self.volume, directory))
        if not starts_with_dots(entries, directory, parent):
            raise directory.error("it does not begin with '.' and '..', or they lead elsewhere")
        for number, kind, name in entries[2:]:
            if number < self.volume.superblock.first_inode:
                raise directory.error(f"{name!r} leads to inode {number}, which is the file system's own")
            child = read_inode(self.volume, number)
            if not child.links or child.flags & FLAG_EA_INODE:
                raise child.error(f"{name!r} leads to it, but it is no file, or was removed")
            known = _FILE_TYPES.get(stat.S_IFMT(child.mode))
            if known is None or kind not in {known, None}:
                raise child.error(f"its mode {child.mode:#o} is not of type {kind}, as its directory says")
            yield name.decode("utf-8", "surrogateescape"), child


def open_ext4(volume: BinaryView) -> Ext4:
    """The image at the start of ``volume``. Raises MalformedImageError for what is broken or not supported."""
    return Ext4(open_volume(volume))
