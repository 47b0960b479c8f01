"""The forms of a check's report."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.report import Report


class CheckForm(enum.StrEnum):
    """A form of the report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    HTML = "html"


def render(report: Report, form: CheckForm) -> bytes:
    """The report in one form; it ends with a line feed."""
    # One presenter is needed at most times, and the one for HTML takes a while to load.
    match form:
        case CheckForm.TEXT:
            from policies.presenters.text import text  # noqa: PLC0415

            return f"{text(report)}\n".encode()
        case CheckForm.JSON:
            from msgspec import json  # noqa: PLC0415

            return json.format(json.encode(report), indent=2) + b"\n"
        case CheckForm.SARIF:
            from policies.presenters.sarif import sarif  # noqa: PLC0415

            return sarif(report)
        case CheckForm.JUNIT:
            from policies.presenters.junit import junit  # noqa: PLC0415

            return junit(report)
        case CheckForm.HTML:
            from policies.presenters.html import html  # noqa: PLC0415

            return html(report)
