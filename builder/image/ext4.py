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
from builder.image.filesystem import MAX_PATH, FileEntry, bounded_attributes, find_in_tree, join, walk_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView

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
class Ext4:
    """An image to read from; made by :func:`open_ext4`."""

    volume: Ext4Volume

    @property
    def name(self) -> str:
        """What the format is called, whichever of the three it is."""
        return "ext4"

    def entries(self) -> Iterator[FileEntry]:
        """All files, a directory before what is in it, in the order of the disk.

        Raises MalformedImageError for what breaks the format, for directories that are in two places, and for files
        and attributes that together are far larger than the image.
        """
        image = self.volume.image
        budget = max(len(image) * _MAX_EXPANSION, _MIN_BUDGET)
        entries = (self._entry(path, inode) for path, inode in walk_tree(self._root(), self._children, budget))
        return bounded_attributes(entries, len(image), image.structure)

    def entry(self, path: str) -> FileEntry | None:
        """The file at ``path``, symbolic links not followed, or None if there is none."""
        inode = find_in_tree(self._root(), self._children, path)
        return None if inode is None else self._entry(path.strip("/"), inode)

    def _root(self) -> Ext4Inode:
        return read_inode(self.volume, ROOT_INODE)

    def _entry(self, path: str, inode: Ext4Inode) -> FileEntry:
        is_file, is_link = stat.S_ISREG(inode.mode), stat.S_ISLNK(inode.mode)
        return FileEntry(
            path=path,
            inode=inode.number,
            mode=inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            size=inode.size if is_file else 0,
            mtime=inode.mtime,
            xattrs=read_xattrs(self.volume, inode),
            target=self._target(inode) if is_link else None,
            device=inode.device if stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode) else None,
            pieces=lambda: self._pieces(inode),
        )

    def _pieces(self, inode: Ext4Inode) -> Iterator[memoryview]:
        if not inode.flags & FLAG_INLINE_DATA:
            yield from mapped_pieces(self.volume, inode)
            return
        first, second = inline_data(self.volume, inode)
        if inode.size > len(first) + len(second):
            raise inode.error(f"{inode.size} bytes are more than the {len(first) + len(second)} in the inode")
        yield first[: inode.size]
        if inode.size > len(first):
            yield second[: inode.size - len(first)]

    def _target(self, inode: Ext4Inode) -> str:
        if not 0 < inode.size < MAX_PATH:
            raise inode.error(f"a symbolic link has {inode.size} bytes")
        if inode.flags & FLAG_INLINE_DATA:
            target = bytes(join(self._pieces(inode)))
        elif self._has_blocks(inode) != (inode.size >= _FAST_LINK):
            # The kernel goes by the one or by the other, depending on its version (ext4_inode_is_fast_symlink).
            raise inode.error(f"a symbolic link of {inode.size} bytes takes {inode.sectors} sectors")
        elif inode.size < _FAST_LINK:
            target = inode.block.read(0, inode.size)
        else:
            target = bytes(join(mapped_pieces(self.volume, inode)))
        if b"\0" in target:
            raise inode.error("a symbolic link has a NUL in it")
        return target.decode("utf-8", "surrogateescape")

    def _has_blocks(self, inode: Ext4Inode) -> bool:
        return inode.sectors > (self.volume.superblock.block_size // _SECTOR if inode.acl_block else 0)

    def _children(self, directory: Ext4Inode, parent: Ext4Inode) -> Iterator[tuple[str, Ext4Inode]]:
        """The names in a directory and their inodes, without ``.`` and ``..``, which must say the truth."""
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
