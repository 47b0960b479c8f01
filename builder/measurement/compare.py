"""Compare predicted PCRs with those that a TPM showed, and name the first event that differs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.measurement.phases import Phase
from builder.measurement.prediction import PredictedPcr, Unpredictable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.measurement.events import Event
    from builder.measurement.pcr import Bank


class Outcome(enum.StrEnum):
    """What a comparison of one PCR came to."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_PREDICTED = "not predicted"


@dataclass(frozen=True, slots=True)
class EventDifference:
    """The first extend of a PCR that is not as predicted; ``index`` counts that PCR's extends from 0.

    ``expected`` is None for an extend too many, ``observed`` None for one that is missing.
    """

    index: int
    expected: Event | None
    observed: Mapping[Bank, bytes] | None


@dataclass(frozen=True, slots=True)
class PcrComparison:
    """One PCR. ``reason`` says why it was not predicted; ``difference`` is there if the observed extends were given."""

    pcr: int
    outcome: Outcome
    expected: Mapping[Bank, bytes]
    observed: Mapping[Bank, bytes]
    reason: str | None = None
    difference: EventDifference | None = None


def compare(
    pcrs: Mapping[int, PredictedPcr | Unpredictable],
    values: Mapping[tuple[int, Bank], bytes],
    *,
    phase: Phase = Phase.READY,
    extends: Sequence[tuple[int, Mapping[Bank, bytes]]] | None = None,
) -> tuple[PcrComparison, ...]:
    """Compare every PCR that was predicted or stated with the ``values`` of a boot that has reached ``phase``.

    ``extends`` are the PCR extends of the boot in order, from a recording or an event log. Raises InvalidInputError if
    a value that is needed was not observed or if nothing was predicted at all.
    """
    predicted = [entry for entry in pcrs.values() if isinstance(entry, PredictedPcr)]
    banks = sorted({bank for entry in predicted for bank in entry.values})
    if not banks:
        raise InvalidInputError("nothing was predicted, so there is nothing to compare")
    return tuple(
        _compare_pcr(
            entry,
            {bank: _observed(values, pcr, bank) for bank in banks},
            phase,
            None if extends is None else [digests for index, digests in extends if index == pcr],
        )
        for pcr, entry in pcrs.items()
    )


def _observed(values: Mapping[tuple[int, Bank], bytes], pcr: int, bank: Bank) -> bytes:
    try:
        return values[pcr, bank]
    except KeyError:
        raise InvalidInputError(f"the observation has no PCR {pcr} in the bank {bank.value}") from None


def _compare_pcr(
    entry: PredictedPcr | Unpredictable,
    observed: Mapping[Bank, bytes],
    phase: Phase,
    extends: Sequence[Mapping[Bank, bytes]] | None,
) -> PcrComparison:
    if isinstance(entry, Unpredictable):
        return PcrComparison(entry.pcr, Outcome.NOT_PREDICTED, {}, observed, reason=entry.reason)
    expected = entry.at(phase)
    if expected == observed:
        return PcrComparison(entry.pcr, Outcome.EQUAL, expected, observed)
    difference = None if extends is None else _first_difference(entry.events_until(phase), extends)
    return PcrComparison(entry.pcr, Outcome.DIFFERS, expected, observed, difference=difference)


def _first_difference(events: Sequence[Event], extends: Sequence[Mapping[Bank, bytes]]) -> EventDifference | None:
    for index, (event, digests) in enumerate(zip_longest(events, extends)):
        if event is None or digests is None or any(digests.get(bank) != event.digests[bank] for bank in event.digests):
            return EventDifference(index, event, digests)
    return None
