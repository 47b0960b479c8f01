"""A report as JUnit XML, which CI systems show as tests: a suite per door, a test per control.

There is no standard; this is what ``junit-10.xsd`` of Jenkins' xUnit plugin describes, which others read as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from policies.presenters.arrangement import by_door, subject_of
from policies.presenters.visible import one_line, visible

if TYPE_CHECKING:
    from policies.finding import Finding
    from policies.presenters.arrangement import DoorResults
    from policies.report import Report, Result

_SKIPPED: Final = {
    "not-applicable": "not applicable: a directory has no boot chain",
    "deferred": "deferred until the image is signed",
}


def junit(report: Report) -> bytes:
    """The report as an XML document in UTF-8.

    Problems of the check have a suite of their own, so that whoever counts failures gets no other verdict. A waived
    finding does not fail its test; the test's output has the waiver. All that XML 1.0 cannot hold (section 2.2) is
    among what cannot be seen, and is spelled out.
    """
    suites = ET.Element("testsuites", name=visible(f"bedplate check of {subject_of(report)}"))
    if report.problems:
        suites.append(_problems(report))
    suites.extend(_suite(report, door) for door in by_door(report.results))
    for total in ("tests", "failures", "errors"):
        suites.set(total, str(sum(int(suite.get(total, "0")) for suite in suites)))
    ET.indent(suites)
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _problems(report: Report) -> ET.Element:
    number = str(len(report.problems))
    suite = ET.Element("testsuite", name="The check itself", tests=number, failures=number, errors="0", skipped="0")
    for index, problem in enumerate(report.problems, 1):
        case = ET.SubElement(suite, "testcase", classname="bedplate.check", name=f"problem {index}")
        ET.SubElement(case, "failure", type="problem", message=visible(problem))
    return suite


def _suite(report: Report, door: DoorResults) -> ET.Element:
    counts = door.counts
    suite = ET.Element(
        "testsuite",
        name=door.heading,
        tests=str(len(door.results)),
        failures=str(counts.get("failed", 0)),
        errors=str(counts.get("crashed", 0)),
        skipped=str(sum(counts.get(outcome, 0) for outcome in ("not-applicable", "deferred"))),
    )
    if report.checked_on is not None:
        suite.set("timestamp", f"{report.checked_on.isoformat()}T00:00:00")
    suite.extend(_case(result) for result in door.results)
    return suite


def _case(result: Result) -> ET.Element:
    case = ET.Element("testcase", classname=f"bedplate.{result.door}", name=visible(f"{result.control} {result.title}"))
    if result.outcome in {"failed", "crashed"}:
        tag = "failure" if result.outcome == "failed" else "error"
        message = "; ".join(f"{finding.subject} {finding.message}" for finding in result.findings)
        ending = ET.SubElement(case, tag, type=result.severity, message=visible(message))
        ending.text = visible("\n".join([*map(_finding, result.findings), "", f"Fix: {result.explanation.fix}"]))
    elif result.outcome in _SKIPPED:
        ET.SubElement(case, "skipped", message=_SKIPPED[result.outcome])
    if result.waived:
        ET.SubElement(case, "system-out").text = visible(
            "\n".join(
                f"{item.finding.subject} {item.finding.message}: waived by {item.waiver.owner} until "
                f"{item.waiver.expires}: {item.waiver.reason}"
                for item in result.waived
            )
        )
    return case


def _finding(finding: Finding) -> str:
    lines = [f"{finding.subject} {finding.message}"]
    lines += [f"  {item.source}:{item.path}  {item.value}".rstrip() for item in finding.evidence]
    return "\n".join(map(one_line, lines))
