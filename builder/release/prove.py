"""The boot proof: start a release in a virtual machine and compare the real PCRs with its reference values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import read_bytes
from builder.measurement.compare import Outcome as PcrOutcome
from builder.measurement.compare import PcrComparison, compare
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.measurement.prediction import PredictedPcr, Unpredictable
from builder.release.layout import (
    MAX_RECORD_BYTES,
    NO_RELEASE_HINT,
    REFERENCE_VALUES,
    Names,
)
from builder.release.measurements import read_measurements
from builder.release.reference import BOUND_PCRS, REQUIRED_PCRS, load_variables, stated_pcrs
from builder.release.statements import read_json
from builder.vm.boot import boot
from builder.vm.observation import ObservedBoot, Outcome
from builder.vm.tpm_change import Extend
from builder.vm.varstore import SecureBootVariables

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain
    from builder.release.statements import ReferenceMeasurements
    from builder.vm.qemu import Hardware
    from builder.vm.recorder import RecordedChange

BOOT_TIMEOUT: Final = 600.0
_SHOWN_DESCRIPTION: Final = 80

_EXPLANATIONS: Final = {
    Outcome.NOT_LOADED: "the firmware ran nothing from the disk: it refused the image, or found none",
    Outcome.RETURNED: "the image ran and gave control back to the firmware",
    Outcome.POWERED_OFF: "the machine powered off",
    Outcome.RESET: "the machine reset itself",
    Outcome.TIMED_OUT: "the time limit was reached",
}


@dataclass(frozen=True, slots=True)
class Service:
    """What becomes of a machine that booted as predicted: it runs on until ``stop`` is set, which its end does, too.

    ``begin`` is called with the proof, and with a function that sends a command to the machine's TPM and returns the
    response, before the machine goes on.
    """

    begin: Callable[[BootProof, Callable[[bytes], bytes]], None]
    stop: threading.Event


@dataclass(frozen=True, slots=True)
class BootProof:
    """One boot and what it proved. ``problems`` is empty if every bound PCR was as predicted."""

    mode: SecureBootMode
    observed: ObservedBoot
    comparisons: tuple[PcrComparison, ...]
    problems: tuple[str, ...]


def load_reference(release: Path) -> ReferenceMeasurements:
    """The reference values that a release states. They are only worth something once the release is verified."""
    path = release / REFERENCE_VALUES
    if not path.exists():
        raise InvalidInputError(f"{release} is no release: it has no {REFERENCE_VALUES}", hint=NO_RELEASE_HINT)
    data = read_bytes(path, what="reference values", limit=MAX_RECORD_BYTES)
    return read_measurements(read_json(data, what=str(path)), what=str(path))


def prove(
    release: Path,
    toolchain: Toolchain,
    workdir: Path,
    *,
    mode: SecureBootMode = SecureBootMode.ENABLED,
    phase: Phase = Phase.READY,
    timeout: float = BOOT_TIMEOUT,
    hardware: Hardware | None = None,
    service: Service | None = None,
    on_change: Callable[[RecordedChange], None] | None = None,
) -> BootProof:
    """Boot ``release`` until ``phase`` and compare; the machine's firmware and TPM are new.

    With ``service`` the machine goes on after a proof, and the result is that of its end.

    Raises InvalidInputError if the directory is no release, NotVerifiedError if its reference values leave out a PCR or
    a bank that they must have, ToolFailedError if the rig itself fails. A boot that ends
    early or shows other values is a result, not an error.
    """
    reference = load_reference(release)
    stated = reference.reference_values.get(mode.value)
    if stated is None:
        raise InvalidInputError(f"{release} has no reference values for Secure Boot {mode.value}")
    pcrs = stated_pcrs(stated)
    _require_whole(release, pcrs)
    variables = load_variables(release)
    image = reference.image
    disk = release / Names.of(image).disk

    def proved(observed: ObservedBoot) -> BootProof:
        extends = [
            (recorded.change.pcr, recorded.change.digests)
            for recorded in observed.changes
            if isinstance(recorded.change, Extend)
        ]
        comparisons = compare(pcrs, observed.values, phase=phase, extends=extends)
        return BootProof(mode, observed, comparisons, _problems(observed, comparisons, mode))

    def reached(observed: ObservedBoot, transact: Callable[[bytes], bytes]) -> None:
        proof = proved(observed)
        if service is not None and not proof.problems:
            service.begin(proof, transact)
        elif service is not None:
            service.stop.set()

    observed = boot(
        toolchain,
        disk,
        secure_boot=_enrolled(variables) if mode is SecureBootMode.ENABLED else None,
        until=phase,
        timeout=timeout,
        workdir=workdir,
        hardware=hardware,
        on_change=on_change,
        on_reached=None if service is None else reached,
        visit=None if service is None else service.stop.wait,
        gone=None if service is None else service.stop,
    )
    return proved(observed)


def _require_whole(release: Path, pcrs: Mapping[int, PredictedPcr | Unpredictable]) -> None:
    """Refuse reference values that leave out what a boot is to prove, before a machine is started for them."""
    problems = []
    for pcr in BOUND_PCRS:
        entry = pcrs.get(pcr)
        if entry is None:
            problems.append(f"there is no PCR {pcr}")
        elif isinstance(entry, Unpredictable):
            if pcr in REQUIRED_PCRS:
                problems.append(f"PCR {pcr} has no value: {entry.reason}")
        elif missing := [bank.value for bank in Bank if bank not in entry.values]:
            problems.append(f"PCR {pcr} has no value in {' and '.join(missing)}")
    if problems:
        raise NotVerifiedError(f"the reference values of {release} do not say what a boot must show", tuple(problems))


def _enrolled(variables: Mapping[str, bytes]) -> SecureBootVariables:
    return SecureBootVariables(variables["PK"], variables["KEK"], variables["db"], variables["dbx"])


def _problems(observed: ObservedBoot, comparisons: tuple[PcrComparison, ...], mode: SecureBootMode) -> tuple[str, ...]:
    problems = []
    if observed.outcome is not Outcome.REACHED:
        problems.append(_EXPLANATIONS[observed.outcome])
    if observed.secure_boot_was_on != (mode is SecureBootMode.ENABLED):
        problems.append(f"Secure Boot was {'on' if observed.secure_boot_was_on else 'off'}, asked for was {mode.value}")
    if observed.outcome is Outcome.NOT_LOADED:  # then every later PCR differs, and none of them says more
        return tuple(problems)
    differing = (comparison for comparison in comparisons if comparison.outcome is PcrOutcome.DIFFERS)
    return (*problems, *map(_describe, differing))


def _describe(comparison: PcrComparison) -> str:
    text = f"PCR {comparison.pcr} differs"
    difference = comparison.difference
    if difference is None:
        return text
    number = difference.index + 1
    if difference.expected is None:
        return f"{text}: extend {number} is one too many"
    description = difference.expected.description
    if len(description) > _SHOWN_DESCRIPTION:
        description = f"{description[:_SHOWN_DESCRIPTION]} ..."
    what = f"{description} (from {difference.expected.source})"
    if difference.observed is None:
        return f"{text}: extend {number} is missing, expected {what}"
    bank, digest = next(iter(difference.observed.items()))
    return f"{text}: extend {number} is {bank.value} {digest.hex()}, expected {what}"
