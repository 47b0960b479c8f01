"""Progress on standard error: ``--progress auto|plain|json|quiet`` or BEDPLATE_PROGRESS."""

from __future__ import annotations

import contextlib
import enum
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

import click

from builder.cli.errors import printable
from builder.progress import Silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from builder.progress import Reporter, Stage

ENVIRONMENT_VARIABLE: Final = "BEDPLATE_PROGRESS"
_REFRESH_PER_SECOND: Final = 4

Clock = Callable[[], float]


class Mode(enum.StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"
    QUIET = "quiet"


# Gives the verb a parameter ``reporter``.
progress_option = click.option(
    "--progress",
    "reporter",
    type=click.Choice([mode.value for mode in Mode]),
    callback=lambda _context, _parameter, value: make_reporter(Mode(value)),
    default=Mode.AUTO.value,
    envvar=ENVIRONMENT_VARIABLE,
    show_envvar=True,
    show_default=True,
    help="Progress on standard error; auto is a status line on a terminal and plain elsewhere.",
)


def make_reporter(mode: Mode) -> Reporter:
    """The reporter of a mode, on this process's standard error."""
    if mode is Mode.QUIET:
        return Silent()
    if mode is Mode.JSON:
        return JsonReporter(sys.stderr)
    if mode is Mode.AUTO and sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415 -- rich takes a while to load

        return LiveReporter(Console(stderr=True))
    return PlainReporter(sys.stderr)


def _write_line(stream: IO[str], text: str) -> None:
    """In one piece, since other threads write, too."""
    stream.write(f"{text}\n")
    stream.flush()


@dataclass(frozen=True, slots=True)
class PlainReporter:
    """One line when a stage begins and one when it ends. What the tools print is in their logs."""

    stream: IO[str]
    clock: Clock = time.monotonic

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """See Reporter."""
        started = self.clock()
        self._print(f"{name} ...")
        try:
            yield Silent()
        except BaseException:
            self._print(f"{name} failed after {self.clock() - started:.1f} s")
            raise
        self._print(f"{name} done in {self.clock() - started:.1f} s")

    def _print(self, text: str) -> None:
        _write_line(self.stream, printable(text))


@dataclass(frozen=True, slots=True)
class JsonReporter:
    """One JSON object a line: ``stage-started``, ``line``, and ``stage-finished`` with seconds and outcome."""

    stream: IO[str]
    clock: Clock = time.monotonic

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """See Reporter."""
        started = self.clock()
        self.write({"event": "stage-started", "stage": name})
        outcome = "failed"
        try:
            yield _JsonStage(self, name)
            outcome = "done"
        finally:
            seconds = round(self.clock() - started, 3)
            self.write({"event": "stage-finished", "stage": name, "outcome": outcome, "seconds": seconds})

    def write(self, event: dict[str, Any]) -> None:
        """One event."""
        import json  # noqa: PLC0415 -- only this mode needs it

        _write_line(self.stream, json.dumps(event))


@dataclass(frozen=True, slots=True)
class _JsonStage:
    reporter: JsonReporter
    name: str

    def line(self, text: str) -> None:
        self.reporter.write({"event": "line", "stage": self.name, "text": text})


@dataclass(slots=True)
class _LiveStage:
    name: str
    started: float
    last: str = ""

    def line(self, text: str) -> None:
        if text.strip():
            self.last = printable(text.strip())


@dataclass(slots=True)
class LiveReporter:
    """A single status line at the bottom: the last stage that began, its seconds and its tool's last line.

    Finished stages leave a line above it.
    """

    console: Console
    clock: Clock = time.monotonic
    _running: list[_LiveStage] = field(default_factory=list)
    _live: Live | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """See Reporter."""
        stage = _LiveStage(printable(name), self.clock())
        outcome = "failed after"
        self._begin(stage)
        try:
            yield stage
            outcome = "done in"
        finally:
            seconds = self.clock() - stage.started
            self.console.print(f"{stage.name} {outcome} {seconds:.1f} s", markup=False, highlight=False)
            self._end(stage)

    def _begin(self, stage: _LiveStage) -> None:
        """The first of the stages that run brings the status line up."""
        from rich.live import Live  # noqa: PLC0415

        with self._lock:
            self._running.append(stage)
            if self._live is None:
                # transient: the line is taken away at the end, so that what stays is only what was finished.
                self._live = Live(
                    console=self.console,
                    refresh_per_second=_REFRESH_PER_SECOND,
                    transient=True,
                    get_renderable=self._render,
                )
                self._live.start()

    def _end(self, stage: _LiveStage) -> None:
        """The last of them takes it away."""
        with self._lock:
            self._running.remove(stage)
            if not self._running and self._live is not None:
                self._live.stop()
                self._live = None

    def _render(self) -> Text:
        from rich.text import Text  # noqa: PLC0415

        stage = next(reversed(tuple(self._running)), None)
        if stage is None:
            return Text("")
        line = f"{stage.name} {self.clock() - stage.started:.0f} s"
        return Text(f"{line}  {stage.last}" if stage.last else line, no_wrap=True, overflow="ellipsis")
