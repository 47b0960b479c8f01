"""The judgement of a diff: every difference is allowed by a rule, or refused with the rule that it needs.

Default deny holds for everything: for topics and kinds that this module does not know, for what was not compared, for
sides that nobody vouches for, and for changes that nothing explains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml

from builder.compare import build_tree, command_line, disk, files, identity, kernel, measured, packages, policy, systemd
from builder.compare import uki as uki_topics
from builder.compare import variables as variable_topic
from builder.compare.difference import Verdict
from builder.review import file_needs, needs
from builder.review.globs import literal, matches
from builder.review.report import Judgement, Refusal, RulesUsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.compare.difference import Difference, Report, Topic
    from builder.review.load import LoadedRules
    from builder.review.needs import Check, Fragment
    from builder.review.rules import Rules

CHECKS: Final[Mapping[str, Check]] = {
    measured.NAME: needs.measurements,
    identity.IDENTITY: needs.identity,
    identity.DEFINITION: needs.inputs,
    build_tree.NAME: needs.tree,
    identity.KEYS: needs.keys,
    packages.NAME: needs.packages,
    packages.TOOLCHAIN: needs.toolchain,
    systemd.NAME: file_needs.units,
    command_line.NAME: needs.arguments,
    uki_topics.NAME: needs.uki,
    uki_topics.SIGNATURE: needs.signature,
    uki_topics.PACKING: needs.packing,
    kernel.CONFIGURATION: needs.options,
    kernel.MODULES: needs.modules,
    variable_topic.NAME: needs.variables,
    disk.PARTITIONS: needs.partitions,
    disk.ESP: needs.esp,
    policy.NAME: needs.policy,
}


def judge(report: Report, loaded: LoadedRules) -> Judgement:
    """What the rules say of the diff."""
    refused = tuple(_refusals(report, loaded.rules))
    return Judgement(
        allowed=not refused,
        rules=RulesUsed(name=loaded.rules.name, sha256=loaded.digest),
        judged=len(report.differences),
        refused=refused,
        diff=report,
    )


def _refusals(report: Report, rules: Rules) -> Iterator[Refusal]:
    for name, side in (("old", report.old), ("new", report.new)):
        if not side.verified_by and not rules.unverified:
            subject = f"the {name} side, {side.place}, is signed by no trusted key"
            yield _refusal(name, subject, {"unverified": True})
    checks = _checks(report, rules)
    for topic in report.topics:
        yield from _not_compared(topic, report, rules)
        for item in topic.differences:
            missing = tuple(checks[topic.name](rules, item)) if topic.name in checks else ()
            if missing or topic.name not in checks:
                yield _refusal(item.id, _words(topic, item), *missing)
    for link in report.links:
        if not link.because and not link.explained and not matches(rules.unexplained, link.id):
            subject = f"{link.subject} changed, and nothing was found that explains it"
            yield _refusal(link.id, subject, {"unexplained": [literal(link.id)]})


def _checks(report: Report, rules: Rules) -> Mapping[str, Check]:
    """A check for each topic; that of files depends on which packages may change."""
    by_name = {topic.name: topic.differences for topic in report.topics}
    allowed = frozenset(
        (item.area or "", item.subject.partition(":")[0])
        for item in by_name.get(packages.NAME, ())
        if not any(needs.packages(rules, item))
    )
    return {**CHECKS, files.NAME: file_needs.Files(allowed, by_name.get(files.NAME, ()))}


def _not_compared(topic: Topic, report: Report, rules: Rules) -> Iterator[Refusal]:
    """What of a topic is not known; equal it is only if somebody compared it."""
    reasons = list(topic.incomplete)
    if topic.verdict is Verdict.OUTSIDE:
        reasons.append("neither side has it")
    if topic.name == measured.NAME and not report.pcrs and not reasons:
        reasons.append("no PCR was compared")
    reasons += [f"inside of {item.subject}: {item.incomplete}" for item in topic.differences if item.incomplete]
    if not matches(rules.incomplete, topic.name):
        for reason in reasons:
            subject = f"{topic.title} not compared: {reason}"
            yield _refusal(topic.name, subject, {"incomplete": [literal(topic.name)]})


def _words(topic: Topic, item: Difference) -> str:
    place = f"{item.area}: " if item.area else ""
    values = f": {item.old} -> {item.new}" if item.old is not None and item.new is not None else ""
    notes = f" ({', '.join(item.notes)})" if item.notes else ""
    return f"{topic.title}: {place}{item.subject} {item.change.value}{values}{notes}"


def _refusal(place: str, subject: str, *missing: Fragment) -> Refusal:
    return Refusal(id=place, subject=subject, needs=tuple(_flow(fragment) for fragment in missing))


def _flow(fragment: Fragment) -> str:
    """A fragment of rules on one line of YAML, as it could stand in a file."""
    return yaml.safe_dump(fragment, default_flow_style=True, width=float("inf"), allow_unicode=True).strip()[1:-1]
