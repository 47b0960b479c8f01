"""The HTML report in a real browser: it loads nothing, filters, prints, and can be read in light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.presenters.html import html
from tests.browser import BACKGROUND, CONTRAST, DARK, LIGHT, PAPER, Tab, chromium
from tests.sample_reports import mixed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.oracle, pytest.mark.integration]

SHOWN = "[...document.querySelectorAll('#controls details:not([hidden]) .id')].map((id) => id.textContent)"
ALL = ["ZOA-101", "ZOA-102", "ZOA-205", "ZOA-206", "ZOA-501", "ZOA-902", "ZOA-701", "ZOA-601"]
OPEN = "[...document.querySelectorAll('details[open] .id')].map((id) => id.textContent)"
SUMMARY = "document.getElementById('ZOA-206').closest('details').querySelector('summary')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_bytes(html(mixed()))
    return path


@pytest.fixture(scope="module")
def browser(browser_tools: Toolchain, page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    profile = tmp_path_factory.mktemp("profile")
    with Tab(browser_tools.command(chromium(profile), readable=[page.parent], writable=[profile])) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab, page: Path) -> Tab:
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.open(page.as_uri())
    return browser


def filter_by(tab: Tab, field: str, value: str) -> list[str]:
    tab.do(
        f"document.getElementById('{field}').value = {value!r};"
        f"document.getElementById('{field}').dispatchEvent(new Event('input', {{ bubbles: true }}))"
    )
    shown: list[str] = tab.evaluate(SHOWN)
    return shown


def test_the_page_asks_for_itself_and_for_nothing_else(tab: Tab, page: Path) -> None:
    assert [event["request"]["url"] for event in tab.happened("Network.requestWillBeSent")] == [page.as_uri()]


def test_nothing_is_complained_about_and_no_name_runs(tab: Tab) -> None:
    complaints = (
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
        "Log.entryAdded",
        "Page.javascriptDialogOpening",
    )
    assert tab.happened(*complaints) == []
    assert tab.evaluate("document.scripts.length") == 1
    assert "<script>alert(1)</script>" in tab.evaluate("document.querySelector('.evidence').closest('ol').textContent")


def test_the_policy_stops_what_is_not_ours(tab: Tab) -> None:
    tab.evaluate(
        "document.body.append(Object.assign(document.createElement('img'), { src: 'https://example.org/x.png' }))"
    )
    tab.do("document.body.setAttribute('onclick', 'document.title = 1') || document.body.click()")
    assert len(tab.happened("Log.entryAdded")) == 2
    assert tab.evaluate("document.title") == "Failed: node 1.2.3 · bedplate check"
    assert [event["blockedReason"] for event in tab.happened("Network.loadingFailed")] == ["csp"]


def test_all_controls_are_listed_and_those_with_findings_are_open(tab: Tab) -> None:
    assert tab.evaluate(SHOWN) == ALL
    assert tab.evaluate(OPEN) == ["ZOA-101", "ZOA-205", "ZOA-501"]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("words", "zoa-205", ["ZOA-205"]),
        ("words", "SSHD server", ["ZOA-101"]),
        ("words", "50-default.conf", ["ZOA-205"]),
        ("words", "no such words", []),
        ("outcome", "waived", ["ZOA-601"]),
        ("severity", "critical", ["ZOA-101", "ZOA-102", "ZOA-206", "ZOA-902"]),
        ("door", "consoles", ["ZOA-205", "ZOA-206"]),
    ],
)
def test_a_filter_shows_what_matches(tab: Tab, field: str, value: str, shown: list[str]) -> None:
    assert filter_by(tab, field, value) == shown
    assert tab.evaluate("document.getElementById('shown').value") == f"{len(shown)} of 8 controls"
    assert tab.evaluate("document.getElementById('nothing').checkVisibility()") == (not shown)
    tab.do("document.querySelector('button[type=reset]').click()")
    assert tab.evaluate(SHOWN) == ALL


def test_filters_narrow_each_other(tab: Tab) -> None:
    filter_by(tab, "severity", "critical")
    assert filter_by(tab, "outcome", "passed") == ["ZOA-102", "ZOA-206"]


@pytest.mark.parametrize("width", [1600, 1040, 1000, 400])
def test_a_link_to_a_control_opens_it_in_sight(tab: Tab, page: Path, width: int) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    tab.open(f"{page.as_uri()}#ZOA-206")
    assert "ZOA-206" in tab.evaluate(OPEN)
    top, bottom = tab.evaluate(f"[{SUMMARY}.getBoundingClientRect().top, innerHeight]")
    assert tab.evaluate("document.getElementById('filter').getBoundingClientRect().bottom") <= top < bottom
    assert tab.evaluate(f"document.activeElement === {SUMMARY}")


def test_a_link_to_a_control_lifts_the_filter_that_hides_it(tab: Tab) -> None:
    filter_by(tab, "door", "accounts")
    tab.do("location.hash = 'ZOA-206'")
    assert "ZOA-206" in tab.evaluate(OPEN)
    assert tab.evaluate(SHOWN) == ALL


def test_the_keyboard_is_enough(tab: Tab) -> None:
    tab.press("/", "/")
    assert tab.evaluate("document.activeElement.id") == "words"
    assert tab.evaluate("document.activeElement.value") == ""
    tab.do("document.querySelector('details:not([open]) summary').focus()")
    tab.press("Enter", "\r")
    assert tab.evaluate(OPEN) == ["ZOA-101", "ZOA-102", "ZOA-205", "ZOA-501"]


def test_without_scripts_everything_is_there_but_the_filter(tab: Tab, page: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(f"{page.as_uri()}#ZOA-206")
    assert tab.evaluate(SHOWN) == ALL
    assert "ZOA-206" in tab.evaluate(OPEN)
    assert not tab.evaluate("document.getElementById('filter').checkVisibility()")


def test_paper_shows_every_control_in_full_without_a_script(tab: Tab, page: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.call("Emulation.setEmulatedMedia", media="print")
    tab.open(page.as_uri())
    assert tab.evaluate("[...document.querySelectorAll('.body')].map((body) => body.checkVisibility())") == [True] * 8
    assert not tab.evaluate("document.getElementById('filter').checkVisibility()")


def test_controls_open_for_paper_and_are_afterwards_as_they_were(tab: Tab) -> None:
    """For browsers in which a style sheet cannot show the inside of a closed control."""
    before = tab.evaluate(OPEN)
    tab.do("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate(OPEN) == ALL
    tab.do("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(OPEN) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(tab: Tab, scheme: str) -> None:
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.do("document.getElementById('open').click()")
    assert tab.evaluate(BACKGROUND) == (LIGHT if scheme == "light" else DARK)
    worst = tab.evaluate(CONTRAST)
    assert worst["ratio"] >= 4.5, worst


@pytest.mark.parametrize("scripts", [True, False])
def test_the_switch_overrules_the_system_and_paper_overrules_both(tab: Tab, page: Path, *, scripts: bool) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    tab.open(page.as_uri())
    seen = []
    for theme in ("auto", "light", "dark"):
        # A label takes clicks and keys whether or not scripts may run.
        tab.evaluate(f"document.getElementById('theme-{theme}').click()")
        seen.append(tab.evaluate(BACKGROUND))
    assert seen == [DARK, LIGHT, DARK]
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate(BACKGROUND) == PAPER
