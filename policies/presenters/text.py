"""A report as text for a terminal or a log."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from policies.presenters.arrangement import by_door, count, subject_of
from policies.presenters.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.finding import Evidence
    from policies.report import Report, Result

_WIDTH: Final = 120
# A stock image fails some controls hundreds of times, and a person reads the first few.
_SHOWN: Final = 10
_OUTCOMES: Final = {"deferred": "deferred until the image is signed", "not-applicable": "not applicable"}
# What is told one by one; the others are in the last line's count.
_QUIET: Final = frozenset({"passed", "not-applicable"})


def text(report: Report) -> str:
    """Problems of the check, then by door what failed, was waived or deferred, the worst first, then the verdict.

    Before the verdict stands in which ways the packs that were asked for are laxer than the packs that they include.

    Of each control the first ten findings are shown, and how many more there are. Safe for a terminal, and no text of
    the image begins a line of its own.
    """
    lines = [one_line(f"problem: {problem}") for problem in report.problems]
    for door in by_door(result for result in report.results if result.outcome not in _QUIET):
        lines += ["", door.heading]
        for result in door.results:
            lines += _result(result)
    skipped = [result.control for result in report.results if result.outcome == "not-applicable"]
    if skipped:
        lines += ["", *_wrapped(f"Not applicable: {' '.join(skipped)}", "", "  ")]
    if report.departures:
        lines += ["", "Departures from the packs that are included"]
        lines += [line for sentence in report.departures for line in _wrapped(sentence, "  ", "    ")]
    return "\n".join([*lines, *([""] if lines else []), verdict_line(report)]).removeprefix("\n")


def verdict_line(report: Report) -> str:
    """Yes or no, of what, by which packs, how many controls came out how, and what else makes it a no."""
    summary = ", ".join(f"{number} {outcome}" for outcome, number in count(report.results).items())
    verdict, total = "yes" if report.passed else "no", len(report.results)
    packs = " and ".join(pack.name for pack in report.packs)
    controls = f"{total} control{'' if total == 1 else 's'}{f' of {one_line(packs)}' if packs else ''}"
    return f"{verdict}: {one_line(subject_of(report))}, {controls}: {summary}{_problems(report.problems)}"


def _problems(problems: Sequence[str]) -> str:
    if not problems:
        return ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems, the first of them"
    return f"; {count}: {one_line(problems[0])}"


def _result(result: Result) -> Iterator[str]:
    outcome = _OUTCOMES.get(result.outcome, result.outcome)
    yield f"  {result.control}  {result.severity:8}  {result.title}: {outcome}"
    for finding in result.findings[:_SHOWN]:
        yield from _wrapped(f"{finding.subject} {finding.message}", "    ", "    ")
        for item in finding.evidence:
            yield from _evidence(item)
    if (more := len(result.findings) - _SHOWN) > 0:
        yield f"    ... and {more} more; the other formats have all of them"
    for waived in result.waived:
        waiver = waived.waiver
        words = f"{waived.finding.subject} waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"
        yield from _wrapped(words, "    ", "      ")


def _evidence(evidence: Evidence) -> Iterator[str]:
    """Place and value on one line where they fit, else the value below the place, wrapped; nothing is cut off."""
    place = f"      {evidence.source}:{one_line(evidence.path)}"
    line = f"{place}  {one_line(evidence.value)}".rstrip()
    if len(line) <= _WIDTH:
        yield line
    else:
        yield place
        yield from _wrapped(evidence.value, " " * 8, " " * 8)


def _wrapped(words: str, first: str, other: str) -> list[str]:
    """Lines that break at spaces only, so that paths stay whole."""
    wrapper = textwrap.TextWrapper(_WIDTH, first, other, break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(one_line(words))
