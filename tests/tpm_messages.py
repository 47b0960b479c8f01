"""TPM 2.0 messages built from the specification's tables, for tests of those that take them apart."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PCR_EVENT = 0x13C
PCR_RESET = 0x13D
PCR_EXTEND = 0x182
SEQUENCE_COMPLETE = 0x185
# An authorization area with the password session TPM_RS_PW and an empty password.
AUTHORIZATION = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)


def message(tag: int, code: int, body: bytes) -> bytes:
    """A command or a response with its header."""
    return struct.pack(">HII", tag, 10 + len(body), code) + body


def success(parameters: bytes = b"", *, sessions: bool = False) -> bytes:
    """A response with code TPM_RC_SUCCESS."""
    if not sessions:
        return message(0x8001, 0, parameters)
    return message(0x8002, 0, struct.pack(">I", len(parameters)) + parameters + struct.pack(">HBH", 0, 1, 0))


def digest_values(*digests: tuple[int, bytes]) -> bytes:
    """TPML_DIGEST_VALUES."""
    listed = (struct.pack(">H", algorithm) + digest for algorithm, digest in digests)
    return struct.pack(">I", len(digests)) + b"".join(listed)


def pcr_selection(*banks: tuple[int, Iterable[int]]) -> bytes:
    """TPML_PCR_SELECTION with 24 PCRs per bank."""
    bits = ((bank, sum(1 << pcr for pcr in pcrs)) for bank, pcrs in banks)
    selected = (struct.pack(">HB", bank, 3) + select.to_bytes(3, "little") for bank, select in bits)
    return struct.pack(">I", len(banks)) + b"".join(selected)


def extend_command(pcr: int, values: bytes, authorization: bytes = AUTHORIZATION) -> bytes:
    """TPM2_PCR_Extend."""
    return message(0x8002, PCR_EXTEND, struct.pack(">I", pcr) + authorization + values)
