"""The difference of two baselines as a tree of lines: causes first, then topics, collapsed to what matters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.cli.diff_chains import key_policies, why
from builder.cli.tree import Branch, line
from builder.compare.difference import Change
from builder.presenters.arrangement import VERDICTS, by_weight, change_word, counts, equal_topics, trust_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.compare.difference import Difference, Field, Report, Side, Topic
    from builder.review.report import Judgement

_SHOWN: Final = 8
_PACKAGES: Final = 12
_UNOWNED: Final = "no package"
_DIGEST: Final = re.compile(r"[0-9a-f]{64,}")
_SHORT: Final = 16
_STYLES: Final = {
    Change.ADDED: "green",
    Change.REMOVED: "red",
    Change.TIMESTAMP: "dim",
    Change.ORDER: "dim",
    Change.SIGNATURE: "dim",
}
# What a line of a unified diff begins with.
_SIGNS: Final = {"+": "green", "-": "red", "@": "cyan"}


def outline(report: Report, judgement: Judgement | None = None, *, full: bool) -> Branch:
    """The report as a tree; ``full`` shows every difference with its fields."""
    branches = [_side("old", report.old, full=full), _side("new", report.new, full=full)]
    branches += [*why(report, full=full), *key_policies(report, judgement)]
    branches += [_topic(topic, full=full) for topic in report.topics if topic.differences]
    if missing := report.incomplete:
        branches.append(line("Not compared", tuple(line(reason, style="yellow") for reason in missing), "bold"))
    if equal := equal_topics(report):
        branches.append(line(f"Equal: {', '.join(equal)}", style="dim"))
    return line(f"{report.old.label} -> {report.new.label}: {VERDICTS[report.verdict]}", tuple(branches), "bold")


def _side(name: str, side: Side, *, full: bool) -> Branch:
    ids = tuple(_value(key, full=full) for key in side.verified_by)
    trust = f"signed by {', '.join(ids)}" if ids else trust_words(side)
    inner = (line(trust, style="" if ids else "yellow"),) if trust else ()
    return line(f"{name}: {side.kind} {_value(side.place, full=full)}", inner)


def _topic(topic: Topic, *, full: bool) -> Branch:
    title = f"{topic.title}: {counts(topic.differences)}"
    if topic.name == "files" and not full:
        return line(title, tuple(_by_package(topic.differences)), "bold")
    shown = topic.differences if full else by_weight(topic.differences)[:_SHOWN]
    branches = [_difference(difference, full=full) for difference in shown]
    if len(topic.differences) > len(shown):
        branches.append(line(f"and {len(topic.differences) - len(shown)} more (--full)", style="dim"))
    return line(title, tuple(branches), "bold")


def _by_package(differences: Sequence[Difference]) -> Iterator[Branch]:
    """Files as one line for each package, and by themselves where they gain or lose something, or are of no package."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        groups.setdefault((difference.area or "", difference.package or _UNOWNED), []).append(difference)
    by_size = sorted(groups.items(), key=lambda item: -len(item[1]))
    quiet = 0
    for (area, package), group in by_size:
        noted = [item for item in group if item.notes or item.children]
        quiet += not noted
        if noted or quiet <= _PACKAGES:
            # What no package brought, the definition or a script did.
            alone = by_weight(group)[:_SHOWN] if package == _UNOWNED else group if len(group) == 1 else []
            named = (*noted, *(item for item in alone if item not in noted))
            yield line(f"{area}, {package}: {counts(group)}", tuple(_difference(item, full=False) for item in named))
    if quiet > _PACKAGES:
        yield line(f"and files of {quiet - _PACKAGES} more packages (--full)", style="dim")


def _difference(difference: Difference, *, full: bool) -> Branch:
    if difference.kind == "text":
        return _text(difference)
    # Without --full files stand below a line that names their area.
    place = f"{difference.area}: " if difference.area and (full or difference.kind != "file") else ""
    notes = f" ({', '.join(difference.notes)})" if difference.notes else ""
    words = f"{place}{difference.subject}{_change(difference, full=full)}{notes}"
    fields = difference.fields if full or difference.kind in {"unit", "partition"} else ()
    children = (*(_field(field, full=full) for field in fields), *_inside(difference, full=full))
    return line(words, children, _STYLES.get(difference.change, ""))


def _text(difference: Difference) -> Branch:
    """The lines of a unified diff behind a bar, since what stands in a file must not look like a line of the report."""
    notes = f" ({', '.join(difference.notes)})" if difference.notes else ""
    shown = (line(f"| {text}", style=_SIGNS.get(text[:1], "")) for text in difference.subject.rstrip("\n").split("\n"))
    return line(f"text {change_word(difference.change)}{notes}", tuple(shown))


def _inside(difference: Difference, *, full: bool) -> Iterator[Branch]:
    yield from (_difference(child, full=full) for child in difference.children)
    if difference.incomplete:
        yield line(f"not compared: {difference.incomplete}", style="yellow")


def _change(difference: Difference, *, full: bool) -> str:
    if difference.kind == "PCR" and difference.fields and not full:
        # The first bank stands for all: they move together.
        return f": {_field(difference.fields[0], full=False).text}"
    return f" {change_word(difference.change)}{_values(difference, full=full)}"


def _values(difference: Difference, *, full: bool) -> str:
    if difference.old == difference.new:
        return ""
    old, new = (_value(value, full=full) for value in (difference.old, difference.new))
    if difference.old is not None and difference.new is not None:
        return f": {old} -> {new}"
    return f": {new if difference.old is None else old}" if difference.old or difference.new else ""


def _field(field: Field, *, full: bool) -> Branch:
    return line(f"{field.name}: {_value(field.old, full=full)} -> {_value(field.new, full=full)}")


def _value(value: str | None, *, full: bool) -> str:
    """A value on one line; digests in it are cut where nobody asked for everything."""
    if value is None:
        return "none"
    text = value.replace("\n", " | ")
    return text if full else _DIGEST.sub(lambda match: f"{match[0][:_SHORT]}…", text)
