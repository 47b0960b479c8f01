"""A component file for systemd-pcrlock: what a boot of the UKI measures, event by event.

Form: ``man systemd-pcrlock``, "records", a part of TCG's CEL-JSON (Canonical Event Log Format, 5.2). Only what the UKI
adds to the log is in it, as in ``systemd-pcrlock lock-uki``: separators, actions, Secure Boot variables and boot phases
have components of their own, which systemd ships or ``lock-secureboot-policy`` makes on the machine. Two things are
here that lock-uki leaves out: the kernel that a stub before 258 has firmware load, and the kernel's own events (PCR 9).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError
from builder.export.boot_order import logged_events
from builder.measurement.events import EventType

if TYPE_CHECKING:
    from builder.export.subject import Subject
    from builder.measurement.events import Event

_OF_THE_UKI: Final = (EventType.EV_EFI_BOOT_SERVICES_APPLICATION, EventType.EV_IPL, EventType.EV_EVENT_TAG)


def export(subject: Subject) -> str:
    """The file, for a name like ``/var/lib/pcrlock.d/650-uki.pcrlock.d/VERSION.pcrlock``."""
    records = [_record(event) for event in logged_events(subject) if event.type in _OF_THE_UKI]
    if not records:
        raise InvalidInputError(f"{subject.name}: no event of the UKI is among its reference values")
    return json.dumps({"records": records}, separators=(",", ":"))


def _record(event: Event) -> dict[str, Any]:
    digests = [{"hashAlg": bank.value, "digest": digest.hex()} for bank, digest in event.digests.items()]
    return {"pcr": event.pcr, "digests": digests}
