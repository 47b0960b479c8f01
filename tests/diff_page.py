"""The page of a diff as a parser of HTML reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

from builder.presenters.html import html

if TYPE_CHECKING:
    from builder.compare.difference import Report
    from builder.review.report import Judgement


class Page(HTMLParser):
    """Elements, ids, links, attributes and the text outside of style and script."""

    def __init__(self, of: Report, judgement: Judgement | None = None) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words = ""
        self._skipped = False
        self.feed(html(of, judgement).decode())
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self._skipped = tag in {"style", "script"}
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, _tag: str) -> None:
        self._skipped = False

    def handle_data(self, data: str) -> None:
        self.words += "" if self._skipped else f" {data}"

    def check(self, of: Report) -> None:
        """Everything in the report has an id that is there once, and every link leads to something in the page."""
        assert len(self.ids) == len(set(self.ids))
        assert {item.id for item in (*of.differences, *of.links)} <= set(self.ids)
        assert all(link.startswith("#") for link in self.links)
        assert {link[1:] for link in self.links} <= set(self.ids)
