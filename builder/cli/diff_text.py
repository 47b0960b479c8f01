"""The difference of two baselines as a tree of lines: causes first, then topics, collapsed to what matters."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from builder.cli.tree import Branch
from builder.compare.difference import Change, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.compare.difference import Difference, Field, Report, Side, Topic

_SHOWN: Final = 8
_DIGEST: Final = 64
_SHORT: Final = 16
_STYLES: Final = {
    Change.ADDED: "green",
    Change.REMOVED: "red",
    Change.TIMESTAMP: "dim",
    Change.ORDER: "dim",
    Change.SIGNATURE: "dim",
}
_VERDICTS: Final = {
    Verdict.EQUAL: "no difference",
    Verdict.DIFFERS: "they differ",
    Verdict.INCOMPLETE: "no difference found, but not everything could be compared",
    Verdict.OUTSIDE: "nothing to compare",
}


def outline(report: Report, *, full: bool) -> Branch:
    """The report as a tree; ``full`` shows every difference with its fields."""
    branches = [Branch(_side("old", report.old)), Branch(_side("new", report.new)), *_why(report)]
    branches += [_topic(topic, full=full) for topic in report.topics if topic.differences]
    if missing := report.incomplete:
        branches.append(Branch("Not compared", tuple(Branch(reason, style="yellow") for reason in missing), "bold"))
    equal = [topic.title for topic in report.topics if topic.verdict is Verdict.EQUAL]
    if equal:
        branches.append(Branch(f"Equal: {', '.join(equal)}", style="dim"))
    return Branch(f"{report.old.label} -> {report.new.label}: {_VERDICTS[report.verdict]}", tuple(branches), "bold")


def _side(name: str, side: Side) -> str:
    trust = f"signed by {', '.join(side.verified_by)}" if side.verified_by else " ".join(side.remarks)
    return f"{name}: {side.kind} {side.place}{f', {trust}' if trust else ''}"


def _why(report: Report) -> Iterator[Branch]:
    if report.chains:
        chains = tuple(Branch(chain.sentence, style="" if chain.explained else "yellow") for chain in report.chains)
        yield Branch("Why PCRs moved", chains, "bold")
    elif report.pcrs and all(item.verdict is Verdict.EQUAL for item in report.pcrs):
        yield Branch("No PCR moved", style="bold")


def _topic(topic: Topic, *, full: bool) -> Branch:
    title = f"{topic.title}: {_counts(topic.differences)}"
    if topic.name == "files" and not full:
        return Branch(title, tuple(_by_package(topic.differences)), "bold")
    shown = topic.differences if full else _gravest(topic.differences)[:_SHOWN]
    branches = [_difference(difference, full=full) for difference in shown]
    if len(topic.differences) > len(shown):
        branches.append(Branch(f"and {len(topic.differences) - len(shown)} more (--full)", style="dim"))
    return Branch(title, tuple(branches), "bold")


def _gravest(differences: Sequence[Difference]) -> list[Difference]:
    """Those with something to look at first."""
    return sorted(differences, key=lambda item: not item.notes)


def _counts(differences: Sequence[Difference]) -> str:
    counts = Counter(difference.change for difference in differences)
    return ", ".join(f"{counts[change]} {_word(change)}" for change in Change if counts[change])


def _word(change: Change) -> str:
    return "changed" if change is Change.CONTENT else change.value


def _by_package(differences: Sequence[Difference]) -> Iterator[Branch]:
    """Files as one line for each package, and by themselves where they gain or lose something."""
    groups: dict[tuple[str, str], list[Difference]] = {}
    for difference in differences:
        groups.setdefault((difference.area or "", difference.package or "no package"), []).append(difference)
    for (area, package), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        noted = [_difference(item, full=False) for item in group if item.notes or item.children]
        alone = [_difference(group[0], full=False)] if len(group) == 1 and not noted else []
        yield Branch(f"{area}, {package}: {_counts(group)}", (*noted, *alone))


def _difference(difference: Difference, *, full: bool) -> Branch:
    place = f"{difference.area}: " if difference.area and difference.kind != "file" else ""
    notes = f" ({', '.join(difference.notes)})" if difference.notes else ""
    line = f"{place}{difference.subject} {_word(difference.change)}{_values(difference, full=full)}{notes}"
    fields = difference.fields if full or difference.kind in {"unit", "PCR", "partition"} else ()
    children = (*(_field(field, full=full) for field in fields), *_inside(difference, full=full))
    return Branch(line, children, _STYLES.get(difference.change, ""))


def _inside(difference: Difference, *, full: bool) -> Iterator[Branch]:
    yield from (_difference(child, full=full) for child in difference.children)
    if difference.incomplete:
        yield Branch(f"not compared: {difference.incomplete}", style="yellow")


def _values(difference: Difference, *, full: bool) -> str:
    old, new = (_value(value, full=full) for value in (difference.old, difference.new))
    if difference.old is not None and difference.new is not None:
        return f": {old} -> {new}"
    return f": {new if difference.old is None else old}" if difference.old or difference.new else ""


def _field(field: Field, *, full: bool) -> Branch:
    return Branch(f"{field.name}: {_value(field.old, full=full)} -> {_value(field.new, full=full)}")


def _value(value: str | None, *, full: bool) -> str:
    """A value on one line; a digest is cut where nobody asked for everything."""
    if value is None:
        return "none"
    text = value.replace("\n", " | ")
    is_digest = len(text) >= _DIGEST and all(character in "0123456789abcdef" for character in text)
    return f"{text[:_SHORT]}…" if is_digest and not full else text
