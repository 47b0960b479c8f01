"""Attestations as Google's Go libraries store them: key, quotes and log of one machine in one file.

go-tpm-tools (``gotpm attest``, the agent of Google Cloud's shielded VMs): the protobuf message attest.Attestation of
proto/attest.proto: 1 ak_pub (TPMT_PUBLIC), 2 quotes {1 quote (TPMS_ATTEST), 2 raw_sig (TPMT_SIGNATURE), 3 pcrs
{1 hash (TPM_ALG_ID), 2 map index -> value}}, 3 event_log. One quote per bank.

go-attestation (internal/eventlog's Dump, as its tools write it): JSON with base64 values: AK.Public (TPMT_PUBLIC),
Quote {Quote, Signature}, Log {PCRs [{Index, Digest, DigestAlg}], Raw}; DigestAlg is a number of Go's crypto.Hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, MalformedImageError
from builder.evidence.protobuf import parse_fields
from builder.evidence.strict_json import decode_json
from builder.evidence.tpm_wire import hash_name

if TYPE_CHECKING:
    from builder.evidence.pcr_selection import PcrBanks
    from builder.evidence.protobuf import Fields

_NAME: Final = "go-tpm-tools attestation"
_JSON_NAME: Final = "go-attestation record"
MAX_FILE: Final = 16 << 20
_MAX_QUOTES: Final = 16
_TPM_2: Final = 2
# crypto.Hash of Go's standard library.
_GO_HASHES: Final = {3: "sha1", 5: "sha256", 6: "sha384", 7: "sha512"}


@dataclass(frozen=True, slots=True)
class UntrustedQuote:
    """A quote with the values that it is said to be over: the parts that ``verify_quote`` takes."""

    attest: bytes
    signature: bytes
    pcrs: PcrBanks


@dataclass(frozen=True, slots=True)
class UntrustedAttestation:
    """What such a file holds. ``ak_public`` came with the evidence: to trust it for that is trust on first use."""

    ak_public: bytes
    quotes: tuple[UntrustedQuote, ...]
    event_log: bytes


class _Static(msgspec.Struct):
    version: int = msgspec.field(name="TPMVersion")


class _Key(msgspec.Struct, rename="pascal"):
    public: bytes


class _Quote(msgspec.Struct, rename="pascal"):
    quote: bytes
    signature: bytes


class _Pcr(msgspec.Struct, rename="pascal"):
    index: int
    digest: bytes
    digest_alg: int


class _Log(msgspec.Struct):
    pcrs: list[_Pcr] = msgspec.field(name="PCRs")
    raw: bytes = msgspec.field(name="Raw")


class _Record(msgspec.Struct, rename="pascal"):
    static: _Static
    key: _Key = msgspec.field(name="AK")
    quote: _Quote
    log: _Log


def parse_go_tpm_tools(data: bytes) -> UntrustedAttestation:
    """Read an attest.Attestation.

    Raises MalformedImageError if it breaks the format, InvalidInputError if a hash is not supported.
    """
    _limit(data, _NAME)
    fields = parse_fields(data, _NAME)
    quotes = _messages(fields, 2, "a quote")
    if not 1 <= len(quotes) <= _MAX_QUOTES:
        raise _malformed(f"it has {len(quotes)} quotes, not 1 to {_MAX_QUOTES}")
    return UntrustedAttestation(
        _single_bytes(fields, 1, "ak_pub"),
        tuple(_quote(parse_fields(quote, f"{_NAME} quote")) for quote in quotes),
        # proto3 leaves out a field that is empty.
        _single_bytes({3: [b""], **fields}, 3, "event_log"),
    )


def parse_go_attestation(data: bytes) -> UntrustedAttestation:
    """Read a JSON record. Raises InvalidInputError if it breaks the format, is of a TPM 1.2, or a hash is unknown."""
    _limit(data, _JSON_NAME)
    record = decode_json(data, _Record, _JSON_NAME)
    if record.static.version != _TPM_2:
        raise InvalidInputError(f"{_JSON_NAME}: only quotes of a TPM 2.0 can be verified")
    pcrs: dict[str, dict[int, bytes]] = {}
    for pcr in record.log.pcrs:
        bank = _GO_HASHES.get(pcr.digest_alg)
        if bank is None:
            raise InvalidInputError(f"{_JSON_NAME}: the hash {pcr.digest_alg} of PCR {pcr.index} is not supported")
        if pcr.index in pcrs.setdefault(bank, {}):
            raise InvalidInputError(f"{_JSON_NAME}: PCR {pcr.index} ({bank}) comes twice")
        pcrs[bank][pcr.index] = pcr.digest
    quote = UntrustedQuote(record.quote.quote, record.quote.signature, pcrs)
    return UntrustedAttestation(record.key.public, (quote,), record.log.raw)


def _quote(fields: Fields) -> UntrustedQuote:
    pcrs = parse_fields(_single_bytes(fields, 3, "pcrs"), f"{_NAME} PCRs")
    algorithm = pcrs.get(1, [])
    if len(algorithm) != 1 or not isinstance(algorithm[0], int):
        raise _malformed("the PCRs do not name one hash")
    values: dict[int, bytes] = {}
    for entry in _messages(pcrs, 2, "a PCR"):
        pair = parse_fields(entry, f"{_NAME} PCR")
        # proto3 leaves out a field that is zero: PCR 0 has no index.
        index = pair.get(1, [0])
        if len(index) != 1 or not isinstance(index[0], int) or index[0] in values:
            raise _malformed("a PCR does not have one index of its own")
        values[index[0]] = _single_bytes(pair, 2, "value of a PCR")
    return UntrustedQuote(
        _single_bytes(fields, 1, "quote"),
        _single_bytes(fields, 2, "raw_sig"),
        {hash_name(algorithm[0], _NAME): values},
    )


def _messages(fields: Fields, number: int, what: str) -> list[bytes]:
    messages = []
    for value in fields.get(number, []):
        if not isinstance(value, bytes):
            raise _malformed(f"{what} is no message")
        messages.append(value)
    return messages


def _single_bytes(fields: Fields, number: int, what: str) -> bytes:
    values = fields.get(number, [])
    if len(values) != 1 or not isinstance(values[0], bytes):
        raise _malformed(f"the field {what} is not there once, as bytes")
    return values[0]


def _limit(data: bytes, structure: str) -> None:
    if len(data) > MAX_FILE:
        raise InvalidInputError(f"{structure}: {len(data)} bytes are more than {MAX_FILE}")


def _malformed(problem: str) -> MalformedImageError:
    return MalformedImageError(_NAME, None, problem)
