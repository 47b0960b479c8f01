"""The timeline in a real browser: nothing is loaded, light and dark can be read, the picture leads to the releases."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from builder.history.read import read_log
from builder.presenters.timeline import timeline
from tests.browser import Tab, chromium
from tests.integration.test_report_page import CONTRAST
from tests.made_releases import SIGNER
from tests.unit.compare.test_made_pairs import BASE, OPENSSL, VERDICT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.oracle, pytest.mark.integration]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five releases, of which the last is signed by nobody that we know."""
    folder = tmp_path_factory.mktemp("log")
    one = BASE.but(policy=VERDICT)
    two = OPENSSL.but(version="1.1.0", policy=dataclasses.replace(VERDICT, waivers={}))
    three = two.but(version="1.2.0", keys="two", enrolled=("two",))
    four = three.but(version="1.10.0", sections=((".splash", b"BM"),))
    for recipe in (one, two, three, four):
        recipe.write(folder / "node" / recipe.version)
    bad = four.but(version="1.11.0").write(folder / "bad")
    (bad / "inventory.jsonl.zst").write_bytes(b"other")
    path = folder / "log.html"
    path.write_bytes(timeline(read_log([folder / "node", bad], [SIGNER.public_key])))
    return path


@pytest.fixture(scope="module")
def browser(browser_tools: Toolchain, page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    profile = tmp_path_factory.mktemp("profile")
    with Tab(browser_tools.command(chromium(profile), readable=[page.parent], writable=[profile])) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab, page: Path) -> Tab:
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.open(page.as_uri())
    return browser


def test_the_page_asks_for_itself_and_nothing_is_complained_about(tab: Tab, page: Path) -> None:
    assert [event["request"]["url"] for event in tab.happened("Network.requestWillBeSent")] == [page.as_uri()]
    assert tab.happened("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(tab: Tab, theme: str) -> None:
    tab.do(f"document.getElementById('theme-{theme}').click()")
    worst = tab.evaluate(CONTRAST)
    assert worst["ratio"] >= 4.5, worst


def test_the_newest_release_comes_first_and_the_picture_leads_to_each(tab: Tab) -> None:
    assert tab.evaluate("[...document.querySelectorAll('.release h3 a')].map((link) => link.textContent)") == [
        "1.10.0", "1.2.0", "1.1.0", "1.0.0",
    ]  # fmt: skip
    links = tab.evaluate("[...document.querySelectorAll('svg a')].map((link) => link.getAttribute('href'))")
    assert len(links) == 4
    assert tab.evaluate(f"{links}.every((link) => document.querySelector(link).matches('.release'))")
    tab.do("document.querySelector('svg a').focus()")
    tab.press("Enter", "\r")
    assert tab.evaluate("document.querySelector(':target h3 a').textContent") == "1.0.0"


def test_nothing_sticks_out_of_a_narrow_window(tab: Tab) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=False)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_did_not_verify_is_named_and_has_no_place_in_the_picture(tab: Tab) -> None:
    assert "1 of 5 releases are not verified" in tab.evaluate("document.querySelector('header').textContent")
    assert "1.11.0" not in tab.evaluate("document.querySelector('main').textContent")
