"""Superblock, metadata blocks and tables of a squashfs 4.0 image.

Source: Linux Documentation/filesystems/squashfs.rst, fs/squashfs/squashfs_fs.h, and super.c, block.c and cache.c beside
it for what the kernel makes of the fields. Offsets are bytes from the start of the image.
"""

from __future__ import annotations

import lzma
import struct
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import zstandard

from builder.image import lz4

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

_MAGIC: Final = 0x73717368
_SUPERBLOCK: Final = struct.Struct("<IIIIIHHHHHHQQQQQQQQ")
_VERSION: Final = (4, 0)
_BLOCK_BITS: Final = range(12, 21)
GZIP, XZ, LZ4, ZSTD = 1, 4, 5, 6
_COMPRESSORS: Final = {GZIP: "gzip", 2: "lzma", 3: "lzo", XZ: "xz", LZ4: "lz4", ZSTD: "zstd"}
_SUPPORTED: Final = (GZIP, XZ, LZ4, ZSTD)
_REPACK: Final = "unpack it with unsquashfs, and check the directory"
METADATA_SIZE: Final = 8192
_UNCOMPRESSED_METADATA: Final = 0x8000
UNCOMPRESSED_DATA: Final = 1 << 24
NO_TABLE: Final = (1 << 64) - 1
# Metadata is read in order, mostly; the data of small files lies together in one block.
_KEPT_METADATA: Final = 512
_KEPT_FRAGMENTS: Final = 16
_LZMA_MEMORY: Final = 64 << 20
_ZSTD_MAX_WINDOW: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class SquashfsSuperblock:
    """The fields that reading needs; a table that is not there starts at ``NO_TABLE``."""

    inode_count: int
    block_bits: int
    fragment_count: int
    compression: int
    id_count: int
    root: int
    ids: int
    xattrs: int
    inodes: int
    directories: int
    fragments: int

    @property
    def block_size(self) -> int:
        """Bytes of a block of data."""
        return 1 << self.block_bits


def read_superblock(image: BinaryView) -> tuple[SquashfsSuperblock, int]:
    """The checked superblock, and how many bytes the image has.

    Raises MalformedImageError for another version, sizes that do not fit the image and compressors without a reader.
    """
    raw = image.named("squashfs superblock").view(0, _SUPERBLOCK.size)
    (
        magic, inodes, _time, block_size, fragments, compression, block_bits, _flags, id_count, major, minor,
        root, used, ids, xattrs, inode_table, directory_table, fragment_table, _export_table,
    ) = raw.unpack(_SUPERBLOCK)  # fmt: skip
    if magic != _MAGIC:
        raise raw.error(0, f"the magic number is {magic:#010x}, not {_MAGIC:#010x}")
    if (major, minor) != _VERSION:
        raise raw.error(28, f"the version is {major}.{minor}, only 4.0 is supported")
    if compression not in _SUPPORTED:
        name = _COMPRESSORS.get(compression, f"compressor {compression}")
        raise raw.error(20, f"it is compressed with {name}, which is not supported", hint=_REPACK)
    if block_bits not in _BLOCK_BITS or block_size != 1 << block_bits:
        raise raw.error(12, f"blocks of {block_size} bytes (2^{block_bits}) are not between 4 KiB and 1 MiB")
    if not _SUPERBLOCK.size < used <= len(image):
        raise raw.error(40, f"{used} bytes are none, or more than the {len(image)} there are")
    superblock = SquashfsSuperblock(
        inode_count=inodes,
        block_bits=block_bits,
        fragment_count=fragments,
        compression=compression,
        id_count=id_count,
        root=root,
        ids=ids,
        xattrs=xattrs,
        inodes=inode_table,
        directories=directory_table,
        fragments=fragment_table,
    )
    return superblock, used


class Blocks:
    """Decompressed blocks of an image. It keeps the last ones, a bounded number, and changes in no other way."""

    def __init__(self, image: BinaryView, compression: int) -> None:
        self.image = image
        self._compression = compression
        self._metadata: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        self._fragments: OrderedDict[tuple[int, int], memoryview] = OrderedDict()

    def metadata(self, start: int) -> tuple[bytes, int]:
        """The block of metadata at ``start``, and where the next one begins."""
        found = self._metadata.get(start)
        if found is None:
            view = self.image.named("squashfs metadata")
            header = view.u16(start)
            stored = view.view(start + 2, header & ~_UNCOMPRESSED_METADATA)
            if header & _UNCOMPRESSED_METADATA:
                data = stored.read(0, len(stored))
            else:
                data = self._decompress(stored, METADATA_SIZE)
            if not 0 < len(data) <= METADATA_SIZE:
                raise view.error(start, f"a block of metadata has {len(data)} bytes, not 1 to {METADATA_SIZE}")
            found = self._metadata[start] = data, start + 2 + len(stored)
            if len(self._metadata) > _KEPT_METADATA:
                self._metadata.popitem(last=False)
        return found

    def data(self, start: int, size: int, limit: int, structure: str) -> memoryview:
        """The block of data at ``start``, whose ``size`` says whether it is compressed; at most ``limit`` bytes."""
        stored = self.image.named(structure).view(start, size & ~UNCOMPRESSED_DATA)
        if not size & UNCOMPRESSED_DATA:
            return memoryview(self._decompress(stored, limit))
        if len(stored) > limit:
            raise stored.error(0, f"a block has {len(stored)} bytes, more than {limit}")
        return stored.data

    def fragment(self, start: int, size: int, limit: int) -> memoryview:
        """A block that holds the ends of several files."""
        found = self._fragments.get((start, size))
        if found is None:
            found = self._fragments[start, size] = self.data(start, size, limit, "squashfs fragment")
            if len(self._fragments) > _KEPT_FRAGMENTS:
                self._fragments.popitem(last=False)
        return found

    def _decompress(self, stored: BinaryView, limit: int) -> bytes:
        try:
            data = decompress(self._compression, stored.data, limit)
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, ValueError) as error:
            raise stored.error(0, f"the {_COMPRESSORS[self._compression]} data is broken: {error}") from None
        if data is None:
            raise stored.error(0, f"a block does not end, or has more than {limit} bytes")
        return data


def decompress(compression: int, stored: memoryview, limit: int) -> bytes | None:
    """The one stream in ``stored``; None if it has no end, or more than ``limit`` bytes, which are never made."""
    if compression == ZSTD:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW)
        with decompressor.stream_reader(stored) as reader:
            data = reader.read(limit + 1)
        return data if len(data) <= limit else None
    if compression == LZ4:
        data, is_whole = lz4.decode(bytes(stored), limit)
        return data if is_whole else None
    if compression == GZIP:
        gzip = zlib.decompressobj()
        data = gzip.decompress(stored, limit)
        if not gzip.eof and gzip.decompress(gzip.unconsumed_tail, 1):
            return None
        return data if gzip.eof else None
    xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY)
    data = xz.decompress(stored, limit)
    if not xz.eof and xz.decompress(b"", 1):
        return None
    return data if xz.eof else None


class Cursor:
    """Reads on through blocks of metadata, from ``offset`` of the block at ``start``."""

    def __init__(self, blocks: Blocks, start: int, offset: int) -> None:
        self._blocks = blocks
        self._start = start
        self._offset = offset

    @property
    def place(self) -> tuple[int, int]:
        """Block and offset, from which another cursor can go on."""
        return self._start, self._offset

    def read(self, length: int) -> bytes:
        """The next ``length`` bytes. The caller bounds ``length``. Raises MalformedImageError beyond the image."""
        data, following = self._blocks.metadata(self._start)
        if self._offset > len(data):
            problem = f"offset {self._offset} lies outside the block's {len(data)} bytes"
            raise self._blocks.image.named("squashfs metadata").error(self._start, problem)
        found = data[self._offset : self._offset + length]
        self._offset += len(found)
        while len(found) < length:
            self._start = following
            data, following = self._blocks.metadata(self._start)
            self._offset = min(length - len(found), len(data))
            found += data[: self._offset]
        return found

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next fields."""
        return layout.unpack(self.read(layout.size))


def table_entry(blocks: Blocks, table: int, index: int, layout: struct.Struct, structure: str) -> tuple[int, ...]:
    """The entry ``index`` of a table: at ``table`` is a list of the places of its blocks of metadata."""
    block, position = divmod(index, METADATA_SIZE // layout.size)
    data, _ = blocks.metadata(blocks.image.named(structure).u64(table + block * 8))
    offset = position * layout.size
    if offset + layout.size > len(data):
        raise blocks.image.named(structure).error(table, f"its entry {index} is not there")
    return layout.unpack_from(data, offset)
