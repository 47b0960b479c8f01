"""Jobs that stand on each other, run side by side as far as they do not."""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """What is to be done once the jobs named in ``on`` are.

    ``do`` gets the results so far, and a function that says whether to give up.
    """

    name: str
    on: tuple[str, ...]
    do: Callable[[Mapping[str, T], Callable[[], bool]], T]


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def side_by_side(jobs: Sequence[Job[T]], done: Mapping[str, T], workers: int) -> dict[str, T]:
    """``done``, and the result of every job by name; at most ``workers`` run at a time.

    Each job stands on earlier ones and on what is done, else ValueError is raised. If one fails, or a signal ends the
    waiting, the others are told to give up and waited for, and the first failure is raised.
    """
    known = set(done)
    for job in jobs:
        if not known.issuperset(job.on):
            raise ValueError(f"{job.name} stands on {', '.join(job.on)}, of which not all come before it")
        known.add(job.name)
    results, waiting = dict(done), list(jobs)
    running: dict[Future[T], str] = {}
    give_up = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or running:
                for job in [job for job in waiting if results.keys() >= set(job.on)]:
                    waiting.remove(job)
                    running[pool.submit(job.do, dict(results), give_up.is_set)] = job.name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    results[running.pop(future)] = future.result()
        except BaseException:
            give_up.set()
            pool.shutdown(cancel_futures=True)
            raise
    return results
