"""Which file system an image holds, by its magic number, and the reader for it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.erofs import Erofs, open_erofs
from builder.image.ext4 import open_ext4
from builder.image.filesystem import FileEntry, FileSystem
from builder.image.squashfs import open_squashfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.image.binary import BinaryView
    from builder.image.erofs import ErofsFile


@dataclass(frozen=True, slots=True, eq=False)
class ErofsFileSystem:
    """An EROFS image as any other file system."""

    image: Erofs

    @property
    def name(self) -> str:
        """What the format is called."""
        return "EROFS"

    def entries(self) -> Iterator[FileEntry]:
        """All files, a directory before what is in it. Raises MalformedImageError for what breaks the format."""
        return (self._entry(file) for file in self.image.walk())

    def entry(self, path: str) -> FileEntry | None:
        """The file at ``path``, symbolic links not followed, or None if there is none."""
        file = self.image.find(path)
        return None if file is None else self._entry(file)

    def _entry(self, file: ErofsFile) -> FileEntry:
        inode = file.inode
        return FileEntry(
            path=file.path,
            inode=inode.nid,
            mode=inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            size=inode.size if stat.S_ISREG(inode.mode) else 0,
            mtime=inode.mtime,
            xattrs=file.xattrs,
            target=file.target,
            device=inode.device if stat.S_ISCHR(inode.mode) or stat.S_ISBLK(inode.mode) else None,
            pieces=lambda: self.image.pieces(inode),
        )


@dataclass(frozen=True, slots=True)
class _Magic:
    """A number at a fixed place (include/uapi/linux/magic.h, util-linux libblkid/src/superblocks)."""

    format: str
    offset: int
    number: bytes

    def matches(self, volume: BinaryView) -> bool:
        fits = self.offset + len(self.number) <= len(volume)
        return fits and volume.read(self.offset, len(self.number)) == self.number


_ENCRYPTED: Final = "open it with its key, and check a copy of what is inside"
_READERS: Final[tuple[tuple[_Magic, Callable[[BinaryView], FileSystem]], ...]] = (
    (_Magic("EROFS", 1024, bytes.fromhex("e2e1f5e0")), lambda volume: ErofsFileSystem(open_erofs(volume))),
    (_Magic("ext4", 1024 + 0x38, bytes.fromhex("53ef")), open_ext4),
    (_Magic("squashfs", 0, b"hsqs"), open_squashfs),
)
_UNSUPPORTED: Final[tuple[tuple[_Magic, str | None], ...]] = (
    (_Magic("btrfs", 0x10040, b"_BHRfS_M"), None),
    (_Magic("XFS", 0, b"XFSB"), None),
    (_Magic("F2FS", 1024, bytes.fromhex("1020f5f2")), None),
    (_Magic("bcachefs", 0x1018, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")), None),
    (_Magic("ISO 9660", 0x8001, b"CD001"), None),
    (_Magic("NTFS", 3, b"NTFS    "), None),
    (_Magic("LUKS", 0, b"LUKS\xba\xbe"), _ENCRYPTED),
    (_Magic("BitLocker", 3, b"-FVE-FS-"), _ENCRYPTED),
    *((_Magic("an LVM physical volume", sector * 512, b"LABELONE"), None) for sector in range(4)),
    (_Magic("a software RAID member", 4096, bytes.fromhex("fc4e2ba9")), None),
    (_Magic("dm-verity hash tree", 0, b"verity\0\0"), "name the partition with the data"),
    (_Magic("swap", 4086, b"SWAPSPACE2"), None),
)
_PARTITION_TABLES: Final = tuple(_Magic("a disk with partitions", size, b"EFI PART") for size in (512, 4096))
_HINT: Final = "mount it, and check the directory"
_READ: Final = ", ".join(magic.format for magic, _ in _READERS)


def open_file_system(volume: BinaryView) -> FileSystem:
    """The file system in ``volume``, opened by the reader for its format.

    Raises InvalidInputError for a format without a reader, named where it is known, and MalformedImageError for what
    the reader refuses, and for a volume with two magic numbers: which one counts is for whoever mounts it to say.
    """
    found = [(magic, reader) for magic, reader in _READERS if magic.matches(volume)]
    other = [(magic, hint) for magic, hint in _UNSUPPORTED if magic.matches(volume)]
    other += [(magic, None) for magic in _PARTITION_TABLES if magic.matches(volume)]
    names = [magic.format for magic, _ in (*found, *other)]
    if len(names) > 1 and found:
        raise MalformedImageError(volume.structure, volume.base, f"it is more than one thing: {', '.join(names)}")
    if found:
        return found[0][1](volume)
    if other:
        problem = f"the {volume.structure} is {names[0]}, which is not read: it has to be {_READ}"
        raise InvalidInputError(problem, hint=other[0][1] or _HINT)
    raise InvalidInputError(f"the {volume.structure} is no known file system: it has to be {_READ}")


def holds_file_system(volume: BinaryView) -> bool:
    """Whether the magic number of a file system is there, read or not; a disk with partitions alone has none."""
    magics = [magic for magic, _ in (*_READERS, *_UNSUPPORTED)]
    return any(magic.matches(volume) for magic in magics)
