"""Reading and feeding the pipes of a child process without ever waiting for ever."""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, Protocol, cast

from builder.errors import StoppedError, ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# How much of an error output is kept for a message.
TAIL_LINES: Final = 12
_TAIL_BYTES: Final = 1 << 14
_CHUNK_BYTES: Final = 1 << 16
_POLL_SECONDS: Final = 0.2
# How long the descendants of an ended process may go on holding its pipes.
_ORPHAN_GRACE_SECONDS: Final = 5.0


class Sink(Protocol):
    """Takes what a pipe gives."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A sink that keeps everything, and raises ToolFailedError when ``program`` writes more than ``limit`` bytes."""

    program: str
    limit: int
    data: bytearray = field(default_factory=bytearray)

    def write(self, chunk: bytes) -> None:
        """Keep ``chunk``."""
        self.data.extend(chunk)
        if len(self.data) > self.limit:
            raise ToolFailedError(f"{self.program} wrote more than {self.limit} bytes of output")

    def tail(self) -> list[bytes]:
        """The last lines."""
        return bytes(self.data[-_TAIL_BYTES:]).splitlines()[-TAIL_LINES:]


@dataclass(slots=True)
class LineCopy:
    """A sink that copies everything to a log and passes it on line by line; ``last`` are the last lines."""

    log: IO[bytes]
    on_line: Callable[[str], None] | None
    last: deque[bytes] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    _rest: bytes = b""

    def write(self, chunk: bytes) -> None:
        """Copy ``chunk`` and pass on the lines that it completes."""
        self.log.write(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._pass_on(line)
        if len(self._rest) > _TAIL_BYTES:  # a line without end
            self.finish()

    def finish(self) -> None:
        """Pass on what came after the last line feed."""
        rest, self._rest = self._rest, b""
        if rest:
            self._pass_on(rest)

    def _pass_on(self, line: bytes) -> None:
        self.last.append(line[-_TAIL_BYTES:])
        if self.on_line is not None:
            self.on_line(line.decode(errors="replace").rstrip())


@dataclass(slots=True)
class _Feed:
    """What is still to be written to a child."""

    unsent: memoryview

    def write_to(self, descriptor: int) -> bool:
        """Write what the pipe takes. Whether there is more to write and somebody to read it."""
        try:
            self.unsent = self.unsent[os.write(descriptor, self.unsent[:_CHUNK_BYTES]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:  # the child wants no more, which is for it to decide
            return False
        return bool(self.unsent)


def drain(
    outputs: Mapping[IO[bytes], Sink],
    *,
    feed: tuple[IO[bytes], bytes] | None,
    ended: Callable[[], bool],
    deadline: float,
    program: str,
    stopped: Callable[[], bool] | None = None,
) -> None:
    """Hand on what the pipes give, and write ``feed`` to its pipe, until all of them are closed.

    ``ended`` tells whether the process has. Raises TimeoutError at ``deadline`` (by the monotonic clock), StoppedError
    within a moment after ``stopped`` says so, and
    ToolFailedError if the process has ended while another one keeps a pipe open: what that one would still write is
    missing then, and it may never come.
    """
    with selectors.DefaultSelector() as selector:
        for pipe, sink in outputs.items():
            selector.register(pipe, selectors.EVENT_READ, sink)
        if feed is not None:
            pipe, data = feed
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_WRITE, _Feed(memoryview(data)))
        orphaned_at: float | None = None
        while selector.get_map():
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError
            if stopped is not None and stopped():
                raise StoppedError(f"{program} was stopped")
            if orphaned_at is None and ended():
                orphaned_at = now + _ORPHAN_GRACE_SECONDS
            if orphaned_at is not None and now >= orphaned_at:
                raise ToolFailedError(f"{program} ended but left a process behind that holds its output open")
            for key, _ in selector.select(min(_POLL_SECONDS, deadline - now)):
                if not _serve(key):
                    selector.unregister(key.fileobj)
                    cast("IO[bytes]", key.fileobj).close()


def _serve(key: selectors.SelectorKey) -> bool:
    """Do what a pipe is ready for. Whether it stays open."""
    if isinstance(key.data, _Feed):
        return key.data.write_to(key.fd)
    chunk = os.read(key.fd, _CHUNK_BYTES)
    if chunk:
        sink: Sink = key.data
        sink.write(chunk)
    return bool(chunk)
