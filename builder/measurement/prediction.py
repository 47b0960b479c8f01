"""What was predicted of a boot: a value with its events, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, UnpredictableError
from builder.measurement.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.image.uki import LoaderInfo
    from builder.measurement.configuration import BootConfiguration
    from builder.measurement.events import Event
    from builder.measurement.pcr import Bank


@dataclass(frozen=True, slots=True)
class PredictedPcr:
    """The value of a PCR after all ``events``, in order.

    ``phases`` is empty but for PCR 11, where it has the value at each boot phase; ``values`` is then the last.
    """

    pcr: int
    values: Mapping[Bank, bytes]
    events: tuple[Event, ...]
    phases: Mapping[Phase, Mapping[Bank, bytes]] = field(default_factory=dict)

    def at(self, phase: Phase) -> Mapping[Bank, bytes]:
        """The values once a boot has reached ``phase``."""
        return self.phases.get(phase, self.values)

    def events_until(self, phase: Phase) -> tuple[Event, ...]:
        """The events up to ``phase``."""
        if not self.phases:
            return self.events
        return self.events[: len(self.events) - (len(Phase) - 1 - list(Phase).index(phase))]


@dataclass(frozen=True, slots=True)
class Unpredictable:
    """A PCR for which no value can be given, and why; a guess would be worse than none."""

    pcr: int
    reason: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """All PCRs of one boot, by index. A PCR that is not in ``pcrs`` was not looked at."""

    stub: LoaderInfo
    configuration: BootConfiguration
    banks: tuple[Bank, ...]
    pcrs: Mapping[int, PredictedPcr | Unpredictable]

    def predicted(self, pcr: int) -> PredictedPcr:
        """The predicted PCR. Raises UnpredictableError with the reason if there is no value."""
        entry = self.pcrs.get(pcr)
        if entry is None:
            raise InvalidInputError(f"PCR {pcr} is not among those that are predicted")
        if isinstance(entry, Unpredictable):
            raise UnpredictableError(f"PCR {pcr} cannot be predicted: {entry.reason}")
        return entry

    def value(self, pcr: int, bank: Bank, phase: Phase = Phase.READY) -> bytes:
        """The value of one PCR in one bank. Raises UnpredictableError if there is none."""
        return self.predicted(pcr).at(phase)[bank]
