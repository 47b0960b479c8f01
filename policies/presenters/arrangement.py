"""The order in which all presenters show a report: the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from policies.control import Door, Severity
from policies.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from policies.report import Report, Result

# What a reader looks for first. "crashed" comes before "failed": nobody knows what such a control would have found.
OUTCOMES: Final[tuple[Outcome, ...]] = ("crashed", "failed", "waived", "deferred", "not-applicable", "passed")
_COUNT_FOR_NO: Final = frozenset({"crashed", "failed"})

# Whether all of the image could be read: where it could not, that is why others say no.
_CAUSE: Final = "ZOA-919"

Rank = tuple[bool, bool, int, int, str]


@dataclass(frozen=True, slots=True)
class DoorResults:
    """What all controls of a door said, the worst first."""

    door: str
    results: tuple[Result, ...]

    @property
    def heading(self) -> str:
        """Words for a heading."""
        return Door(self.door).heading

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many controls came out how; outcomes that are not there are left out."""
        return count(self.results)


def by_door(results: Iterable[Result]) -> tuple[DoorResults, ...]:
    """The results by door: the door with the worst result first, in each the worst result first.

    A control that failed is worse than any that did not; among equals severity decides, then the outcome. Where the
    image could not be read, that comes first: it is why others failed.
    """
    doors: dict[str, list[Result]] = {}
    for result in sorted(results, key=_rank):
        doors.setdefault(result.door, []).append(result)
    ordered = sorted(doors.items(), key=lambda item: (_rank(item[1][0])[:4], _failures(item[1])))
    return tuple(DoorResults(door, tuple(found)) for door, found in ordered)


def count(results: Iterable[Result]) -> Mapping[Outcome, int]:
    """How many controls came out how, in the order of ``Outcome``; outcomes that are not there are left out."""
    counts: dict[Outcome, int] = dict.fromkeys(get_args(Outcome), 0)
    for result in results:
        counts[result.outcome] += 1
    return {outcome: number for outcome, number in counts.items() if number}


def subject_of(report: Report) -> str:
    """The name of what was checked."""
    return " ".join(part for part in (report.identity.name, report.identity.version) if part) or f"this {report.kind}"


def _rank(result: Result) -> Rank:
    severity = Severity(result.severity).rank
    counts = result.outcome in _COUNT_FOR_NO
    is_cause = counts and result.control == _CAUSE
    return not is_cause, not counts, severity, OUTCOMES.index(result.outcome), result.control


def _failures(results: Iterable[Result]) -> int:
    """Doors alike in their worst result: the one with more of them comes first."""
    return -sum(result.outcome in _COUNT_FOR_NO for result in results)
