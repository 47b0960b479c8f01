"""The events of a boot in the order of a firmware event log.

Reference values are grouped by PCR; a log has one order for all. A replay does not need it, but programs that look for
a sequence of events do (systemd-pcrlock), and people who compare two logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.measurement import pcr7
from builder.measurement.events import EventType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.export.subject import Subject
    from builder.measurement.events import Event

# Firmware first: edk2 measures the Secure Boot variables, says that it starts a boot option, closes its PCRs, and
# measures the image with the entry of db that lets it run. Then the stub measures sections, may have the firmware
# load the kernel, and the kernel measures its load options and initrd.
_VARIABLES, _ACTION, _SEPARATOR, _AUTHORITY, _IMAGE, _STUB, _INNER_IMAGE, _KERNEL = range(8)
_STAGES: Final[dict[EventType | None, int]] = {
    EventType.EV_EFI_VARIABLE_DRIVER_CONFIG: _VARIABLES,
    EventType.EV_EFI_ACTION: _ACTION,
    EventType.EV_SEPARATOR: _SEPARATOR,
    EventType.EV_EFI_VARIABLE_AUTHORITY: _AUTHORITY,
    EventType.EV_IPL: _STUB,
    EventType.EV_EVENT_TAG: _KERNEL,
}


def logged_events(subject: Subject) -> tuple[Event, ...]:
    """Every event that firmware's log has, in its order; what user space extends later is not among them."""
    return tuple(sorted(_logged(subject), key=_Stage()))


def _logged(subject: Subject) -> Iterable[Event]:
    return (event for pcr in subject.predicted.values() for event in pcr.events if event.type is not None)


class _Stage:
    """The place of an event in the boot; the sort is stable, so events of one stage stay in PCR order."""

    def __init__(self) -> None:
        self._seen_image = False

    def __call__(self, event: Event) -> int:
        if event.type is EventType.EV_EFI_BOOT_SERVICES_APPLICATION:
            # The first image is what firmware started; the stub has it load the kernel after its own measurements.
            stage = _INNER_IMAGE if self._seen_image else _IMAGE
            self._seen_image = True
            return stage
        return _VARIABLES if _closes_variables(event) else _STAGES[event.type]


def _closes_variables(event: Event) -> bool:
    return event.type is EventType.EV_SEPARATOR and event.pcr == pcr7.PCR
