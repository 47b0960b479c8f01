"""The page of a diff in a real browser: loads nothing, filters 20 000 files, links, prints, and needs no mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from builder.presenters.html import html
from tests.browser import BACKGROUND, CONTRAST, DARK, LIGHT, PAPER, Tab, chromium
from tests.sample_differences import hostile, large, mixed, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.oracle, pytest.mark.integration]

FILES = 20_000
ROWS = "[...document.querySelectorAll('.files .chunk > tr')].filter((row) => row.checkVisibility())"
SHOWN = "document.getElementById('shown').value"
FOCUSED = "document.activeElement.closest('tr')?.cells[2].querySelector('a').textContent"
FILE = "files/root/usr/lib/package-042/file-10042.so"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    (path / "large.html").write_bytes(html(large(200, FILES)))
    (path / "hostile.html").write_bytes(html(hostile()))
    (path / "mixed.html").write_bytes(html(mixed(), refusal(mixed())))
    return path


@pytest.fixture(scope="module")
def browser(browser_tools: Toolchain, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    profile = tmp_path_factory.mktemp("profile")
    with Tab(browser_tools.command(chromium(profile), readable=[folder], writable=[profile])) as tab:
        yield tab


@pytest.fixture
def tab(browser: Tab) -> Tab:
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
    return browser


@pytest.fixture
def page(tab: Tab, folder: Path) -> Tab:
    """The large page."""
    tab.open((folder / "large.html").as_uri())
    return tab


def filter_by(tab: Tab, field: str, value: str) -> None:
    tab.do(
        f"document.getElementById({field!r}).value = {value!r};"
        f"document.getElementById({field!r}).dispatchEvent(new Event('input', {{ bubbles: true }}))"
    )


def paths(tab: Tab) -> Any:
    return tab.evaluate(f"{ROWS}.map((row) => row.cells[2].querySelector('a').textContent)")


@pytest.mark.parametrize("name", ["large.html", "hostile.html", "mixed.html"])
def test_nothing_but_itself_is_asked_for_and_nothing_is_complained_about(tab: Tab, folder: Path, name: str) -> None:
    address = (folder / name).as_uri()
    tab.open(address)
    assert [event["request"]["url"] for event in tab.happened("Network.requestWillBeSent")] == [address]
    complaints = (
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
        "Log.entryAdded",
        "Page.javascriptDialogOpening",
    )
    assert tab.happened(*complaints) == []
    assert tab.evaluate("document.scripts.length") == 1


def test_a_hostile_name_is_shown_as_it_is(tab: Tab, folder: Path) -> None:
    tab.open((folder / "hostile.html").as_uri())
    assert "<script>alert(1)</script>" in tab.evaluate("document.querySelector('#all-files').textContent")
    assert "<script>" in tab.evaluate("document.querySelector('.picture svg').textContent")


@pytest.mark.parametrize(
    ("field", "value", "count", "first"),
    [
        ("words", "package-003/", 100, "/usr/lib/package-003/file-00003.so"),
        ("words", "LIB file-1999", 10, "/usr/lib/package-190/file-19990.so"),
        ("words", "file", FILES, "/usr/lib/package-000/file-00000.so"),
        ("area", "root", FILES, "/usr/lib/package-000/file-00000.so"),
        ("change", "CONTENT", FILES, "/usr/lib/package-000/file-00000.so"),
        ("words", "no such words", 0, None),
    ],
)
def test_a_filter_finds_among_all_files(page: Tab, field: str, value: str, count: int, first: str | None) -> None:
    assert page.evaluate(SHOWN) == f"{FILES} files"
    filter_by(page, field, value)
    assert page.evaluate(SHOWN) == f"{count} of {FILES} files"
    found = paths(page)
    assert found[:1] == ([] if first is None else [first])
    assert len(found) >= min(count, 100)
    assert page.evaluate("document.getElementById('nothing').checkVisibility()") == (first is None)
    page.do("document.querySelector('#filter button[type=reset]').click()")
    assert page.evaluate(SHOWN) == f"{FILES} files"
    assert page.evaluate("document.getElementById('all-files').checkVisibility({contentVisibilityAuto: true})")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("ADDED", ["/usr/bin/come"]),
        ("REMOVED", ["/usr/bin/gone"]),
        ("METADATA", ["/usr/bin/sudo"]),
        ("TIMESTAMP", ["/usr/bin/late"]),
        ("CONTENT", ["/etc/settings"]),
    ],
)
def test_files_are_found_by_their_kind_of_change(tab: Tab, folder: Path, change: str, found: list[str]) -> None:
    tab.open((folder / "mixed.html").as_uri())
    filter_by(tab, "change", change)
    assert paths(tab) == found


def test_files_with_something_to_look_at_are_found(tab: Tab, folder: Path) -> None:
    tab.open((folder / "mixed.html").as_uri())
    tab.do("document.getElementById('noted').click()")
    assert paths(tab) == ["/usr/bin/sudo"]
    assert "gains set-uid" in tab.evaluate(f"{ROWS}[0].textContent")


def test_a_digest_finds_its_file(page: Tab) -> None:
    digest = page.evaluate("document.querySelectorAll('.chunk > tr')[7].querySelector('i').textContent")
    filter_by(page, "words", digest)
    assert page.evaluate(SHOWN) == f"{FILES} of {FILES} files"  # all of them have the same content in this diff
    filter_by(page, "words", f"{digest} file-00007.so")
    assert paths(page) == ["/usr/lib/package-007/file-00007.so"]


def test_more_of_many_matches_come_as_they_are_asked_for(page: Tab) -> None:
    filter_by(page, "words", "file")
    before = len(paths(page))
    page.do("document.querySelector('.files + button').click()")
    assert len(paths(page)) >= before + 100


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize(
    "target", [FILE, "packages/root/package-042", "event/enabled/11/1", "measurements/enabled/pcr-4"]
)
def test_a_link_opens_what_it_leads_to_in_sight(tab: Tab, folder: Path, target: str, *, scripts: bool) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
    tab.open(f"{(folder / 'large.html').as_uri()}#{target}")
    top, bottom, height = tab.evaluate(
        f"(({{top, bottom}}) => [top, bottom, innerHeight])"
        f"(document.getElementById({target!r}).getBoundingClientRect())"
    )
    assert 0 <= top < bottom
    assert top < height
    assert tab.evaluate(f"document.getElementById({target!r}).checkVisibility()")


def test_a_link_lifts_the_filter_that_hides_its_file(page: Tab) -> None:
    # The second time the address does not change.
    for _ in range(2):
        filter_by(page, "words", "file-10042")
        page.do(f"{ROWS}[0].cells[2].querySelector('a').click(); await new Promise((done) => setTimeout(done, 50))")
        assert page.evaluate(SHOWN) == f"{FILES} files"
        top = page.evaluate(f"document.getElementById({FILE!r}).getBoundingClientRect().top")
        assert 0 <= top < 900


def test_a_file_found_by_the_filter_can_be_linked_to(page: Tab) -> None:
    filter_by(page, "words", "file-10042")
    assert page.evaluate(f"{ROWS}[0].cells[2].querySelector('a').hash") == f"#{FILE}"
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(({ id }) => id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )


def test_tab_reaches_everything_in_order_and_takes_one_step_over_the_table(page: Tab) -> None:
    """Sections are passed in the order in which they are read; 20 000 files are one stop."""
    seen: list[str] = []
    for _ in range(400):
        page.press("Tab")
        seen.append(
            page.evaluate(
                "(({ tagName, id, className, href }) =>"
                " [tagName, id || className.baseVal || className, href || ''].join(' '))(document.activeElement)"
            )
        )
        if page.evaluate("Boolean(document.activeElement.closest('.files'))"):
            break
    kinds = ["skip", "theme-auto", "box moved", "SUMMARY", "#packages/root/", "PRE", "words", "change", "area", "noted"]
    places = [next(index for index, item in enumerate(seen) if kind in item) for kind in kinds]
    assert places == sorted(places)
    page.press("Tab")
    assert not page.evaluate("Boolean(document.activeElement.closest('.files'))")


def test_arrows_walk_the_files_and_the_matches(page: Tab) -> None:
    page.do("document.querySelector('.files a[tabindex=\"0\"]').focus()")
    walked = []
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "PageDown", "End", "Home"):
        page.press(key)
        walked.append(page.evaluate(FOCUSED).rpartition("-")[2])
    assert walked == ["00200.so", "00400.so", "00200.so", "04200.so", "19999.so", "00000.so"]
    filter_by(page, "words", "package-003/")
    page.do("document.querySelector('.files:not(.away) a[tabindex=\"0\"]').focus()")
    page.press("ArrowDown")
    assert page.evaluate(FOCUSED) == "/usr/lib/package-003/file-00203.so"
    page.press("Enter", "\r")
    page.do("await new Promise((resolve) => setTimeout(resolve, 50))")
    assert page.evaluate("decodeURIComponent(location.hash)").endswith("/file-00203.so")


def test_a_slash_goes_to_the_filter(page: Tab) -> None:
    page.press("/", "/")
    assert page.evaluate("document.activeElement.id") == "words"
    assert page.evaluate("document.activeElement.value") == ""


def test_a_box_of_the_picture_lights_its_way_and_leads_to_its_steps(page: Tab) -> None:
    page.do("document.querySelector('a.box[data-key=chain-1]').focus()")
    lit = set(page.evaluate("[...document.querySelectorAll('.box.on')].map((box) => box.dataset.key)"))
    assert {"chain-1", "root-hash", "uki/section/.cmdline", "pcr-4", "pcr-9", "pcr-11"} <= lit
    assert not {"uki/section/.linux", "pcr-7"} & lit
    page.press("Enter", "\r")
    page.do("await new Promise((resolve) => setTimeout(resolve, 50))")
    assert page.evaluate("document.getElementById('chain-1').open")


def test_what_readers_of_the_screen_are_told(page: Tab) -> None:
    nodes = page.call("Accessibility.getFullAXTree", depth=12)["nodes"]
    roles = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]}
    for expected in (
        ("navigation", "On this page"),
        ("main", ""),
        ("search", "Filter the files"),
        ("table", "Files"),
        ("columnheader", "What differs"),
        ("heading", "Why PCRs moved"),
        ("searchbox", "Find"),
        ("link", "PCR 4 moved"),
    ):
        assert expected in roles, expected
    assert page.evaluate("document.getElementById('all-files').getAttribute('aria-rowcount')") == str(FILES + 1)


def test_without_scripts_everything_is_there_but_the_filter(tab: Tab, folder: Path) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open((folder / "large.html").as_uri())
    assert tab.evaluate(f"{ROWS}.length") == FILES
    assert not tab.evaluate("document.getElementById('filter').checkVisibility()")
    assert tab.evaluate("document.querySelector('.picture svg').checkVisibility()")


@pytest.mark.parametrize("scripts", [True, False])
def test_paper_is_light_and_shows_all_steps(tab: Tab, folder: Path, *, scripts: bool) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
    tab.open((folder / "hostile.html").as_uri())
    tab.evaluate("document.getElementById('theme-dark').click()")
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate(BACKGROUND) == PAPER
    assert tab.evaluate("[...document.querySelectorAll('.body')].every((body) => body.checkVisibility())")
    assert not tab.evaluate("document.getElementById('filter').checkVisibility()")
    assert tab.call("Page.printToPDF", transferMode="ReturnAsBase64")["data"].startswith("JVBERi0")  # %PDF-


def test_paper_shows_every_match_of_a_filter(page: Tab) -> None:
    filter_by(page, "words", "package-003/ root")
    filter_by(page, "words", "file-1")
    page.do("dispatchEvent(new Event('beforeprint'))")
    assert len(paths(page)) == 10_000


@pytest.mark.parametrize("name", ["hostile.html", "mixed.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(tab: Tab, folder: Path, scheme: str, name: str) -> None:
    tab.open((folder / name).as_uri())
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    tab.do("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    assert tab.evaluate(BACKGROUND) == (LIGHT if scheme == "light" else DARK)
    worst = tab.evaluate(CONTRAST)
    assert worst["ratio"] >= 4.5, worst


@pytest.mark.parametrize("name", ["large.html", "hostile.html", "mixed.html"])
@pytest.mark.parametrize("width", [320, 400, 768, 1280, 1920])
def test_nothing_is_wider_than_the_window(tab: Tab, folder: Path, name: str, width: int) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    tab.open((folder / name).as_uri())
    tab.do("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@pytest.mark.parametrize("name", ["large.html", "hostile.html", "mixed.html"])
@pytest.mark.parametrize("width", [320, 420])
def test_reasons_and_values_are_whole_on_a_narrow_window(tab: Tab, folder: Path, name: str, width: int) -> None:
    """A region that scrolls looks cut off where nothing shows that it does."""
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    tab.open((folder / name).as_uri())
    hidden = "[...document.querySelectorAll('.wide, pre')].filter((box) => box.scrollWidth > box.clientWidth).length"
    assert tab.evaluate("document.querySelectorAll('.wide').length") == 1
    assert tab.evaluate(hidden) == 0


def test_a_warning_stands_apart_from_what_follows(tab: Tab, folder: Path) -> None:
    tab.open((folder / "mixed.html").as_uri())
    below = (
        "[...document.querySelectorAll('p.problems')].map((box) =>"
        " box.nextElementSibling.getBoundingClientRect().top - box.getBoundingClientRect().bottom)"
    )
    gaps = tab.evaluate(below)
    assert len(gaps) == 2
    assert min(gaps) >= 10
