"""A recording proxy between QEMU and swtpm: it sees every TPM command and keeps the TPM alive after the machine.

QEMU's ``tpmdev emulator`` drives swtpm over a control socket (swtpm's ``tpm_ioctl.h``) and hands over the socket for
TPM commands by CMD_SET_DATAFD with SCM_RIGHTS. The recorder sits on both. It passes commands on, notes each change of a
PCR that the TPM confirmed, and holds back what would make swtpm forget its PCRs: the CMD_SHUTDOWN of a machine that
goes away and the CMD_STOP or CMD_INIT of a machine that resets itself.

One thread, one request at a time: QEMU waits for each answer before it goes on, so no order is lost.
"""

from __future__ import annotations

import array
import contextlib
import enum
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import ToolFailedError
from builder.measurement.pcr import Bank
from builder.vm.tpm_change import Extend, Reset, decode_pcr_change, replay
from builder.vm.tpm_message import HEADER_SIZE, message_size
from builder.vm.tpm_read import read_pcrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# swtpm answers within milliseconds; making an RSA key, its slowest command, takes some seconds on a busy machine.
TPM_ANSWER_SECONDS = 120.0
# The largest control message is the answer to CMD_GET_INFO.
_MAX_CONTROL_SIZE = 16384
_MAX_DESCRIPTORS = 4
_SUCCESS = struct.pack(">I", 0)


class Control(enum.IntEnum):
    """The swtpm control commands that a machine may send (``include/swtpm/tpm_ioctl.h``).

    Those that are missing here would change PCRs or state behind the recorder's back (H-CRTM, migration).
    """

    GET_CAPABILITY = 0x01
    INIT = 0x02
    SHUTDOWN = 0x03
    GET_TPMESTABLISHED = 0x04
    SET_LOCALITY = 0x05
    CANCEL_TPM_CMD = 0x09
    RESET_TPMESTABLISHED = 0x0B
    STOP = 0x0E
    GET_CONFIG = 0x0F
    SET_DATAFD = 0x10
    SET_BUFFERSIZE = 0x11
    GET_INFO = 0x12


class MachineSignal(enum.Enum):
    """How the machine ended, as the control channel tells it.

    GONE: QEMU died without a word, or before its guest ever used the TPM.
    """

    POWERED_OFF = "powered off"
    RESET = "reset"
    GONE = "gone"


class RecorderIncompleteError(ToolFailedError):
    """Replaying what was recorded does not give the PCRs that the TPM holds: an extend was missed."""


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """A PCR change and when it was confirmed, in seconds since the recorder started."""

    seconds: float
    change: Extend | Reset


class Recorder:
    """Relays one machine's TPM traffic. ``machine`` and ``tpm`` are the two control sockets."""

    def __init__(
        self, machine: socket.socket, tpm: socket.socket, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._machine = machine
        self._tpm = tpm
        self._tpm.settimeout(TPM_ANSWER_SECONDS)
        self._clock = clock
        self._started = clock()
        self._machine_data: socket.socket | None = None
        self._tpm_data: socket.socket | None = None
        self._initialised = False
        self._used = False
        self.changes: list[RecordedChange] = []

    @property
    def elapsed(self) -> float:
        """Seconds since the recorder started."""
        return self._clock() - self._started

    def step(self, timeout: float) -> RecordedChange | MachineSignal | None:
        """Relay at most one request; return the PCR change it made, how the machine ended, or ``None``.

        After a MachineSignal there is nothing more to relay. Raises ToolFailedError when swtpm does not answer or
        the machine asks for something that the recorder does not know.
        """
        waiting = [self._machine] if self._machine_data is None else [self._machine_data, self._machine]
        readable, _, _ = select.select(waiting, (), (), timeout)
        if self._machine_data in readable:
            return self._relay_command(self._machine_data)
        if self._machine in readable:
            return self._relay_control()
        return None

    def transact(self, command: bytes) -> bytes:
        """Send our own command to the TPM and return the response. Raises ToolFailedError."""
        if self._tpm_data is None:
            raise ToolFailedError("the machine never opened the TPM's data channel")
        try:
            self._tpm_data.sendall(command)
            response = _receive_message(self._tpm_data)
        except OSError as error:
            raise ToolFailedError(f"swtpm does not answer: {error}") from error
        if response is None:
            raise ToolFailedError("swtpm closed the data channel")
        return response

    def read_pcrs(self) -> dict[tuple[int, Bank], bytes]:
        """The PCRs as swtpm holds them, all banks. Raises RecorderIncompleteError if the recording disagrees."""
        values = read_pcrs(self.transact, Bank)
        check_complete(values, replay(recorded.change for recorded in self.changes))
        return values

    def close(self) -> None:
        """Close the data channels; the control sockets belong to the caller."""
        for channel in (self._machine_data, self._tpm_data):
            if channel is not None:
                channel.close()

    def _relay_command(self, machine_data: socket.socket) -> RecordedChange | MachineSignal | None:
        try:
            command = _receive_message(machine_data)
        except ConnectionError:
            command = None
        if command is None:
            return MachineSignal.GONE
        # QEMU probes for a TPM before it initialises one; what counts is what came after CMD_INIT.
        self._used = self._initialised
        response = self.transact(command)
        # The TPM has already acted: the change is recorded even if the machine died meanwhile.
        with contextlib.suppress(ConnectionError):
            machine_data.sendall(response)
        change = decode_pcr_change(command, response)
        if change is None:
            return None
        recorded = RecordedChange(self.elapsed, change)
        self.changes.append(recorded)
        return recorded

    def _relay_control(self) -> MachineSignal | None:
        with contextlib.ExitStack() as received:
            try:
                message, numbers, _, _ = socket.recv_fds(self._machine, _MAX_CONTROL_SIZE, _MAX_DESCRIPTORS)
            except ConnectionError:
                return MachineSignal.GONE
            descriptors = [received.enter_context(socket.socket(fileno=number)) for number in numbers]
            return self._control_request(message, descriptors) if message else MachineSignal.GONE

    def _control_request(self, message: bytes, descriptors: list[socket.socket]) -> MachineSignal | None:
        command = _control_command(message)
        if len(descriptors) != (command is Control.SET_DATAFD):
            raise ToolFailedError(f"QEMU sent {len(descriptors)} descriptors with swtpm control command {command.name}")
        if command is Control.SHUTDOWN:
            self._answer(_SUCCESS)
            return MachineSignal.POWERED_OFF if self._used else MachineSignal.GONE
        if command in {Control.STOP, Control.INIT} and self._used:
            return MachineSignal.RESET
        if command is Control.SET_DATAFD:
            self._answer(self._set_data_channel(message, descriptors[0]))
        else:
            self._answer(self._control(message))
            self._initialised = self._initialised or command is Control.INIT
        return None

    def _answer(self, answer: bytes) -> None:
        # A machine that died meanwhile is noticed at the next step.
        with contextlib.suppress(ConnectionError):
            self._machine.sendall(answer)

    def _set_data_channel(self, message: bytes, machine_end: socket.socket) -> bytes:
        """Keep the machine's end of the data channel and give swtpm an end of ours instead."""
        if self._machine_data is not None:
            raise ToolFailedError("QEMU opened a second TPM data channel")
        self._machine_data = machine_end.dup()
        self._tpm_data, remote = socket.socketpair()
        self._tpm_data.settimeout(TPM_ANSWER_SECONDS)
        with remote:
            return self._control(message, [remote.fileno()])

    def _control(self, message: bytes, descriptors: Iterable[int] = ()) -> bytes:
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        try:
            self._tpm.sendmsg([message], ancillary)
            answer = self._tpm.recv(_MAX_CONTROL_SIZE)
        except OSError as error:
            raise ToolFailedError(f"swtpm does not answer on its control channel: {error}") from error
        if not answer:
            raise ToolFailedError("swtpm closed its control channel")
        return answer


def check_complete(read: dict[tuple[int, Bank], bytes], replayed: dict[tuple[int, Bank], bytes]) -> None:
    """Raise RecorderIncompleteError that names every PCR in which the TPM and the recording differ."""
    wrong = [f"{bank.value} PCR {pcr}" for (pcr, bank), value in replayed.items() if read.get((pcr, bank)) != value]
    if wrong:
        raise RecorderIncompleteError(f"the recorded extends do not give the TPM's values of {', '.join(wrong)}")


def _control_command(message: bytes) -> Control:
    # One write of QEMU is one message: it waits for the answer before it sends the next, and swtpm itself reads so.
    number = int.from_bytes(message[:4], "big")
    try:
        return Control(number)
    except ValueError:
        raise ToolFailedError(
            f"QEMU sent swtpm control command {number:#x}, which the recorder does not know"
        ) from None


def _receive_message(channel: socket.socket) -> bytes | None:
    """One whole TPM message, or ``None`` at the end of the stream."""
    header = _receive_exactly(channel, HEADER_SIZE)
    if header is None:
        return None
    body = _receive_exactly(channel, message_size(header) - HEADER_SIZE)
    return None if body is None else header + body


def _receive_exactly(channel: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        piece = channel.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return data
