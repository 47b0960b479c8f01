"""The predicted boot as a binary TCG event log, crypto-agile form (PC Client Platform Firmware Profile, 10.2.2).

It is what a machine's firmware would hand to the kernel, as far as it is predicted: no PCR 0 to 3, 5 and 6, and no boot
phases of PCR 11, which user space extends. The data of events are those of firmware where the digest covers them, and
descriptions where it does not: load addresses and device paths of images are not known, so they are zero and empty.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.export.boot_order import logged_events
from builder.measurement.events import EventType, utf16
from builder.measurement.pcr4 import CALLING_BOOT_OPTION
from builder.measurement.pcr7 import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, variable_data
from signing.esl import parse_signature_lists

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.export.subject import Subject
    from builder.measurement.events import Event
    from builder.measurement.pcr import Bank

_EV_NO_ACTION: Final = 3
_SHA1_BYTES: Final = 20
_SPEC_ID: Final = b"Spec ID Event03\0"
_PC_CLIENT: Final = 0
_UINTN_OF_64_BITS: Final = 2
_SEPARATOR: Final = bytes(4)
# A device path that says nothing: its end (UEFI, 10.3.1).
_NO_DEVICE_PATH: Final = b"\x7f\xff\x04\x00"
# UEFI_IMAGE_LOAD_EVENT: address, length and link-time address, all unknown here; length of the device path; the path.
_IMAGE_LOAD_EVENT: Final = struct.pack("<QQQQ", 0, 0, 0, len(_NO_DEVICE_PATH)) + _NO_DEVICE_PATH
# Linux drivers/firmware/efi/libstub: the tags of its events and their descriptions, by the source of the event.
_TAGGED: Final = {
    "kernel command line": (0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\0"),
    "initrd": (0x8F3B22EC, b"Linux initrd\0"),
}


def export(subject: Subject) -> bytes:
    """The log. Raises InvalidInputError if the data of an event cannot be given, such as keys that are not the stated.

    It replays to the stated values of all PCRs but 11, which it gives as they are when firmware hands over.
    """
    events = logged_events(subject)
    if not events:
        raise InvalidInputError(f"{subject.name}: no event of firmware is among its reference values")
    known = _Known(subject)
    records = (_record(event, known.data(event), subject.banks) for event in events)
    return _header(subject.banks) + b"".join(records)


def _header(banks: Sequence[Bank]) -> bytes:
    """The first event, TCG_PCR_EVENT with TCG_EfiSpecIdEvent, which lists the banks."""
    algorithms = b"".join(struct.pack("<HH", bank.algorithm_id, bank.size) for bank in banks)
    version = struct.pack("<IBBBB", _PC_CLIENT, 0, 2, 0, _UINTN_OF_64_BITS)  # specification 2.00, errata 0
    data = _SPEC_ID + version + struct.pack("<I", len(banks)) + algorithms + b"\0"
    return struct.pack("<II", 0, _EV_NO_ACTION) + bytes(_SHA1_BYTES) + struct.pack("<I", len(data)) + data


def _record(event: Event, data: bytes, banks: Sequence[Bank]) -> bytes:
    """TCG_PCR_EVENT2."""
    digests = b"".join(struct.pack("<H", bank.algorithm_id) + event.digests[bank] for bank in banks)
    kind = 0 if event.type is None else event.type.value
    return struct.pack("<III", event.pcr, kind, len(banks)) + digests + struct.pack("<I", len(data)) + data


class _Known:
    """The data of those events whose digest covers it, found by that digest."""

    def __init__(self, subject: Subject) -> None:
        self._bank = subject.banks[0]
        self._data = {self._bank.digest(data): data for data in _candidates(subject)}

    def data(self, event: Event) -> bytes:
        """The data of ``event``. Raises InvalidInputError."""
        match event.type:
            case EventType.EV_EFI_BOOT_SERVICES_APPLICATION:
                return _IMAGE_LOAD_EVENT
            case EventType.EV_IPL:
                return utf16(event.source.removeprefix("UKI section "))
            case EventType.EV_EVENT_TAG if event.source in _TAGGED:
                tag, description = _TAGGED[event.source]
                return struct.pack("<II", tag, len(description)) + description
        found = self._data.get(event.digests[self._bank])
        if found is None:
            raise InvalidInputError(
                f"PCR {event.pcr}: the data of the event {event.description!r} is not known",
                hint="the signature lists in the release must be those that its values were computed with",
            )
        return found


def _candidates(subject: Subject) -> Iterator[bytes]:
    yield CALLING_BOOT_OPTION
    yield _SEPARATOR
    for state in (b"", b"\x00", b"\x01"):
        yield variable_data(GLOBAL_VARIABLE, "SecureBoot", state)
    for guid, name in (
        (GLOBAL_VARIABLE, "PK"),
        (GLOBAL_VARIABLE, "KEK"),
        (IMAGE_SECURITY_DATABASE, "db"),
        (IMAGE_SECURITY_DATABASE, "dbx"),
    ):
        yield variable_data(guid, name, subject.variables.get(name, b""))
    for found in parse_signature_lists(subject.variables.get("db", b"")):
        for entry in found.entries:
            yield variable_data(IMAGE_SECURITY_DATABASE, "db", entry.encode())
