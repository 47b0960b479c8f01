"""A verdict as text, for the verbs that reach one."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from policies.control import Severity
from policies.report import Outcome

if TYPE_CHECKING:
    from policies.report import Report, Result


def verdict_text(report: Report) -> str:
    """What failed and what was waived by door, the worst first, then one line with the verdict."""
    lines: list[str] = [f"problem: {problem}" for problem in report.problems]
    doors: dict[str, list[Result]] = {}
    for result in report.results:
        if result.findings or result.waived or result.outcome == "deferred":
            doors.setdefault(result.door, []).append(result)

    def rank(result: Result) -> tuple[bool, int, str]:
        return not result.findings, Severity(result.severity).rank, result.control

    for door, results in sorted(doors.items(), key=lambda item: min(map(rank, item[1]))):
        lines += ["", door.replace("-", " ").capitalize()]
        for result in sorted(results, key=rank):
            lines += _result_lines(result)
    return "\n".join([*lines, *([""] if lines else []), verdict_line(report)])


def verdict_line(report: Report) -> str:
    """Yes or no, of what, and how many controls came out how."""
    counts = dict.fromkeys(get_args(Outcome), 0)
    for result in report.results:
        counts[result.outcome] += 1
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    name = " ".join(part for part in (report.identity.name, report.identity.version) if part) or f"this {report.kind}"
    verdict = "yes" if report.passed else "no"
    return f"{verdict}: {name}, {len(report.results)} controls: {summary}"


def _result_lines(result: Result) -> list[str]:
    outcome = "deferred until the image is signed" if result.outcome == "deferred" else result.outcome
    lines = [f"  {result.control}  {result.severity:8}  {result.title}: {outcome}"]
    for finding in result.findings:
        lines.append(f"    {finding.subject} {finding.message}")
        lines += [f"      {item.source}:{item.path}  {item.value}".rstrip() for item in finding.evidence]
    for item in result.waived:
        waiver = item.waiver
        lines.append(f"    {item.finding.subject} waived by {waiver.owner} until {waiver.expires}: {waiver.reason}")
    return lines
