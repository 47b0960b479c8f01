"""What a boot showed: its PCR changes in order, how far it came, and what proves that Secure Boot was on or off.

Pure functions on recorded changes. The byte strings are those that the firmware hashes (edk2
``SecurityPkg/Tcg/Tcg2Dxe/Tcg2Dxe.c``, TCG PC Client Platform Firmware Profile, 3.3.4).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.measurement.pcr7 import GLOBAL_VARIABLE, variable_data
from builder.measurement.phases import Phase
from builder.vm.tpm_change import Extend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.measurement.pcr import Bank
    from builder.vm.recorder import RecordedChange

_PCR_BOOT_MANAGER = 4
_PCR_SECURE_BOOT = 7
_PCR_KERNEL_BOOT = 11
_CALLING = b"Calling EFI Application from Boot Option"
_RETURNING = b"Returning from EFI Application from Boot Option"
_SEPARATOR = bytes(4)


class Outcome(enum.StrEnum):
    """Why the observation ended.

    NOT_LOADED: the firmware gave up on the disk without having run anything from it, because it refused the image's
    signature or found no image. RETURNED: an image ran and gave control back to the firmware.
    """

    REACHED = "reached"
    NOT_LOADED = "not-loaded"
    RETURNED = "returned"
    POWERED_OFF = "powered-off"
    RESET = "reset"
    TIMED_OUT = "timed-out"


@dataclass(frozen=True, slots=True)
class ObservedBoot:
    """One boot as the TPM saw it.

    ``values`` are the PCRs read from the TPM after the machine was stopped, ``changes`` what led to them;
    ``secure_boot_was_on`` is what the firmware measured, not what was asked for. ``milestones`` are seconds since
    power-on: "firmware" (first measurement), "image" (first image loaded), "stub" (first section measured), the boot
    phases by their names, and "end"; those that were not reached are missing.
    """

    outcome: Outcome
    values: Mapping[tuple[int, Bank], bytes]
    changes: tuple[RecordedChange, ...]
    secure_boot_was_on: bool
    milestones: Mapping[str, float]

    @property
    def extends(self) -> tuple[tuple[int, Mapping[Bank, bytes]], ...]:
        """All PCR extends in order, as ``builder.measurement.compare`` takes them."""
        changes = (recorded.change for recorded in self.changes)
        return tuple((change.pcr, change.digests) for change in changes if isinstance(change, Extend))


def outcome_so_far(changes: Sequence[RecordedChange], until: Phase | None) -> Outcome | None:
    """Whether the newest change ends the observation: the phase ``until`` is reached, or the firmware gave up."""
    if not changes:
        return None
    newest = changes[-1]
    if until is not None and _reaches(newest, until):
        return Outcome.REACHED
    if extends(newest, _PCR_BOOT_MANAGER, _RETURNING):
        # Without a second boot option the firmware now waits for a key, for ever.
        return Outcome.RETURNED if any(map(_loads_image, changes)) else Outcome.NOT_LOADED
    return None


def milestones(changes: Sequence[RecordedChange], end: float) -> dict[str, float]:
    """The seconds at which the boot passed each milestone that it reached, in order."""
    seconds: dict[str, float] = {}
    for recorded in changes:
        seconds.setdefault("firmware", recorded.seconds)
        if _loads_image(recorded):
            seconds.setdefault("image", recorded.seconds)
        if recorded.change.pcr == _PCR_KERNEL_BOOT:
            seconds.setdefault("stub", recorded.seconds)
            for phase in Phase:
                if _reaches(recorded, phase):
                    seconds.setdefault(phase.label, recorded.seconds)
    return seconds | {"end": end}


def measured_secure_boot(changes: Sequence[RecordedChange]) -> bool | None:
    """The SecureBoot variable as the firmware measured it, before anything else, into PCR 7.

    ``None`` when nothing was measured into PCR 7, or something else first (firmware without Secure Boot has no such
    variable).
    """
    first = next((recorded for recorded in changes if recorded.change.pcr == _PCR_SECURE_BOOT), None)
    if first is None:
        return None
    for state in (True, False):
        if extends(first, _PCR_SECURE_BOOT, variable_data(GLOBAL_VARIABLE, "SecureBoot", bytes([state]))):
            return state
    return None


def extends(recorded: RecordedChange, pcr: int, data: bytes) -> bool:
    """Whether the change put the hash of ``data`` into PCR ``pcr``, in every bank that it touched."""
    change = recorded.change
    return (
        isinstance(change, Extend)
        and change.pcr == pcr
        and bool(change.digests)
        and all(digest == bank.digest(data) for bank, digest in change.digests.items())
    )


def _reaches(recorded: RecordedChange, phase: Phase) -> bool:
    return phase.value is not None and extends(recorded, _PCR_KERNEL_BOOT, phase.value.encode())


def _loads_image(recorded: RecordedChange) -> bool:
    """PCR 4 gets the two boot option strings, the separator and, besides them, only digests of loaded images."""
    return recorded.change.pcr == _PCR_BOOT_MANAGER and not any(
        extends(recorded, _PCR_BOOT_MANAGER, known) for known in (_CALLING, _RETURNING, _SEPARATOR)
    )
