"""A report as SARIF 2.1.0 (OASIS Standard of 2020-03-27), as code scanning services take it in.

Decisions that a reader of the output may wonder about:

- Controls that passed are rules, not results of ``kind: "pass"``: GitHub's code scanning does not know ``kind`` and
  would open an alert for each of them. Which control came out how is in the run's property "outcomes".
- Places in an image are relative to ROOT, INITRD, UKI, ESP, XBOOTLDR and DISK, which are relative to IMAGE, which has
  no URI: an image is not in the file system of whoever reads the report.
- Every location has a region, because code scanning asks for one; where a whole file is meant it is line 1.
- Code scanning tells results apart by the fingerprint ``primaryLocationLineHash`` alone. Ours is made of control and
  subject, which is what waivers name too, and stays when evidence, messages or other findings change.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec import json, to_builtins

from policies.presenters.arrangement import count, subject_of
from policies.presenters.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from policies.finding import Evidence, Finding
    from policies.report import Explanation, Report, Result
    from policies.waiver import Waiver

Json = dict[str, Any]

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_PROBLEMS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "recommendation"}
# Code scanning calls more than 9.0 critical, from 7.0 high, from 4.0 medium, and what is below low.
_SCORES: Final = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
_BASES: Final = {
    "root": "Root file system of the image.",
    "initrd": "Files of the initrd, which is in the UKI.",
    "uki": "Sections of the UKI.",
    "esp": "Files of the EFI system partition.",
    "xbootldr": "Files of the extended boot loader partition.",
    "disk": "Partitions of the disk image.",
}
_LINE: Final = re.compile(r"(?P<path>.+):(?P<line>[1-9][0-9]{0,8})", re.DOTALL)


def sarif(report: Report) -> bytes:
    """The report as a SARIF log with one run: JSON, indented."""
    driver: Json = {"name": "bedplate", "rules": [_rule(result) for result in report.results]}
    if report.bedplate is not None:
        driver["version"] = report.bedplate
    run: Json = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"bedplate check/{quote(subject_of(report))}/"},
        "invocations": [_invocation(report)],
        "originalUriBaseIds": _bases(report),
        "columnKind": "unicodeCodePoints",
        "results": list(_results(report)),
        "properties": _properties(report),
    }
    if report.digest is not None:
        image = {"uri": quote(subject_of(report), safe=""), "uriBaseId": "IMAGE"}
        run["artifacts"] = [{"location": image, "roles": ["analysisTarget"], "hashes": {"sha-256": report.digest}}]
    return json.format(json.encode({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}), indent=2) + b"\n"


def _rule(result: Result) -> Json:
    explanation = result.explanation
    return {
        "id": result.control,
        "shortDescription": {"text": result.title},
        "fullDescription": {"text": explanation.rationale},
        "help": {"text": _help(explanation, "{}: {}"), "markdown": _help(explanation, "**{}:** {}", _markdown)},
        "defaultConfiguration": {"level": _LEVELS[result.severity]},
        "properties": {
            "tags": ["security", result.door],
            # What a control says is read from the image, not guessed.
            "precision": "high",
            "problem.severity": _PROBLEMS[result.severity],
            "security-severity": _SCORES[result.severity],
            "pack": result.pack,
            "parameters": result.parameters,
        },
    }


def _help(explanation: Explanation, form: str, escape: Callable[[str], str] = str) -> str:
    sections = {
        "What it checks": explanation.looks_at,
        "Why it matters": explanation.rationale,
        "Example": explanation.example,
        "Fix": explanation.fix,
        "Known limits": explanation.limits,
        "References": "; ".join(explanation.references),
    }
    return "\n\n".join(form.format(name, escape(text)) for name, text in sections.items() if text)


def _markdown(text: str) -> str:
    """Prose in which no character is taken for markup."""
    return re.sub(r"([\\`*_<>\[\]|#~])", r"\\\1", text)


def _results(report: Report) -> Iterator[Json]:
    for index, result in enumerate(report.results):
        seen: Counter[str] = Counter()
        pairs: list[tuple[Finding, Waiver | None]] = [(finding, None) for finding in result.findings]
        pairs += [(item.finding, item.waiver) for item in result.waived]
        for finding, waiver in pairs:
            seen[finding.subject] += 1
            value: Json = {
                "ruleId": result.control,
                "ruleIndex": index,
                "kind": "fail",
                "level": _LEVELS[result.severity],
                "message": {"text": _message(finding)},
                "locations": [_location(finding)],
                "partialFingerprints": _fingerprints(result.control, finding.subject, seen[finding.subject]),
                "properties": {"subject": finding.subject, "evidence": to_builtins(finding.evidence)},
            }
            # An empty list says that somebody looked for waivers and found none (section 3.27.23).
            value["suppressions"] = [] if waiver is None else [_suppression(waiver)]
            yield value


def _message(finding: Finding) -> str:
    """The finding as a sentence, then its evidence. Code scanning shows the first sentence as the title.

    Brackets and braces would be links and placeholders (sections 3.11.5 and 3.11.6).
    """
    lines = [f"{finding.subject} {finding.message}."]
    lines += [f"{item.source}:{item.path}  {item.value}".rstrip() for item in finding.evidence]
    text = "\n".join(map(one_line, lines))
    return re.sub(r"([\[\]])", r"\\\1", text).replace("{", "{{").replace("}", "}}")


def _location(finding: Finding) -> Json:
    logical = [{"fullyQualifiedName": finding.subject}]
    if finding.evidence:
        return {"physicalLocation": _place(finding.evidence[0]), "logicalLocations": logical}
    # A part of the image that is missing, or a control that crashed.
    artifact = {"uri": quote(finding.subject, safe=""), "uriBaseId": "IMAGE"}
    return {"physicalLocation": {"artifactLocation": artifact, "region": _region(1)}, "logicalLocations": logical}


def _place(evidence: Evidence) -> Json:
    match = _LINE.fullmatch(evidence.path)
    path, line = (match["path"], int(match["line"])) if match else (evidence.path, 1)
    artifact = {"uri": quote(path.lstrip("/")) or ".", "uriBaseId": evidence.source.upper()}
    return {"artifactLocation": artifact, "region": _region(line)}


def _region(line: int) -> Json:
    return {"startLine": line, "startColumn": 1, "endLine": line, "endColumn": 1}


def _fingerprints(control: str, subject: str, occurrence: int) -> Json:
    digest = hashlib.sha256(f"{control}\0{subject}".encode()).hexdigest()
    return {"primaryLocationLineHash": f"{digest[:32]}:{occurrence}", "controlAndSubject/v1": f"{digest}:{occurrence}"}


def _suppression(waiver: Waiver) -> Json:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": waiver.reason,
        "properties": {"owner": waiver.owner, "expires": waiver.expires.isoformat()},
    }


def _invocation(report: Report) -> Json:
    """How the check itself went: controls that crashed and problems with waivers make it a failure."""
    crashed = [
        {
            "level": "error",
            "message": {"text": _message(finding)},
            "associatedRule": {"id": result.control, "index": index},
        }
        for index, result in enumerate(report.results)
        if result.outcome == "crashed"
        for finding in result.findings
    ]
    problems = [{"level": "error", "message": {"text": problem}} for problem in report.problems]
    return {
        "executionSuccessful": not crashed and not problems,
        "exitCode": 0 if report.passed else 1,
        "exitCodeDescription": "yes" if report.passed else "no",
        "toolExecutionNotifications": crashed,
        "toolConfigurationNotifications": problems,
    }


def _bases(report: Report) -> Json:
    image = {"IMAGE": {"description": {"text": f"The checked {report.kind}: {subject_of(report)}."}}}
    inside = {
        name.upper(): {"uri": f"{name}/", "uriBaseId": "IMAGE", "description": {"text": text}}
        for name, text in _BASES.items()
    }
    return image | inside


def _properties(report: Report) -> Json:
    return {
        "passed": report.passed,
        "image": to_builtins(report.identity),
        "kind": report.kind,
        "digest": report.digest,
        "checkedOn": None if report.checked_on is None else report.checked_on.isoformat(),
        "packs": to_builtins(report.packs),
        "departures": report.departures,
        "counts": count(report.results),
        "outcomes": {result.control: result.outcome for result in report.results},
    }
