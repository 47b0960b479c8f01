"""Measured events: what is extended into a PCR, in which banks, and which part of an image it came from."""

from __future__ import annotations

import enum
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from builder.measurement.pcr import Bank

# Below this many bytes starting a thread costs more than hashing the banks one after the other.
PARALLEL_THRESHOLD = 1 << 20


class EventType(enum.IntEnum):
    """TCG event types (PC Client Platform Firmware Profile 1.06, 10.4.1 "Event Types")."""

    EV_PREBOOT_CERT = 0x00000000
    EV_POST_CODE = 0x00000001
    EV_UNUSED = 0x00000002
    EV_NO_ACTION = 0x00000003
    EV_SEPARATOR = 0x00000004
    EV_ACTION = 0x00000005
    EV_EVENT_TAG = 0x00000006
    EV_S_CRTM_CONTENTS = 0x00000007
    EV_S_CRTM_VERSION = 0x00000008
    EV_CPU_MICROCODE = 0x00000009
    EV_PLATFORM_CONFIG_FLAGS = 0x0000000A
    EV_TABLE_OF_DEVICES = 0x0000000B
    EV_COMPACT_HASH = 0x0000000C
    EV_IPL = 0x0000000D
    EV_IPL_PARTITION_DATA = 0x0000000E
    EV_NONHOST_CODE = 0x0000000F
    EV_NONHOST_CONFIG = 0x00000010
    EV_NONHOST_INFO = 0x00000011
    EV_OMIT_BOOT_DEVICE_EVENTS = 0x00000012
    EV_POST_CODE2 = 0x00000013
    EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
    EV_EFI_VARIABLE_BOOT = 0x80000002
    EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
    EV_EFI_BOOT_SERVICES_DRIVER = 0x80000004
    EV_EFI_RUNTIME_SERVICES_DRIVER = 0x80000005
    EV_EFI_GPT_EVENT = 0x80000006
    EV_EFI_ACTION = 0x80000007
    EV_EFI_PLATFORM_FIRMWARE_BLOB = 0x80000008
    EV_EFI_HANDOFF_TABLES = 0x80000009
    EV_EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000A
    EV_EFI_HANDOFF_TABLES2 = 0x8000000B
    EV_EFI_VARIABLE_BOOT2 = 0x8000000C
    EV_EFI_GPT_EVENT2 = 0x8000000D
    EV_EFI_HCRTM_EVENT = 0x80000010
    EV_EFI_VARIABLE_AUTHORITY = 0x800000E0
    EV_EFI_SPDM_FIRMWARE_BLOB = 0x800000E1
    EV_EFI_SPDM_FIRMWARE_CONFIG = 0x800000E2
    EV_EFI_SPDM_DEVICE_POLICY = 0x800000E3
    EV_EFI_SPDM_DEVICE_AUTHORITY = 0x800000E4


@dataclass(frozen=True, slots=True)
class Event:
    """One extend of one PCR.

    ``type`` is None for what user space extends: the firmware's event log does not have it. ``description`` says what
    was hashed, ``source`` where that came from: "firmware", "Secure Boot variables", "UKI section .linux", a file name.
    """

    pcr: int
    type: EventType | None
    digests: Mapping[Bank, bytes]
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """A hash that has taken in ``part``. Holding the part keeps its ``id`` its own."""

    part: bytes | memoryview
    state: Any


@dataclass(frozen=True, slots=True)
class Measurer:
    """Makes events by hashing in all ``banks`` at once."""

    banks: tuple[Bank, ...]
    _begun: dict[tuple[Bank, int], _Begun] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.banks or len(set(self.banks)) != len(self.banks):
            raise ValueError("name at least one PCR bank, and each once")

    def event(
        self,
        pcr: int,
        kind: EventType | None,
        *parts: bytes | memoryview,
        description: str,
        source: str,
    ) -> Event:
        """An event whose digest is the hash over the concatenation of ``parts``."""
        size = sum(map(len, parts))
        return Event(pcr, kind, self.in_banks(lambda bank: self._digest(bank, parts), size), description, source)

    def in_banks(self, digest: Callable[[Bank], bytes], size: int) -> dict[Bank, bytes]:
        """The result of ``digest`` for every bank; in threads, one a bank, if ``size`` bytes make it worth while."""
        if len(self.banks) == 1 or size < PARALLEL_THRESHOLD:
            return {bank: digest(bank) for bank in self.banks}
        with ThreadPoolExecutor(len(self.banks)) as pool:
            return dict(zip(self.banks, pool.map(digest, self.banks), strict=True))

    def replay(self, events: Iterable[Event]) -> dict[Bank, bytes]:
        """The value of a PCR that started at zero after ``events``, in every bank."""
        recorded = tuple(events)
        return {bank: bank.replay(event.digests[bank] for event in recorded) for bank in self.banks}

    def _digest(self, bank: Bank, parts: tuple[bytes | memoryview, ...]) -> bytes:
        """The hash over ``parts``. A large first part is hashed once: an initrd is in PCR 9 and in PCR 11."""
        if not parts or len(parts[0]) < PARALLEL_THRESHOLD:
            return bank.digest(*parts)
        key = bank, id(parts[0])
        if key not in self._begun:
            self._begun[key] = _Begun(parts[0], hashlib.new(bank.value, parts[0]))
        state = self._begun[key].state.copy()
        for part in parts[1:]:
            state.update(part)
        digest: bytes = state.digest()
        return digest


def utf16(text: str) -> bytes:
    """A string as EFI programs hash it: UTF-16LE with its NUL."""
    return text.encode("utf-16-le") + b"\0\0"


def separator(measurer: Measurer, pcr: int) -> Event:
    """The EV_SEPARATOR with which firmware closes a PCR before it hands over (four zero bytes: no error)."""
    return measurer.event(pcr, EventType.EV_SEPARATOR, bytes(4), description="separator", source="firmware")
