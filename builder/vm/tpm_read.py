"""Reading PCRs and their banks from a TPM: TPM2_PCR_Read and TPM2_GetCapability (TPM 2.0 Library, Part 3).

``transact`` everywhere sends one command and returns the response.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from builder.errors import ToolFailedError
from builder.measurement.pcr import PCR_COUNT, Bank
from builder.vm.tpm_message import HEADER_SIZE, RC_SUCCESS, ST_NO_SESSIONS, TpmReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_CC_GET_CAPABILITY = 0x0000017A
_CC_PCR_READ = 0x0000017E
_CAP_PCRS = 5
_PCR_SELECT_BYTES = PCR_COUNT // 8
_PCRS_PER_READ = 8  # TPML_DIGEST holds eight digests


def active_banks(transact: Callable[[bytes], bytes]) -> frozenset[int]:
    """The TPM_ALG_IDs of the banks that have PCRs, asked with TPM2_GetCapability(TPM_CAP_PCRS).

    Raises MalformedTpmMessageError.
    """
    reader = _answer("TPM2_GetCapability response", transact(_command(_CC_GET_CAPABILITY, ">III", _CAP_PCRS, 0, 64)))
    more = reader.number(1)
    capability = reader.number(4)
    if more or capability != _CAP_PCRS:
        raise reader.error(f"capability {capability} (more: {more}) where PCR banks were asked for")
    selections = _pcr_selections(reader)
    reader.finish()
    return frozenset(algorithm for algorithm, selected in selections if selected)


def read_pcrs(transact: Callable[[bytes], bytes], banks: Iterable[Bank]) -> dict[tuple[int, Bank], bytes]:
    """All PCRs of ``banks``. Every read must return what was asked for, and nothing may change in between.

    Raises MalformedTpmMessageError, or ToolFailedError when a PCR changed meanwhile.
    """
    values: dict[tuple[int, Bank], bytes] = {}
    counters = set()
    for bank in banks:
        for first in range(0, PCR_COUNT, _PCRS_PER_READ):
            pcrs = range(first, first + _PCRS_PER_READ)
            counter, digests = parse_pcr_read(transact(pcr_read_command(bank, pcrs)), bank, pcrs)
            counters.add(counter)
            values.update({(pcr, bank): digest for pcr, digest in zip(pcrs, digests, strict=True)})
    if len(counters) > 1:
        raise ToolFailedError("PCRs changed while they were being read")
    return values


def pcr_read_command(bank: Bank, pcrs: Sequence[int]) -> bytes:
    """A TPM2_PCR_Read of at most eight PCRs of one bank."""
    if not 0 < len(pcrs) <= _PCRS_PER_READ:
        raise ValueError(f"one TPM2_PCR_Read returns 1 to {_PCRS_PER_READ} PCRs")
    return _command(_CC_PCR_READ, f">IHB{_PCR_SELECT_BYTES}s", 1, bank.algorithm_id, _PCR_SELECT_BYTES, _select(pcrs))


def parse_pcr_read(response: bytes, bank: Bank, pcrs: Sequence[int]) -> tuple[int, tuple[bytes, ...]]:
    """The update counter and the values in the response to ``pcr_read_command(bank, pcrs)``, in ascending order.

    Raises MalformedTpmMessageError if the TPM returned other PCRs than those asked for.
    """
    reader = _answer("TPM2_PCR_Read response", response)
    counter = reader.number(4)
    selections = _pcr_selections(reader)
    if selections != [(bank.algorithm_id, frozenset(pcrs))]:
        raise reader.error("the TPM returned another selection of PCRs than was asked for")
    if reader.number(4) != len(pcrs):
        raise reader.error(f"the number of digests is not {len(pcrs)}")
    digests = []
    for _ in pcrs:
        if reader.number(2) != bank.size:
            raise reader.error(f"a digest does not have the {bank.size} bytes of {bank.value}")
        digests.append(reader.take(bank.size))
    reader.finish()
    return counter, tuple(digests)


def _command(code: int, layout: str, *fields: int | bytes) -> bytes:
    body = struct.pack(layout, *fields)
    return struct.pack(">HII", ST_NO_SESSIONS, HEADER_SIZE + len(body), code) + body


def _answer(name: str, response: bytes) -> TpmReader:
    """A reader at the parameters of a successful response without sessions."""
    reader = TpmReader(name, response)
    tag = reader.header()
    code = reader.number(4)
    if code != RC_SUCCESS or tag != ST_NO_SESSIONS:
        raise reader.error(f"response code {code:#x}, tag {tag:#x}")
    return reader


def _select(pcrs: Iterable[int]) -> bytes:
    bits = 0
    for pcr in pcrs:
        if not 0 <= pcr < PCR_COUNT:
            raise ValueError(f"there is no PCR {pcr}")
        bits |= 1 << pcr
    return bits.to_bytes(_PCR_SELECT_BYTES, "little")


def _pcr_selections(reader: TpmReader) -> list[tuple[int, frozenset[int]]]:
    """TPML_PCR_SELECTION: (TPM_ALG_ID, selected PCRs) per bank."""
    selections = []
    for _ in range(reader.count()):
        algorithm = reader.number(2)
        bits = int.from_bytes(reader.take(reader.number(1)), "little")
        selections.append((algorithm, frozenset(pcr for pcr in range(bits.bit_length()) if bits >> pcr & 1)))
    return selections
