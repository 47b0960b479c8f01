"""Markdown for a pull request, as a parser of CommonMark with tables reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from builder.compare.baselines import compare
from builder.presenters.markdown import MAX_BYTES, markdown
from builder.review.report import Judgement, Refusal, RulesUsed
from tests.sample_differences import hostile, large, side

# What GitHub accepts in a comment.
LIMIT = 65_536
ELEMENTS = {
    "br", "code", "details", "h3", "h4", "li", "p", "pre", "strong", "summary", "table", "tbody", "td", "th", "thead",
    "tr", "ul",
}  # fmt: skip
NAMES = (
    "</code></summary></details><script>alert(1)</script>",
    "![x](https://example.org/x.png)",
    "https://example.org and www.example.org",
    "@everyone",
    "#1 GH-2",
    "a|b|c",
    "`` ` ``",
    "\n\n- list\n# heading\n",
    "1. list",
    "- list",
    "**bold** _x_ ~~y~~ $z$",
    "&lt; &amp;",
    "\\",
    "\x1b[2J\u202e",
)


class Page(HTMLParser):
    """Elements, attributes, and the texts that do not stand in code."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.prose: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs} - {"style"}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if not {"code", "pre"} & set(self.open):
            self.prose.append(data)


def read(text: str) -> Page:
    """The page that the Markdown becomes; elements that are not closed in order fail."""
    page = Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))
    assert page.open == []
    return page


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_whatever_it_holds(name: str) -> None:
    text = markdown(hostile(name))
    page = read(text)
    assert page.elements <= ELEMENTS
    assert page.attributes == set()
    # All of it is still there, with what cannot be seen spelled out.
    assert name.replace("\n", "\\n").replace("\x1b", "\\x1b").replace("\u202e", "\\u202e") in page.text
    assert text.count("\n- ") == markdown(hostile("plain")).count("\n- ")
    assert text.count("\n#") == 1
    # What GitHub links: mentions, references, addresses.
    prose = " ".join(page.prose)
    assert not re.search(r"@\w|#\d|GH-\d", prose)
    assert not re.search(r"https?://|www\.", text)


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_no_name_makes_an_element_of_its_own(name: str) -> None:
    assert read(markdown(hostile(name))).elements <= ELEMENTS


@pytest.mark.parametrize("name", ["x" * 100_000, "<" * 100_000, "\x00" * 10_000, "\U0001f600" * 10_000])
def test_no_length_makes_it_longer_than_a_comment_may_be(name: str) -> None:
    text = markdown(hostile(name))
    assert len(text) <= len(text.encode()) <= MAX_BYTES < LIMIT
    assert read(text).elements <= ELEMENTS


def test_many_differences_are_counted_and_the_worst_are_shown() -> None:
    text = markdown(large(200, 5_000))
    assert len(text.encode()) < MAX_BYTES
    assert "and 150 more; the other formats have all of them" in text
    assert "and 4950 more; the other formats have all of them" in text
    assert "200 causes (package-000 1.0.0-1 -&#62; 1.1.0-1, " in text
    read(text)


def test_the_answer_stands_on_top() -> None:
    lines = [line for line in markdown(large(1, 2)).split("\n") if line]
    assert lines[0] == "### bedplate diff: <code>node 1.0.0</code> → <code>node 1.1.0</code>"
    assert lines[1] == "They differ; PCR 4, 9 and 11 moved, PCR 7, 12, 13 and 14 did not."
    table = [line for line in lines if re.match(r"\| \d", line)]
    cause = "<code>package-000 1.0.0-1 -&#62; 1.1.0-1</code>"
    assert table[0] == f"| 4 | images that firmware loads | **moved** | {cause} |"
    assert table[1] == "| 7 | Secure Boot variables, signer | did not move |  |"
    assert len(table) == 7


def test_no_difference_is_short() -> None:
    one = side("1.0.0", [], [])
    text = markdown(compare(one, one))
    assert "No difference; no PCR moved." in text
    assert "<details>" not in text


def test_a_new_value_of_pcr_4_is_told_for_key_policies() -> None:
    text = markdown(large(1, 1))
    assert text.count("kms:RecipientAttestation:NitroTPMPCR4") == 2
    assert "put the new value beside the old one" in text


def test_what_rules_say_stands_before_the_reasons() -> None:
    report = large(1, 1)
    used = RulesUsed(name="rules|of|ours", sha256="ab" * 32)
    refusal = Refusal(id="x", subject="@package-000", needs=("packages.upgrade",))
    refused = markdown(report, Judgement(allowed=False, rules=used, judged=3, refused=(refusal,) * 30, diff=report))
    assert "**Refused** by <code>rules&#124;of&#124;ours</code>" in refused
    assert "- <code>&#64;</code>package-000: needs <code>packages.upgrade</code>" in refused
    assert "- and 10 more" in refused
    assert refused.index("**Refused**") < refused.index("| PCR |")
    allowed = markdown(report, Judgement(allowed=True, rules=used, judged=3, refused=(), diff=report))
    assert "**Allowed** by " in allowed
    read(refused)
