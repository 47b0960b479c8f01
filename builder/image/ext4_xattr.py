"""Extended attributes of ext4: in the inode, in a block of their own, or one inode per large value.

Source: Linux Documentation/filesystems/ext4/attributes.rst, fs/ext4/xattr.c and acl.c.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from builder.image.crc32c import crc32c
from builder.image.ext4_blocks import mapped_pieces
from builder.image.ext4_layout import FLAG_EA_INODE, Ext4Inode, Ext4Volume, check, read_inode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView
    from builder.image.filesystem import Xattrs

_MAGIC: Final = 0xEA020000
_ACLS: Final = {2: b"system.posix_acl_access", 3: b"system.posix_acl_default"}
_PREFIXES: Final = {0: b"", 1: b"user.", 4: b"trusted.", 6: b"security.", 7: b"system.", 10: b"gnu.", **_ACLS}
_ENTRY: Final = struct.Struct("<BBHIII")
_BLOCK_HEADER: Final = 32
_MAX_VALUE: Final = 1 << 16  # include/uapi/linux/limits.h, XATTR_SIZE_MAX
_INLINE_DATA: Final = "system.data"
_ACL_ENTRY: Final = struct.Struct("<HH")
_ACL_WITH_ID: Final = {0x02, 0x08}  # ACL_USER, ACL_GROUP
_NO_ID: Final = 0xFFFFFFFF


def read_xattrs(volume: Ext4Volume, inode: Ext4Inode) -> Xattrs:
    """The attributes of an inode, sorted by name, without the data that is kept in one of them.

    Raises MalformedImageError for unknown prefixes, a name that is there twice, and values that lie nowhere.
    """
    found = _in_inode(volume, inode)
    found.pop(_INLINE_DATA, None)
    if inode.acl_block:
        for name, value in _in_block(volume, inode).items():
            if name in found:
                raise inode.error(f"the attribute {name} is there twice")
            found[name] = value
    return tuple(sorted(found.items()))


def inline_data(volume: Ext4Volume, inode: Ext4Inode) -> tuple[memoryview, memoryview]:
    """The two parts of data that lies in the inode itself: 60 bytes, and what an attribute holds."""
    more = _in_inode(volume, inode).get(_INLINE_DATA)
    if more is None:
        raise inode.error("it has inline data, but no attribute for it")
    return inode.block.data, memoryview(more)


def _in_inode(volume: Ext4Volume, inode: Ext4Inode) -> dict[str, bytes]:
    start = 128 + inode.extra_size
    if not inode.extra_size or start + 4 > len(inode.raw) or inode.raw.u32(start) != _MAGIC:
        return {}
    body = inode.raw.named(f"xattrs of {inode.raw.structure}").view(start + 4, len(inode.raw) - start - 4)
    return dict(_entries(volume, body, 0))


def _in_block(volume: Ext4Volume, inode: Ext4Inode) -> dict[str, bytes]:
    block = volume.blocks(inode.acl_block, 1, f"xattrs of {inode.raw.structure}")
    if block.u32(0) != _MAGIC or block.u32(8) != 1:
        raise block.error(0, f"a block of attributes begins with {block.read(0, 12).hex()}")
    if volume.superblock.seed is not None:
        covered = bytearray(block.data)
        covered[0x10:0x14] = bytes(4)
        seed = crc32c(inode.acl_block.to_bytes(8, "little"), volume.superblock.seed)
        check(block, 0x10, crc32c(covered, seed), block.u32(0x10))
    return dict(_entries(volume, block, _BLOCK_HEADER))


def _entries(volume: Ext4Volume, body: BinaryView, offset: int) -> Iterator[tuple[str, bytes]]:
    """The entries from ``offset`` of ``body`` on, whose start values are counted from."""
    names = set()
    while body.u32(offset):
        length, index, place, inode_number, size, _ = body.unpack(_ENTRY, offset)
        prefix = _PREFIXES.get(index)
        suffix = body.read(offset + _ENTRY.size, length)
        if prefix is None or b"\0" in suffix or (not length and index not in _ACLS):
            raise body.error(offset, f"an attribute with the prefix {index} and the name {suffix!r} is unknown")
        if size > _MAX_VALUE:
            raise body.error(offset, f"an attribute has {size} bytes, more than {_MAX_VALUE}")
        name = (prefix + suffix).decode("utf-8", "surrogateescape")
        if name in names:
            raise body.error(offset, f"the attribute {name} is there twice")
        names.add(name)
        value = _large_value(volume, inode_number, size) if inode_number else body.read(place, size)
        yield name, _acl(body, offset, value) if index in _ACLS else value
        offset += _ENTRY.size + -(-length // 4) * 4


def _large_value(volume: Ext4Volume, number: int, size: int) -> bytes:
    inode = read_inode(volume, number)
    if not inode.flags & FLAG_EA_INODE or inode.size != size:
        raise inode.error(f"it should hold {size} bytes of an attribute, and does not")
    return b"".join(mapped_pieces(volume, inode))


def _acl(body: BinaryView, offset: int, stored: bytes) -> bytes:
    """An access list as getxattr(2) gives it: version 2, where each entry has an id (linux/posix_acl_xattr.h)."""
    if stored[:4] != struct.pack("<I", 1):
        raise body.error(offset, f"an access list of version {stored[:4].hex()} is unknown")
    rest, entries = stored[4:], [struct.pack("<I", 2)]
    while rest:
        size = 8 if rest[0] in _ACL_WITH_ID else 4
        if len(rest) < size:
            raise body.error(offset, "an access list ends within an entry")
        tag, permissions = _ACL_ENTRY.unpack_from(rest)
        identity = int.from_bytes(rest[4:8], "little") if size > _ACL_ENTRY.size else _NO_ID
        entries.append(struct.pack("<HHI", tag, permissions, identity))
        rest = rest[size:]
    return b"".join(entries)
