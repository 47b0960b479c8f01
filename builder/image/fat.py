"""Files and directories of a FAT12, FAT16 or FAT32 volume (Microsoft FAT32 File System Specification 1.03, fatgen103).

The volume is an EFI system partition, and what the firmware would find in it must be what is seen here: names that
two readers could understand differently (duplicates, orphaned parts of long names) are refused, not repaired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.image.fat_layout import DIRECTORY_ENTRY_SIZE, FAT32, FatLayout, read_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView

ATTRIBUTE_VOLUME_LABEL = 0x08
ATTRIBUTE_DIRECTORY = 0x10
_ATTRIBUTE_LONG_NAME = 0x0F
_ATTRIBUTE_MASK = 0x3F
_END = 0x00
_DELETED = 0xE5
_KANJI_E5 = 0x05
_LOWERCASE_BASE = 0x08
_LOWERCASE_EXTENSION = 0x10
_LAST_LONG_PART = 0x40
_MAX_LONG_PARTS = 20
_MAX_NAME_LENGTH = 255
_MAX_DIRECTORY_SIZE = 65536 * DIRECTORY_ENTRY_SIZE
_MAX_DEPTH = 32
_MAX_ENTRIES = 100_000
_DOT_NAMES = (b".          ", b"..         ")
_FORBIDDEN = frozenset('"*/:<>?\\|') | {chr(code) for code in (*range(32), 127)}


@dataclass(frozen=True, slots=True)
class FatEntry:
    """A file or directory. ``path`` has no leading slash; ``entry_offset`` is that of its short entry in the volume."""

    path: str
    is_directory: bool
    size: int
    first_cluster: int
    attributes: int
    entry_offset: int


@dataclass(frozen=True, slots=True)
class _Slot:
    """A directory entry with its names: the one it goes by, and the short alias."""

    name: str
    alias: str
    entry: BinaryView

    @property
    def is_directory(self) -> bool:
        return bool(self.entry.u8(11) & ATTRIBUTE_DIRECTORY)


@dataclass(frozen=True, slots=True)
class FatVolume:
    """A volume to read from; made by :func:`open_fat`."""

    layout: FatLayout

    def walk(self) -> Iterator[FatEntry]:
        """All files and directories in the order of the disk, a directory before what is in it.

        Raises MalformedImageError for a broken chain, name or directory, and for directories nested in a loop.
        """
        seen = {self.layout.root_cluster}
        pending = [("", 0, self._root())]
        count = 0
        while pending:
            prefix, depth, directory = pending.pop()
            below = []
            for slot in _slots(directory, is_root=depth == 0):
                count += 1
                if count > _MAX_ENTRIES:
                    raise slot.entry.error(0, f"there are more than {_MAX_ENTRIES} entries in the volume")
                entry = self._entry(prefix + slot.name, slot)
                yield entry
                if entry.is_directory:
                    if entry.first_cluster in seen or depth == _MAX_DEPTH:
                        raise slot.entry.error(26, f"the directory {entry.path!r} is in a loop, or nested too deep")
                    seen.add(entry.first_cluster)
                    below.append((entry.path + "/", depth + 1, self._directory(entry.first_cluster)))
            pending.extend(reversed(below))

    def find(self, path: str) -> FatEntry:
        """The entry at ``path``, its parts separated by ``/``, case ignored as FAT does.

        Raises InvalidInputError if there is none.
        """
        wanted = _fold(path.strip("/"))
        for entry in self.walk():
            if _fold(entry.path) == wanted:
                return entry
        raise InvalidInputError(f"there is no {path} in the FAT volume")

    def chain(self, entry: FatEntry) -> tuple[int, ...]:
        """The clusters of a file. Raises MalformedImageError if they are not as many as its size needs."""
        chain = self.layout.chain(entry.first_cluster) if entry.first_cluster else ()
        if not entry.is_directory and len(chain) != -(-entry.size // self.layout.cluster_size):
            problem = f"{entry.path!r} has {entry.size} bytes in {len(chain)} clusters of {self.layout.cluster_size}"
            raise self.layout.view.named("FAT directory entry").error(entry.entry_offset + 28, problem)
        return chain

    def content(self, entry: FatEntry) -> memoryview:
        """The bytes of a file: in place where its clusters are contiguous, else a copy."""
        if entry.is_directory:
            raise InvalidInputError(f"{entry.path} in the FAT volume is a directory")
        runs = self.layout.runs(self.chain(entry))
        if len(runs) == 1:
            return self.layout.view.slice(runs[0][0], entry.size)
        return memoryview(b"".join(self.layout.view.slice(*run) for run in runs))[: entry.size]

    def read_file(self, path: str) -> memoryview:
        """The bytes of the file at ``path``. Raises InvalidInputError if there is none."""
        return self.content(self.find(path))

    def _root(self) -> tuple[BinaryView, ...]:
        layout = self.layout
        if layout.root_cluster:
            return self._directory(layout.root_cluster)
        return (layout.view.view(layout.root_offset, layout.root_size, "FAT root directory"),)

    def _directory(self, first_cluster: int) -> tuple[BinaryView, ...]:
        """The contiguous pieces of a directory; no entry crosses from one to the next."""
        runs = self.layout.runs(self.layout.chain(first_cluster))
        if sum(length for _, length in runs) > _MAX_DIRECTORY_SIZE + self.layout.cluster_size:
            raise self.layout.view.named("FAT directory").error(runs[0][0], "the directory is larger than 2 MiB")
        return tuple(self.layout.view.view(offset, length, "FAT directory") for offset, length in runs)

    def _entry(self, path: str, slot: _Slot) -> FatEntry:
        entry = slot.entry
        cluster = entry.u16(26) | (entry.u16(20) << 16 if self.layout.bits == FAT32 else 0)
        size = entry.u32(28)
        if slot.is_directory and (size or not cluster):
            raise entry.error(28, f"the directory {path!r} has a size, or no cluster")
        return FatEntry(path, slot.is_directory, size, cluster, entry.u8(11), entry.base - self.layout.view.base)


def open_fat(volume: BinaryView) -> FatVolume:
    """The volume in the bytes of a partition. Raises MalformedImageError for a boot sector or broken tables."""
    return FatVolume(read_layout(volume))


def _slots(pieces: tuple[BinaryView, ...], *, is_root: bool) -> Iterator[_Slot]:
    """The used entries of a directory but for ``.``, ``..`` and the volume label; every name is its only owner's."""
    taken: set[str] = set()
    long_parts: list[BinaryView] = []
    for number, entry in enumerate(_raw_entries(pieces)):
        attributes = entry.u8(11)
        if entry.u8(0) == _DELETED:
            _refuse_orphans(long_parts)
        elif attributes & _ATTRIBUTE_MASK == _ATTRIBUTE_LONG_NAME:
            long_parts.append(entry)
        elif attributes & ATTRIBUTE_VOLUME_LABEL:
            _refuse_orphans(long_parts)
            if not is_root:
                raise entry.error(11, "a volume label outside the root directory")
        elif not is_root and number < len(_DOT_NAMES):
            if entry.read(0, 11) != _DOT_NAMES[number]:
                raise entry.error(0, "a directory does not begin with '.' and '..'")
        else:
            alias = _short_name(entry)
            slot = _Slot(_long_name(long_parts, entry) if long_parts else alias, alias, entry)
            names = {_fold(slot.name), _fold(slot.alias)}
            if names & taken:
                raise entry.error(0, f"there is another entry by the name {slot.name!r}")
            taken |= names
            long_parts = []
            yield slot
    _refuse_orphans(long_parts)


def _raw_entries(pieces: tuple[BinaryView, ...]) -> Iterator[BinaryView]:
    for piece in pieces:
        for offset in range(0, len(piece), DIRECTORY_ENTRY_SIZE):
            entry = piece.view(offset, DIRECTORY_ENTRY_SIZE, "FAT directory entry")
            if entry.u8(0) == _END:
                return
            yield entry


def _refuse_orphans(long_parts: list[BinaryView]) -> None:
    if long_parts:
        raise long_parts[0].error(0, "a part of a long name belongs to no entry")


def _short_name(entry: BinaryView) -> str:
    raw = bytearray(entry.read(0, 11))
    if raw[0] == _KANJI_E5:
        raw[0] = _DELETED
    case = entry.u8(12)
    # fatgen103 leaves the code page open; 437 is what firmware has. Every byte of it is a character.
    base, extension = raw[:8].decode("cp437").rstrip(" "), raw[8:].decode("cp437").rstrip(" ")
    base = base.lower() if case & _LOWERCASE_BASE else base
    extension = extension.lower() if case & _LOWERCASE_EXTENSION else extension
    return _checked_name(entry, f"{base}.{extension}" if extension else base)


def _long_name(parts: list[BinaryView], entry: BinaryView) -> str:
    """Join the parts, which stand in reverse before their entry (fatgen103, "FAT Long Directory Entries")."""
    checksum = 0
    for byte in entry.read(0, 11):
        checksum = ((checksum >> 1) | (checksum & 1) << 7) + byte & 0xFF
    if len(parts) > _MAX_LONG_PARTS:
        raise parts[0].error(0, f"a long name has {len(parts)} parts, more than {_MAX_LONG_PARTS}")
    for index, part in enumerate(parts):
        order = len(parts) - index | (0 if index else _LAST_LONG_PART)
        if (part.u8(0), part.u8(12), part.u8(13), part.u16(26)) != (order, 0, checksum, 0):
            raise part.error(0, "a part of a long name is out of order, or belongs to another entry")
    raw = b"".join(part.read(1, 10) + part.read(14, 12) + part.read(28, 4) for part in reversed(parts))
    try:
        name, _, padding = raw.decode("utf-16-le").partition("\0")
    except UnicodeDecodeError:
        raise parts[0].error(1, "a long name is not UTF-16") from None
    if padding.strip("\uffff") or len(name) > _MAX_NAME_LENGTH:
        raise parts[0].error(1, "a long name has something after its end, or is too long")
    return _checked_name(entry, name)


def _checked_name(entry: BinaryView, name: str) -> str:
    if not name or name in {".", ".."} or _FORBIDDEN & set(name):
        raise entry.error(0, f"{name!r} is no file name")
    return name


def _fold(name: str) -> str:
    """Upper case, character by character: FAT compares names so, and ``ß`` stays one character."""
    return "".join(upper if len(upper := character.upper()) == 1 else character for character in name)
