"""One compressed stream out of a longer run of bytes, within a limit: how an initrd and its kernel modules are packed.

The output is made in pieces, so that a stream that would grow beyond the limit is refused before it has grown.
"""

from __future__ import annotations

import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

import zstandard

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

GZIP, XZ, ZSTD = "gzip", "xz", "zstd"
_MAGICS = {b"\x1f\x8b": GZIP, b"\xfd7zXZ\0": XZ, b"\x28\xb5\x2f\xfd": ZSTD}
# lib/decompress.c: what the kernel also knows, named so that an error can say what it met.
_UNSUPPORTED = {
    b"\x1f\x9e": "gzip with an old header",
    b"BZh": "bzip2",
    b"\x5d\0": "lzma",
    b"\x89LZ": "lzop",
    b"\x02\x21\x4c\x18": "lz4",
}
_FIRST_INPUT = 1 << 14
_MAX_INPUT = 1 << 20
_MAX_OUTPUT = 1 << 22
_LZMA_MEMORY = 256 << 20
_ZSTD_MAX_WINDOW = 128 << 20
_ZSTD_MAX_BLOCKS = 1 << 20
_ZSTD_RLE_BLOCK, _ZSTD_RESERVED_BLOCK = 1, 3


def compression_of(data: BinaryView, offset: int) -> str:
    """The compression of the stream at ``offset``, by its magic number. Raises MalformedImageError if it is unknown."""
    start = data.read(offset, min(6, len(data) - offset))
    for magic, name in _MAGICS.items():
        if start.startswith(magic):
            return name
    for magic, name in _UNSUPPORTED.items():
        if start.startswith(magic):
            raise data.error(offset, f"{name} compression is not supported")
    raise data.error(offset, f"{start.hex()} begins neither a cpio archive nor a known compression")


def decompress(data: BinaryView, offset: int, limit: int) -> tuple[memoryview, int]:
    """The one gzip member, xz stream or zstd frame at ``offset``, decompressed (read-only), and the offset behind it.

    Raises MalformedImageError if it is broken, ends too early or has more than ``limit`` bytes.
    """
    compression = compression_of(data, offset)
    if compression == ZSTD:
        end = _zstd_frame_end(data, offset)
        return _zstd_frame(data, offset, end, limit), end
    return _stream(data, offset, limit, _Gzip() if compression == GZIP else _Xz())


class _Decompressor(Protocol):
    """Bytes in, at most ``_MAX_OUTPUT`` bytes out; ``unused`` is what was given beyond the end of the stream."""

    name: str
    errors: type[Exception]

    def feed(self, data: bytes) -> bytes: ...
    @property
    def wants_input(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def unused(self) -> bytes: ...


class _Gzip:
    name = GZIP
    errors: type[Exception] = zlib.error

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._full = False

    def feed(self, data: bytes) -> bytes:
        output = self._stream.decompress(self._stream.unconsumed_tail + data, _MAX_OUTPUT)
        self._full = len(output) == _MAX_OUTPUT
        return output

    @property
    def wants_input(self) -> bool:
        return not self._full and not self._stream.unconsumed_tail

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data


class _Xz:
    name = XZ
    errors: type[Exception] = lzma.LZMAError

    def __init__(self) -> None:
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY)

    def feed(self, data: bytes) -> bytes:
        return self._stream.decompress(data, _MAX_OUTPUT)

    @property
    def wants_input(self) -> bool:
        return self._stream.needs_input

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data


def _stream(data: BinaryView, offset: int, limit: int, stream: _Decompressor) -> tuple[memoryview, int]:
    output = bytearray()
    position, size = offset, _FIRST_INPUT
    while not stream.ended:
        piece = b""
        if stream.wants_input:
            # Little at first: what is read beyond a short stream is read again for the next one.
            piece = data.read(position, min(size, len(data) - position))
            if not piece:
                raise data.error(offset, f"the {stream.name} stream has no end")
            position += len(piece)
            size = min(size * 2, _MAX_INPUT)
        try:
            output += stream.feed(piece)
        except stream.errors as error:
            raise data.error(offset, f"the {stream.name} stream is broken: {error}") from None
        _check_limit(data, offset, output, limit)
    return memoryview(output).toreadonly(), position - len(stream.unused)


def _zstd_frame_end(data: BinaryView, offset: int) -> int:
    """Follow the blocks of a frame without decompressing them (RFC 8878, 3.1.1 "Zstandard Frames")."""
    descriptor = data.u8(offset + 4)
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    dictionary_id = (0, 1, 2, 4)[descriptor & 3]
    position = offset + 5 + (1 - single_segment) + dictionary_id + content_size
    for _ in range(_ZSTD_MAX_BLOCKS):
        block = data.u16(position) | data.u8(position + 2) << 16
        kind, size = block >> 1 & 3, block >> 3
        if kind == _ZSTD_RESERVED_BLOCK:
            raise data.error(position, "a zstd block is of the reserved type")
        position += 3 + (1 if kind == _ZSTD_RLE_BLOCK else size)
        if block & 1:
            end = position + (4 if descriptor & 4 else 0)
            data.slice(offset, end - offset)
            return end
    raise data.error(offset, f"the zstd frame has more than {_ZSTD_MAX_BLOCKS} blocks")


def _zstd_frame(data: BinaryView, offset: int, end: int, limit: int) -> memoryview:
    output = bytearray()
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW)
    try:
        with decompressor.stream_reader(data.slice(offset, end - offset)) as reader:
            while piece := reader.read(_MAX_OUTPUT):
                output += piece
                _check_limit(data, offset, output, limit)
    except zstandard.ZstdError as error:
        raise data.error(offset, f"the zstd frame is broken: {error}") from None
    return memoryview(output).toreadonly()


def _check_limit(data: BinaryView, offset: int, output: bytearray, limit: int) -> None:
    if len(output) > limit:
        raise data.error(offset, f"the stream decompresses to more than {limit} bytes")
