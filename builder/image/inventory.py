"""The inventory: every file of the root file system and of the initrd, with its digest and the package it came from."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from builder.image import dpkg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.image.cpio import CpioEntry
    from builder.image.erofs import Erofs
    from builder.image.filesystem import FileEntry, FileSystem, Xattrs
    from builder.image.initrd import Initrd

Area = Literal["initrd", "root"]
FileType = Literal["file", "directory", "symlink", "char", "block", "fifo", "socket"]

_TYPES: dict[int, FileType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One path.

    ``path`` is absolute ("/" is the root). ``mode`` is the permission bits with set-uid, set-gid and sticky, ``size``
    bytes (0 but for files), ``mtime`` seconds since 1970, ``sha256`` lower-case hexadecimal (None but for files),
    ``xattrs`` pairs of name and hexadecimal value sorted by name, ``target`` that of a symbolic link, ``device`` the
    major and minor number of a device node. ``package`` and ``version`` are None where no package owns the path;
    directories, which packages share, have no owner.
    """

    area: Area
    path: str
    type: FileType
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    sha256: str | None
    xattrs: tuple[tuple[str, str], ...]
    target: str | None
    device: tuple[int, int] | None
    package: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class _Area:
    """An area, and what names the owners of its files."""

    name: Area
    owners: dict[str, str]
    versions: dict[str, str]

    def record(self, file: FileEntry | CpioEntry, sha256: str | None, xattrs: Xattrs = ()) -> FileRecord:
        package = None if stat.S_ISDIR(file.mode) else self.owners.get(file.path)
        return FileRecord(
            area=self.name,
            path=f"/{file.path}",
            type=_TYPES[stat.S_IFMT(file.mode)],
            mode=stat.S_IMODE(file.mode),
            uid=file.uid,
            gid=file.gid,
            size=file.size,
            mtime=file.mtime,
            sha256=sha256,
            xattrs=tuple((name, value.hex()) for name, value in xattrs),
            target=file.target,
            device=file.device,
            package=package,
            version=None if package is None else self.versions.get(package),
        )


def inventory(root: Erofs, initrd: Initrd) -> tuple[FileRecord, ...]:
    """All files of both areas, the initrd first, each sorted by path.

    Owners are looked up in the dpkg database of the same area; without one nothing has an owner. Raises
    MalformedImageError for what breaks a format.
    """
    from builder.image.detect import ErofsFileSystem  # noqa: PLC0415 -- readers that who reads an inventory need not

    return file_system_inventory(ErofsFileSystem(root), initrd)


def file_system_inventory(root: FileSystem, initrd: Initrd) -> tuple[FileRecord, ...]:
    """The same for a root on any file system that is read."""
    records = [*_initrd_records(initrd), *_root_records(root)]
    return tuple(sorted(records, key=lambda record: (record.area, record.path)))


def _root_records(root: FileSystem) -> Iterator[FileRecord]:
    files = tuple(root.entries())
    area = _area(
        "root",
        ((file.path, file.target) for file in files if file.target is not None),
        {file.path: file.content() for file in files if _is_database(file.path, file.mode)},
    )
    digests: dict[int, str] = {}  # by inode number, so that hard links are hashed once
    for file in files:
        if file.is_file and file.inode not in digests:
            digests[file.inode] = _digest(file.pieces())
        yield area.record(file, digests[file.inode] if file.is_file else None, file.xattrs)


def _initrd_records(initrd: Initrd) -> Iterator[FileRecord]:
    area = _area(
        "initrd",
        ((entry.path, entry.target) for entry in initrd.files if entry.target is not None),
        {entry.path: entry.content for entry in initrd.files if _is_database(entry.path, entry.mode)},
    )
    for entry in initrd.files:
        yield area.record(entry, _digest([entry.content]) if stat.S_ISREG(entry.mode) else None)


def _is_database(path: str, mode: int) -> bool:
    if not stat.S_ISREG(mode):
        return False
    directory, _, name = path.rpartition("/")
    return path == f"{dpkg.DATABASE}/status" or (directory == f"{dpkg.DATABASE}/info" and name.endswith(".list"))


def _area(name: Area, links: Iterable[tuple[str, str]], database: dict[str, memoryview]) -> _Area:
    status = database.pop(f"{dpkg.DATABASE}/status", None)
    if status is None:
        return _Area(name, {}, {})
    lists = {path.rpartition("/")[2]: content for path, content in database.items()}
    top_links = {path: target for path, target in links if "/" not in path}
    versions = {package.name: package.version for package in dpkg.packages(status)}
    owners = {path: package for path, package in dpkg.owners(lists, top_links).items() if package in versions}
    return _Area(name, owners, versions)


def _digest(parts: Iterable[memoryview]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
