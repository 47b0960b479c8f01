"""Chains: the links from each first cause to the PCRs, told together where they went the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.difference import Chain, Link, Verdict
from builder.compare.measured import pcr_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from builder.compare.difference import Moved

_NAMED: Final = 3
# The steps that a sentence names; the rest is in the links.
_SPOKEN: Final = {"root hash", "section", "stub", "variable"}
_SECTIONS: Final = {
    "section .cmdline": "the command line",
    "section .initrd": "the initrd",
    "section .linux": "the kernel",
}


def chains(links: Sequence[Link], pcrs: Sequence[Moved]) -> tuple[Chain, ...]:
    """A chain for all first causes of one kind that have the same consequences, in the order of their links."""
    by_id = {link.id: link for link in links}
    follows = consequences(links)
    groups: dict[tuple[str, frozenset[str]], list[Link]] = {}
    for link in links:
        if not link.because:
            reached = frozenset(item for item in follows[link.id] if by_id[item].kind not in {"files", "package"})
            groups.setdefault((link.kind, reached), []).append(link)
    return tuple(_chain(causes, follows, links, pcrs) for causes in groups.values())


def consequences(links: Sequence[Link]) -> Mapping[str, frozenset[str]]:
    """The ids of all that follows from each link, directly or not."""
    follows: dict[str, set[str]] = {link.id: set() for link in links}
    for link in reversed(links):
        for cause in link.because:
            follows[cause] |= {link.id, *follows[link.id]}
    return {link: frozenset(found) for link, found in follows.items()}


def _chain(
    causes: Sequence[Link], follows: Mapping[str, frozenset[str]], links: Sequence[Link], pcrs: Sequence[Moved]
) -> Chain:
    reached = {item for cause in causes for item in follows[cause.id]} | {cause.id for cause in causes}
    ours = {cause.id for cause in causes}
    through = [link for link in links if link.id in reached - ours and link.kind not in {"event", "PCR"}]
    moved = [item for item in pcrs if pcr_id(item.mode, item.pcr) in reached]
    still = sorted({item.pcr for item in pcrs} - {item.pcr for item in pcrs if item.verdict is not Verdict.EQUAL})
    return Chain(
        causes=tuple(cause.id for cause in causes),
        through=tuple(link.id for link in through),
        moved=tuple(sorted({item.pcr for item in moved})),
        unmoved=tuple(still),
        explained=all(cause.explained for cause in causes),
        sentence=_sentence(causes, through, moved_words(moved, pcrs), still),
    )


def _sentence(causes: Sequence[Link], through: Sequence[Link], moved: str, still: Sequence[int]) -> str:
    steps = [_lead(causes, through)]
    steps += [f"so {step_words(link)}" for link in through if link.kind in _SPOKEN]
    end = f"so {moved} moved" if moved else "and no PCR moved"
    rest = f"; {pcr_words(still)} did not" if moved and still else ""
    return f"{', '.join([*steps, end])}{rest}"


def _lead(causes: Sequence[Link], through: Sequence[Link]) -> str:
    named = ", ".join(cause.subject for cause in causes[:_NAMED])
    if len(causes) > _NAMED:
        named = f"{len(causes)} causes ({named}, ...)"
    first = causes[0]
    if not all(cause.explained for cause in causes):
        return f"{named} changed, and nothing was found that explains it"
    if first.kind == "package":
        return f"{named}{_changed_files(through)}"
    return f"{named} changed" if first.kind in {"files", "ESP file"} else named


def _changed_files(through: Sequence[Link]) -> str:
    counts: dict[str, int] = {}
    for link in through:
        if link.kind == "files":
            area = link.id.split("/")[1]
            counts[area] = counts.get(area, 0) + link.count
    words = [f"{count} file{'s' * (count != 1)} in {'the ' * (area != 'root')}{area}" for area, count in counts.items()]
    return f" changed {join(words)}" if words else ""


def step_words(link: Link) -> str:
    """A step between a cause and the PCRs, for a sentence: "the command line"."""
    return _SECTIONS.get(link.subject, f"UKI {link.subject}" if link.kind == "section" else link.subject)


def moved_words(moved: Sequence[Moved], pcrs: Sequence[Moved]) -> str:
    """PCRs that moved with every mode that was compared, then those that moved with some."""
    modes = {item.mode for item in pcrs}
    by_pcr: dict[int, set[str]] = {}
    for item in moved:
        by_pcr.setdefault(item.pcr, set()).add(item.mode)
    words = [pcr_words(sorted(pcr for pcr, found in by_pcr.items() if found == modes))]
    for mode in sorted(modes):
        some = sorted(pcr for pcr, found in by_pcr.items() if found != modes and mode in found)
        words.append(f"{pcr_words(some)} (Secure Boot {mode})" if some else "")
    return join([word for word in words if word])


def pcr_words(indexes: Sequence[int]) -> str:
    """PCRs by number: "PCR 4, 9 and 11"."""
    return f"PCR {join([str(index) for index in indexes])}" if indexes else ""


def join(words: Iterable[str]) -> str:
    """An enumeration: "a, b and c"."""
    *most, last = tuple(words) or ("",)
    return f"{', '.join(most)} and {last}" if most else last
