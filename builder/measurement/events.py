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
    """TCG event types (PC Client Platform Firmware Profile, 10.4.1 "Event Types") that a UKI boot produces."""

    EV_SEPARATOR = 0x00000004
    EV_EVENT_TAG = 0x00000006
    EV_IPL = 0x0000000D
    EV_EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
    EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003
    EV_EFI_ACTION = 0x80000007
    EV_EFI_VARIABLE_AUTHORITY = 0x800000E0


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
