"""The forms of a difference."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from builder.cli.output import to_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.cli.tree import Branch
    from builder.compare.difference import Report
    from builder.review.report import Judgement


class DiffForm(enum.StrEnum):
    """A form of the report."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"


def render(report: Report, judgement: Judgement | None, form: DiffForm, *, full: bool) -> bytes:
    """The report, and what rules say of it if there are any, in one form; ends with a line feed.

    ``full`` counts for text. JSON with a judgement is the judgement, which holds the report.
    """
    # One presenter is needed at most times, and the one for HTML takes a while to load.
    match form:
        case DiffForm.TEXT:
            from builder.cli.tree import plain_tree  # noqa: PLC0415

            return "".join(map(plain_tree, _outlines(report, judgement, full=full))).encode()
        case DiffForm.JSON:
            from msgspec import json  # noqa: PLC0415

            return json.format(json.encode(judgement or report), indent=2) + b"\n"
        case DiffForm.MARKDOWN:
            from builder.presenters.markdown import markdown  # noqa: PLC0415

            return markdown(report, judgement).encode()
        case DiffForm.HTML:
            from builder.presenters.html import html  # noqa: PLC0415

            return html(report, judgement)


def show(report: Report, judgement: Judgement | None, form: DiffForm, *, full: bool) -> None:
    """The same on standard output: text as a tree that fits the terminal, if it is one."""
    if form is not DiffForm.TEXT:
        to_stdout(render(report, judgement, form, full=full), nl=False)
        return
    from builder.cli.tree import print_tree  # noqa: PLC0415

    for root in _outlines(report, judgement, full=full):
        print_tree(root)


def _outlines(report: Report, judgement: Judgement | None, *, full: bool) -> Iterator[Branch]:
    from builder.cli.diff_gate import judgement_outline  # noqa: PLC0415
    from builder.cli.diff_text import outline  # noqa: PLC0415

    yield outline(report, judgement, full=full)
    if judgement is not None:
        yield judgement_outline(judgement)
