"""Superblock and inodes of an EROFS image, and the data of those that are not compressed.

Source: Linux fs/erofs/erofs_fs.h, and super.c, inode.c and data.c beside it for what the kernel makes of the fields.
Offsets are bytes from the start of the image.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.image.crc32c import crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.image.binary import BinaryView

SUPER_OFFSET = 1024
INODE_SLOT = 32
_MAGIC = 0xE0F5E1E2
_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQ24s")
_COMPAT_SB_CHKSUM = 0x1
_INCOMPAT_ZERO_PADDING = 0x1
_INCOMPAT_COMPR_CFGS = 0x2
_INCOMPAT_CHUNKED_FILE = 0x4
_INCOMPAT_DEVICE_TABLE = 0x8  # or COMPR_HEAD2: a table is there only if extra_devices is not zero
_INCOMPAT_ZTAILPACKING = 0x10
_INCOMPAT_FRAGMENTS = 0x20  # or DEDUPE
_INCOMPAT_XATTR_PREFIXES = 0x40
_SUPPORTED = (
    _INCOMPAT_ZERO_PADDING
    | _INCOMPAT_COMPR_CFGS
    | _INCOMPAT_CHUNKED_FILE
    | _INCOMPAT_DEVICE_TABLE
    | _INCOMPAT_ZTAILPACKING
    | _INCOMPAT_FRAGMENTS
    | _INCOMPAT_XATTR_PREFIXES
)
_INCOMPAT_NAMES = {0x80: "48BIT", 0x100: "METABOX"}
_KNOWN_ALGORITHMS = 0xF
_LZ4_ONLY = 0x1
_BLOCK_BITS = range(9, 17)

_COMPACT = struct.Struct("<HHHHIIIIHHI")
_EXTENDED = struct.Struct("<HHHHQIIIIQII16s")
LAYOUT_PLAIN, LAYOUT_INLINE, LAYOUT_CHUNKS = 0, 2, 4
COMPRESSED_LAYOUTS = frozenset((1, 3))
# Files may share their data, be holes or decode to a pattern; reading them all must still end.
MAX_EXPANSION = 16
_CHUNK_BITS_MASK = 0x1F
_CHUNK_INDEXES = 0x20
_HOLE = 0xFFFFFFFF
_ZEROS = memoryview(bytes(1 << 20))


@dataclass(frozen=True, slots=True)
class ErofsSuperblock:
    """The fields that reading needs; ``build_time`` is in seconds since 1970 and is the time of every compact inode.

    ``algorithms`` has a bit for each compression that files may use, ``zero_padding`` says that compressed data ends
    with its cluster instead of starting with it.
    """

    block_bits: int
    root_nid: int
    inode_count: int
    build_time: int
    build_time_nsec: int
    blocks: int
    meta_offset: int
    xattr_offset: int
    uuid: uuid.UUID
    volume_name: bytes
    feature_incompat: int
    xattr_prefix_count: int
    xattr_prefix_offset: int
    packed_nid: int
    algorithms: int
    zero_padding: bool

    @property
    def has_map_headers(self) -> bool:
        """Whether a full index has a header that says something (zmap.c, ``z_erofs_fill_inode``)."""
        return bool(self.feature_incompat & (_INCOMPAT_COMPR_CFGS | _INCOMPAT_ZTAILPACKING | _INCOMPAT_FRAGMENTS))

    @property
    def block_size(self) -> int:
        """Bytes of a block."""
        return 1 << self.block_bits


@dataclass(frozen=True, slots=True)
class ErofsInode:
    """An inode. ``detail`` is its block address, device number or chunk format; ``end`` is where its xattrs begin."""

    nid: int
    layout: int
    mode: int
    nlink: int
    size: int
    uid: int
    gid: int
    mtime: int
    mtime_nsec: int
    detail: int
    end: int
    xattr_size: int

    @property
    def structure(self) -> str:
        """How errors call it."""
        return f"EROFS inode {self.nid}"

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device node (Linux ``new_decode_dev``)."""
        return (self.detail & 0xFFF00) >> 8, self.detail & 0xFF | (self.detail >> 12) & 0xFFF00


def read_superblock(image: BinaryView) -> ErofsSuperblock:
    """The checked superblock.

    Raises MalformedImageError for a wrong checksum, for sizes that do not fit the image and for every incompatible
    feature that changes the meaning of an image in a way this reader does not know.
    """
    raw = image.named("EROFS superblock").view(SUPER_OFFSET, _SUPERBLOCK.size)
    (
        magic, checksum, compat, block_bits, _extension_slots, root_nid, inode_count, build_time, build_time_nsec,
        blocks, meta_block, xattr_block, raw_uuid, volume_name, incompat, compression, extra_devices, _device_slot,
        directory_bits, prefix_count, prefix_start, packed_nid, _reserved,
    ) = raw.unpack(_SUPERBLOCK)  # fmt: skip
    if magic != _MAGIC:
        raise raw.error(0, f"the magic number is {magic:#010x}, not {_MAGIC:#010x}")
    if block_bits not in _BLOCK_BITS:
        raise raw.error(12, f"blocks of 2^{block_bits} bytes are not between 512 and 65536")
    if compat & _COMPAT_SB_CHKSUM:
        _check_checksum(image, checksum, 1 << block_bits)
    unknown = incompat & ~_SUPPORTED
    if unknown:
        bits = [1 << bit for bit in range(32) if unknown >> bit & 1]
        names = ", ".join(_INCOMPAT_NAMES.get(bit, f"unknown bit {bit:#x}") for bit in bits)
        raise raw.error(80, f"the image needs features that are not supported: {names}")
    # Without the feature the field is the window of LZ4, which is all that there was.
    algorithms = compression if incompat & _INCOMPAT_COMPR_CFGS else _LZ4_ONLY
    if algorithms & ~_KNOWN_ALGORITHMS:
        raise raw.error(84, f"the compression algorithms {algorithms:#x} are not all known")
    if extra_devices or directory_bits:
        raise raw.error(86, "extra devices and larger directory blocks are not supported")
    if not 0 < blocks << block_bits <= len(image):
        raise raw.error(36, f"{blocks} blocks of {1 << block_bits} bytes are none, or more than the {len(image)} bytes")
    return ErofsSuperblock(
        block_bits=block_bits,
        root_nid=root_nid,
        inode_count=inode_count,
        build_time=build_time,
        build_time_nsec=build_time_nsec,
        blocks=blocks,
        meta_offset=meta_block << block_bits,
        xattr_offset=xattr_block << block_bits,
        uuid=uuid.UUID(bytes=raw_uuid),
        volume_name=volume_name.rstrip(b"\0"),
        feature_incompat=incompat,
        xattr_prefix_count=prefix_count if incompat & _INCOMPAT_XATTR_PREFIXES else 0,
        xattr_prefix_offset=prefix_start * 4,
        packed_nid=packed_nid if incompat & _INCOMPAT_FRAGMENTS else 0,
        algorithms=algorithms,
        zero_padding=bool(incompat & _INCOMPAT_ZERO_PADDING),
    )


def read_inode(image: BinaryView, superblock: ErofsSuperblock, nid: int) -> ErofsInode:
    """The inode with the number ``nid``. Raises MalformedImageError for unknown formats."""
    offset = superblock.meta_offset + nid * INODE_SLOT
    if not 0 <= offset <= len(image) - INODE_SLOT:
        raise MalformedImageError(f"EROFS inode {nid}", image.base + offset, "lies outside the image")
    layout, extended = image.u16(offset) >> 1, image.u8(offset) & 1
    if layout not in {LAYOUT_PLAIN, LAYOUT_INLINE, LAYOUT_CHUNKS, *COMPRESSED_LAYOUTS}:
        problem = f"has the unknown format {layout:#x}, which is not supported"
        raise MalformedImageError(f"EROFS inode {nid}", image.base + offset, problem)
    if extended:
        (_, xattr_count, mode, _, size, detail, _, uid, gid, mtime, mtime_nsec, nlink, _) = image.unpack(
            _EXTENDED, offset
        )
        end = offset + _EXTENDED.size
    else:
        (_, xattr_count, mode, nlink, size, _, detail, _, uid, gid, _) = image.unpack(_COMPACT, offset)
        mtime, mtime_nsec, end = superblock.build_time, superblock.build_time_nsec, offset + _COMPACT.size
    # One header of 12 bytes, then units of 4.
    xattr_size = 12 + 4 * (xattr_count - 1) if xattr_count else 0
    return ErofsInode(nid, layout, mode, nlink, size, uid, gid, mtime, mtime_nsec, detail, end, xattr_size)


def pieces(image: BinaryView, superblock: ErofsSuperblock, inode: ErofsInode) -> Iterator[memoryview]:
    """The data of an inode that is not compressed, without copies; holes come as pieces of zeros of at most 1 MiB."""
    if inode.layout == LAYOUT_CHUNKS:
        yield from _chunks(image, superblock, inode)
        return
    inline = 0
    if inode.layout == LAYOUT_INLINE and inode.size:
        # The last block, whole or not, lies behind the inode and its attributes.
        inline = (inode.size - 1) % superblock.block_size + 1
    if inode.size > inline:
        yield _data(image, inode, inode.detail << superblock.block_bits, inode.size - inline)
    if inline:
        start = inode.end + inode.xattr_size
        if start % superblock.block_size + inline > superblock.block_size:
            raise MalformedImageError(inode.structure, image.base + start, "its inline data crosses a block boundary")
        yield _data(image, inode, start, inline)


def _chunks(image: BinaryView, superblock: ErofsSuperblock, inode: ErofsInode) -> Iterator[memoryview]:
    chunk_format = inode.detail & 0xFFFF
    place = image.base + inode.end
    if not superblock.feature_incompat & _INCOMPAT_CHUNKED_FILE:
        raise MalformedImageError(inode.structure, place, "is in chunks, but the image does not have that feature")
    if inode.detail & ~(_CHUNK_BITS_MASK | _CHUNK_INDEXES):
        raise MalformedImageError(inode.structure, place, f"the chunk format {inode.detail:#x} is not supported")
    chunk_size = 1 << superblock.block_bits + (chunk_format & _CHUNK_BITS_MASK)
    unit = 8 if chunk_format & _CHUNK_INDEXES else 4
    start = -(-(inode.end + inode.xattr_size) // unit) * unit
    count = -(-inode.size // chunk_size)
    table = image.named(inode.structure).view(start, count * unit)
    for number in range(count):
        if unit == 8 and table.u16(number * unit + 2):  # noqa: PLR2004 -- an index with a device number
            raise table.error(number * unit, "a chunk lies on another device")
        address = table.u32(number * unit + unit - 4)
        length = min(chunk_size, inode.size - number * chunk_size)
        if address != _HOLE:
            yield _data(image, inode, address << superblock.block_bits, length)
            continue
        while length:
            zeros = _ZEROS[:length]
            yield zeros
            length -= len(zeros)


def _data(image: BinaryView, inode: ErofsInode, offset: int, length: int) -> memoryview:
    return image.named(inode.structure).slice(offset, length)


def _check_checksum(image: BinaryView, checksum: int, block_size: int) -> None:
    """CRC-32C without final inversion, over the superblock's block from the superblock on, its own field zero."""
    length = block_size - SUPER_OFFSET if block_size > SUPER_OFFSET else block_size
    covered = bytearray(image.named("EROFS superblock").slice(SUPER_OFFSET, length))
    covered[4:8] = bytes(4)
    computed = crc32c(covered)
    if computed != checksum:
        problem = f"the checksum is {computed:#010x}, but the superblock says {checksum:#010x}"
        raise MalformedImageError("EROFS superblock", image.base + SUPER_OFFSET + 4, problem)
