"""Reading TCG event logs (PC Client Platform Firmware Profile 1.06, chapter 10 "Event Logging").

Three kinds of file hold the same records:

- the SHA-1 log of a TPM 1.2 or of old firmware: ``TCG_PCR_EVENT`` throughout, with or without a Spec ID event;
- the crypto-agile log: one ``TCG_PCR_EVENT`` with the Spec ID event "Spec ID Event03", then ``TCG_PCR_EVENT2``;
- the confidential computing log (ACPI table CCEL; UEFI 2.10, 38.4): crypto-agile, its registers are measurement
  registers and not PCRs, and the rest of its memory area, FF or zero bytes, follows the last record.

A log is what a node says of itself. Nothing here vouches for it: see ``builder.evidence.verified``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.evidence.spec_id import CRYPTO_AGILE, SIGNATURE_PREFIX, SpecId, parse_spec_id
from builder.image.binary import BinaryView
from builder.measurement.events import EventType
from builder.measurement.pcr import PCR_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

# The largest area seen for a CCEL is 1 MiB; a firmware log has some 50 KiB and 150 events.
MAX_LOG_BYTES = 4 << 20
MAX_EVENTS = 50_000
MAX_DIGESTS = 16
SHA1_ID = 0x0004
_SHA1_BYTES = 20
# The signature of the ACPI table that points to a confidential computing log (UEFI 2.10, 38.4.1); as the number of a
# register it would be one that no log has.
_ACPI_TABLE = b"CCEL"
# PFP 10.4.5.4: events that concern no register at all have this index. Windows writes such records, too.
NO_REGISTER = 0xFFFFFFFF
# A cut record of PCR 0 starts with up to four zero bytes; padding must be told from it.
_MIN_ZERO_PADDING = 8
# MRTD and RTMR0 to 3 (UEFI 2.10, 38.4.1, EFI_CC_MR_INDEX for Intel TDX).
CC_REGISTER_COUNT = 5
_TYPES = frozenset(EventType)


class LogFormat(enum.StrEnum):
    """The form of the records."""

    SHA1 = "sha1"
    CRYPTO_AGILE = "crypto-agile"


class RegisterKind(enum.StrEnum):
    """What the register numbers of a log count.

    CC: measurement registers of a confidential VM, where 0 is the launch measurement (MRTD) and 1 to 4 are RTMR0 to 3.
    """

    PCR = "pcr"
    CC = "cc"

    def register_name(self, register: int) -> str:
        """``PCR 7``, ``RTMR0``, ``MRTD``, or ``no register``."""
        if register == NO_REGISTER:
            return "no register"
        if self is RegisterKind.PCR:
            return f"PCR {register}"
        return "MRTD" if register == 0 else f"RTMR{register - 1}"


@dataclass(frozen=True, slots=True)
class UntrustedEvent:
    """One record of a log that nobody vouches for.

    ``index`` counts records from 0, ``offset`` is the record's place in the file, ``type`` is an EventType where the
    number is known and a plain int where it is not. ``digests`` goes from TPM_ALG_ID to bytes.
    """

    index: int
    register: int
    type: int
    digests: Mapping[int, bytes]
    data: bytes
    offset: int

    @property
    def type_name(self) -> str:
        """The TCG's name of the type, or its number in hexadecimal."""
        return self.type.name if isinstance(self.type, EventType) else f"{self.type:#010x}"

    @property
    def extends(self) -> bool:
        """Whether the record stands for an extend of a register."""
        return self.type != EventType.EV_NO_ACTION


@dataclass(frozen=True, slots=True)
class UntrustedEventLog:
    """A log that nobody vouches for. ``algorithms`` goes from TPM_ALG_ID to digest size; ``events`` is never empty.

    An algorithm that bedplate does not know may be among them: the log's table gives its size, so the records can be
    read; there is no replay of such a bank.
    """

    format: LogFormat
    registers: RegisterKind
    spec_id: SpecId | None
    algorithms: Mapping[int, int]
    events: tuple[UntrustedEvent, ...]


def parse_event_log(data: bytes, registers: RegisterKind | None = None) -> UntrustedEventLog:
    """Read a whole log.

    ``registers`` says what the register numbers mean; by default it is a confidential computing log if its Spec ID
    event is not of register 0 (as edk2 writes it), or if it lies in a padded area and names no register above 4 (as
    td-shim writes it: a TPM's log has separators for PCR 0 to 7).

    Raises MalformedImageError for anything cut off, out of bounds, over-long, of an unknown register, with digests of
    algorithms that the log's table lacks, and for a log without events; InvalidInputError for the ACPI table CCEL.
    """
    view = BinaryView.of(data, "event log")
    if len(view) > MAX_LOG_BYTES:
        raise view.error(0, f"{len(view)} bytes are more than the {MAX_LOG_BYTES} that are read")
    if data.startswith(_ACPI_TABLE):
        raise InvalidInputError(
            "event log: this is the ACPI table CCEL, which only says where in memory the log is",
            hint="the log itself is /sys/firmware/acpi/tables/data/CCEL",
        )
    padding = _Padding(len(data), len(data.rstrip(b"\xff")), len(data.rstrip(b"\0")))
    if padding.starts_at(0):
        raise view.error(0, "there are no events")
    first, offset = _read_sha1_record(view, 0, 0)
    spec_id = _spec_id(view, first)
    agile = spec_id is not None and spec_id.signature == CRYPTO_AGILE
    algorithms = dict(spec_id.algorithms) if spec_id and agile else {SHA1_ID: _SHA1_BYTES}
    events = [first]
    while offset < len(view) and not padding.starts_at(offset):
        if len(events) == MAX_EVENTS:
            raise view.error(offset, f"there are more than {MAX_EVENTS} events")
        if agile:
            event, offset = _read_agile_record(view, len(events), offset, algorithms)
        else:
            event, offset = _read_sha1_record(view, len(events), offset)
        events.append(event)
    if registers is None:
        registers = _guess_registers(events, agile=agile, padded=offset < len(view))
    _check_registers(view, events, registers)
    return UntrustedEventLog(
        LogFormat.CRYPTO_AGILE if agile else LogFormat.SHA1,
        registers,
        spec_id,
        MappingProxyType(algorithms),
        tuple(events),
    )


@dataclass(frozen=True, slots=True)
class _Padding:
    """Where a file may end in padding: ``ones`` and ``zeros`` are its size without trailing FF and zero bytes."""

    size: int
    ones: int
    zeros: int

    def starts_at(self, offset: int) -> bool:
        """Whether only FF bytes, or enough zero bytes, lie between ``offset`` and the end of the file."""
        zeros = offset >= self.zeros and self.size - offset >= _MIN_ZERO_PADDING
        return zeros or offset >= self.ones


def _read_sha1_record(view: BinaryView, index: int, offset: int) -> tuple[UntrustedEvent, int]:
    """TCG_PCR_EVENT: u32 register, u32 type, 20 bytes SHA-1, u32 size, data."""
    record = view.view(offset, len(view) - offset, f"event {index} (TCG_PCR_EVENT)")
    digests = MappingProxyType({SHA1_ID: record.read(8, _SHA1_BYTES)})
    size = record.u32(28)
    event = UntrustedEvent(index, record.u32(0), _event_type(record.u32(4)), digests, record.read(32, size), offset)
    return event, offset + 32 + size


def _read_agile_record(
    view: BinaryView, index: int, offset: int, algorithms: Mapping[int, int]
) -> tuple[UntrustedEvent, int]:
    """TCG_PCR_EVENT2: u32 register, u32 type, u32 count, count times {u16 algorithm, digest}, u32 size, data."""
    record = view.view(offset, len(view) - offset, f"event {index} (TCG_PCR_EVENT2)")
    register, kind, count = record.u32(0), _event_type(record.u32(4)), record.u32(8)
    if count > MAX_DIGESTS:
        raise record.error(8, f"{count} digests are more than {MAX_DIGESTS}")
    if count == 0 and kind != EventType.EV_NO_ACTION:
        raise record.error(8, "the event has no digest")
    digests: dict[int, bytes] = {}
    position = 12
    for _ in range(count):
        algorithm = record.u16(position)
        if algorithm not in algorithms:
            raise record.error(position, f"the algorithm {algorithm:#06x} is not in the table of the Spec ID event")
        if algorithm in digests:
            raise record.error(position, f"there are two digests of the algorithm {algorithm:#06x}")
        digests[algorithm] = record.read(position + 2, algorithms[algorithm])
        position += 2 + algorithms[algorithm]
    size = record.u32(position)
    content = record.read(position + 4, size)
    event = UntrustedEvent(index, register, kind, MappingProxyType(digests), content, offset)
    return event, offset + position + 4 + size


def _event_type(number: int) -> int:
    return EventType(number) if number in _TYPES else number


def _spec_id(view: BinaryView, first: UntrustedEvent) -> SpecId | None:
    if first.type != EventType.EV_NO_ACTION or not first.data.startswith(SIGNATURE_PREFIX):
        return None
    # The data starts 32 bytes into the record, see _read_sha1_record.
    return parse_spec_id(view.view(first.offset + 32, len(first.data), "Spec ID event"))


def _guess_registers(events: list[UntrustedEvent], *, agile: bool, padded: bool) -> RegisterKind:
    small = all(event.register < CC_REGISTER_COUNT for event in events)
    confidential = agile and small and (padded or events[0].register != 0)
    return RegisterKind.CC if confidential else RegisterKind.PCR


def _check_registers(view: BinaryView, events: list[UntrustedEvent], registers: RegisterKind) -> None:
    count = PCR_COUNT if registers is RegisterKind.PCR else CC_REGISTER_COUNT
    for event in events:
        if event.register >= count and (event.extends or event.register != NO_REGISTER):
            problem = f"event {event.index} is of register {event.register}, the last one is {count - 1}"
            raise view.error(event.offset, problem)
