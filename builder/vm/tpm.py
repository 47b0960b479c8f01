"""TPM 2.0 commands and responses on the wire (TPM 2.0 Library, Part 1 chapter 18 and Part 3).

All integers are big-endian. A command is ``u16 tag, u32 size, u32 command code``, a response ``u16 tag, u32 size,
u32 response code``; with the tag TPM_ST_SESSIONS an authorization area follows the command's handles and a parameter
size precedes the response's parameters. Only what reading PCRs and watching them change needs is here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import ToolFailedError
from builder.measurement.pcr import PCR_COUNT, Bank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

HEADER_SIZE = 10
# swtpm and QEMU use a 4096-byte buffer (CMD_SET_BUFFERSIZE); nothing longer can cross the channel.
MAX_MESSAGE_SIZE = 4096

_ST_NO_SESSIONS = 0x8001
_ST_SESSIONS = 0x8002
_RC_SUCCESS = 0
_RH_NULL = 0x40000007

_CC_PCR_EVENT = 0x0000013C
_CC_PCR_RESET = 0x0000013D
_CC_GET_CAPABILITY = 0x0000017A
_CC_PCR_READ = 0x0000017E
_CC_PCR_EXTEND = 0x00000182
_CC_EVENT_SEQUENCE_COMPLETE = 0x00000185

_CAP_PCRS = 5
_PCR_SELECT_BYTES = PCR_COUNT // 8
_PCRS_PER_READ = 8  # TPML_DIGEST holds eight digests

# TPM_ALG_ID of every hash that a TPM may have: a list of digests cannot be walked without their sizes.
_DIGEST_SIZES = {0x0004: 20, 0x000B: 32, 0x000C: 48, 0x000D: 64, 0x0012: 32, 0x0027: 32, 0x0028: 48, 0x0029: 64}
_BANKS = {bank.algorithm_id: bank for bank in Bank}


class MalformedTpmMessageError(ToolFailedError):
    """A TPM command or response breaks the wire format, or a response says that the command failed.

    ``offset`` is the byte offset inside the message.
    """

    def __init__(self, message: str, offset: int, problem: str) -> None:
        super().__init__(f"{message} at offset {offset:#x}: {problem}")
        self.offset = offset
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Extend:
    """One successful extension of a PCR; ``digests`` holds what went into each bank that bedplate knows."""

    pcr: int
    digests: Mapping[Bank, bytes]


@dataclass(frozen=True, slots=True)
class Reset:
    """One successful TPM2_PCR_Reset: the PCR is all zeros again in every bank."""

    pcr: int


def message_size(header: bytes) -> int:
    """The size of a whole command or response from its first HEADER_SIZE bytes.

    Raises MalformedTpmMessageError if the size is impossible.
    """
    reader = _Reader("TPM message header", header)
    reader.number(2)
    size = reader.number(4)
    if not HEADER_SIZE <= size <= MAX_MESSAGE_SIZE:
        raise reader.error(f"size {size} is not between {HEADER_SIZE} and {MAX_MESSAGE_SIZE}")
    return size


def decode_pcr_change(command: bytes, response: bytes) -> Extend | Reset | None:
    """What a command and its response did to a PCR; ``None`` for failed and for all other commands.

    The digests of TPM2_PCR_Event and TPM2_EventSequenceComplete are taken from the response, because a session may
    have encrypted the command's data. Raises MalformedTpmMessageError if a message of these commands is not whole.
    """
    reader = _Reader("TPM command", command)
    sessions = _header(reader) == _ST_SESSIONS
    code = reader.number(4)
    if code not in {_CC_PCR_EXTEND, _CC_PCR_EVENT, _CC_EVENT_SEQUENCE_COMPLETE, _CC_PCR_RESET}:
        return None
    answer = _Reader("TPM response", response)
    _header(answer)
    if answer.number(4) != _RC_SUCCESS:
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
    answer.number(4)  # the size of the parameters
    return Extend(handle, _digest_values(answer))


def active_banks(transact: Callable[[bytes], bytes]) -> frozenset[int]:
    """The TPM_ALG_IDs of the banks that have PCRs, asked with TPM2_GetCapability(TPM_CAP_PCRS).

    ``transact`` sends one command and returns the response. Raises MalformedTpmMessageError.
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

    ``transact`` sends one command and returns the response. Raises MalformedTpmMessageError.
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
    return struct.pack(">HII", _ST_NO_SESSIONS, HEADER_SIZE + len(body), code) + body


def _answer(name: str, response: bytes) -> _Reader:
    """A reader at the parameters of a successful response without sessions."""
    reader = _Reader(name, response)
    tag = _header(reader)
    code = reader.number(4)
    if code != _RC_SUCCESS or tag != _ST_NO_SESSIONS:
        raise reader.error(f"response code {code:#x}, tag {tag:#x}")
    return reader


def _header(reader: _Reader) -> int:
    """Read tag and size, check the size, return the tag."""
    tag = reader.number(2)
    size = reader.number(4)
    if size != len(reader.data):
        raise reader.error(f"the header says {size} bytes, the message has {len(reader.data)}")
    return tag


def _select(pcrs: Iterable[int]) -> bytes:
    bits = 0
    for pcr in pcrs:
        if not 0 <= pcr < PCR_COUNT:
            raise ValueError(f"there is no PCR {pcr}")
        bits |= 1 << pcr
    return bits.to_bytes(_PCR_SELECT_BYTES, "little")


def _pcr_selections(reader: _Reader) -> list[tuple[int, frozenset[int]]]:
    """TPML_PCR_SELECTION: (TPM_ALG_ID, selected PCRs) per bank."""
    selections = []
    for _ in range(reader.count()):
        algorithm = reader.number(2)
        bits = int.from_bytes(reader.take(reader.number(1)), "little")
        selections.append((algorithm, frozenset(pcr for pcr in range(bits.bit_length()) if bits >> pcr & 1)))
    return selections


def _digest_values(reader: _Reader) -> dict[Bank, bytes]:
    """TPML_DIGEST_VALUES: one digest per hash algorithm, to the end of the message's parameters."""
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
    return digests


class _Reader:
    """Takes big-endian fields off a message; every access is checked against its end."""

    MAX_COUNT = 16  # HASH_COUNT of the largest TPM profile is below this

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.position:
            raise self.error(f"{size} bytes are needed, {len(self.data) - self.position} are left")
        self.position += size
        return self.data[self.position - size : self.position]

    def skip(self, size: int) -> None:
        self.take(size)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def count(self) -> int:
        count = self.number(4)
        if count > self.MAX_COUNT:
            raise self.error(f"a list of {count} entries is longer than {self.MAX_COUNT}")
        return count

    def finish(self) -> None:
        if self.position != len(self.data):
            raise self.error(f"{len(self.data) - self.position} bytes follow the end of the structure")

    def error(self, problem: str) -> MalformedTpmMessageError:
        return MalformedTpmMessageError(self.name, self.position, problem)
