"""A report as one HTML page for an auditor. Without scripts only filtering is missing."""

from __future__ import annotations

from typing import Final

from policies.control import Severity
from policies.presenters.arrangement import OUTCOMES, DoorResults, by_door, count, subject_of
from policies.presenters.document import document
from policies.report import Outcome, Report  # noqa: TC001 -- in an annotation that mypy alone reads

_BAR_WIDTH: Final = 120


def html(report: Report) -> bytes:
    """The report as an HTML document in UTF-8. Two reports that are the same make the same bytes."""
    values = {
        "report": report,
        "subject": subject_of(report),
        "counts": {outcome: count(report.results).get(outcome, 0) for outcome in OUTCOMES},
        "doors": by_door(report.results),
        "severities": [item.value for item in Severity],
        "segments": _segments,
    }
    return document("report", values)


def _segments(door: DoorResults) -> list[tuple[Outcome, float, float]]:
    """Outcome, start and width of the parts of a door's bar, the worst first."""
    segments: list[tuple[Outcome, float, float]] = []
    start = 0.0
    for outcome in OUTCOMES:
        width = _BAR_WIDTH * door.counts.get(outcome, 0) / len(door.results)
        if width:
            segments.append((outcome, round(start, 2), round(width, 2)))
        start += width
    return segments
