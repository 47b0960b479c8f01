"""What all presenters of a difference show: the same facts, in the same order and the same words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.compare.chains import consequences, join, moved_words, pcr_words
from builder.compare.difference import Change, Verdict
from builder.compare.files import NAME as FILES
from builder.compare.measured import pcr_id
from builder.measurement.pcr import HOLDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.compare.difference import Chain, Difference, KeyPolicy, Link, Moved, Report, Side, Topic
    from builder.review.report import Judgement

VERDICTS: Final = {
    Verdict.EQUAL: "no difference",
    Verdict.DIFFERS: "they differ",
    Verdict.INCOMPLETE: "no difference found, but not everything could be compared",
    Verdict.OUTSIDE: "nothing to compare",
}
UNEXPLAINED: Final = "nothing was found that explains it"
_HAPPENED: Final = {
    Verdict.DIFFERS: "moved",
    Verdict.EQUAL: "did not move",
    Verdict.INCOMPLETE: "not compared",
    Verdict.OUTSIDE: "not compared",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A chain with its links: causes, files and parts that they changed, events; and PCRs in words.

    Of the causes those with something to look at come first.
    """

    chain: Chain
    causes: tuple[Link, ...]
    files: tuple[Link, ...]
    parts: tuple[Link, ...]
    events: tuple[Link, ...]
    moved: str
    unmoved: str

    @property
    def events_by_words(self) -> Mapping[str, Mapping[str, str]]:
        """The events by what they are, as the id of each by Secure Boot mode: most modes have the same."""
        found: dict[str, dict[str, str]] = {}
        for event in self.events:
            found.setdefault(event.subject, {})[event.id.split("/")[1]] = event.id
        return found


@dataclass(frozen=True, slots=True)
class PcrRow:
    """A PCR with all Secure Boot modes: whether it moved, what it holds, and the chains that moved it."""

    pcr: int
    holds: str
    modes: tuple[Moved, ...]
    chains: tuple[Told, ...]

    @property
    def causes(self) -> tuple[Link, ...]:
        """The first causes of all chains that moved it."""
        return tuple(cause for told in self.chains for cause in told.causes)

    @property
    def verdict(self) -> Verdict:
        """That of the mode that matters most: one that moved, else one that could not be compared."""
        found = [item.verdict for item in self.modes]
        return next((item for item in (Verdict.DIFFERS, Verdict.INCOMPLETE) if item in found), Verdict.EQUAL)

    @property
    def words(self) -> str:
        """Whether it moved, with the mode where not all moved."""
        if self.verdict is Verdict.EQUAL or len({item.verdict for item in self.modes}) == 1:
            return _HAPPENED[self.verdict]
        modes = join([item.mode for item in self.modes if item.verdict is self.verdict])
        return f"{_HAPPENED[self.verdict]} (Secure Boot {modes})"


def verdict_line(report: Report) -> str:
    """What differs, and which PCRs moved and which did not."""
    verdict = VERDICTS[report.verdict]
    moved = [item for item in report.pcrs if item.verdict is Verdict.DIFFERS]
    still = pcr_words(unmoved(report))
    if moved:
        return f"{verdict}; {moved_words(moved, report.pcrs)} moved" + (f", {still} did not" if still else "")
    return f"{verdict}; no PCR moved" if still and all_equal(report.pcrs) else verdict


def all_equal(pcrs: Sequence[Moved]) -> bool:
    """Whether PCRs were compared and all are the same."""
    return bool(pcrs) and all(item.verdict is Verdict.EQUAL for item in pcrs)


def unmoved(report: Report) -> tuple[int, ...]:
    """The PCRs that no Secure Boot mode saw moving."""
    others = {item.pcr for item in report.pcrs if item.verdict is not Verdict.EQUAL}
    return tuple(sorted({item.pcr for item in report.pcrs} - others))


def trust_words(side: Side) -> str:
    """Who vouches for a side."""
    return f"signed by {', '.join(side.verified_by)}" if side.verified_by else " ".join(side.remarks)


def told(report: Report) -> tuple[Told, ...]:
    """The chains with their links, those without an explanation first."""
    by_id = {link.id: link for link in report.links}
    follows = consequences(report.links)
    ranks = {item.id: rank for rank, item in enumerate(by_weight(report.differences))}
    return tuple(
        _told(chain, by_id, ranks, {item for cause in chain.causes for item in follows[cause]}, report)
        for chain in sorted(report.chains, key=lambda chain: chain.explained)
    )


def pcr_rows(report: Report, chains: Sequence[Told]) -> tuple[PcrRow, ...]:
    """All PCRs that either side speaks of, by number."""
    by_pcr: dict[int, list[Moved]] = {}
    for item in report.pcrs:
        by_pcr.setdefault(item.pcr, []).append(item)
    return tuple(
        PcrRow(pcr, HOLDS.get(pcr, ""), tuple(modes), tuple(told for told in chains if pcr in told.chain.moved))
        for pcr, modes in sorted(by_pcr.items())
    )


def files_words(files: Sequence[Link]) -> str:
    """How many files of which area changed: "2 files in root, 1 file in initrd"."""
    areas: dict[str, int] = {}
    for link in files:
        area = link.id.split("/")[1]
        areas[area] = areas.get(area, 0) + link.count
    return ", ".join(f"{count} file{'s' * (count != 1)} in {area}" for area, count in areas.items())


def by_weight(differences: Iterable[Difference]) -> list[Difference]:
    """Those with something to look at first; what only looks different last."""
    ranks = {Change.METADATA: 1, Change.ORDER: 2, Change.SIGNATURE: 2, Change.TIMESTAMP: 3}
    return sorted(differences, key=lambda item: (_ordinary(item), ranks.get(item.change, 0)))


def _ordinary(item: Difference) -> bool:
    """Whether there is no more to it than that it changed: an update of a package is noted, and expected."""
    return not item.notes or item.notes == ("upgrade",)


def counts(differences: Iterable[Difference]) -> str:
    """How many differences of which kind: "2 added, 1 changed"."""
    found = Counter(difference.change for difference in differences)
    return ", ".join(f"{found[change]} {change_word(change)}" for change in Change if found[change])


def change_word(change: Change) -> str:
    """The kind of a change as it is said of a thing."""
    return "changed" if change is Change.CONTENT else change.value


def split_files(report: Report) -> tuple[tuple[Topic, ...], Topic | None]:
    """The topics that differ without the files, and that of the files if they differ: there can be many thousands."""
    topics = tuple(topic for topic in report.topics if topic.differences)
    files = next((topic for topic in topics if topic.name == FILES), None)
    return tuple(topic for topic in topics if topic is not files), files


def equal_topics(report: Report) -> tuple[str, ...]:
    """The titles of the topics in which nothing differs."""
    return tuple(topic.title for topic in report.topics if topic.verdict is Verdict.EQUAL)


def key_policy_warnings(report: Report, judgement: Judgement | None = None) -> tuple[str, ...]:
    """What must be cleared up before any of the values goes into a policy."""
    warnings = {
        "nobody vouches for the new side: verify it first": not report.new.verified_by,
        "not every change is explained: look at those first": not all(chain.explained for chain in report.chains),
        "the rules refuse this difference": judgement is not None and not judgement.allowed,
    }
    return tuple(words for words, holds in warnings.items() if holds)


def key_policy_words(policy: KeyPolicy) -> str:
    """What to do to a key policy of nodes that boot so."""
    where = f"Nodes with Secure Boot {policy.mode}"
    if policy.incomplete:
        return f"{where}: no line can be given, {policy.incomplete}"
    if policy.own_statement:
        return f"{where}: the new release needs a statement of its own, with these conditions"
    return f"{where}: put the new value beside the old one; take the old one out when no node boots it any more"


def key_policy_lines(policy: KeyPolicy) -> str:
    """The lines of the policy, as JSON: all conditions of a statement of its own, else the one that changes."""
    if policy.own_statement:
        lines = [f'  "{condition.key}": "{condition.new}"' for condition in policy.conditions]
        return f'"{policy.operator}": {{\n' + ",\n".join(lines) + "\n}"
    return "\n".join(
        f'"{condition.key}": [\n  "{condition.old}",\n  "{condition.new}"\n]' for condition in policy.moved
    )


def _told(chain: Chain, by_id: Mapping[str, Link], ranks: Mapping[str, int], reached: set[str], report: Report) -> Told:
    through = [by_id[item] for item in chain.through]
    moved = [item for item in report.pcrs if pcr_id(item.mode, item.pcr) in {*reached, *chain.causes}]
    return Told(
        chain=chain,
        causes=tuple(by_id[cause] for cause in sorted(chain.causes, key=lambda cause: ranks.get(cause, 0))),
        files=tuple(link for link in through if link.kind == "files"),
        parts=tuple(link for link in through if link.kind not in {"files", "package"}),
        events=tuple(link for link in report.links if link.kind == "event" and link.id in reached),
        moved=moved_words(moved, report.pcrs),
        unmoved=pcr_words(chain.unmoved),
    )
