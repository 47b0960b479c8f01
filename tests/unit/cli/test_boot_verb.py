"""``bedplate boot --serve``: what is refused before a machine starts, and what is said and done while it runs on."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner, Result

from builder.cli.group import bedplate
from builder.cli.numbers import MEBIBYTES, PORT
from builder.cli.serving import Serving, announce, stopped_by_signals
from builder.errors import BedplateError, InvalidInputError, NotVerifiedError
from builder.measurement.configuration import SecureBootMode
from builder.release.prove import BootProof
from builder.vm.observation import ObservedBoot, Outcome
from builder.vm.ports import LOOPBACK
from builder.vm.qemu import Hardware
from builder.weights.identity import Model
from tests.front_door import free_port
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.weights.pack import PackedWeights

AREA = b"TPMT_PUBLIC"


def boot(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(bedplate, ["boot", *map(str, arguments)], prog_name="bedplate")


@pytest.fixture
def small(tmp_path: Path) -> PackedWeights:
    return packed(write_model(tmp_path / "model"), tmp_path / "out")


@pytest.fixture
def release(tmp_path: Path, small: PackedWeights, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a release that names the weights, as far as it is read before a boot."""
    model = Model.of(small.identity)
    stated = SimpleNamespace(image=SimpleNamespace(profile="production"))
    monkeypatch.setattr("builder.release.served.served_model", lambda _release: model)
    monkeypatch.setattr("builder.release.prove.load_reference", lambda _release: stated)
    monkeypatch.setattr("builder.mkosi.bootstrap.require_toolchain", lambda _cache: None)
    monkeypatch.setattr("builder.vm.quote.attestation_key", lambda _transact: AREA)
    (tmp_path / "release").mkdir()
    return tmp_path / "release"


def proof(*problems: str, mode: SecureBootMode = SecureBootMode.ENABLED) -> BootProof:
    outcome = Outcome.RESET if problems else Outcome.REACHED
    return BootProof(mode, ObservedBoot(outcome, {}, (), True, {"ready": 30.0}), (), problems)  # noqa: FBT003


Machine = SimpleNamespace


@pytest.fixture
def machine(release: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """In place of a machine: the proof at ``ready`` and that of its end, its hardware, and what was told of it."""
    assert release
    found = Machine(first=proof(), last=proof(), hardware=None, ends=lambda: os.kill(os.getpid(), signal.SIGINT))

    def prove(*_: object, hardware: Hardware, service: Any, **__: object) -> BootProof:
        found.hardware = hardware
        if service is not None and not found.first.problems:
            service.begin(found.first, lambda _command: b"")
            found.ends()
            assert service.stop.wait(10)
        return found.last

    monkeypatch.setattr("builder.release.prove.prove", prove)
    monkeypatch.setattr(
        "builder.cli.serving.announce", lambda url, question, _stop: found.__dict__.update(told=(url, question))
    )
    return found


@pytest.mark.parametrize(("option", "value"), [("--weights", "small.weights.raw"), ("--save-ak", "node.tpmt")])
def test_what_is_for_a_machine_that_runs_on_goes_with_serve(
    option: str, value: str, release: Path, tmp_path: Path
) -> None:
    shown = boot(release, option, tmp_path / "out" / value)
    assert isinstance(shown.exception, SystemExit)
    assert shown.exit_code == 2
    assert f"{option} goes with --serve" in shown.output


@pytest.mark.parametrize("port", ["0", "65536", "-1", "443x", "https", ""])
def test_a_port_is_one_of_tcp(port: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a whole number from 1 to 65535"):
        PORT.convert(port, None, None)


@pytest.mark.parametrize("memory", ["0", "255", "1048577", "1G"])
def test_memory_has_bounds(memory: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a whole number from 256 to 1048576"):
        MEBIBYTES.convert(memory, None, None)


def test_a_port_in_use_is_refused_before_anything_else(release: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        shown = boot(release, "--serve", taken.getsockname()[1])
    assert isinstance(shown.exception, InvalidInputError)
    assert "is in use" in str(shown.exception)


def test_a_disk_that_is_not_there_is_a_usage_error(release: Path) -> None:
    assert "does not exist" in boot(release, "--serve", free_port(), "--weights", "gone.raw").output


def test_weights_of_another_model_are_refused_before_the_boot(release: Path, machine: Machine, tmp_path: Path) -> None:
    other = packed(write_model(tmp_path / "else", {"model.gguf": b"other"}), tmp_path / "other")
    shown = boot(release, "--serve", free_port(), "--weights", other.disk)
    assert isinstance(shown.exception, InvalidInputError)
    assert "opens the weights of small" in str(shown.exception)
    assert machine.hardware is None


def test_without_serve_the_machine_has_no_port_and_ends(release: Path, machine: Machine) -> None:
    shown = boot(release, "--format", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["serves"] is None
    assert machine.hardware == Hardware()


def test_a_node_serves_until_it_is_interrupted(release: Path, machine: Machine, small: PackedWeights) -> None:
    port, key = free_port(), release.parent / "node.tpmt"
    key.write_bytes(b"of an earlier machine")
    trust = release.parent / "release.pub"
    trust.touch()
    machine.ends = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builder.cli.boot._verify", lambda *_: None)
        shown = boot(
            release, "--serve", port, "--weights", small.disk, "--save-ak", key, "--trust", trust, "--format", "json"
        )
    assert shown.exit_code == 0, shown.exception
    assert json.loads(shown.stdout)["serves"] == f"https://127.0.0.1:{port}"
    assert machine.hardware == Hardware(memory=2048, https_port=port, extra_disks=(small.disk,))
    assert key.read_bytes() == AREA


def test_a_machine_that_ends_by_itself_is_a_no(release: Path, machine: Machine) -> None:
    machine.last = proof("the machine reset itself")
    shown = boot(release, "--serve", free_port(), "--format", "json")
    assert isinstance(shown.exception, NotVerifiedError)
    assert str(shown.exception) == f"{release} ended by itself"
    assert shown.exception.problems == ("the machine reset itself",)
    assert json.loads(shown.stdout)["proved"] is True


def test_a_machine_that_is_not_as_predicted_does_not_serve(release: Path, machine: Machine, tmp_path: Path) -> None:
    machine.first = machine.last = proof("PCR 4 differs")
    shown = boot(release, "--serve", free_port(), "--save-ak", tmp_path / "ak", "--format", "json")
    assert str(shown.exception) == f"{release} did not boot as predicted"
    assert json.loads(shown.stdout)["serves"] is None
    assert not (tmp_path / "ak").exists()


def test_a_node_without_its_weights_is_warned_of(
    release: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine
    assert "without the weights of small the node answers no prompt" in boot(release, "--serve", free_port()).stderr
    monkeypatch.setattr("builder.release.served.served_model", lambda _release: None)
    assert "the image names no weights" in boot(release, "--serve", free_port()).stderr


def test_what_is_told_asks_this_machine(release: Path, machine: Machine, tmp_path: Path) -> None:
    def asked(*options: str | Path) -> str:
        boot(release, "--serve", free_port(), "--memory", 512, *options)
        assert machine.hardware.memory == 512
        return str(machine.told[1]).partition(" --")[2]

    machine.told = None
    assert asked() == f"trust-on-first-use --release {release} --trust KEY"
    machine.first = machine.last = proof(mode=SecureBootMode.DISABLED)
    spaced = tmp_path / "my node.tpmt"
    ending = f"--release {release} --trust KEY --secure-boot disabled"
    assert asked("--save-ak", spaced, "--no-secure-boot") == f"ak '{spaced}' {ending}"


def test_signals_stop_the_machine_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    ignored = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN if number == signal.SIGHUP else None)
    for number in (signal.SIGINT, signal.SIGTERM):
        stop, before = threading.Event(), signal.signal(number, signal.SIG_IGN)
        try:
            with stopped_by_signals(stop):
                for _ in range(2):
                    os.kill(os.getpid(), number)
                assert stop.is_set()
        finally:
            assert signal.signal(number, before) is signal.SIG_IGN
    assert signal.signal(signal.SIGHUP, ignored) is ignored


def test_a_node_is_announced_once_it_shows_evidence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[Callable[[], None]] = [failing, failing, lambda: None]
    monkeypatch.setattr("builder.connect.channel.ask", lambda *_: answers.pop(0)())
    monkeypatch.setattr("builder.cli.serving._RETRY_SECONDS", 0.01)
    announce("https://127.0.0.1:8443", "bedplate connect ...", threading.Event())
    assert capsys.readouterr().err == "serves at https://127.0.0.1:8443 until Ctrl-C; ask it:\n  bedplate connect ...\n"
    assert answers == []


def test_a_node_that_was_stopped_is_not_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builder.connect.channel.ask", lambda *_: None)
    stop = threading.Event()
    stop.set()
    announce("https://127.0.0.1:8443", "bedplate connect ...", stop)
    assert capsys.readouterr().err == ""


def failing() -> None:
    raise BedplateError("nobody answers")


def test_nothing_is_asked_for_by_default() -> None:
    assert (Serving().serve, Serving().begun) == (None, False)
