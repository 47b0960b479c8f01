from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from builder.side_by_side import Job, processors, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Do = Callable[[Mapping[str, str], Callable[[], bool]], str]

SECONDS = 30.0


def joined(results: Mapping[str, str], _stopped: Callable[[], bool]) -> str:
    return "".join(sorted(results))


def until_stopped(_results: Mapping[str, str], stopped: Callable[[], bool]) -> str:
    ends = time.monotonic() + SECONDS
    while not stopped():
        assert time.monotonic() < ends, "nobody stopped it"
        time.sleep(0.01)
    raise RuntimeError("it was stopped")


def failing(_results: Mapping[str, str], _stopped: Callable[[], bool]) -> str:
    raise OSError("the first one failed")


def interrupting(_results: Mapping[str, str], _stopped: Callable[[], bool]) -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_job_gets_what_it_stands_on(workers: int) -> None:
    jobs = [Job("b", ("a",), joined), Job("c", (), joined), Job("d", ("b", "c"), joined)]
    results = side_by_side(jobs, {"a": "given"}, workers)
    assert results["a"] == "given"
    assert set(results["b"]) >= {"a"}
    assert results["d"] == "abc"
    assert sorted(results) == ["a", "b", "c", "d"]


def test_jobs_that_do_not_stand_on_each_other_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    def meet(_results: Mapping[str, str], _stopped: Callable[[], bool]) -> str:
        return str(both.wait())

    assert sorted(side_by_side([Job("a", (), meet), Job("b", (), meet)], {}, 2).values()) == ["0", "1"]


@pytest.mark.parametrize(("do", "error"), [(failing, OSError), (interrupting, KeyboardInterrupt)])
def test_when_one_fails_the_others_are_stopped_and_the_rest_never_begins(do: Do, error: type[BaseException]) -> None:
    begun: list[str] = []

    def note(_results: Mapping[str, str], _stopped: Callable[[], bool]) -> str:
        begun.append("later")
        return ""

    before = threading.active_count()
    jobs = [Job("long", (), until_stopped), Job("bad", (), do), Job("later", ("bad",), note), Job("last", (), note)]
    with pytest.raises(error):
        side_by_side(jobs, {}, 2)
    assert begun == []
    assert threading.active_count() == before


def test_a_job_that_stands_on_a_later_one_is_refused_before_any_begins() -> None:
    with pytest.raises(ValueError, match="a stands on b, of which not all come before it"):
        side_by_side([Job("a", ("b",), failing), Job("b", (), failing)], {}, 1)


def test_nothing_to_do_is_done() -> None:
    assert side_by_side([], {"a": "given"}, 1) == {"a": "given"}


def test_there_is_a_processor() -> None:
    assert processors() >= 1
