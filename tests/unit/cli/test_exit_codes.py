"""The exit code of every kind of exception: by itself, out of a verb, and as a process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import click
import pytest

from builder import errors
from builder.cli import main
from builder.cli.exitcodes import TABLE, ExitCode, exit_code
from policies import errors as policies
from signing import errors as signing

if TYPE_CHECKING:
    from pathlib import Path

CASES: list[tuple[BaseException, int]] = [
    (errors.NotVerifiedError("not verified", ("PCR 4 differs",)), 1),
    (signing.InvalidSignatureError("wrong signature"), 1),
    (errors.InvalidInputError("bad input"), 2),
    (errors.MalformedImageError("GPT header", 512, "wrong checksum"), 2),
    (errors.UnpredictableError("unknown stub"), 2),
    (signing.InvalidKeyError("bad key"), 2),
    (signing.InvalidRequestError("no signers"), 2),
    (signing.MalformedSignatureError("bad envelope"), 2),
    (signing.SigningError("cannot sign"), 2),
    (policies.InvalidPolicyError("bad pack"), 2),
    (click.UsageError("no such option"), 2),
    (click.ClickException("cannot"), 2),
    (errors.ToolFailedError("mkosi failed"), 3),
    (errors.StoppedError("mkosi was stopped"), 3),
    (errors.BedplateError("too little space"), 3),
    (OSError(errno.ENOSPC, "No space left on device", "/dist"), 3),
    (PermissionError(errno.EACCES, "Permission denied", "/dist"), 3),
    (errors.ToolMissingError("no mmdebstrap"), 4),
    (policies.MissingExtraError("no CEL", hint="pip install"), 4),
    (ValueError("bug"), 70),
    (AssertionError(), 70),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 70),
    (MemoryError(), 70),
    (SystemExit("text"), 70),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 70),
]
IDS = [f"{type(error).__name__}-{code}" for error, code in CASES]


@pytest.fixture
def verb_raises(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Put an exception in, and `bedplate doctor` raises it."""
    raised: list[BaseException] = []

    @click.command()
    def command() -> None:
        raise raised[0]

    monkeypatch.setattr("builder.cli.doctor.command", command)
    return raised


@pytest.mark.parametrize(("error", "code"), CASES, ids=IDS)
def test_an_exception_has_this_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(("error", "code"), CASES, ids=IDS)
def test_an_exception_out_of_a_verb_has_this_exit_code(
    error: BaseException, code: int, verb_raises: list[BaseException]
) -> None:
    verb_raises.append(error)
    assert main.main(["doctor"]) == code


@pytest.mark.parametrize(("error", "code"), CASES, ids=IDS)
def test_what_an_exception_was_raised_from_does_not_matter(
    error: BaseException, code: int, verb_raises: list[BaseException]
) -> None:
    other = errors.NotVerifiedError("other", ()) if code != 1 else ValueError("other")
    error.__cause__ = other
    verb_raises.append(error)
    assert main.main(["doctor"]) == code


@pytest.mark.parametrize("module", [errors, signing], ids=["builder", "signing"])
def test_every_error_that_we_declare_has_a_case(module: object) -> None:
    base = errors.BedplateError if module is errors else signing.SigningError
    declared = {kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, base)}
    assert declared <= {type(error) for error, _ in CASES}


def test_every_error_of_policies_has_a_case() -> None:
    declared = {kind for kind in vars(policies).values() if isinstance(kind, type)}
    assert declared == {policies.InvalidPolicyError, policies.MissingExtraError}
    assert declared <= {type(error) for error, _ in CASES}


def test_a_subclass_stands_before_its_base() -> None:
    for index, (kind, code) in enumerate(TABLE):
        hidden_by = [other for other, value in TABLE[:index] if issubclass(kind, other) and value != code]
        assert hidden_by == [], kind


def test_only_verdicts_exit_with_1() -> None:
    verdicts = {kind for kind, code in TABLE if code is ExitCode.NO}
    assert verdicts == {errors.NotVerifiedError, signing.InvalidSignatureError}


@pytest.mark.parametrize("status", [0, 1])
def test_a_verb_may_end_with_a_verdict(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.pass_context
    def command(context: click.Context) -> None:
        context.exit(status)

    monkeypatch.setattr("builder.cli.doctor.command", command)
    assert main.main(["doctor"]) == status


@pytest.mark.parametrize("value", [None, True, 1, "text"])
def test_what_a_verb_returns_is_no_verdict(value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.cli.doctor.command", click.Command("doctor", callback=lambda: value))
    assert main.main(["doctor"]) == 0


# --- as a process ---------------------------------------------------------------------------------------------------

RAISE = """
import sys
import builder.cli.doctor, click
from builder import errors
from builder.cli.main import entry_point

@click.command()
def command():
    {statement}

builder.cli.doctor.command = command
sys.argv = ["bedplate", "doctor"]
entry_point()
"""


# A test run that was started in the background, or by nohup, hands down that these are ignored.
DEFAULT_SIGNALS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""


def process(statement: str) -> subprocess.CompletedProcess[str]:
    code = DEFAULT_SIGNALS + RAISE.format(statement=statement)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("pass", 0),
        ("raise errors.NotVerifiedError('no', ('a', 'b'))", 1),
        ("raise errors.InvalidInputError('bad')", 2),
        ("raise errors.ToolFailedError('failed')", 3),
        ("raise errors.ToolMissingError('missing')", 4),
        ("raise RuntimeError('bug')", 70),
        ("raise KeyboardInterrupt", 130),
        ("import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(600)", 130),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(600)", 143),
        ("import os, signal; os.kill(os.getpid(), signal.SIGHUP); import time; time.sleep(600)", 129),
        ("sys.exit(5)", 5),
    ],
)
def test_a_process_ends_with_this_code(statement: str, code: int) -> None:
    assert process(statement).returncode == code


def test_nothing_but_data_goes_to_standard_output() -> None:
    assert process("raise RuntimeError('bug')").stdout == ""


def test_a_missing_dependency_is_no_verdict() -> None:
    code = "import sys; sys.modules['click'] = None; from builder.cli.main import entry_point; entry_point()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 70
    assert "click" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["--version"], 0), (["doctor", "--help"], 0), ([], 2), (["no-such-verb"], 2), (["--no"], 2),
     (["render"], 2), (["render", "no-such-image"], 2), (["doctor", "--format", "xml"], 2)],
)  # fmt: skip
def test_a_command_line_ends_with_this_code(arguments: list[str], code: int) -> None:
    argv = [sys.executable, "-c", "from builder.cli.main import entry_point; entry_point()", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["render", "--help"], ["render", "--schema"], ["--version"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    argv = [sys.executable, "-c", "from builder.cli.main import entry_point; entry_point()", *arguments]
    try:
        done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminated_verb_cleans_up_what_it_began(tmp_path: Path) -> None:
    statement = f"""
    from pathlib import Path
    from builder.files import new_directory
    with new_directory(Path({str(tmp_path)!r}, "release")) as partial:
        (partial / "half").write_text("x")
        Path({str(tmp_path)!r}, "ready").touch()
        import time
        # In short pieces: Python runs no handler of a signal that comes just before it falls asleep.
        for _ in range(6000):
            time.sleep(0.01)
"""
    argv = [sys.executable, "-c", RAISE.format(statement=statement.strip())]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
        _, told = child.communicate(timeout=60)
    assert (child.returncode, told) == (143, "error: stopped by SIGTERM\n")
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]
