"""Event logs for tests: records made to measure, and where the real ones are."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.evidence.algorithms import HashAlgorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[1]
VECTORS = ROOT / "tests" / "vectors"
OWN_LOGS = sorted(VECTORS.glob("own-*/*/binary_bios_measurements"))
# Other projects' test data, laid out as OWNER+REPOSITORY/path; they are too big, and not ours, to be here.
PUBLIC = Path(os.environ.get("BEDPLATE_FIXTURES", ROOT.parent / "shared" / "fixtures"))
BOTH = (HashAlgorithm.SHA256, HashAlgorithm.SHA384)
NO_ACTION, SEPARATOR = 3, 4


def public(path: str) -> bytes:
    """A public log; the test is skipped where they are not."""
    if not (PUBLIC / path).is_file():
        pytest.skip(f"there is no {path} below {PUBLIC} (set BEDPLATE_FIXTURES)")
    return (PUBLIC / path).read_bytes()


def sha1_record(register: int, kind: int, data: bytes, digest: bytes | None = None) -> bytes:
    """TCG_PCR_EVENT."""
    digest = HashAlgorithm.SHA1.digest(data) if digest is None else digest
    return struct.pack("<II20sI", register, kind, digest, len(data)) + data


def record(
    register: int,
    kind: int,
    data: bytes,
    algorithms: Iterable[HashAlgorithm] = BOTH,
    digests: Mapping[int, bytes] | None = None,
) -> bytes:
    """TCG_PCR_EVENT2; digests are of the data unless others are given."""
    if digests is None:
        digests = {algorithm: algorithm.digest(data) for algorithm in algorithms}
    listed = b"".join(struct.pack("<H", algorithm) + digest for algorithm, digest in digests.items())
    return struct.pack("<III", register, kind, len(digests)) + listed + struct.pack("<I", len(data)) + data


def spec_id_data(
    table: Iterable[tuple[int, int]], signature: bytes = b"Spec ID Event03\0", vendor: bytes = b""
) -> bytes:
    """TCG_EfiSpecIDEvent."""
    entries = tuple(table)
    listed = b"".join(struct.pack("<HH", *entry) for entry in entries)
    head = signature + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(entries))
    return head + listed + bytes([len(vendor)]) + vendor


def spec_id(algorithms: Iterable[HashAlgorithm] = BOTH, register: int = 0) -> bytes:
    """The first record of a crypto-agile log."""
    return sha1_record(register, NO_ACTION, spec_id_data((a, a.size) for a in algorithms), bytes(20))


def agile_log(*records: bytes, algorithms: Iterable[HashAlgorithm] = BOTH) -> bytes:
    """A crypto-agile log."""
    return spec_id(algorithms) + b"".join(records)


def no_action(data: bytes, register: int = 0, algorithms: Iterable[HashAlgorithm] = BOTH) -> bytes:
    """An event that extends nothing."""
    return record(register, NO_ACTION, data, digests={a: bytes(a.size) for a in algorithms})
