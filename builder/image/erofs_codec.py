"""The compression algorithms of EROFS: one physical cluster in, a known number of bytes out.

Source: Linux fs/erofs/erofs_fs.h (``Z_EROFS_COMPRESSION_*``) and decompressor*.c. A cluster may decode to more than is
asked for (deduplicated data) and may have padding behind it, so decoding ends when the length is reached; what the
cluster would go on to is never made. LZMA is MicroLZMA (XZ Utils,
lzma/container.h): LZMA1 whose first byte, always 0, is replaced by the inverted properties.
"""

from __future__ import annotations

import lzma
import zlib
from typing import TYPE_CHECKING, Final

import zstandard

from builder.image import lz4

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.image.binary import BinaryView

LZ4, LZMA, DEFLATE, ZSTD = 0, 1, 2, 3
NAMES: Final = {LZ4: "LZ4", LZMA: "MicroLZMA", DEFLATE: "DEFLATE", ZSTD: "zstd"}
# Z_EROFS_PCLUSTER_MAX_DSIZE: no cluster decodes to more, so neither does a bomb.
MAX_DECODED: Final = 12 << 20
_ZSTD_MAX_WINDOW: Final = 16 << 20
_ZSTD_UNKNOWN: Final = -1
_ZSTD: Final = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW)
_LZMA_MIN_DICTIONARY: Final = 4096
_LZMA_PROPERTIES: Final = 9 * 5 * 5


def decode(algorithm: int, cluster: BinaryView, length: int) -> bytes:
    """The first ``length`` bytes that a cluster decodes to.

    Raises MalformedImageError for an unknown algorithm, a length that no cluster has, and a cluster that is broken or
    has less in it.
    """
    decoder = _DECODERS.get(algorithm)
    if decoder is None:
        raise cluster.error(0, f"the compression algorithm {algorithm} is unknown")
    if length > MAX_DECODED:
        raise cluster.error(0, f"a cluster of {length} bytes is larger than the {MAX_DECODED} that the format allows")
    try:
        decoded = decoder(cluster.read(0, len(cluster)), length)
    except (zlib.error, zstandard.ZstdError, lzma.LZMAError, ValueError) as error:
        raise cluster.error(0, f"the {NAMES[algorithm]} data is broken: {error}") from None
    if len(decoded) != length:
        raise cluster.error(0, f"the {NAMES[algorithm]} data has {len(decoded)} bytes, {length} are needed")
    return decoded


def _lz4(data: bytes, length: int) -> bytes:
    return lz4.decode(data, length)[0]


def _deflate(data: bytes, length: int) -> bytes:
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(data, length)


def _zstd(data: bytes, length: int) -> bytes:
    """In one go where the frame says to be of this length, or nothing; then it cannot make more of itself."""
    if zstandard.frame_content_size(data) in {_ZSTD_UNKNOWN, length}:
        try:
            return _ZSTD.decompress(data, max_output_size=length)
        except zstandard.ZstdError:  # it has more in it than is wanted, or is broken: the stream tells
            pass
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW)
    with decompressor.stream_reader(data) as reader:
        return reader.read(length)


def _microlzma(data: bytes, length: int) -> bytes:
    properties = ~data[0] & 0xFF if data else _LZMA_PROPERTIES
    if properties >= _LZMA_PROPERTIES:
        raise ValueError("its properties are out of range")
    rest, literal_context = divmod(properties, 9)
    position, literal_position = divmod(rest, 5)
    options = {
        "id": lzma.FILTER_LZMA1,
        # Nothing is further back than what was decoded.
        "dict_size": max(length, _LZMA_MIN_DICTIONARY),
        "lc": literal_context,
        "lp": literal_position,
        "pb": position,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]).decompress(b"\0" + data[1:], length)


_DECODERS: Final[dict[int, Callable[[bytes, int], bytes]]] = {
    LZ4: _lz4, LZMA: _microlzma, DEFLATE: _deflate, ZSTD: _zstd,
}  # fmt: skip
