"""Boot a disk image in QEMU with OVMF and a fresh TPM, watch what it measures and read the PCRs that result.

Nothing in the guest helps and nothing is asked of it: the recorder between QEMU and swtpm sees each measurement, tells
from them how far the boot is, and reads the PCRs from swtpm once QEMU was killed.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from builder import process
from builder.errors import InvalidInputError, ToolFailedError
from builder.files import read_bytes
from builder.measurement.pcr import Bank
from builder.vm.observation import ObservedBoot, Outcome, measured_secure_boot, milestones, outcome_so_far
from builder.vm.qemu import FIRMWARE_VARIABLES, Hardware, qemu_argv
from builder.vm.recorder import MachineSignal, RecordedChange, Recorder
from builder.vm.swtpm import fresh_tpm
from builder.vm.tpm_read import active_banks
from builder.vm.varstore import SecureBootVariables, enrol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.measurement.phases import Phase
    from builder.mkosi.toolchain import Toolchain

_MAX_VARIABLE_STORE = 16 << 20
_MESSAGE_TAIL = 2000
# How long a machine's silence may hide that its visitor has left.
_VISIT_SECONDS = 0.2


def boot(
    toolchain: Toolchain,
    image: Path,
    *,
    secure_boot: SecureBootVariables | None,
    until: Phase | None,
    timeout: float,
    workdir: Path,
    hardware: Hardware | None = None,
    on_change: Callable[[RecordedChange], None] | None = None,
    on_reached: Callable[[ObservedBoot, Callable[[bytes], bytes]], None] | None = None,
    visit: Callable[[], object] | None = None,
    gone: threading.Event | None = None,
    on_stop: Callable[[Callable[[bytes], bytes]], None] | None = None,
) -> ObservedBoot:
    """Boot ``image`` until it measures the boot phase ``until``, ends otherwise, or ``timeout`` seconds have passed.

    ``secure_boot`` are the keys to enrol; with None no keys are enrolled and Secure Boot is off. With ``until`` None
    (or FIRMWARE, which leaves no mark) only the machine's own end or the time limit ends the boot. ``workdir`` is an
    existing directory for temporary files; the image is never written. ``on_change`` is called with every PCR change
    as it happens. ``on_reached`` is called once ``until`` is reached, before the machine's next word to its TPM, with
    the boot as it is then and with a function that sends the TPM a command and returns its response. ``visit`` is
    called after it, in a thread of its own; the machine runs on until it returns, with no limit of time, and what it
    raises is raised. ``gone`` is set if the machine ends before, for a visitor that would stay longer. ``on_stop`` is
    called once the machine has been stopped and the PCRs were read, with the same function (for a quote, say).

    Raises InvalidInputError for a missing image, ToolFailedError when QEMU or swtpm fails or when the firmware
    measured another Secure Boot state than was asked for, and RecorderIncompleteError when the changes seen do not
    explain the PCRs read.
    """
    hardware = hardware or Hardware()
    image = image.resolve()
    for disk in (image, *hardware.extra_disks):
        if not disk.is_file():
            raise InvalidInputError(f"there is no disk image {disk}")
    with tempfile.TemporaryDirectory(prefix="boot-", dir=workdir.resolve()) as name:
        scratch = Path(name)
        writable = [scratch]
        for file in (hardware.serial_log, hardware.memory_file, hardware.network_log):
            if file is not None:
                file.touch()
                writable.append(file)
        variables = scratch / "variables.fd"
        asked = secure_boot is not None
        variables.write_bytes(_variable_store(toolchain, secure_boot))
        with fresh_tpm(toolchain, scratch) as tpm:
            machine, machine_end = socket.socketpair()
            recorder = Recorder(machine, tpm)
            with machine, contextlib.closing(recorder):
                argv = qemu_argv(hardware, disk=image, variables=variables, tpm_fd=machine_end.fileno())
                command = toolchain.command(argv, writable=writable, readable=[image, *hardware.extra_disks])

                def stay() -> Outcome | None:
                    if on_reached is not None:
                        on_reached(
                            _observe(recorder, Outcome.REACHED, recorder.elapsed, asked=asked), recorder.transact
                        )
                    return Outcome.REACHED if visit is None else _visited(recorder, visit, gone or threading.Event())

                watch = partial(_watch, recorder, until=until, timeout=timeout, on_change=on_change, stay=stay)
                outcome = _run(command, machine_end, scratch, watch)
                end = recorder.elapsed
                if not recorder.changes:
                    raise ToolFailedError(f"the firmware measured nothing within {timeout:g} seconds")
                observed = _observe(recorder, outcome, end, asked=asked)
                if on_stop is not None:
                    on_stop(recorder.transact)
    return observed


def _observe(recorder: Recorder, outcome: Outcome, end: float, *, asked: bool) -> ObservedBoot:
    """What the TPM and the recording say now."""
    values = recorder.read_pcrs()
    _require_banks(active_banks(recorder.transact))
    changes = tuple(recorder.changes)
    was_on = _secure_boot_was_on(changes, asked=asked)
    return ObservedBoot(outcome, values, changes, was_on, milestones(changes, end))


def _variable_store(toolchain: Toolchain, secure_boot: SecureBootVariables | None) -> bytes:
    template = read_bytes(
        toolchain.tree / FIRMWARE_VARIABLES, what="OVMF's variable store template", limit=_MAX_VARIABLE_STORE
    )
    return template if secure_boot is None else enrol(template, secure_boot)


def _run(
    command: Sequence[str], machine_end: socket.socket, scratch: Path, watch: Callable[[], Outcome | None]
) -> Outcome:
    """Run QEMU as long as ``watch`` watches it, and kill it. Closes ``machine_end``, which QEMU inherits."""
    messages = scratch / "qemu.log"
    with messages.open("ab") as output, contextlib.ExitStack() as running:
        with machine_end:
            qemu = running.enter_context(
                process.spawn(
                    command,
                    stdout=output,
                    stderr=output,
                    pass_fds=[machine_end.fileno()],
                    # QEMU keeps the guest's writes to its disks in TMPDIR, which must exist inside the sandbox.
                    env={"TMPDIR": str(scratch)},
                )
            )
        try:
            outcome = watch()
        finally:
            # SIGKILL: an orderly end would let QEMU shut the TPM down, and its PCRs with it.
            qemu.kill()
    if outcome is None:
        tail = messages.read_text(errors="replace")[-_MESSAGE_TAIL:].strip()
        raise ToolFailedError(f"QEMU ended before its guest did: {tail or 'it printed nothing'}")
    return outcome


def _watch(
    recorder: Recorder,
    *,
    until: Phase | None,
    timeout: float,
    on_change: Callable[[RecordedChange], None] | None,
    stay: Callable[[], Outcome | None],
) -> Outcome | None:
    """Relay TPM traffic until the observation ends; ``None`` when QEMU itself failed.

    ``stay`` is called when ``until`` is reached, and says how it ends then.
    """
    while (left := timeout - recorder.elapsed) > 0:
        event = recorder.step(left)
        if isinstance(event, RecordedChange):
            if on_change is not None:
                on_change(event)
            outcome = outcome_so_far(recorder.changes, until)
            if outcome is Outcome.REACHED:
                return stay()
            if outcome is not None:
                return outcome
        elif event is not None:
            return _end(event)
    return Outcome.TIMED_OUT


def _visited(recorder: Recorder, visit: Callable[[], object], gone: threading.Event) -> Outcome | None:
    """Relay TPM traffic until ``visit`` returns."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="visit") as pool:
        visiting = pool.submit(visit)
        try:
            while not visiting.done():
                event = recorder.step(_VISIT_SECONDS)
                if isinstance(event, MachineSignal):
                    return _end(event)
        finally:
            gone.set()
        visiting.result()
    return Outcome.REACHED


def _end(signal: MachineSignal) -> Outcome | None:
    match signal:
        case MachineSignal.POWERED_OFF:
            return Outcome.POWERED_OFF
        case MachineSignal.RESET:
            return Outcome.RESET
        case MachineSignal.GONE:
            return None
        case _:
            assert_never(signal)


def _require_banks(active: frozenset[int]) -> None:
    expected = {bank.algorithm_id for bank in Bank}
    if active != expected:
        found = ", ".join(f"{algorithm:#06x}" for algorithm in sorted(active))
        raise ToolFailedError(f"the TPM's active PCR banks are {found or 'none'}, not exactly {', '.join(Bank)}")


def _secure_boot_was_on(changes: tuple[RecordedChange, ...], *, asked: bool) -> bool:
    """What PCR 7 proves. Raises ToolFailedError if the firmware measured something else than was asked for."""
    measured = measured_secure_boot(changes)
    if measured is None and not any(recorded.change.pcr == 7 for recorded in changes):  # noqa: PLR2004
        return False  # stopped before the firmware came that far
    if measured is not asked:
        found = {True: "on", False: "off", None: "unknown"}[measured]
        raise ToolFailedError(f"Secure Boot should be {'on' if asked else 'off'}, but the firmware measured it {found}")
    return measured
