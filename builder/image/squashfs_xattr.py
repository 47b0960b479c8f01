"""Extended attributes of a squashfs image (Linux fs/squashfs/xattr_id.c and xattr.c)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from builder.image.squashfs_inode import NONE
from builder.image.squashfs_layout import NO_TABLE, Cursor, table_entry

if TYPE_CHECKING:
    from builder.image.filesystem import Xattrs
    from builder.image.squashfs_inode import SquashfsInode
    from builder.image.squashfs_layout import Blocks, SquashfsSuperblock

_TABLE: Final = struct.Struct("<QII")
_ID: Final = struct.Struct("<QII")
_ENTRY: Final = struct.Struct("<HH")
_WORD: Final = struct.Struct("<I")
_REFERENCE: Final = struct.Struct("<Q")
_PREFIXES: Final = {0: b"user.", 1: b"trusted.", 2: b"security."}
_ELSEWHERE: Final = 0x100
_MAX_VALUE: Final = 1 << 16  # include/uapi/linux/limits.h, XATTR_SIZE_MAX
_MAX_COUNT: Final = 1 << 10
_MAX_NAME: Final = 255


def read_xattrs(blocks: Blocks, superblock: SquashfsSuperblock, inode: SquashfsInode) -> Xattrs:
    """The attributes of an inode, sorted by name.

    Raises MalformedImageError for unknown prefixes, a name that is there twice, and sizes that Linux does not have.
    """
    if inode.xattr == NONE:
        return ()
    if superblock.xattrs == NO_TABLE:
        raise inode.error("it has attributes, but the image has no table of them")
    table = blocks.image.named("squashfs xattr table")
    start, ids, _ = table.unpack(_TABLE, superblock.xattrs)
    if inode.xattr >= ids:
        raise inode.error(f"its attributes {inode.xattr} are not one of the {ids} sets")
    reference, count, _ = table_entry(blocks, superblock.xattrs + _TABLE.size, inode.xattr, _ID, inode.structure)
    if count > _MAX_COUNT:
        raise inode.error(f"it has {count} attributes")
    cursor = Cursor(blocks, start + (reference >> 16), reference & 0xFFFF)
    found: dict[str, bytes] = {}
    for _ in range(count):
        kind, length = cursor.unpack(_ENTRY)
        prefix = _PREFIXES.get(kind & ~_ELSEWHERE)
        suffix = cursor.read(min(length, _MAX_NAME))
        if prefix is None or not 0 < length <= _MAX_NAME or b"\0" in suffix:
            raise inode.error(f"an attribute of the type {kind:#x} and the name {suffix!r} is unknown")
        name = (prefix + suffix).decode("utf-8", "surrogateescape")
        if name in found:
            raise inode.error(f"the attribute {name} is there twice")
        found[name] = _value(blocks, cursor, inode, start if kind & _ELSEWHERE else None)
    return tuple(sorted(found.items()))


def _value(blocks: Blocks, cursor: Cursor, inode: SquashfsInode, table: int | None) -> bytes:
    """The value at the cursor, or the one elsewhere in ``table`` that the cursor's value refers to."""
    (size,) = cursor.unpack(_WORD)
    if table is not None:
        if size != _REFERENCE.size:
            raise inode.error(f"the reference to a value has {size} bytes")
        (reference,) = cursor.unpack(_REFERENCE)
        cursor = Cursor(blocks, table + (reference >> 16), reference & 0xFFFF)
        (size,) = cursor.unpack(_WORD)
    if size > _MAX_VALUE:
        raise inode.error(f"an attribute has {size} bytes, more than {_MAX_VALUE}")
    return cursor.read(size)
