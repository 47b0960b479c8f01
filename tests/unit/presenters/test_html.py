"""What the page of a diff says; how it behaves in a browser is seen in tests/integration/test_diff_page.py."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from builder.cli.diff_text import outline
from builder.cli.tree import plain_tree
from builder.compare.baselines import compare
from builder.presenters import html as html_module
from builder.presenters.html import html
from builder.presenters.markdown import markdown
from tests.diff_page import Page
from tests.sample_differences import file, hostile, large, long_names, mixed, refusal, side

if TYPE_CHECKING:
    from builder.compare.difference import Report


REPORTS = {"one": large(1, 3), "mixed": mixed(), "many": large(60, 300), "hostile": hostile(), "long": long_names()}
each = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)


@each
def test_everything_has_an_id_and_every_link_leads_to_one(report: Report) -> None:
    Page(report).check(report)


@each
def test_nothing_is_loaded_and_no_attribute_is_a_handler_or_a_style(report: Report) -> None:
    page = Page(report)
    assert not {"src", "srcset", "style", "action"} & page.attributes
    assert not any(name.startswith("on") for name in page.attributes)
    assert page.elements.count("script") == page.elements.count("style") == 1


@settings(deadline=None, max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip))
def test_no_name_adds_an_element_or_an_attribute(name: str) -> None:
    plain, shown = Page(hostile("name")), Page(hostile(name))
    known = set(plain.elements) | {"br", "li"}
    assert set(shown.elements) <= known
    assert shown.attributes <= plain.attributes


def test_a_name_that_ends_the_script_is_text() -> None:
    text = html(hostile("</script><script>alert(1)</script>")).decode()
    assert text.count("</script>") == 1
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_what_cannot_be_seen_is_spelled_out() -> None:
    text = html(hostile()).decode()
    assert "\\x1b[2J\\u202e" in text
    assert all(character.isprintable() or character in "\n\t" for character in text)


def test_the_answer_stands_on_top_with_both_sides() -> None:
    assert Page(large(1, 3)).words.startswith(
        "node 1.0.0 → node 1.1.0 · bedplate diff Skip to the reasons Skip to the files Theme Auto Light Dark "
        "bedplate diff node 1.0.0 → node 1.1.0 They differ; PCR 4, 9 and 11 moved, PCR 7, 12, 13 and 14 did not. "
        "Old: release dist/node/1.0.0 signed by 6d0e8befb1727f4e New: release dist/node/1.1.0 signed by"
    )


def test_a_chain_is_told_step_by_step() -> None:
    words = Page(large(1, 3)).words
    steps = (
        "package-000 1.0.0-1 -> 1.1.0-1",
        "so 3 files in root of package-000",
        "so the root hash",
        "so section .cmdline",
        "so the UKI",
        "so these events, with Secure Boot disabled , enabled : PCR 4 event 0: Authenticode digest (UKI)",
        "so PCR 4, 9 and 11 moved; PCR 7, 12, 13 and 14 did not link to this",
    )
    place = 0
    for step in steps:
        place = words.index(step, place)


@pytest.mark.parametrize(
    ("report", "judged", "warnings"),
    [
        (large(1, 1), False, []),
        (hostile("name"), False, ["nobody vouches for the new side"]),
        (mixed(), True, ["not every change is explained", "the rules refuse this difference"]),
    ],
    ids=["good", "unverified", "mixed"],
)
def test_values_for_key_policies_come_with_what_must_be_cleared_up_before(
    report: Report, warnings: list[str], *, judged: bool
) -> None:
    told = [
        Page(report, refusal(report) if judged else None).words,
        markdown(report, refusal(report) if judged else None),
    ]
    for text in told:
        assert len(re.findall("Not yet:", text)) == len(warnings)
        assert all(warning in text for warning in warnings)
    in_terminal = plain_tree(outline(report, full=False))
    assert in_terminal.count("not yet: ") == len([warning for warning in warnings if "rules" not in warning])


def test_no_difference_has_no_tables() -> None:
    one = side("1.0.0", [file("/a", "a")], [])
    page = Page(compare(one, one))
    assert "No difference; no PCR moved." in page.words
    assert "No PCR moved." in page.words
    assert "form" not in page.elements


def test_what_was_not_compared_is_told() -> None:
    one = side("1.0.0", [], [])
    report = compare(one, side("1.0.0", [], [], inputs={"seed": "x"}))
    assert report.incomplete
    words = Page(report).words
    assert all(reason in words for reason in report.incomplete)


def test_differences_inside_a_file_are_shown_with_ids_of_their_own() -> None:
    page = Page(mixed())
    assert "files/root/etc/settings/=lines" in page.ids
    assert "Inside it: 1 changed" in page.words


def test_rows_that_are_too_many_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_module, "MOST_FILES", 250)
    page = Page(large(5, 300))
    assert "50 files that matter least are left out here; JSON has all of them." in page.words
    assert sum(item.startswith("files/") for item in page.ids) == 250


def test_the_page_says_what_rules_say() -> None:
    report = mixed()
    page = Page(report, refusal(report))
    assert re.search(r"Refused by rules \(SHA-256 (ab){32} \): \d+ of what differs or is not known", page.words)
    assert "openssl : packages:" in page.words
    page.check(report)
    allowed = structs.replace(refusal(report), allowed=True, refused=())
    assert "Allowed by rules" in Page(report, allowed).words


def test_the_same_difference_makes_the_same_bytes() -> None:
    assert html(large(3, 9)) == html(large(3, 9))
