"""Superblock, group descriptors and inodes of ext2, ext3 and ext4.

Source: Linux Documentation/filesystems/ext4, fs/ext4/ext4.h, and super.c and inode.c beside it for what the kernel
makes of the fields. Offsets are bytes from the start of the image.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import MalformedImageError
from builder.image.crc32c import SEED, crc32c

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

SUPER_OFFSET: Final = 1024
_SUPER_SIZE: Final = 1024
_MAGIC: Final = 0xEF53
_CHECKSUM_AT: Final = 0x3FC
_VALID, _ERRORS = 1, 2
ROOT_INODE: Final = 2

INCOMPAT_FILETYPE: Final = 0x2
_RECOVER: Final = 0x4
_INCOMPAT_64BIT: Final = 0x80
_CSUM_SEED: Final = 0x2000
# FILETYPE, EXTENTS, 64BIT, MMP (only for writers), FLEX_BG, EA_INODE, CSUM_SEED, LARGEDIR, INLINE_DATA
_SUPPORTED: Final = INCOMPAT_FILETYPE | 0x40 | _INCOMPAT_64BIT | 0x100 | 0x200 | 0x400 | _CSUM_SEED | 0x4000 | 0x8000
LARGEDIR: Final = 0x4000
_INCOMPAT_NAMES: Final = {
    0x1: "COMPRESSION", 0x8: "JOURNAL_DEV", 0x10: "META_BG", 0x1000: "DIRDATA", 0x10000: "ENCRYPT", 0x20000: "CASEFOLD",
}  # fmt: skip
_METADATA_CSUM: Final = 0x400
_ORPHAN_PRESENT: Final = 0x10000
# SPARSE_SUPER, LARGE_FILE, BTREE_DIR, HUGE_FILE, GDT_CSUM, DIR_NLINK, EXTRA_ISIZE, QUOTA, BIGALLOC, METADATA_CSUM,
# READONLY, PROJECT, SHARED_BLOCKS, VERITY: they change what a writer does, or the bitmaps, which are not read.
_SUPPORTED_READONLY: Final = 0x7F | 0x100 | 0x200 | _METADATA_CSUM | 0x1000 | 0x2000 | 0x4000 | 0x8000
_CRC32C: Final = 1
_BLOCK_BITS: Final = range(10, 17)
_SMALL_INODE: Final = 128
_HIGH_CHECKSUM_SIZE: Final = 4  # i_extra_isize and i_checksum_hi

FLAG_EXTENTS: Final = 0x80000
FLAG_EA_INODE: Final = 0x200000
FLAG_INLINE_DATA: Final = 0x10000000
FLAG_INDEX: Final = 0x1000
_REFUSED_FLAGS: Final = {0x800: "encrypted", 0x40000000: "a directory that ignores case"}
# struct ext4_inode without its checksum, and how the fields go on in inodes of more than 128 bytes.
_INODE: Final = struct.Struct("<HHI8xI4xHHII64xIII4x5H2x")
_LARGE_INODE: Final = struct.Struct("<HH4xI")
_HINT_REPAIR: Final = "on a copy, run e2fsck -f, and check that"


@dataclass(frozen=True, slots=True)
class Ext4Superblock:
    """The fields that reading needs. ``seed`` starts all checksums, None in an image without them."""

    block_bits: int
    blocks: int
    inode_count: int
    inodes_per_group: int
    inode_size: int
    first_inode: int
    descriptor_size: int
    incompat: int
    readonly: int
    seed: int | None

    @property
    def block_size(self) -> int:
        """Bytes of a block."""
        return 1 << self.block_bits


@dataclass(frozen=True, slots=True, eq=False)
class Ext4Volume:
    """An image, cut to its blocks, and where the inodes of each group begin, in bytes."""

    image: BinaryView
    superblock: Ext4Superblock
    inode_tables: tuple[int, ...]

    def blocks(self, first: int, count: int, structure: str) -> BinaryView:
        """Blocks one behind the other, under the name of what they belong to."""
        bits = self.superblock.block_bits
        return self.image.named(structure).view(first << bits, count << bits)


@dataclass(frozen=True, slots=True, eq=False)
class Ext4Inode:
    """An inode. ``raw`` are its own bytes with the attributes in them, ``block`` the 60 bytes of block map or data.

    ``sectors`` is what the inode says it takes, in its own unit; ``seed`` starts the checksums of what belongs to it,
    None where there are none.
    """

    number: int
    raw: BinaryView
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime: int
    flags: int
    sectors: int
    acl_block: int
    extra_size: int
    seed: int | None

    @property
    def block(self) -> BinaryView:
        """The block map, the root of the extent tree, or inline data."""
        return self.raw.view(0x28, 60)

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device node (Linux ``old_decode_dev``, ``new_decode_dev``)."""
        old, new = self.block.u32(0), self.block.u32(4)
        if old:
            return old >> 8 & 0xFF, old & 0xFF
        return (new & 0xFFF00) >> 8, new & 0xFF | (new >> 12) & 0xFFF00

    def error(self, problem: str) -> MalformedImageError:
        """The error to raise for what is wrong with it."""
        return self.raw.error(0, problem)


def read_superblock(image: BinaryView) -> Ext4Superblock:
    """The checked superblock.

    Raises MalformedImageError for a wrong checksum, sizes that do not fit the image, features that are not known or
    not supported, and for an image that a mount or fsck would change before anybody sees its files: one with a journal
    to replay or orphans to remove, or that was not unmounted. What is read here would not be what runs.
    """
    raw = image.named("ext4 superblock").view(SUPER_OFFSET, _SUPER_SIZE)
    if raw.u16(0x38) != _MAGIC:
        raise raw.error(0x38, f"the magic number is {raw.u16(0x38):#06x}, not {_MAGIC:#06x}")
    incompat, readonly = (raw.u32(0x60), raw.u32(0x64)) if raw.u32(0x4C) else (0, 0)
    seed = _checksum_seed(raw, incompat, readonly)
    _refuse_features(raw, incompat, readonly)
    _refuse_unclean(raw, incompat, readonly)
    block_bits = 10 + raw.u32(0x18)
    if block_bits not in _BLOCK_BITS:
        raise raw.error(0x18, f"blocks of 2^{block_bits} bytes are not between 1024 and 65536")
    inode_size, first_inode = (raw.u16(0x58), raw.u32(0x54)) if raw.u32(0x4C) else (_SMALL_INODE, 11)
    if inode_size & inode_size - 1 or not _SMALL_INODE <= inode_size <= 1 << block_bits:
        raise raw.error(0x58, f"inodes of {inode_size} bytes are not a power of two from 128 to a block")
    is_64bit = incompat & _INCOMPAT_64BIT
    descriptor_size = raw.u16(0xFE) if is_64bit else 32
    if is_64bit and (descriptor_size & descriptor_size - 1 or not 64 <= descriptor_size <= 1024):  # noqa: PLR2004
        raise raw.error(0xFE, f"group descriptors of {descriptor_size} bytes are not a power of two from 64 to 1024")
    blocks = raw.u32(0x4) | (raw.u32(0x150) << 32 if is_64bit else 0)
    if not 0 < blocks << block_bits <= len(image):
        raise raw.error(
            0x4, f"{blocks} blocks of {1 << block_bits} bytes are none, or more than the {len(image)} bytes"
        )
    inode_count, per_group = raw.u32(0), raw.u32(0x28)
    if not 0 < per_group <= 8 << block_bits or inode_count % per_group or not inode_count:
        raise raw.error(0x28, f"{inode_count} inodes are not groups of {per_group}")
    return Ext4Superblock(
        block_bits=block_bits,
        blocks=blocks,
        inode_count=inode_count,
        inodes_per_group=per_group,
        inode_size=inode_size,
        first_inode=first_inode,
        descriptor_size=descriptor_size,
        incompat=incompat,
        readonly=readonly,
        seed=seed,
    )


def read_inode(volume: Ext4Volume, number: int) -> Ext4Inode:
    """The inode with the number ``number``.

    Raises MalformedImageError for a number that there is not, a wrong checksum, and what is encrypted or ignores case.
    """
    superblock, structure = volume.superblock, f"ext4 inode {number}"
    if not 0 < number <= superblock.inode_count:
        raise MalformedImageError(structure, None, f"there are only the inodes 1 to {superblock.inode_count}")
    group, index = divmod(number - 1, superblock.inodes_per_group)
    place = volume.inode_tables[group] + index * superblock.inode_size
    raw = volume.image.named(structure).view(place, superblock.inode_size)
    (
        mode, uid, size, mtime, gid, links, sectors, flags, generation, acl_block, size_high,
        sectors_high, acl_high, uid_high, gid_high, checksum,
    ) = raw.unpack(_INODE)  # fmt: skip
    is_large = superblock.inode_size > _SMALL_INODE
    extra_size, checksum_high, mtime_extra = raw.unpack(_LARGE_INODE, _SMALL_INODE) if is_large else (0, 0, 0)
    if extra_size % 4 or extra_size > superblock.inode_size - _SMALL_INODE:
        raise raw.error(0x80, f"{extra_size} bytes of further fields do not fit in it")
    seed = None
    if superblock.seed is not None:
        seed = crc32c(struct.pack("<II", number, generation), superblock.seed)
        if extra_size >= _HIGH_CHECKSUM_SIZE:
            check(raw, 0x7C, _inode_checksum(raw, seed, has_high=True), checksum | checksum_high << 16)
        else:
            check(raw, 0x7C, _inode_checksum(raw, seed, has_high=False) & 0xFFFF, checksum)
    for bit, name in _REFUSED_FLAGS.items():
        if flags & bit:
            raise raw.error(0x20, f"it is {name}, which is not supported")
    if stat.S_ISREG(mode) or superblock.incompat & LARGEDIR:
        size |= size_high << 32
    mtime -= (mtime & 1 << 31) << 1  # signed
    if extra_size >= 0x8C - _SMALL_INODE:
        mtime += (mtime_extra & 3) << 32
    return Ext4Inode(
        number=number,
        raw=raw,
        mode=mode,
        uid=uid | uid_high << 16,
        gid=gid | gid_high << 16,
        links=links,
        size=size,
        mtime=mtime,
        flags=flags,
        sectors=sectors | sectors_high << 32,
        acl_block=acl_block | acl_high << 32,
        extra_size=extra_size,
        seed=seed,
    )


def open_volume(view: BinaryView) -> Ext4Volume:
    """The volume at the start of ``view``.

    Raises MalformedImageError for what :func:`read_superblock` refuses, and a group descriptor with a wrong checksum.
    """
    superblock = read_superblock(view)
    # Nothing may lie behind the last block: what is not part of the image is not covered by its hash tree either.
    image = view.named("ext4 image").view(0, superblock.blocks << superblock.block_bits)
    return Ext4Volume(image, superblock, _inode_tables(image, superblock))


def _inode_tables(image: BinaryView, superblock: Ext4Superblock) -> tuple[int, ...]:
    size = superblock.descriptor_size
    count = superblock.inode_count // superblock.inodes_per_group
    start = (SUPER_OFFSET >> superblock.block_bits) + 1 << superblock.block_bits
    descriptors = image.named("ext4 group descriptors").view(start, count * size)
    tables = []
    for group in range(count):
        raw = descriptors.named(f"ext4 group descriptor {group}").view(group * size, size)
        if superblock.seed is not None:
            covered = bytearray(raw.data)
            covered[0x1E:0x20] = bytes(2)
            computed = crc32c(group.to_bytes(4, "little") + covered, superblock.seed) & 0xFFFF
            check(raw, 0x1E, computed, raw.u16(0x1E))
        block = raw.u32(0x8) | (raw.u32(0x28) << 32 if superblock.incompat & _INCOMPAT_64BIT else 0)
        tables.append(block << superblock.block_bits)
    return tuple(tables)


def check(raw: BinaryView, offset: int, computed: int, stated: int) -> None:
    """Raise MalformedImageError unless the checksum at ``offset`` is what was computed."""
    if computed != stated:
        raise raw.error(offset, f"the checksum is {computed:#x}, but {stated:#x} stands there")


def _checksum_seed(raw: BinaryView, incompat: int, readonly: int) -> int | None:
    if not readonly & _METADATA_CSUM:
        return None
    if raw.u8(0x175) != _CRC32C:
        raise raw.error(0x175, f"the kind of checksum {raw.u8(0x175)} is unknown")
    check(raw, _CHECKSUM_AT, crc32c(raw.slice(0, _CHECKSUM_AT)), raw.u32(_CHECKSUM_AT))
    return raw.u32(0x270) if incompat & _CSUM_SEED else crc32c(raw.slice(0x68, 16), SEED)


def _inode_checksum(raw: BinaryView, seed: int, *, has_high: bool) -> int:
    """The checksum of an inode, which covers all its bytes as if the checksum were zero."""
    covered = bytearray(raw.data)
    covered[0x7C:0x7E] = bytes(2)
    if has_high:
        covered[0x82:0x84] = bytes(2)
    return crc32c(covered, seed)


def _refuse_features(raw: BinaryView, incompat: int, readonly: int) -> None:
    unknown = [1 << bit for bit in range(32) if incompat & ~(_SUPPORTED | _RECOVER) & 1 << bit]
    names = [_INCOMPAT_NAMES.get(bit, f"unknown bit {bit:#x}") for bit in unknown]
    if names:
        raise raw.error(0x60, f"the image needs features that are not supported: {', '.join(names)}")
    unknown = [bit for bit in range(32) if readonly & ~(_SUPPORTED_READONLY | _ORPHAN_PRESENT) & 1 << bit]
    if unknown:
        bits = ", ".join(f"{1 << bit:#x}" for bit in unknown)
        raise raw.error(0x64, f"the image has read-only features that are not known: {bits}")


def _refuse_unclean(raw: BinaryView, incompat: int, readonly: int) -> None:
    if incompat & _RECOVER:
        problem = "the journal has to be replayed first, so its files are not what a mount shows"
    elif readonly & _ORPHAN_PRESENT or raw.u32(0xE8):
        problem = "there are orphaned inodes, which a mount removes or truncates"
    elif raw.u16(0x3A) & (_VALID | _ERRORS) != _VALID:
        problem = "it was not cleanly unmounted, or has errors, so fsck may change its files before they are used"
    else:
        return
    raise raw.error(0x3A, problem, hint=_HINT_REPAIR)
