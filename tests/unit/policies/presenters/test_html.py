"""What the page says; how it behaves in a browser is seen in tests/integration/test_report_page.py."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from policies.presenters.html import html
from tests.sample_reports import finding, good, mixed, report, result

if TYPE_CHECKING:
    from policies.report import Report


def page(of: Report) -> str:
    return html(of).decode()


def words(of: Report) -> str:
    """The text of the page without markup."""
    body = page(of).partition("<body>")[2].rpartition("<script>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_policy_allows_this_style_and_this_script_by_their_digests_and_nothing_else() -> None:
    text = page(mixed())
    policy = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    style, script = (re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("style", "script"))

    def digest(code: str) -> str:
        return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()

    assert len(style) == len(script) == 1
    expected = (
        f"default-src 'none'; style-src 'sha256-{digest(style[0])}'; script-src 'sha256-{digest(script[0])}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert [unescape(item) for item in policy] == [expected]


def test_what_the_packs_allow_beyond_those_that_they_include_is_told() -> None:
    assert "Departure ZOA-120 has allowed 443, not nothing" in words(mixed())
    assert "Departure" not in words(good())


def test_there_is_nothing_to_load_and_no_handler_or_style_in_an_attribute() -> None:
    markup = re.sub(r"<(style|script)>.*?</\1>", "", page(mixed()), flags=re.DOTALL)
    # Attributes are what is left of a tag; texts of the image are escaped and so never in one.
    attributes = " ".join(re.findall(r"<[a-z][^>]*>", markup))
    assert re.findall(r"\b(?:src|srcset|on\w+|style)=", attributes) == []
    assert re.findall(r'href="(?!#)', attributes) == []


def test_names_are_escaped_and_what_cannot_be_seen_is_spelled_out() -> None:
    text = page(mixed())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\\x1b[2J\\u202e]](x){0}&amp;&#34;&#39;\\x00\\ufffe" in text
    assert all(character.isprintable() or character in "\n\t" for character in text)


def test_ids_are_unique_and_every_link_leads_somewhere() -> None:
    text = page(mixed())
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(ids)
    assert {item.control for item in mixed().results} <= set(ids)


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (good(), "Yes every control that applies holds."),
        (
            report(*(item for item in mixed().results if item.outcome in {"passed", "waived", "deferred"})),
            "Yes every control that applies holds, 1 by waiver, and 1 can hold only once the image is signed.",
        ),
        (report(result("ZOA-101", "consoles", "low", "crashed", finding("x"))), "No 1 of 1 controls does not hold."),
        (mixed(), "No 3 of 8 controls do not hold, and there are problems with the check. the waiver of ZOA-102"),
        (replace(good(), passed=False, problems=("p",)), "No there are problems with the check. p "),
    ],
    ids=["good", "waived", "crashed", "mixed", "problem"],
)
def test_the_verdict_stands_on_top_with_its_reason(of: Report, verdict: str) -> None:
    assert f"bedplate check node 1.2.3 {verdict}" in words(of)


def test_the_page_says_what_was_checked_by_what_and_when() -> None:
    shown = words(replace(mixed(), policy="fedc" * 16))
    for fact in (
        "Image node Version 1.2.3 Profile production Looked at the disk image Checked on 2026-06-01 bedplate 0.1.0",
        f"SHA-256 of the image {mixed().digest}",
        f"SHA-256 of the policy {'fedc' * 16}",
        "Pack zero-operator-access Nobody gets in.",
    ):
        assert fact in shown


def test_a_waiver_shows_who_until_when_and_why() -> None:
    assert (
        "root:/usr/bin/gdb is a debugger. Waived by Ada Example until 2027-01-31 : "
        "the debugger is signed off until the pilot ends"
    ) in words(mixed())


def test_every_control_is_explained_whatever_its_outcome() -> None:
    shown = words(mixed())
    for item in mixed().results:
        for text in (item.title, item.explanation.rationale, item.explanation.looks_at, item.explanation.fix):
            assert text in shown


def test_the_bar_of_a_door_is_full_and_has_a_part_for_each_outcome() -> None:
    bars = re.findall(r"<svg.*?</svg>", page(mixed()))
    parts = [
        [(name, float(width)) for name, width in re.findall(r'class="(\S+)".*? width="(\S+)"', bar)] for bar in bars
    ]
    assert parts[0] == [("failed", 60.0), ("passed", 60.0)]
    assert [sum(width for _, width in bar) for bar in parts] == [120.0] * 6
