"""An empty variable store as firmware ships it, small and built from the format's description alone."""

from __future__ import annotations

import struct
import uuid

VOLUME_HEADER_BYTES = 72
HEADER_BYTES = VOLUME_HEADER_BYTES + 28
STORE_BYTES = 8192


def empty_store(trailer: bytes = b"") -> bytes:
    """A firmware volume with an erased authenticated variable store of STORE_BYTES, then ``trailer``."""
    volume_bytes = VOLUME_HEADER_BYTES + STORE_BYTES + len(trailer)
    guid = uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50").bytes_le
    header = bytearray(struct.pack("<16x16sQ4sIHHHBB", guid, volume_bytes, b"_FVH", 0x4FEFF, 72, 0, 0, 0, 2))
    header += struct.pack("<IIII", 1, volume_bytes, 0, 0)  # the block map and its end
    checksum = -sum(struct.unpack("<36H", header)) & 0xFFFF
    struct.pack_into("<H", header, 50, checksum)
    store = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le + struct.pack("<IBB6x", STORE_BYTES, 0x5A, 0xFE)
    return bytes(header) + store + b"\xff" * (STORE_BYTES - len(store)) + trailer
