"""Timed processes, and the table in which they are shown."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BEDPLATE = str(Path(sys.executable).parent / "bedplate")


@dataclass(frozen=True)
class Timing:
    """Seconds of one process: by the clock, and of the processor for it and all that it waited for."""

    wall: float
    processor: float


def timed(argv: Sequence[str], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Timing:
    """Run a command to its end. Raises CalledProcessError, with what it printed, if it fails."""
    before, started = processor_seconds(), time.monotonic()
    subprocess.run(argv, check=True, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True)
    return Timing(time.monotonic() - started, processor_seconds() - before)


def processor_seconds() -> float:
    """What all processes that this one started and waited for had of the processor."""
    times = os.times()
    return times.children_user + times.children_system


def peak_memory(argv: Sequence[str]) -> int:
    """The most memory that a command, or one process that it waited for, had resident, in bytes."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, list(argv))
    return usage.ru_maxrss * 1024  # getrusage(2) has it in KiB


def table(rows: Mapping[str, Sequence[Timing]]) -> str:
    """A Markdown table of minimum, median and maximum."""
    lines = ["| | runs | wall min | median | max | user + sys median |", "|---|---:|---:|---:|---:|---:|"]
    for name, timings in rows.items():
        walls = [timing.wall for timing in timings]
        processor = statistics.median(timing.processor for timing in timings)
        figures = (min(walls), statistics.median(walls), max(walls), processor)
        lines.append(f"| {name} | {len(walls)} | {' | '.join(f'{figure:.3f} s' for figure in figures)} |")
    return "\n".join(lines)


def median(timings: Sequence[Timing]) -> float:
    """The median of the wall clock."""
    return statistics.median(timing.wall for timing in timings)


def processor_median(timings: Sequence[Timing]) -> float:
    """The median of user and system time."""
    return statistics.median(timing.processor for timing in timings)


def machine() -> str:
    """The processor, and how busy the machine is."""
    text = Path("/proc/cpuinfo").read_text(errors="replace")
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    load = os.getloadavg()[0]
    model = models[0] if models else "unknown processor"
    return f"{len(models)} x {model}, load {load:.1f}, Python {sys.version.split()[0]}"
