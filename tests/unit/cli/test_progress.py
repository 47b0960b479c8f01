from __future__ import annotations

import io
import itertools
import json

import pytest
from rich.console import Console

from builder.cli.progress import JsonReporter, LiveReporter, Mode, PlainReporter, make_reporter
from builder.progress import Reporter, Silent


def ticking() -> itertools.count[float]:
    """A clock that is one and a half seconds later each time."""
    return itertools.count(step=1.5)


def work(reporter: Reporter) -> None:
    with reporter.stage("build the image") as outer:
        outer.line("installing")
        with reporter.stage("make the UKI") as inner:
            inner.line("linux \x1b[2J")


def fail(reporter: Reporter) -> None:
    with reporter.stage("build the image"):
        raise RuntimeError("no space")


def test_plain_tells_the_begin_and_the_end_of_each_stage() -> None:
    stream = io.StringIO()
    work(PlainReporter(stream, ticking().__next__))
    assert stream.getvalue().splitlines() == [
        "build the image ...",
        "make the UKI ...",
        "make the UKI done in 1.5 s",
        "build the image done in 4.5 s",
    ]


def test_plain_tells_that_a_stage_failed() -> None:
    stream = io.StringIO()
    with pytest.raises(RuntimeError, match="no space"):
        fail(PlainReporter(stream, ticking().__next__))
    assert stream.getvalue().splitlines() == ["build the image ...", "build the image failed after 1.5 s"]


def test_json_tells_every_event_on_a_line() -> None:
    stream = io.StringIO()
    work(JsonReporter(stream, ticking().__next__))
    outer, inner = {"stage": "build the image"}, {"stage": "make the UKI"}
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "stage-started"} | outer,
        {"event": "line", "text": "installing"} | outer,
        {"event": "stage-started"} | inner,
        {"event": "line", "text": "linux \x1b[2J"} | inner,
        {"event": "stage-finished", "outcome": "done", "seconds": 1.5} | inner,
        {"event": "stage-finished", "outcome": "done", "seconds": 4.5} | outer,
    ]


def test_json_tells_that_a_stage_failed() -> None:
    stream = io.StringIO()
    with pytest.raises(RuntimeError, match="no space"):
        fail(JsonReporter(stream, ticking().__next__))
    assert json.loads(stream.getvalue().splitlines()[-1])["outcome"] == "failed"


def test_a_live_line_shows_the_innermost_stage_and_what_its_tool_said_last() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    reporter = LiveReporter(console, ticking().__next__)
    with reporter.stage("build the image") as outer:
        outer.line("installing \x1b[2J")
        outer.line("  ")
        assert reporter._render().plain.startswith("build the image ")
        assert reporter._render().plain.endswith(r" s  installing \x1b[2J")
        with reporter.stage("make [the] UKI"):
            assert reporter._render().plain.startswith("make [the] UKI ")
    assert reporter._render().plain == ""


def test_a_live_reporter_leaves_a_line_for_each_stage_and_can_be_used_again() -> None:
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, force_terminal=True, width=60))
    work(reporter)
    with pytest.raises(RuntimeError, match="no space"):
        fail(reporter)
    assert stream.getvalue().count("make the UKI done in") == 1
    assert stream.getvalue().count("build the image done in") == 1
    assert stream.getvalue().count("build the image failed after") == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_stages_side_by_side_share_the_status_line() -> None:
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, force_terminal=True, width=60))
    first, second = reporter.stage("layer base"), reporter.stage("layer engine")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert reporter._render().plain.startswith("layer engine ")
    second.__exit__(None, None, None)
    assert reporter._render().plain == ""
    assert stream.getvalue().count("layer base done in") == stream.getvalue().count("layer engine done in") == 1


@pytest.mark.parametrize(
    ("mode", "kind"), [(Mode.QUIET, Silent), (Mode.JSON, JsonReporter), (Mode.PLAIN, PlainReporter)]
)
def test_a_mode_has_its_reporter(mode: Mode, kind: type) -> None:
    assert isinstance(make_reporter(mode), kind)


def test_auto_is_plain_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(make_reporter(Mode.AUTO), PlainReporter)


def test_auto_is_live_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", stream)
    assert isinstance(make_reporter(Mode.AUTO), LiveReporter)


def test_silent_tells_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    work(Silent())
    assert capfd.readouterr() == ("", "")
