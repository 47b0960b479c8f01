"""An initrd: cpio archives one after the other, each raw or compressed, unpacked over each other by the kernel.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c (``unpack_to_rootfs``).
Where the kernel skips or guesses (a file whose directory is not there, a path through a symbolic link), or writes into
a file that has other names, too, this refuses.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.image.binary import BinaryView
from builder.image.cpio import MAGICS, CpioEntry, read_archive
from builder.image.decompress import compression_of, decompress

if TYPE_CHECKING:
    from collections.abc import Iterator

RAW = "none"
DEFAULT_LIMIT = 2 << 30
_MAX_SEGMENTS = 1024
_FIRST_MAGIC_BYTE = ord("0")


@dataclass(frozen=True, slots=True)
class InitrdSegment:
    """A run of the initrd that is raw or one compressed stream; offsets and sizes are bytes of the packed initrd."""

    offset: int
    size: int
    compression: str
    entries: tuple[CpioEntry, ...]


@dataclass(frozen=True, slots=True)
class Initrd:
    """``files`` is what is there when the kernel has unpacked all ``segments``, sorted by path; never empty."""

    segments: tuple[InitrdSegment, ...]
    files: tuple[CpioEntry, ...]

    def find(self, path: str) -> CpioEntry | None:
        """The file at ``path``, symbolic links not followed, or None."""
        return next((entry for entry in self.files if entry.path == path.strip("/")), None)


def read_initrd(data: BinaryView, limit: int = DEFAULT_LIMIT) -> Initrd:
    """Unpack an initrd of at most ``limit`` bytes in all.

    Raises MalformedImageError for broken archives and streams, for one that grows beyond the limit, for an empty
    initrd, for files that could not be made where they say they are, and for entries that replace one of several names
    of a file, or a device by another.
    """
    segments = tuple(_segments(data, limit))
    if not segments:
        raise data.error(0, "there is no cpio archive")
    files: dict[str, CpioEntry] = {}
    for segment in segments:
        for entry in segment.entries:
            _place(files, entry, data, segment.offset)
    return Initrd(segments, tuple(files[path] for path in sorted(files)))


def _segments(data: BinaryView, limit: int) -> Iterator[InitrdSegment]:
    offset = _skip_zeros(data, 0)
    for _ in range(_MAX_SEGMENTS):
        if offset == len(data):
            return
        if data.u8(offset) == _FIRST_MAGIC_BYTE:
            if offset % 4:
                raise data.error(offset, "a cpio archive does not begin at a multiple of 4 bytes")
            entries, end = read_archive(data, offset)
            yield InitrdSegment(offset, end - offset, RAW, entries)
        else:
            content, end = decompress(data, offset, limit)
            limit -= len(content)
            unpacked = BinaryView.of(content, f"initrd unpacked from offset {data.base + offset:#x}")
            yield InitrdSegment(offset, end - offset, compression_of(data, offset), _archives(unpacked))
        offset = _skip_zeros(data, end)
    raise data.error(offset, f"there are more than {_MAX_SEGMENTS} archives")


def _archives(data: BinaryView) -> tuple[CpioEntry, ...]:
    """The entries of all archives in a decompressed stream."""
    entries: list[CpioEntry] = []
    offset = _skip_zeros(data, 0)
    while offset < len(data):
        if offset % 4 or data.read(offset, min(6, len(data) - offset)) not in MAGICS:
            raise data.error(offset, "junk inside a compressed archive")
        more, end = read_archive(data, offset)
        entries += more
        offset = _skip_zeros(data, end)
    if not entries:
        raise data.error(0, "there is no cpio archive in a compressed stream")
    return tuple(entries)


def _skip_zeros(data: BinaryView, offset: int) -> int:
    while offset < len(data):
        piece = data.read(offset, min(4096, len(data) - offset))
        rest = piece.lstrip(b"\0")
        if rest:
            return offset + len(piece) - len(rest)
        offset += len(piece)
    return offset


def _place(files: dict[str, CpioEntry], entry: CpioEntry, data: BinaryView, offset: int) -> None:
    """Put an entry where the kernel would make it; a later one takes the place of an earlier one."""
    parent = entry.path.rpartition("/")[0]
    if parent and (parent not in files or not stat.S_ISDIR(files[parent].mode)):
        raise data.error(offset, f"the directory of {entry.path!r} is not there, or no directory")
    before = files.get(entry.path)
    if before is not None and stat.S_ISDIR(before.mode) != stat.S_ISDIR(entry.mode):
        raise data.error(offset, f"{entry.path!r} is a directory in one archive and not in another")
    if before is not None and _keeps_its_file(before, entry):
        raise data.error(offset, f"{entry.path!r} is there already, and the kernel would not make it anew")
    if not entry.path and not stat.S_ISDIR(entry.mode):
        raise data.error(offset, "the root is not a directory")
    files[entry.path] = entry


def _keeps_its_file(before: CpioEntry, after: CpioEntry) -> bool:
    """Whether the kernel would write into the file that is there, and so change its other names, or leave it as it is.

    ``do_name`` opens a file that is there with O_TRUNC, ``maybe_link`` links to whatever the first name of a group is
    by then, and mknod(2) fails on a node of the same type. Nothing changes where the same file comes again.
    """
    if before.has_other_names or after.has_other_names:
        return before != after
    return stat.S_IFMT(before.mode) == stat.S_IFMT(after.mode) and before.device != after.device
