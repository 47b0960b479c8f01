"""A difference as one HTML page for an auditor: a picture of the causes, PCRs, key policies, and all that differs.

Every node has its id, and every id can be linked to. Without scripts only the filter of the files is missing.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Verdict
from builder.presenters.arrangement import (
    UNEXPLAINED,
    by_weight,
    change_word,
    counts,
    equal_topics,
    key_policy_lines,
    key_policy_warnings,
    key_policy_words,
    pcr_rows,
    split_files,
    told,
    trust_words,
    verdict_line,
)
from builder.presenters.picture import picture
from policies.presenters.document import document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.compare.difference import Difference, Report
    from builder.review.report import Judgement

PAGE: Final = Path(__file__).parent / "page"
# A browser shows these well; whoever has more needs a program, and JSON has all.
MOST_FILES: Final = 50_000
# Rows that a browser lays out together, and those that follow only when they come into sight.
_CHUNK: Final = 100
# Topics with more differences are folded at first.
_OPEN: Final = 40


def html(report: Report, judgement: Judgement | None = None) -> bytes:
    """The difference, and what rules say of it if there are any, as an HTML document in UTF-8.

    Two reports that are the same make the same bytes.
    """
    chains = told(report)
    topics, files = split_files(report)
    rows = () if files is None else by_weight(files.differences)
    values = {
        "report": report,
        "judgement": judgement,
        "verdict": verdict_line(report),
        "is_equal": report.verdict is Verdict.EQUAL,
        "picture": picture(report, chains),
        "chains": chains,
        "pcrs": pcr_rows(report, chains),
        # A step of the same id is told there.
        "homes": {item.id for item in report.differences} - {row.id for row in rows[MOST_FILES:]},
        "topics": topics,
        "files": files,
        "file_count": len(rows),
        "left_out": max(0, len(rows) - MOST_FILES),
        "chunks": _chunks(rows[:MOST_FILES]),
        "changes": [change for change in Change if Counter(row.change for row in rows)[change]],
        "areas": sorted({row.area for row in rows if row.area}),
        "equal": equal_topics(report),
        "names": {link.id: link.subject for link in report.links},
        "open_up_to": _OPEN,
        "unexplained": UNEXPLAINED,
        "by_weight": by_weight,
        "change_word": change_word,
        "counts": counts,
        "key_policy_lines": key_policy_lines,
        "key_policy_warnings": key_policy_warnings(report, judgement),
        "key_policy_words": key_policy_words,
        "trust_words": trust_words,
    }
    return document("diff", values, PAGE)


def _chunks(rows: Sequence[Difference]) -> Iterator[Sequence[Difference]]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
