"""systemd's log of what user space extended: /run/log/systemd/tpm2-measure.log (systemd 252 and later).

A JSON text sequence (RFC 7464: each record is 1E, a JSON object, line feed) of records close to the TCG's Canonical
Event Log in JSON (systemd-pcrextend(8), ``src/shared/tpm2-util.c``, ``tpm2_pcr_log_record``)::

    {"pcr": 11, "digests": [{"hashAlg": "sha256", "digest": "..."}],
     "content_type": "systemd", "content": {"string": "enter-initrd", "eventType": "phase", ...}}

Since 259 a record may have "nv_index" in place of "pcr": an extend of an NvPCR, which no quote of PCRs covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from builder.errors import InvalidInputError, MalformedImageError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.strict_json import decode_json
from builder.evidence.text import printable
from builder.measurement.pcr import PCR_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LOG_BYTES = 4 << 20
MAX_RECORDS = 50_000
_SEPARATOR = b"\x1e"
_MAX_DIGESTS = 16
_STRUCTURE = "systemd measurement log"
_ALGORITHMS = {algorithm.label: algorithm for algorithm in HashAlgorithm} | {
    "sm3-256": HashAlgorithm.SM3_256,
    "sha3-256": HashAlgorithm.SHA3_256,
    "sha3-384": HashAlgorithm.SHA3_384,
    "sha3-512": HashAlgorithm.SHA3_512,
}


@dataclass(frozen=True, slots=True)
class UserspaceEvent:
    """One record. Exactly one of ``pcr`` and ``nv_index`` is set; ``content`` is the record's, as JSON values."""

    index: int
    pcr: int | None
    nv_index: int | None
    digests: Mapping[int, bytes]
    content: Mapping[str, Any]
    offset: int

    @property
    def event_type(self) -> str | None:
        """systemd's name of the kind of event: "phase", "filesystem", "volume-key", "machine-id" ..."""
        kind = self.content.get("eventType")
        return printable(kind) if isinstance(kind, str) else None

    @property
    def string(self) -> str | None:
        """The word that was measured, as the log claims."""
        word = self.content.get("string")
        return word if isinstance(word, str) else None

    @property
    def string_is_measured(self) -> bool:
        """Whether all digests are those of the word. Those of a volume key never are: they are keyed."""
        if self.string is None:
            return False
        word = self.string.encode("utf-8", "surrogatepass")
        return all(HashAlgorithm(identifier).digest(word) == digest for identifier, digest in self.digests.items())

    @property
    def text(self) -> str:
        """One line for a person."""
        kind = self.event_type or "extend"
        where = "" if self.nv_index is None else f" of NvPCR {self.nv_index:#x}"
        return f"systemd {kind}{where}: {printable(self.string) if self.string is not None else 'not stated'}"


@dataclass(frozen=True, slots=True)
class UserspaceLog:
    """A log that nobody vouches for. It may be empty: user space need not extend anything."""

    events: tuple[UserspaceEvent, ...]


def parse_userspace_log(data: bytes) -> UserspaceLog:
    """Read a whole log.

    Raises MalformedImageError for a record that is cut off, no JSON object, with a key twice, without digests, of an
    unknown hash algorithm or PCR, or with digests of a wrong size. What the content says is not judged.
    """
    if len(data) > MAX_LOG_BYTES:
        raise MalformedImageError(_STRUCTURE, 0, f"{len(data)} bytes are more than the {MAX_LOG_BYTES} that are read")
    if not data:
        return UserspaceLog(())
    if not data.startswith(_SEPARATOR):
        raise MalformedImageError(_STRUCTURE, 0, "the first byte is not the record separator 1E")
    if data.count(_SEPARATOR) > MAX_RECORDS:
        raise MalformedImageError(_STRUCTURE, None, f"there are more than {MAX_RECORDS} records")
    events = []
    offset = 1
    for index, record in enumerate(data[1:].split(_SEPARATOR)):
        events.append(_read_record(index, offset, record))
        offset += len(record) + 1
    return UserspaceLog(tuple(events))


def _read_record(index: int, offset: int, record: bytes) -> UserspaceEvent:
    def error(problem: str) -> MalformedImageError:
        return MalformedImageError(f"{_STRUCTURE}, record {index}", offset, problem)

    if not record.endswith(b"\n"):
        raise error("it does not end with a line feed: it was cut off")
    try:
        value = decode_json(record, dict[str, Any], "it is no JSON object")
    except InvalidInputError as problem:
        raise error(str(problem)) from None
    pcr, nv_index = value.get("pcr"), value.get("nv_index")
    if (pcr is None) == (nv_index is None):
        raise error('exactly one of "pcr" and "nv_index" is expected')
    if pcr is not None and (type(pcr) is not int or not 0 <= pcr < PCR_COUNT):
        raise error(f"there is no such PCR: {str(pcr)[:40]!a}")
    if nv_index is not None and (type(nv_index) is not int or not 0 <= nv_index < 1 << 32):
        raise error(f"there is no such NV index: {str(nv_index)[:40]!a}")
    content = value.get("content", {})
    if not isinstance(content, dict):
        raise error('"content" is no JSON object')
    try:
        digests = _digests(value.get("digests"))
    except ValueError as problem:
        raise error(str(problem)) from None
    return UserspaceEvent(index, pcr, nv_index, MappingProxyType(digests), MappingProxyType(content), offset)


def _digests(stated: object) -> dict[int, bytes]:
    """The digests by TPM_ALG_ID. Raises ValueError."""
    if not isinstance(stated, list) or not 0 < len(stated) <= _MAX_DIGESTS:
        raise ValueError(f'"digests" is not a list of 1 to {_MAX_DIGESTS}')
    digests: dict[int, bytes] = {}
    for item in stated:
        name, digest = (item.get("hashAlg"), item.get("digest")) if isinstance(item, dict) else (None, None)
        algorithm = _ALGORITHMS.get(name) if isinstance(name, str) else None
        if algorithm is None or not isinstance(digest, str):
            raise ValueError(f"there is a digest without a known hash algorithm: {str(name)[:40]!a}")
        if algorithm in digests:
            raise ValueError(f"there are two digests of {algorithm.label}")
        if len(digest) != 2 * algorithm.size:
            raise ValueError(f"a digest of {algorithm.label} has {algorithm.size} bytes")
        try:
            digests[algorithm] = bytes.fromhex(digest)
        except ValueError:
            raise ValueError("a digest is not hexadecimal") from None
        if len(digests[algorithm]) != algorithm.size:  # fromhex skips blanks
            raise ValueError("a digest is not hexadecimal")
    return digests
