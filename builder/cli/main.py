"""The process that is ``bedplate``: signals, exit codes and the last word on errors.

Python exits with 1 when an exception reaches it, which to our callers means "the answer is no". So everything, the
imports of the command line included, happens inside ``main``'s try block.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_BUG = 70
# What an image holds lives until the end: Python's own threshold would look through all of it again and again.
_COLLECT_EVERY = 100_000
_BROKEN_PIPE = 128 + signal.SIGPIPE


class Terminated(BaseException):
    """The process was asked to end; blocks that hold something unfinished clean it up on the way out.

    Like KeyboardInterrupt it is no error, and passes ``except Exception``.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def entry_point() -> NoReturn:
    """The console script."""
    gc.set_threshold(_COLLECT_EVERY)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A parent that wants us to outlive its terminal (nohup) set SIGHUP to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)
    status = main(sys.argv[1:])
    if status == _BROKEN_PIPE:
        # Python flushes standard output once more when it ends, and would complain that nobody reads it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit code; errors are told on standard error."""
    try:
        from builder.cli.group import run  # noqa: PLC0415 -- see the module's docstring

        result = run(arguments)
        sys.stdout.flush()
    except Terminated as stop:
        sys.stderr.write(f"error: stopped by {signal.Signals(stop.number).name}\n")
        return 128 + stop.number
    except BaseException as error:  # noqa: BLE001 -- the last frame: every exception becomes an exit code
        return _fail(error)
    return 0 if result is None else result


def _fail(error: BaseException) -> int:
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    if isinstance(error, BrokenPipeError) and not _is_read():
        return _BROKEN_PIPE
    try:
        from builder.cli.errors import render  # noqa: PLC0415
        from builder.cli.exitcodes import exit_code  # noqa: PLC0415
        from builder.cli.output import to_stderr  # noqa: PLC0415
    except Exception:  # noqa: BLE001 -- a broken installation; the original error says why
        sys.excepthook(type(error), error, error.__traceback__)
        return _BUG
    to_stderr(render(error))
    return int(exit_code(error))


def _is_read() -> bool:
    """Whether somebody still reads standard output; another pipe that broke is a failure like any other."""
    watch = select.poll()
    try:
        watch.register(sys.stdout.fileno(), 0)  # errors are told unasked
    except OSError:  # not a file of the system
        return True
    return not any(events & (select.POLLERR | select.POLLHUP) for _, events in watch.poll(0))


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    # Once: a second signal must not cut short the cleaning up that the first one started.
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise Terminated(number)
