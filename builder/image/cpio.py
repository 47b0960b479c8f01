"""Archives in the cpio form that the kernel unpacks: newc and crc.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c, which decides.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

MAGICS = (b"070701", b"070702")
_CRC_MAGIC = b"070702"
_HEADER_SIZE = 110
_FIELDS = re.compile(rb"[0-9a-fA-F]{104}")
_TRAILER = b"TRAILER!!!"
_MAX_NAME = 4096
_MAX_ENTRIES = 1_000_000
_TYPES = {stat.S_IFREG, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFLNK}


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """One file. ``path`` has no leading slash, "" is the root; ``content`` is empty but for regular files.

    Bytes of names and targets that are not UTF-8 are kept as surrogates (PEP 383); ``device`` is (major, minor).
    """

    path: str
    mode: int
    uid: int
    gid: int
    nlink: int
    mtime: int
    content: memoryview
    target: str | None
    device: tuple[int, int] | None

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return len(self.content)

    @property
    def has_other_names(self) -> bool:
        """Whether it may be a hard link (init/initramfs.c ``maybe_link``): no directory and no symbolic link is."""
        return self.nlink > 1 and not (stat.S_ISDIR(self.mode) or stat.S_ISLNK(self.mode))


@dataclass(frozen=True, slots=True)
class _Header:
    ino: int
    mode: int
    uid: int
    gid: int
    nlink: int
    mtime: int
    size: int
    device: tuple[int, int]
    rdevice: tuple[int, int]
    name_size: int
    checksum: int
    has_checksum: bool

    @property
    def link_key(self) -> tuple[object, ...]:
        """What hard links of one file have in common (init/initramfs.c ``find_link``)."""
        return self.ino, self.device, stat.S_IFMT(self.mode)


def read_archive(data: BinaryView, offset: int) -> tuple[tuple[CpioEntry, ...], int]:
    """The entries of the archive that starts at ``offset``, and the offset behind its trailer.

    Names of one file (hard links) all get its content. Raises MalformedImageError for what breaks the format, for an
    archive without a trailer, a wrong checksum, and links that disagree about their file.
    """
    entries: list[CpioEntry] = []
    links: dict[tuple[object, ...], list[int]] = {}
    while True:
        header = _read_header(data, offset)
        name_offset = offset + _HEADER_SIZE
        name = _read_name(data, name_offset, header.name_size)
        body_offset = _aligned(name_offset + header.name_size)
        if name == _TRAILER:
            if header.size:
                raise data.error(offset, "the trailer of a cpio archive has a content")
            if stat.S_ISLNK(header.mode):  # do_header: the kernel makes a link of this name, and goes on
                raise data.error(offset, "the trailer of a cpio archive is a symbolic link")
            return tuple(entries), min(body_offset, len(data))
        if len(entries) == _MAX_ENTRIES:
            raise data.error(offset, f"there are more than {_MAX_ENTRIES} entries in a cpio archive")
        body = data.slice(body_offset, header.size)
        if header.has_checksum and stat.S_ISREG(header.mode) and sum(body) & 0xFFFFFFFF != header.checksum:
            raise data.error(offset, f"the checksum of {name!r} is {sum(body):#x}, not {header.checksum:#x}")
        entries.append(_entry(data, offset, header, name, body))
        if entries[-1].has_other_names:
            group = links.setdefault(header.link_key, [])
            group.append(len(entries) - 1)
            _join_links(data, offset, entries, group)
        offset = _aligned(body_offset + header.size)


def _read_header(data: BinaryView, offset: int) -> _Header:
    raw = data.read(offset, _HEADER_SIZE)
    if raw[:6] not in MAGICS or not _FIELDS.fullmatch(raw, 6):
        raise data.error(offset, f"{raw[:6]!r} does not begin a header of the newc or crc form")
    numbers = [int(raw[at : at + 8], 16) for at in range(6, _HEADER_SIZE, 8)]
    ino, mode, uid, gid, nlink, mtime, size, major, minor, rmajor, rminor, name_size, checksum = numbers
    devices = (major, minor), (rmajor, rminor)
    has_checksum = raw[:6] == _CRC_MAGIC
    return _Header(ino, mode, uid, gid, nlink, mtime, size, *devices, name_size, checksum, has_checksum)


def _read_name(data: BinaryView, offset: int, size: int) -> bytes:
    if not 1 < size <= _MAX_NAME:
        raise data.error(offset, f"a name of {size} bytes is empty, or longer than {_MAX_NAME}")
    name = data.read(offset, size)
    if name.find(b"\0") != size - 1:
        raise data.error(offset, "a name does not end with its only NUL")
    return name[:-1]


def _entry(data: BinaryView, offset: int, header: _Header, name: bytes, body: memoryview) -> CpioEntry:
    kind = stat.S_IFMT(header.mode)
    if kind not in _TYPES or header.mode >> 16:
        raise data.error(offset, f"the mode {header.mode:#o} of {name!r} is of no known type")
    if len(body) and kind not in {stat.S_IFREG, stat.S_IFLNK}:
        raise data.error(offset, f"{name!r} has a content, but is neither a file nor a symbolic link")
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise data.error(offset, f"the path {name!r} leads out of its directory")
    target = bytes(body) if kind == stat.S_IFLNK else None
    if target is not None and (not 0 < len(target) < _MAX_NAME or b"\0" in target):
        raise data.error(offset, f"the symbolic link {name!r} has a target that is empty, too long, or has a NUL in it")
    return CpioEntry(
        path=b"/".join(parts).decode("utf-8", "surrogateescape"),
        mode=header.mode,
        uid=header.uid,
        gid=header.gid,
        nlink=header.nlink,
        mtime=header.mtime,
        content=body if kind == stat.S_IFREG else memoryview(b""),
        target=None if target is None else target.decode("utf-8", "surrogateescape"),
        device=header.rdevice if kind in {stat.S_IFCHR, stat.S_IFBLK} else None,
    )


def _join_links(data: BinaryView, offset: int, entries: list[CpioEntry], group: list[int]) -> None:
    """Only one name of a file carries its content, GNU cpio writes it with the last."""
    first, last = entries[group[0]], entries[group[-1]]
    if len(group) > 1 and first.path == last.path:  # maybe_link: the kernel removes it, and finds nothing to link to
        raise data.error(offset, f"{last.path!r} is twice a name of one file")
    if (first.mode, first.uid, first.gid, first.mtime) != (last.mode, last.uid, last.gid, last.mtime):
        raise data.error(offset, f"{last.path!r} and {first.path!r} are one file with different modes, owners or times")
    if first.device != last.device:
        raise data.error(offset, f"{last.path!r} and {first.path!r} are one node of two devices")
    if first.size and last.size and first.content != last.content:
        raise data.error(offset, f"{last.path!r} and {first.path!r} are one file with two contents")
    if last.size and not first.size:
        for index in group:
            entries[index] = replace(entries[index], content=last.content)
    elif not last.size:
        entries[group[-1]] = replace(last, content=first.content)


def _aligned(offset: int) -> int:
    return -(-offset // 4) * 4
