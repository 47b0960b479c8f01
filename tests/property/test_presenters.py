"""Whatever an image holds, a report of it can be read, and says of it what was found and nothing else."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.presenters.html import html
from policies.presenters.junit import junit
from policies.presenters.sarif import sarif
from policies.presenters.text import text
from tests.sample_reports import finding, good, report, result

if TYPE_CHECKING:
    from policies.report import Report

# Facts are valid Unicode, so there are no lone surrogates; anything else may be in a name.
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "</script>",
        "<!--",
        "]]>",
        "{{ 1 }}",
        '"><img src=x onerror=alert(1)>',
        "{0}",
        "[a](b)",
        "\n\nyes: node",
        "%2e%2e/",
    ]
)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    found = finding(draw(words), draw(words), ("root", draw(words), draw(words)))
    return report(result("ZOA-101", "consoles", "high", "failed", found), problems=(draw(words),), name=draw(words))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}


def _page(of: Report) -> _Page:
    page = _Page()
    page.feed(html(of).decode())
    return page


@settings(deadline=None)
@given(reports())
def test_no_name_adds_an_element_or_an_attribute_to_the_page(of: Report) -> None:
    plain = finding("s", "m", ("root", "p", "v"))
    same = report(result("ZOA-101", "consoles", "high", "failed", plain), problems=("p",), name="n")
    value = of.results[0].findings[0].evidence[0].value
    expected = _page(same)
    shown = _page(of)
    # An empty value has no <code> around it.
    assert len(shown.elements) == len(expected.elements) - (not value)
    assert shown.attributes == expected.attributes


@given(reports())
def test_junit_is_xml_with_one_failure_a_finding(of: Report) -> None:
    root = ET.fromstring(junit(of))  # noqa: S314 -- what we made ourselves
    assert len(list(root.iter("failure"))) == 2


@given(reports())
def test_sarif_is_json_with_one_result_a_finding_and_keeps_the_subject(of: Report) -> None:
    results = json.loads(sarif(of))["runs"][0]["results"]
    assert [item["properties"]["subject"] for item in results] == [of.results[0].findings[0].subject]
    uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert uri
    assert not uri.startswith("/")


@given(reports())
def test_text_has_one_verdict_on_its_last_line(of: Report) -> None:
    lines = text(of).split("\n")
    assert [line for line in lines if line.startswith(("yes: ", "no: "))] == lines[-1:]
    assert all(line.isprintable() for line in lines)


def test_a_good_report_is_the_same_bytes_each_time() -> None:
    for presenter in (sarif, junit, html):
        assert presenter(good()) == presenter(good())
