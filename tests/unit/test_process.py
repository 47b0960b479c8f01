"""Hostile children: what the process gateway does when a tool misbehaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder import process
from builder.errors import StoppedError, ToolFailedError, ToolMissingError

PYTHON = sys.executable


def python(code: str) -> list[str]:
    return [PYTHON, "-c", code]


def is_running(pid: int) -> bool:
    """Whether the process lives; a zombie that waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    """Return once the process is gone; pytest's own time limit ends a wait in vain."""
    while is_running(pid):
        time.sleep(0.01)


def wait_for(path: Path) -> str:
    """The content of a file that a child is about to write."""
    while not (path.exists() and path.read_text().endswith("\n")):
        time.sleep(0.01)
    return path.read_text()


def test_output_and_error_output_are_returned_apart() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2"], timeout=20)
    assert (done.stdout, done.stderr, done.argv[0]) == (b"out\n", b"err\n", "sh")


def test_a_child_that_fills_both_pipes_does_not_deadlock() -> None:
    code = "import sys; sys.stdout.write('o' * 1_000_000); sys.stderr.write('e' * 300_000); sys.stdout.write('o')"
    done = process.run(python(code), timeout=60)
    assert (len(done.stdout), len(done.stderr)) == (1_000_001, 300_000)


def test_standard_input_of_any_size_arrives_while_output_flows() -> None:
    data = bytes(range(256)) * 8192
    assert process.run(["cat"], timeout=60, stdin=data).stdout == data


def test_empty_standard_input_is_closed() -> None:
    assert process.run(["cat"], timeout=20, stdin=b"").stdout == b""


def test_without_standard_input_a_child_reads_end_of_file() -> None:
    assert process.run(["cat"], timeout=20).stdout == b""


def test_a_child_that_does_not_read_its_input_is_no_error() -> None:
    assert process.run(["true"], timeout=20, stdin=bytes(1 << 20)).stdout == b""


def test_output_that_is_not_utf_8_comes_as_it_is() -> None:
    assert process.run(["printf", r"\377\376"], timeout=20).stdout == b"\xff\xfe"


def test_error_output_that_is_not_utf_8_is_told_with_replacements() -> None:
    with pytest.raises(ToolFailedError, match="sh failed with exit status 3:\nbad \N{REPLACEMENT CHARACTER} byte"):
        process.run(["sh", "-c", r"printf 'bad \377 byte\n' >&2; exit 3"], timeout=20)


def test_only_the_last_lines_of_the_error_output_are_told() -> None:
    with pytest.raises(ToolFailedError) as caught:
        process.run(["sh", "-c", "seq 1000 >&2; exit 1"], timeout=20)
    assert str(caught.value).splitlines()[1:] == [str(number) for number in range(989, 1001)]


def test_a_child_that_a_signal_kills_is_told_with_the_name_of_the_signal() -> None:
    with pytest.raises(ToolFailedError, match="sh was killed by SIGSEGV"):
        process.run(["sh", "-c", "kill -SEGV $$"], timeout=20)


def test_a_signal_without_a_name_is_told_by_number() -> None:
    assert process.describe_status(-90) == "was killed by signal 90"


def test_a_missing_program_says_so_with_a_hint() -> None:
    with pytest.raises(ToolMissingError, match="cannot run no-such-program: No such file") as caught:
        process.run(["no-such-program"], timeout=20)
    assert caught.value.hint is not None


def test_a_file_that_may_not_be_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(ToolMissingError, match="tool: Permission denied"):
        process.run([str(tmp_path / "tool")], timeout=20)


def test_a_missing_directory_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"cannot run true in .*/nowhere"):
        process.run(["true"], timeout=20, cwd=tmp_path / "nowhere")


def test_a_time_out_tells_the_limit_and_what_was_said_before() -> None:
    with pytest.raises(ToolFailedError, match=r"sh did not finish within 0\.5 seconds:\nworking"):
        process.run(["sh", "-c", "echo working >&2; exec sleep 600"], timeout=0.5)


def test_a_child_that_closes_its_pipes_and_goes_on_is_timed_out() -> None:
    with pytest.raises(ToolFailedError, match=r"did not finish within 0\.5 seconds"):
        process.run(["sh", "-c", "exec >&- 2>&-; exec sleep 600"], timeout=0.5)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATE_GRACE_SECONDS", 0.2)
    pid = tmp_path / "pid"
    code = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({str(pid)!r}, "w").write(f"{{os.getpid()}}\\n")
time.sleep(600)
"""
    with pytest.raises(ToolFailedError, match="did not finish"):
        process.run(python(code), timeout=2)
    assert not is_running(int(wait_for(pid)))


def test_a_grandchild_dies_with_the_child(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    process.run(["sh", "-c", f"sleep 600 >/dev/null 2>&1 & echo $! > {pid}"], timeout=20)
    wait_until_gone(int(pid.read_text()))


def test_a_grandchild_that_holds_the_output_is_an_error_and_not_a_short_output() -> None:
    with pytest.raises(ToolFailedError, match="sh ended but left a process behind that holds its output open"):
        process.run(["sh", "-c", "sleep 600 & echo started"], timeout=600)


def test_a_grandchild_in_a_session_of_its_own_does_not_hold_up_the_time_limit(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid}; exec sleep 600' & exec sleep 600"
    try:
        with pytest.raises(ToolFailedError, match="did not finish within 1 seconds"):
            process.run_logged(["sh", "-c", script], timeout=1, log=tmp_path / "log")
    finally:
        os.kill(int(wait_for(pid)), signal.SIGKILL)


def test_output_beyond_the_limit_stops_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MAX_CAPTURED_BYTES", 1 << 20)
    with pytest.raises(ToolFailedError, match="yes wrote more than 1048576 bytes of output"):
        process.run(["yes"], timeout=600)


def test_children_see_the_allowed_environment_and_a_fixed_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDPLATE_SECRET", "x")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    seen = process.run(["env"], timeout=20, env={"EXTRA": "1"}).stdout.decode().splitlines()
    assert "BEDPLATE_SECRET=x" not in seen
    assert {"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "EXTRA=1", "PATH=/usr/bin:/bin:/usr/sbin:/sbin"} <= set(seen)


def test_a_logged_command_leaves_its_command_line_and_both_streams_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines: list[str] = []
    argv = ["sh", "-c", "echo one; echo two >&2; printf three"]
    process.run_logged(argv, timeout=20, log=log, on_line=lines.append)
    assert lines == ["one", "two", "three"]
    assert log.read_text() == f"$ {' '.join(argv)}\none\ntwo\nthree"


def test_a_logged_command_that_fails_tells_its_last_lines_and_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ToolFailedError, match="sh failed with exit status 7:\nno space") as caught:
        process.run_logged(["sh", "-c", "echo no space; exit 7"], timeout=20, log=log)
    assert caught.value.hint == f"the full log is {log}"


def test_a_logged_command_that_nobody_needs_any_more_is_stopped(tmp_path: Path) -> None:
    told: list[int] = []
    with pytest.raises(StoppedError, match="sh was stopped"):
        process.run_logged(
            ["sh", "-c", "echo $$; exec sleep 600"],
            timeout=600,
            log=tmp_path / "log",
            on_line=lambda line: told.append(int(line)),
            stopped=lambda: bool(told),
        )
    assert not is_running(told[0])


def test_a_logged_command_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"did not finish within 0\.5 seconds:\nworking"):
        process.run_logged(["sh", "-c", "echo working; exec sleep 600"], timeout=0.5, log=tmp_path / "log")


def test_a_line_without_end_is_passed_on_in_pieces(tmp_path: Path) -> None:
    lines: list[str] = []
    process.run_logged(["head", "-c", "1000000", "/dev/zero"], timeout=60, log=tmp_path / "log", on_line=lines.append)
    assert len(lines) > 1
    assert sum(len(line) for line in lines) == 1_000_000


def test_a_listener_that_fails_ends_the_child(tmp_path: Path) -> None:
    def listen(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match=r"^\d+$") as caught:
        process.run_logged(["sh", "-c", "echo $$; exec sleep 600"], timeout=600, log=tmp_path / "log", on_line=listen)
    assert not is_running(int(str(caught.value)))


def test_leaving_the_block_of_a_spawned_process_ends_it() -> None:
    with process.spawn(["sleep", "600"]) as child:
        assert is_running(child.pid)
    assert child.returncode == -signal.SIGTERM


def test_an_interrupt_while_a_child_ends_still_kills_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid}; while :; do sleep 0.1; done"

    class Impatient(subprocess.Popen[bytes]):
        """The user presses Ctrl-C while we wait for the child to heed SIGTERM."""

        def wait(self, timeout: float | None = None) -> int:
            if timeout is not None:
                raise KeyboardInterrupt
            return super().wait()

    monkeypatch.setattr(subprocess, "Popen", Impatient)
    with pytest.raises(KeyboardInterrupt), process.spawn(["sh", "-c", script]):
        wait_for(pid)
    assert not is_running(int(pid.read_text()))


def test_a_child_does_not_outlive_a_bedplate_that_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"""
from builder.process import run
run(["sh", "-c", "echo $$ > {pid}; exec sleep 600"], timeout=600)
"""
    with subprocess.Popen(python(code)) as parent:
        child = int(wait_for(pid))
        parent.kill()
    wait_until_gone(child)


def test_a_child_makes_files_with_the_same_modes_whatever_our_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        process.run(python(f"open({str(tmp_path / 'file')!r}, 'w')"), timeout=30)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
