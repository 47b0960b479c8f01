"""A process of bedplate that runs until it is stopped, and what it left running when it ended."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

_POLL_SECONDS = 0.2


@dataclass
class Running:
    """A process, the files with what it printed, and what was running below it when it was told to stop."""

    process: subprocess.Popen[bytes]
    output: Path
    messages: Path
    below: frozenset[int] = frozenset()

    @property
    def stdout(self) -> str:
        return self.output.read_text()

    @property
    def stderr(self) -> str:
        return self.messages.read_text()

    def wait_for(self, words: str, seconds: float) -> None:
        """Wait until it has said ``words`` on standard error."""
        end = time.monotonic() + seconds
        while words not in self.stderr:
            assert self.process.poll() is None, f"it ended: {self.stderr}"
            assert time.monotonic() < end, f"it did not say {words!r}: {self.stderr}"
            time.sleep(_POLL_SECONDS)

    def stop(self, number: signal.Signals, seconds: float) -> int:
        """Send a signal to the process alone and return its exit status."""
        self.below = _below(self.process.pid)
        self.process.send_signal(number)
        return self.process.wait(seconds)

    @property
    def left(self) -> list[int]:
        """What was below it and still runs."""
        return sorted(pid for pid in self.below if Path(f"/proc/{pid}").exists())


@contextlib.contextmanager
def running(*arguments: str | Path, folder: Path) -> Iterator[Running]:
    """Start the installed command, with its output in ``folder``. It is killed at the end of the block."""
    command = [str(Path(sys.executable).parent / "bedplate"), *map(str, arguments)]
    output, messages = folder / "stdout", folder / "stderr"
    with output.open("wb") as stdout, messages.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        yield Running(process, output, messages)
    finally:
        process.kill()
        process.wait()


def _below(pid: int) -> frozenset[int]:
    """All descendants of a process."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
    found, more = set[int](), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return frozenset(found)
