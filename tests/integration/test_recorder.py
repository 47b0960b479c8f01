"""The recorder on a real swtpm; the test plays QEMU's part and speaks on the machine's end of the control socket."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, ToolFailedError
from builder.measurement.pcr import Bank
from builder.vm.recorder import MachineSignal, RecordedChange, Recorder, RecorderIncompleteError
from builder.vm.swtpm import fresh_tpm
from builder.vm.tpm_change import Extend, Reset, replay
from builder.vm.tpm_read import active_banks
from tests.tpm_messages import (
    AUTHORIZATION,
    PCR_EVENT,
    PCR_RESET,
    SEQUENCE_COMPLETE,
    digest_values,
    extend_command,
    message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration

INIT, SHUTDOWN, SET_LOCALITY, HASH_START, STOP, SET_DATAFD = 0x02, 0x03, 0x05, 0x06, 0x0E, 0x10
SUCCESS = bytes(4)
STARTUP_CLEAR = message(0x8001, 0x144, b"\0\0")
STEP_SECONDS = 30.0


@dataclass
class Machine:
    """QEMU's side of the two channels."""

    recorder: Recorder
    control: socket.socket
    data: socket.socket
    remote: socket.socket
    signals: list[object] = field(default_factory=list)

    def ask(self, command: int, payload: bytes = b"", descriptors: tuple[int, ...] = ()) -> bytes | MachineSignal:
        """Send a control command; return the answer, or the signal that the recorder made of it."""
        request = struct.pack(">I", command) + payload
        if descriptors:
            socket.send_fds(self.control, [request], descriptors)
        else:
            self.control.sendall(request)
        result = self.recorder.step(STEP_SECONDS)
        return result if isinstance(result, MachineSignal) else self.control.recv(4096)

    def open(self) -> None:
        assert self.ask(SET_DATAFD, descriptors=(self.remote.fileno(),)) == SUCCESS

    def start(self) -> None:
        self.open()
        assert self.ask(INIT, bytes(4)) == SUCCESS
        assert self.send(STARTUP_CLEAR) is None

    def send(self, command: bytes) -> object:
        """Send a TPM command that must succeed; return what the recorder made of it."""
        self.data.sendall(command)
        result = self.recorder.step(STEP_SECONDS)
        response = self.data.recv(4096)
        assert response[6:10] == SUCCESS, response.hex()
        self.response = response
        return result


@pytest.fixture
def machine(toolchain: Toolchain, tmp_path: Path) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:
        tpm = stack.enter_context(fresh_tpm(toolchain, tmp_path))
        ends = [stack.enter_context(end) for _ in range(2) for end in socket.socketpair()]
        recorder = stack.enter_context(contextlib.closing(Recorder(ends[1], tpm)))
        yield Machine(recorder, ends[0], ends[2], ends[3])


def both(data: bytes) -> dict[Bank, bytes]:
    return {bank: bank.digest(data) for bank in Bank}


def extend(pcr: int, data: bytes) -> bytes:
    return extend_command(pcr, digest_values(*((bank.algorithm_id, bank.digest(data)) for bank in Bank)))


def test_the_banks_of_a_fresh_tpm_are_exactly_those_that_are_predicted(machine: Machine) -> None:
    machine.start()
    assert active_banks(machine.recorder.transact) == {bank.algorithm_id for bank in Bank}


def test_a_fresh_tpm_has_the_values_that_a_replay_starts_from(machine: Machine) -> None:
    machine.start()
    assert machine.recorder.read_pcrs() == replay([])


def test_extends_are_recorded_in_order_and_explain_the_pcrs(machine: Machine) -> None:
    machine.start()
    for pcr, data in ((0, b"a"), (11, b"b"), (11, b"c"), (23, b"d"), (16, b"e")):
        recorded = machine.send(extend(pcr, data))
        assert isinstance(recorded, RecordedChange)
        assert recorded.change == Extend(pcr, both(data))
    values = machine.recorder.read_pcrs()
    for bank in Bank:
        assert values[11, bank] == bank.replay([bank.digest(b"b"), bank.digest(b"c")])


def test_an_extend_of_one_bank_leaves_the_other_alone(machine: Machine) -> None:
    machine.start()
    digests = digest_values((0x0004, hashlib.sha1(b"x", usedforsecurity=False).digest()), (0x000C, bytes(48)))
    machine.send(extend_command(4, digests))
    values = machine.recorder.read_pcrs()
    assert values[4, Bank.SHA256] == bytes(32)
    assert values[4, Bank.SHA384] == Bank.SHA384.replay([bytes(48)])


def test_events_that_the_tpm_hashes_itself_are_recorded(machine: Machine) -> None:
    machine.start()
    event = message(0x8002, PCR_EVENT, struct.pack(">I", 9) + AUTHORIZATION + b"\0\5event")
    recorded = machine.send(event)
    assert isinstance(recorded, RecordedChange)
    assert recorded.change == Extend(9, both(b"event"))
    # TPM2_HashSequenceStart with TPM_ALG_NULL starts an event sequence.
    assert machine.send(message(0x8001, 0x186, struct.pack(">HH", 0, 0x0010))) is None
    sequence = machine.response[10:14]
    # One authorization area with two sessions: for the PCR and for the sequence.
    area = struct.pack(">I", 18) + AUTHORIZATION[4:] * 2
    recorded = machine.send(message(0x8002, SEQUENCE_COMPLETE, struct.pack(">I", 9) + sequence + area + b"\0\4last"))
    assert isinstance(recorded, RecordedChange)
    assert recorded.change == Extend(9, both(b"last"))
    machine.recorder.read_pcrs()


def test_a_reset_pcr_is_followed(machine: Machine) -> None:
    machine.start()
    machine.send(extend(23, b"x"))
    recorded = machine.send(message(0x8002, PCR_RESET, struct.pack(">I", 23) + AUTHORIZATION))
    assert isinstance(recorded, RecordedChange)
    assert recorded.change == Reset(23)
    assert machine.recorder.read_pcrs()[23, Bank.SHA256] == bytes(32)


def test_an_extend_that_was_not_recorded_is_noticed(machine: Machine) -> None:
    machine.start()
    machine.recorder.transact(extend(7, b"behind the recorder's back"))
    with pytest.raises(RecorderIncompleteError, match=r"sha256 PCR 7, sha384 PCR 7$"):
        machine.recorder.read_pcrs()


def test_the_tpm_keeps_its_pcrs_when_the_machine_powers_off(machine: Machine) -> None:
    machine.start()
    machine.send(extend(4, b"x"))
    assert machine.ask(SHUTDOWN) is MachineSignal.POWERED_OFF
    assert machine.recorder.read_pcrs()[4, Bank.SHA256] == Bank.SHA256.replay([Bank.SHA256.digest(b"x")])


@pytest.mark.parametrize(("command", "payload"), [(STOP, b""), (INIT, bytes(4))])
def test_the_tpm_keeps_its_pcrs_when_the_machine_resets(machine: Machine, command: int, payload: bytes) -> None:
    machine.start()
    machine.send(extend(4, b"x"))
    assert machine.ask(command, payload) is MachineSignal.RESET
    assert machine.recorder.read_pcrs()[4, Bank.SHA256] == Bank.SHA256.replay([Bank.SHA256.digest(b"x")])


def test_a_restart_before_the_guest_used_the_tpm_is_passed_on(machine: Machine) -> None:
    """QEMU stops and starts the TPM while it builds the machine."""
    machine.open()
    for _ in range(2):
        assert machine.ask(STOP) == SUCCESS
        assert machine.ask(INIT, bytes(4)) == SUCCESS
    assert machine.send(STARTUP_CLEAR) is None


def test_a_machine_that_never_used_the_tpm_is_gone_when_it_shuts_down(machine: Machine) -> None:
    machine.open()
    assert machine.ask(SHUTDOWN) is MachineSignal.GONE


def test_a_machine_that_closes_its_sockets_is_gone(machine: Machine) -> None:
    machine.start()
    machine.control.close()
    assert machine.recorder.step(STEP_SECONDS) is MachineSignal.GONE
    machine.data.close()
    machine.remote.close()
    assert machine.recorder.step(STEP_SECONDS) is MachineSignal.GONE
    machine.recorder.read_pcrs()


def test_nothing_to_relay_is_nothing_to_tell(machine: Machine) -> None:
    assert machine.recorder.step(0) is None


def test_control_commands_that_change_pcrs_by_other_means_are_refused(machine: Machine) -> None:
    machine.start()
    with pytest.raises(ToolFailedError, match=r"swtpm control command 0x6, which the recorder does not know$"):
        machine.ask(HASH_START)


def test_a_second_data_channel_is_refused(machine: Machine) -> None:
    machine.open()
    with pytest.raises(ToolFailedError, match="second TPM data channel"):
        machine.open()


def test_a_data_channel_without_its_descriptor_is_refused(machine: Machine) -> None:
    with pytest.raises(ToolFailedError, match="0 descriptors with swtpm control command SET_DATAFD"):
        machine.ask(SET_DATAFD)


def test_a_descriptor_with_another_command_is_refused(machine: Machine) -> None:
    with pytest.raises(ToolFailedError, match="1 descriptors with swtpm control command SET_LOCALITY"):
        machine.ask(SET_LOCALITY, bytes(4), (machine.remote.fileno(),))


def test_pcrs_cannot_be_read_before_there_is_a_data_channel(machine: Machine) -> None:
    with pytest.raises(ToolFailedError, match="never opened the TPM's data channel"):
        machine.recorder.read_pcrs()


def test_a_path_that_swtpm_would_take_apart_is_refused(toolchain: Toolchain, tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    with pytest.raises(InvalidInputError, match="comma"), fresh_tpm(toolchain, folder):
        pass
