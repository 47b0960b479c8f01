"""CRC-32C (Castagnoli), which file systems use for their metadata and which zlib does not have."""

from __future__ import annotations

from typing import Final

import google_crc32c

SEED: Final = 0xFFFFFFFF


def crc32c(data: bytes | bytearray | memoryview, seed: int = SEED) -> int:
    """The register after ``data``, without the final inversion: Linux ``crc32c_le`` and ext4's ``ext4_chksum``."""
    inverted: int = google_crc32c.extend(seed ^ SEED, bytes(data))
    return inverted ^ SEED
