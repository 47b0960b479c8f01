"""The one place that starts processes.

Every command is an argument list (never a shell), runs with an allow-listed environment, no standard input unless
bytes are given, a mandatory time limit, and in a process group of its own that is killed as a whole on a time-out, an
interrupt or any other exception. Both pipes are always drained, so that a talkative child cannot deadlock.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from builder.errors import ToolFailedError, ToolMissingError
from builder.pipes import Capture, LineCopy, drain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.pipes import Sink

# What a child may see of our environment. Proxies are needed by apt; everything else would make builds differ.
PASSED_ENVIRONMENT = (
    "HOME", "PATH", "TMPDIR", "USER", "LOGNAME",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
# Modes of what tools make end up in images, so the caller's umask must not decide them.
CHILD_UMASK: Final = 0o022
TERMINATE_GRACE_SECONDS = 5.0
MAX_CAPTURED_BYTES = 64 << 20
# mkosi repeats whole command lines in its errors; the log has them to the end.
MAX_SHOWN_LINE = 240
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that ended with exit status 0. ``stdout`` and ``stderr`` are the raw bytes it wrote."""

    argv: tuple[str, ...]
    stdout: bytes
    stderr: bytes
    seconds: float


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child: the allow-listed variables, a fixed locale and ``extra``."""
    environment = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
    environment.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    # Debian's root-only programs (mmdebstrap's helpers, mkfs) live in sbin, which a user's PATH often lacks.
    if "/usr/sbin" not in environment["PATH"].split(":"):
        environment["PATH"] += ":/usr/sbin:/sbin"
    return environment | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"} | dict(extra or {})


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    accept: Collection[int] = (0,),
) -> Completed:
    """Run a short command and return what it wrote. ``accept`` are the exit codes that are no failure.

    Raises ToolMissingError when the program does not exist, ToolFailedError when it fails, is killed by a signal,
    runs longer than ``timeout`` seconds, writes more than MAX_CAPTURED_BYTES to one pipe (it is stopped then), or
    ends while a process that it started still holds its output open.
    """
    started = time.monotonic()
    stdout, stderr = (Capture(program(argv), MAX_CAPTURED_BYTES) for _ in range(2))
    with spawn(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE) as process:
        try:
            _drain(process, (stdout, stderr), stdin, deadline=started + timeout)
        except TimeoutError:
            failure = f"did not finish within {timeout:g} seconds"
            raise ToolFailedError(f"{program(argv)} {failure}{_text(stderr.tail())}") from None
    if process.returncode not in accept:
        raise ToolFailedError(f"{program(argv)} {describe_status(process.returncode)}{_text(stderr.tail())}")
    return Completed(tuple(argv), bytes(stdout.data), bytes(stderr.data), time.monotonic() - started)


def run_logged(
    argv: Sequence[str],
    *,
    timeout: float,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> float:
    """Run a long command, append all that it prints to ``log`` and return the seconds it took.

    Output and error output are one stream, as a person would have seen it; ``on_line`` is called with each line.
    Raises ToolMissingError, StoppedError once ``stopped`` says so, or ToolFailedError with the last lines and the log's
    path.
    """
    started = time.monotonic()
    hint = f"the full log is {log}"
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(argv)}\n".encode(errors="surrogateescape"))
        lines = LineCopy(sink, on_line)
        try:
            with spawn(argv, env=env, cwd=cwd, stderr=subprocess.STDOUT) as process:
                _drain(process, (lines,), None, deadline=started + timeout, stopped=stopped)
        except TimeoutError:
            failure = f"did not finish within {timeout:g} seconds"
            raise ToolFailedError(f"{program(argv)} {failure}{_text(lines.last)}", hint=hint) from None
        finally:
            lines.finish()
    if process.returncode != 0:
        failure = describe_status(process.returncode)
        raise ToolFailedError(f"{program(argv)} {failure}{_text(lines.last)}", hint=hint)
    return time.monotonic() - started


@contextlib.contextmanager
def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a group of its own; on leaving the block whatever still runs of it is killed.

    Raises ToolMissingError when the program does not exist or may not be run.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            env=child_environment(env),
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            umask=CHILD_UMASK,
            # One system call in the child; nothing in it waits for a lock that another thread may hold.
            preexec_fn=functools.partial(_die_with, os.getpid()),  # noqa: PLW1509
        )
    except (FileNotFoundError, PermissionError) as error:
        if error.filename is not None and str(error.filename) == str(cwd):
            raise ToolFailedError(f"cannot run {program(argv)} in {cwd}: {error.strerror}") from error
        raise ToolMissingError(
            f"cannot run {program(argv)}: {error.strerror}", hint="`bedplate doctor` lists what is needed"
        ) from error
    try:
        yield process
    finally:
        try:
            kill_group(process)
        finally:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started: SIGTERM, a grace of a few seconds, then SIGKILL to the group."""
    try:
        if process.poll() is None:
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(TERMINATE_GRACE_SECONDS)
    finally:
        # Also when a second Ctrl-C cuts the grace short. Descendants may outlive the leader; the group id stays valid
        # as long as any of them does.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def program(argv: Sequence[str]) -> str:
    """What a command line runs, for messages: mkosi and the toolchain's sandbox are started through the interpreter."""
    if argv[0] == sys.executable:
        marker = "-m" if argv[1] == "-m" else "--"
        if marker in argv[:-1]:
            return argv[argv.index(marker) + 1]
    return argv[0]


def describe_status(returncode: int) -> str:
    """A return code as ``subprocess`` gives it, in words ("was killed by SIGKILL", "failed with exit status 2")."""
    if returncode >= 0:
        return f"failed with exit status {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _die_with(parent: int) -> None:
    """In the child, before the program: be sent SIGTERM when the thread that started us ends (prctl(2)).

    Otherwise a build would go on writing into a cache whose lock went with the bedplate process that was killed.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:  # it was already gone
        os._exit(1)


def _drain(
    process: subprocess.Popen[bytes],
    sinks: Sequence[Sink],
    stdin: bytes | None,
    *,
    deadline: float,
    stopped: Callable[[], bool] | None = None,
) -> None:
    """Serve the pipes and wait for the end. Raises TimeoutError at ``deadline`` (by the monotonic clock)."""
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]
    feed = None if stdin is None or process.stdin is None else (process.stdin, stdin)
    drain(
        dict(zip(pipes, sinks, strict=True)),
        feed=feed,
        ended=lambda: process.poll() is not None,
        deadline=deadline,
        program=str(process.args[0]) if isinstance(process.args, list) else "the process",
        stopped=stopped,
    )
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _text(lines: Iterable[bytes]) -> str:
    """The last lines of a tool for a message: a colon and the lines, or nothing."""
    decoded = (line.decode(errors="replace").rstrip() for line in lines)
    text = "\n".join(line if len(line) <= MAX_SHOWN_LINE else f"{line[:MAX_SHOWN_LINE]} ..." for line in decoded)
    return f":\n{text}" if text.strip() else ""
