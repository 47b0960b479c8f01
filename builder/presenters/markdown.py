"""A difference as GitHub-flavoured Markdown for a pull request: short, with details folded, and bounded in size.

Names come from images that nobody trusts. What of them could be markup is written as numeric character references,
which are text (CommonMark 0.31, 2.5), and what GitHub takes for a mention or a reference stands in code, where it looks
for none. GitHub refuses comments of more than 65 536 characters.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Verdict
from builder.presenters.arrangement import (
    by_weight,
    change_word,
    counts,
    equal_topics,
    key_policy_lines,
    key_policy_warnings,
    key_policy_words,
    pcr_rows,
    told,
    trust_words,
    verdict_line,
)
from policies.presenters.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from builder.compare.difference import Difference, KeyPolicy, Report, Side, Topic
    from builder.presenters.arrangement import PcrRow, Told
    from builder.review.report import Judgement, Refusal

# Bytes, of which there are never fewer than characters; the rest is for whoever puts words of their own before it.
MAX_BYTES: Final = 60_000
_HEAD_BYTES: Final = 40_000
# What follows keeps so many bytes for its own beginning and end.
_SECTION_BYTES: Final = 300
_CHAINS: Final = 10
_REFUSALS: Final = 20
_CAUSES: Final = 3
_ROWS: Final = 50
_FIELDS: Final = 6
_TEXT: Final = 160
_SENTENCE: Final = 600
_TABLE: Final = ("| change | what | before → after | notes |", "|---|---|---|---|")


class _Comment:
    """Lines up to a number of bytes."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._left = MAX_BYTES

    def add(self, *lines: str, keep: int = 0) -> bool:
        """Add all of the lines if ``keep`` bytes are left after them, else none."""
        size = sum(len(line.encode()) + 1 for line in lines)
        if size > self._left - keep:
            return False
        self._left -= size
        self._lines += lines
        return True

    def add_list(self, lines: Sequence[str], more: str, *, most: int, keep: int) -> None:
        """Add lines while they fit, and say how many others there are."""
        shown = 0
        for line in lines[:most]:
            if not self.add(line, keep=keep + _SECTION_BYTES):
                break
            shown += 1
        if shown < len(lines):
            self.add(more.format(len(lines) - shown))

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"


def markdown(report: Report, judgement: Judgement | None = None) -> str:
    """The difference, and what rules say of it if there are any; ends with a line feed.

    It has at most ``MAX_BYTES`` bytes in UTF-8.
    """
    comment = _Comment()
    chains = told(report)
    rest = MAX_BYTES - _HEAD_BYTES
    comment.add(f"### bedplate diff: {_code(report.old.label)} → {_code(report.new.label)}", "")
    comment.add(f"{_prose(_capital(verdict_line(report)))}.", "")
    comment.add(*(_side(name, side) for name, side in (("Old", report.old), ("New", report.new))), "")
    if judgement is not None:
        _judgement(comment, judgement, rest)
    if report.pcrs:
        comment.add("| PCR | holds | | why |", "|--:|---|---|---|")
        pcrs = [_pcr(row) for row in pcr_rows(report, chains)]
        comment.add_list(pcrs, "| | {} more | | |", most=len(pcrs), keep=rest)
        comment.add("")
    if chains:
        comment.add("#### Why PCRs moved", "")
        sentences = [_chain(item) for item in chains]
        comment.add_list(sentences, "- and {} more; the other formats have all of them", most=_CHAINS, keep=rest)
        comment.add("")
    sections = list(_sections(report, judgement))
    for number, (title, header, rows) in enumerate(sections, 1):
        _fold(comment, title, header, rows, keep=_SECTION_BYTES * (len(sections) - number + 1))
    if equal := equal_topics(report):
        comment.add(f"Equal: {', '.join(equal)}.")
    return comment.text()


def _judgement(comment: _Comment, judgement: Judgement, keep: int) -> None:
    rules = f"{_code(judgement.rules.name)} ({_code(judgement.rules.sha256)})"
    if judgement.allowed:
        comment.add(f"**Allowed** by {rules}: {judgement.judged} differences.", "")
        return
    comment.add(f"**Refused** by {rules}: {len(judgement.refused)} of what differs or is not known.", "")
    refused = [_refusal(refusal) for refusal in judgement.refused]
    comment.add_list(refused, "- and {} more; the other formats have all of them", most=_REFUSALS, keep=keep)
    comment.add("")


def _refusal(refusal: Refusal) -> str:
    needs = ", ".join(map(_code, refusal.needs[:_CAUSES])) or "nothing, no rule can allow it"
    return f"- {_prose(refusal.subject)}: needs {needs}"


def _fold(comment: _Comment, title: str, header: Sequence[str], rows: Sequence[str], *, keep: int) -> None:
    comment.add("<details>", f"<summary>{title}</summary>", "", *header)
    more = "| | and {} more; the other formats have all of them | | |" if header else "- and {} more"
    comment.add_list(rows, more, most=_ROWS, keep=keep)
    comment.add("", "</details>", "")


def _sections(report: Report, judgement: Judgement | None) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """Title, header of the table, and lines of everything that is folded."""
    if report.incomplete:
        yield "Not compared, so not equal", (), [f"- {_prose(reason)}" for reason in report.incomplete]
    if report.key_policies:
        yield (
            "Key policy of AWS KMS",
            (),
            list(_key_policies(report.key_policies, key_policy_warnings(report, judgement))),
        )
    for topic in report.topics:
        if topic.differences:
            yield f"{topic.title}: {counts(topic.differences)}", _TABLE, _rows(topic)


def _rows(topic: Topic) -> list[str]:
    """The lines of a topic's table; those that nobody will see are not written out."""
    shown = [_difference(item) for item in by_weight(topic.differences)[:_ROWS]]
    return shown + [""] * (len(topic.differences) - len(shown))


def _side(name: str, side: Side) -> str:
    trust = trust_words(side)
    return f"- {name}: {side.kind} {_code(side.place)}{f', {_prose(trust)}' if trust else ''}"


def _pcr(row: PcrRow) -> str:
    words = f"**{row.words}**" if row.verdict is not Verdict.EQUAL else row.words
    causes = row.causes
    named = [_code(cause.subject) for cause in causes[:_CAUSES]]
    named += [f"and {len(causes) - _CAUSES} more"] if len(causes) > _CAUSES else []
    reasons = dict.fromkeys(_prose(item.reason) for item in row.modes if item.reason)
    return f"| {row.pcr} | {row.holds} | {words} | {', '.join((*named, *reasons))} |"


def _chain(item: Told) -> str:
    return f"- {'' if item.chain.explained else '**Not explained:** '}{_prose(item.chain.sentence, _SENTENCE)}"


def _key_policies(policies: Iterable[KeyPolicy], warnings: Iterable[str]) -> Iterator[str]:
    for warning in warnings:
        yield f"**Not yet:** {warning}.\n"
    for policy in policies:
        yield f"{_prose(key_policy_words(policy))}.\n"
        if not policy.incomplete:
            yield f"<pre>\n{html.escape(_lines_visible(key_policy_lines(policy)))}\n</pre>\n"


def _lines_visible(text: str) -> str:
    """The same lines with what cannot be seen in them spelled out."""
    return "\n".join(map(one_line, text.split("\n")))


def _difference(item: Difference) -> str:
    what = f"{item.area}: " if item.area else ""
    if item.old == item.new:
        values = "<br>".join(
            f"{_code(field.name)} {_value(field.old)} → {_value(field.new)}" for field in item.fields[:_FIELDS]
        )
    elif item.old is None or item.new is None:
        values = _value(item.new if item.old is None else item.old)
    else:
        values = f"{_value(item.old)} → {_value(item.new)}"
    notes = [*map(_prose, item.notes), *([f"not compared: {_prose(item.incomplete)}"] if item.incomplete else [])]
    if item.old is not None and item.new is not None:
        notes += [_prose(field.name) for field in item.fields if field.name not in {"version", "sha256"}]
    return f"| {change_word(item.change)} | {what}{_code(item.subject)} | {values} | {'; '.join(notes)} |"


def _value(value: str | None) -> str:
    if value is None:
        return "none"
    is_digest = re.fullmatch(r"[0-9a-f]{64,128}", value)
    return _code(f"{value[:16]}…" if is_digest else value)


def _code(text: str, most: int = _TEXT) -> str:
    return f"<code>{_encoded(_cut(text, most))}</code>" if text else "empty"


def _prose(text: str, most: int = _TEXT) -> str:
    """Words of ours with names in them. What GitHub links wherever it stands in prose is put into code."""
    encoded = _encoded(_cut(text, most))
    encoded = re.sub(r"&#(35|64);", r"<code>&#\1;</code>", encoded)
    encoded = re.sub(r"\b(gh)-(?=\d)", r"\1<code>-</code>", encoded, flags=re.IGNORECASE)
    # At the beginning these make lists: "- ", "+ ", "1. ", "1) ".
    return re.sub(r"^(\d*)([.)+-])", lambda match: f"{match[1]}&#{ord(match[2])};", encoded)


def _encoded(text: str) -> str:
    encoded = re.sub(r"[#$&*<>@\[\\\]_`|~]|:(?=//)", lambda match: f"&#{ord(match[0])};", text)
    # With or without a scheme: GFM 6.9, autolinks (extension).
    return re.sub(r"\bwww\.", "www&#46;", encoded, flags=re.IGNORECASE)


def _cut(text: str, most: int) -> str:
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
