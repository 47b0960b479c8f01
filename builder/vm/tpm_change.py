"""What a TPM command did to a PCR, read from the command and its response (TPM 2.0 Library, Part 3, chapter 22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.measurement.pcr import PCR_COUNT, Bank
from builder.vm.tpm_message import RC_SUCCESS, ST_SESSIONS, TpmReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CC_PCR_EVENT = 0x0000013C
_CC_PCR_RESET = 0x0000013D
_CC_PCR_EXTEND = 0x00000182
_CC_EVENT_SEQUENCE_COMPLETE = 0x00000185
_RH_NULL = 0x40000007
_PCRS_STARTING_AT_ONES = range(17, 23)

# TPM_ALG_ID of every hash that a TPM may have: a list of digests cannot be walked without their sizes.
_DIGEST_SIZES = {0x0004: 20, 0x000B: 32, 0x000C: 48, 0x000D: 64, 0x0012: 32, 0x0027: 32, 0x0028: 48, 0x0029: 64}
_BANKS = {bank.algorithm_id: bank for bank in Bank}


@dataclass(frozen=True, slots=True)
class Extend:
    """One successful extension of a PCR; ``digests`` holds what went into each bank that bedplate knows."""

    pcr: int
    digests: Mapping[Bank, bytes]


@dataclass(frozen=True, slots=True)
class Reset:
    """One successful TPM2_PCR_Reset: the PCR is all zeros again in every bank."""

    pcr: int


def decode_pcr_change(command: bytes, response: bytes) -> Extend | Reset | None:
    """What a command and its response did to a PCR; ``None`` for failed and for all other commands.

    The digests of TPM2_PCR_Event and TPM2_EventSequenceComplete are taken from the response, because a session may
    have encrypted the command's data. Raises MalformedTpmMessageError if a message of these commands is not whole.
    """
    reader = TpmReader("TPM command", command)
    sessions = reader.header() == ST_SESSIONS
    code = reader.number(4)
    if code not in {_CC_PCR_EXTEND, _CC_PCR_EVENT, _CC_EVENT_SEQUENCE_COMPLETE, _CC_PCR_RESET}:
        return None
    answer = TpmReader("TPM response", response)
    answer.header()
    if answer.number(4) != RC_SUCCESS:
        return None
    if not sessions:
        raise reader.error(f"command {code:#x} succeeded without an authorization")
    handle = reader.number(4)
    if code == _CC_EVENT_SEQUENCE_COMPLETE:
        reader.number(4)  # the sequence object
    if handle == _RH_NULL:
        return None
    if handle >= PCR_COUNT:
        raise reader.error(f"handle {handle:#x} is no PCR")
    if code == _CC_PCR_RESET:
        return Reset(handle)
    if code == _CC_PCR_EXTEND:
        reader.skip(reader.number(4))  # the authorization area
        return Extend(handle, _digest_values(reader))
    return Extend(handle, _digest_values(TpmReader("TPM response parameters", answer.take(answer.number(4)))))


def replay(changes: Iterable[Extend | Reset]) -> dict[tuple[int, Bank], bytes]:
    """The PCRs after ``changes``, from the values that TPM2_Startup(CLEAR) gives them."""
    values = {
        (pcr, bank): (b"\xff" if pcr in _PCRS_STARTING_AT_ONES else b"\0") * bank.size
        for pcr in range(PCR_COUNT)
        for bank in Bank
    }
    for change in changes:
        if isinstance(change, Reset):
            values.update({(change.pcr, bank): bytes(bank.size) for bank in Bank})
        else:
            for bank, digest in change.digests.items():
                values[change.pcr, bank] = bank.extend(values[change.pcr, bank], digest)
    return values


def _digest_values(reader: TpmReader) -> dict[Bank, bytes]:
    """TPML_DIGEST_VALUES: one digest per hash algorithm; nothing may follow."""
    digests: dict[Bank, bytes] = {}
    seen = set()
    for _ in range(reader.count()):
        algorithm = reader.number(2)
        if algorithm not in _DIGEST_SIZES:
            raise reader.error(f"hash algorithm {algorithm:#06x} is unknown")
        if algorithm in seen:
            raise reader.error(f"hash algorithm {algorithm:#06x} occurs twice")
        seen.add(algorithm)
        digest = reader.take(_DIGEST_SIZES[algorithm])
        if algorithm in _BANKS:
            digests[_BANKS[algorithm]] = digest
    reader.finish()
    return digests
