"""A report as one HTML page that an auditor opens from a disk: style and script are in it, and nothing is fetched.

The page is safe to open whatever the image is called and holds: all texts are escaped, what cannot be seen is spelled
out, and a Content Security Policy allows this one style sheet and this one script by their digests, and nothing else.
Without scripts only filtering is missing.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from policies.control import Severity
from policies.presenters.arrangement import OUTCOMES, DoorResults, by_door, count, subject_of
from policies.presenters.visible import visible
from policies.report import Outcome, Report  # noqa: TC001 -- in an annotation that mypy alone reads

_PAGE: Final = Path(__file__).parent / "page"
_BAR_WIDTH: Final = 120


def html(report: Report) -> bytes:
    """The report as an HTML document in UTF-8. Two reports that are the same make the same bytes."""
    style, script = ((_PAGE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    page = _template().render(
        report=report,
        subject=subject_of(report),
        counts={outcome: count(report.results).get(outcome, 0) for outcome in OUTCOMES},
        doors=by_door(report.results),
        severities=[item.value for item in Severity],
        segments=_segments,
        style=Markup(style),  # noqa: S704 -- our own file
        script=Markup(script),  # noqa: S704 -- our own file
        policy=(
            f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
    )
    return page.encode() + b"\n"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _finalize(value: Any) -> Any:
    """Every text that is put into the page, but for our own style and script."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _digest(text: str) -> str:
    """A source expression of CSP Level 3 (section 2.3.1): what stands between the tags, to the byte."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _segments(door: DoorResults) -> list[tuple[Outcome, float, float]]:
    """Outcome, start and width of the parts of a door's bar, the worst first."""
    segments: list[tuple[Outcome, float, float]] = []
    start = 0.0
    for outcome in OUTCOMES:
        width = _BAR_WIDTH * door.counts.get(outcome, 0) / len(door.results)
        if width:
            segments.append((outcome, round(start, 2), round(width, 2)))
        start += width
    return segments
