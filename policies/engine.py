"""Run controls on facts. All of them run, whatever the others find, and what goes wrong counts as no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.finding import Finding
from policies.report import Explanation, Report, Result, WaivedFinding
from policies.waiver import expired

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from policies.control import Need, Stage
    from policies.facts import Facts
    from policies.pack import Selected
    from policies.report import Outcome
    from policies.waiver import Waiver


def run(
    facts: Facts,
    selection: Sequence[Selected],
    waivers: Sequence[Waiver] = (),
    *,
    today: date,
    stage: Stage = "signed",
) -> Report:
    """The verdict on facts.

    It is no if a control has a finding that no waiver names, if a control raises, if a waiver is expired, there twice
    or names no control or finding, and if no control could run. With ``stage="built"``, controls that can hold only on
    a signed image are deferred: they do not run, and the report says so.
    """
    valid = tuple(waiver for waiver in waivers if waiver.holds(today))
    results = tuple(
        _described(selected, "deferred")
        if stage == "built" and selected.control.stage == "signed"
        else _result(facts, selected, valid)
        for selected in selection
    )
    problems = tuple(_waiver_problems(waivers, results, today))
    if all(result.outcome in {"not-applicable", "deferred"} for result in results):
        problems = ("no control could run, so nothing was checked", *problems)
    failed = any(result.outcome in {"failed", "crashed"} for result in results)
    return Report(
        passed=not failed and not problems,
        kind=facts.kind,
        identity=facts.identity,
        checked_on=today,
        results=results,
        problems=problems,
    )


def _result(facts: Facts, selected: Selected, waivers: Sequence[Waiver]) -> Result:
    control = selected.control
    outcome, findings = _findings(facts, selected)
    by_subject = {waiver.subject: waiver for waiver in waivers if waiver.control == control.id}
    waived = tuple(
        WaivedFinding(finding=finding, waiver=by_subject[finding.subject])
        for finding in findings
        if finding.subject in by_subject and outcome == "failed"
    )
    if waived and len(waived) == len(findings):
        outcome = "waived"
    excused = {item.finding for item in waived}
    return _described(selected, outcome, tuple(finding for finding in findings if finding not in excused), waived)


def _described(
    selected: Selected,
    outcome: Outcome,
    findings: tuple[Finding, ...] = (),
    waived: tuple[WaivedFinding, ...] = (),
) -> Result:
    control = selected.control
    return Result(
        control=control.id,
        title=control.title,
        door=control.door.value,
        severity=control.severity.value,
        pack=selected.pack,
        explanation=Explanation(
            looks_at=control.looks_at,
            rationale=control.rationale,
            example=control.example,
            fix=control.fix,
            limits=control.limits,
            references=control.references,
        ),
        parameters=dict(selected.parameters),
        outcome=outcome,
        findings=findings,
        waived=waived,
    )


def _findings(facts: Facts, selected: Selected) -> tuple[Outcome, tuple[Finding, ...]]:
    missing = [need for need in selected.control.needs if getattr(facts, need) is None]
    if missing and facts.kind == "tree":
        return "not-applicable", ()
    try:
        findings = tuple(selected.control.check(facts, selected.parameters))
    except Exception as error:  # noqa: BLE001 -- a control that crashes has not said that the image is good
        message = f"crashed on this image: {type(error).__name__}: {error}"
        return "crashed", (Finding(subject=selected.control.id, message=message, evidence=()),)
    # What a control finds in the rest of an image is said, too: an open door is one in whatever image.
    findings = (*findings, *_absent(facts, missing))
    return ("failed" if findings else "passed"), findings


def _absent(facts: Facts, missing: Sequence[Need]) -> Iterator[Finding]:
    """Findings about parts without which nothing that a control did not find means anything."""
    for need in missing:
        message = "is not in the image, so what it should satisfy cannot be checked"
        yield Finding(subject=need, message=message, evidence=())
    if facts.kind == "image" and not facts.root.has_files:
        message = "holds no files that could be read, so what it should satisfy cannot be checked"
        yield Finding(subject="root", message=message, evidence=())


def _waiver_problems(waivers: Sequence[Waiver], results: Sequence[Result], today: date) -> list[str]:
    used = {(result.control, item.finding.subject) for result in results for item in result.waived}
    deferred = {result.control for result in results if result.outcome == "deferred"}
    problems: list[str] = []
    seen: set[tuple[str, str]] = set()
    for waiver in waivers:
        key = (waiver.control, waiver.subject)
        if key in seen:
            problems.append(f"{waiver} is there twice")
        elif not waiver.holds(today):
            problems += expired([waiver], today)
        elif key not in used and waiver.control not in deferred:
            known = waiver.control in {result.control for result in results}
            problems.append(f"{waiver} names no {'finding; remove it' if known else 'control of the packs'}")
        seen.add(key)
    return problems
