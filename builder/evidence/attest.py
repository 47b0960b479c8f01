"""What a TPM signs about itself: TPMS_ATTEST (TPM 2.0 Library, Part 2, 10.12.12).

``magic | type | qualifiedSigner | extraData | clockInfo | firmwareVersion | attested``. Of the kinds of statement, a
quote (over PCRs) and a certification (of another key of the same TPM) are read; any other is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.evidence.pcr_selection import read_selection
from builder.evidence.tpm_wire import WireReader

if TYPE_CHECKING:
    from builder.evidence.pcr_selection import Selection

# TPM_GENERATED_VALUE: a restricted key never signs outside data that starts so; what does was made by the TPM.
MAGIC: Final = 0xFF544347
ST_ATTEST_CERTIFY: Final = 0x8017
ST_ATTEST_QUOTE: Final = 0x8018
_KINDS: Final = {
    0x8014: "an NV index (digest)",
    0x8016: "a command audit",
    0x8017: "a certified key",
    0x8018: "a quote",
    0x8019: "a session audit",
    0x801A: "a creation",
    0x801B: "a time",
    0x801C: "an NV index",
}
# A TPM2B_NAME holds a TPMT_HA or a handle, a TPM2B_DATA a TPMT_HA: 2 bytes and the longest digest.
MAX_NAME: Final = 66
MAX_DIGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Clock:
    """TPMS_CLOCK_INFO: ``milliseconds`` that the TPM was powered since it was last cleared, and its counters.

    ``reset_count`` grows with every reset of the machine, ``restart_count`` with every resume; ``safe`` is false if
    a higher value of the clock may have been shown before.
    """

    milliseconds: int
    reset_count: int
    restart_count: int
    safe: bool


@dataclass(frozen=True, slots=True)
class _Attest:
    """The fields that all attestation structures have. Not verified: anybody can write one."""

    raw: bytes
    qualified_signer: bytes
    extra_data: bytes
    clock: Clock
    firmware_version: int


@dataclass(frozen=True, slots=True)
class QuoteAttest(_Attest):
    """A statement on PCRs: which, and ``pcr_digest`` over their values."""

    selection: Selection
    pcr_digest: bytes


@dataclass(frozen=True, slots=True)
class CertifyAttest(_Attest):
    """A statement that an object with this ``name`` is loaded in the TPM, under this ``qualified_name``."""

    name: bytes
    qualified_name: bytes


def parse_quote(data: bytes) -> QuoteAttest:
    """Read a TPMS_ATTEST that holds a quote.

    Raises MalformedImageError if it breaks the format, has another magic number or is another kind of statement, and
    InvalidInputError if a bank's hash algorithm is not supported.
    """
    reader = WireReader(data, "TPM quote")
    head = _head(reader, data, ST_ATTEST_QUOTE)
    selection = read_selection(reader)
    digest = reader.sized(MAX_DIGEST)
    reader.finish()
    return QuoteAttest(*head, selection, digest)


def parse_certify(data: bytes) -> CertifyAttest:
    """Read a TPMS_ATTEST that certifies a key. Raises as ``parse_quote``."""
    reader = WireReader(data, "TPM certification")
    head = _head(reader, data, ST_ATTEST_CERTIFY)
    name = reader.sized(MAX_NAME)
    qualified_name = reader.sized(MAX_NAME)
    reader.finish()
    return CertifyAttest(*head, name, qualified_name)


def _head(reader: WireReader, data: bytes, kind: int) -> tuple[bytes, bytes, bytes, Clock, int]:
    magic = reader.number(4)
    if magic != MAGIC:
        raise reader.error(f"the magic number is {magic:#010x} instead of {MAGIC:#010x}: no TPM made this")
    found = reader.number(2)
    if found != kind:
        raise reader.error(f"it attests {_KINDS.get(found, f'an unknown type {found:#06x}')} instead of {_KINDS[kind]}")
    qualified_signer = reader.sized(MAX_NAME)
    extra_data = reader.sized(MAX_NAME)
    clock = Clock(reader.number(8), reader.number(4), reader.number(4), safe=_yes_no(reader))
    return bytes(data), qualified_signer, extra_data, clock, reader.number(8)


def _yes_no(reader: WireReader) -> bool:
    value = reader.number(1)
    if value > 1:
        raise reader.error(f"a TPMI_YES_NO is {value}")
    return bool(value)
