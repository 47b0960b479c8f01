"""Extended attributes of an EROFS image (Linux fs/erofs/erofs_fs.h, xattr.c): inline, shared, with long prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.image.binary import BinaryView
from builder.image.erofs_layout import ErofsInode, ErofsSuperblock, read_inode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.erofs_compressed import ErofsData

_PREFIXES = {
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    6: b"security.",
}
_LONG_PREFIX = 0x80
_HEADER_SIZE = 12
_ENTRY_SIZE = 4
_MAX_PACKED_SIZE = 64 << 20

Xattrs = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class XattrReader:
    """Reads the attributes of inodes; ``long_prefixes`` are whole ("trusted.overlay.")."""

    image: BinaryView
    shared_offset: int
    long_prefixes: tuple[bytes, ...]

    def read(self, inode: ErofsInode) -> Xattrs:
        """The attributes sorted by name. Raises MalformedImageError for unknown prefixes and for duplicates."""
        if not inode.xattr_size:
            return ()
        body = self.image.named(f"xattrs of {inode.structure}").view(inode.end, inode.xattr_size)
        inline_start = _HEADER_SIZE + body.u8(4) * 4
        if inline_start > len(body):
            raise body.error(4, f"{body.u8(4)} shared attributes are more than its {len(body)} bytes hold")
        found: dict[str, bytes] = {}
        for entry in (*self._shared(body, inline_start), *_inline(body, inline_start)):
            name = self._name(entry)
            if name in found:
                raise entry.error(0, f"{name} is there twice")
            found[name] = entry.read(_ENTRY_SIZE + entry.u8(0), entry.u16(2))
        return tuple(sorted(found.items()))

    def _shared(self, body: BinaryView, end: int) -> Iterator[BinaryView]:
        for offset in range(_HEADER_SIZE, end, 4):
            start = self.shared_offset + body.u32(offset) * 4
            yield _entry(self.image.named("EROFS shared xattr"), start)

    def _name(self, entry: BinaryView) -> str:
        index = entry.u8(1)
        if index & _LONG_PREFIX:
            number = index & ~_LONG_PREFIX
            prefix = self.long_prefixes[number] if number < len(self.long_prefixes) else None
        else:
            prefix = _PREFIXES.get(index)
        if prefix is None:
            raise entry.error(1, f"the name prefix {index:#x} is unknown")
        name = prefix + entry.read(_ENTRY_SIZE, entry.u8(0))
        if b"\0" in name:
            raise entry.error(_ENTRY_SIZE, "a name has a NUL in it")
        return name.decode("utf-8", "surrogateescape")


def open_xattrs(image: BinaryView, superblock: ErofsSuperblock, data: ErofsData) -> XattrReader:
    """A reader for the attributes of an image. Raises MalformedImageError if its long prefixes are broken."""
    return XattrReader(image, superblock.xattr_offset, tuple(_long_prefixes(image, superblock, data)))


def _inline(body: BinaryView, start: int) -> Iterator[BinaryView]:
    offset = start
    while offset < len(body):
        if not body.u32(offset):  # room that mkfs.erofs keeps free (--root-xattr-isize)
            offset += 4
            continue
        entry = _entry(body, offset)
        yield entry
        offset += -(-len(entry) // 4) * 4


def _entry(view: BinaryView, offset: int) -> BinaryView:
    return view.view(offset, _ENTRY_SIZE + view.u8(offset) + view.u16(offset + 2))


def _long_prefixes(image: BinaryView, superblock: ErofsSuperblock, data: ErofsData) -> Iterator[bytes]:
    """Prefixes are records of a 16 bit length, a base prefix and what follows it, each aligned to 4 bytes."""
    if not superblock.xattr_prefix_count:
        return
    source = image.named("EROFS xattr prefixes")
    if superblock.packed_nid:
        inode = read_inode(image, superblock, superblock.packed_nid)
        if inode.size > _MAX_PACKED_SIZE:
            raise source.error(inode.end, f"the packed inode has {inode.size} bytes, more than prefixes need")
        source = BinaryView.of(b"".join(data.pieces(inode)), "EROFS packed inode")
    offset = superblock.xattr_prefix_offset
    for _ in range(superblock.xattr_prefix_count):
        length = source.u16(offset) or 1 << 16
        base = _PREFIXES.get(source.u8(offset + 2))
        if base is None:
            raise source.error(offset + 2, f"the base prefix {source.u8(offset + 2):#x} is unknown")
        yield base + source.read(offset + 3, length - 1)
        offset += -(-(2 + length) // 4) * 4
