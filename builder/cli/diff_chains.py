"""Why PCRs moved, and what key policies must now say, as trees of lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.cli.tree import Branch, line
from builder.compare.chains import join, pcr_words, step_words
from builder.compare.measured import GONE
from builder.presenters.arrangement import (
    UNEXPLAINED,
    all_equal,
    files_words,
    key_policy_lines,
    key_policy_warnings,
    key_policy_words,
    told,
    unmoved,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.compare.difference import Link, Report
    from builder.presenters.arrangement import Told
    from builder.review.report import Judgement

_CAUSES: Final = 3


def why(report: Report, *, full: bool) -> Iterator[Branch]:
    """The chains from causes to PCRs, a step on a line, and the PCRs that did not move."""
    still = pcr_words(unmoved(report))
    if report.chains:
        chains = [_chain(item, full=full) for item in told(report)]
        rest = (line(f"{still} did not move", style="dim"),) if still else ()
        yield line("Why PCRs moved", (*chains, *rest), "bold")
    elif all_equal(report.pcrs):
        yield line("No PCR moved", style="bold")
    elif still:
        yield line(f"{still} did not move", style="bold")


def key_policies(report: Report, judgement: Judgement | None) -> Iterator[Branch]:
    """The lines that key policies need, for each Secure Boot mode."""
    policies = [
        line(
            key_policy_words(policy), () if policy.incomplete else (Branch(key_policy_lines(policy)),),
            "yellow" if policy.incomplete else "",
        )
        for policy in report.key_policies
    ]  # fmt: skip
    if policies:
        warnings = [line(f"not yet: {warning}", style="yellow") for warning in key_policy_warnings(report, judgement)]
        yield line("Key policy of AWS KMS", (*warnings, *policies), "bold")


def _chain(item: Told, *, full: bool) -> Branch:
    subjects = [cause.subject for cause in item.causes]
    shown = subjects if full or len(subjects) <= _CAUSES else subjects[:_CAUSES]
    more = [f"and {len(subjects) - len(shown)} more{'' if full else ' (--full)'}"] if len(subjects) > len(shown) else []
    first, *others = [*shown, *more]
    steps = [f"and {subject}" if subject in shown else subject for subject in others]
    if not item.chain.explained:
        steps.append(UNEXPLAINED)
    if item.files and item.causes[0].kind != "files":
        steps.append(f"so {files_words(item.files)}")
    parts = [step_words(part) for part in item.parts if part.kind != "argument"]
    if parts:
        steps.append(f"so {join(parts)}")
    if item.events:
        steps.append(f"so {_events(item.events)}")
    if not item.moved:
        steps.append("and no PCR moved")
    return line(first, tuple(map(line, steps)), "" if item.chain.explained else "yellow")


def _events(events: Sequence[Link]) -> str:
    """The events by PCR: those of all Secure Boot modes together, as the modes mostly have the same."""
    by_pcr: dict[str, dict[str, None]] = {}
    for event in events:
        _, _, pcr, index = event.id.split("/")
        by_pcr.setdefault(pcr, {})[index.removeprefix(GONE)] = None
    words = [
        f"PCR {pcr} (event {join(sorted(found, key=int))})"
        for pcr, found in sorted(by_pcr.items(), key=lambda item: int(item[0]))
    ]
    return join(words)
