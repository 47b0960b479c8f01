"""PCR 11: the sections of the UKI, then the boot phases (systemd ``src/boot/stub.c``, measure_sections)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import UnpredictableError
from builder.image.uki import DEVICE_DEPENDENT, rules_of
from builder.measurement.events import Event, EventType, Measurer
from builder.measurement.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.measurement.boot import Boot
    from builder.measurement.pcr import Bank

PCR = 11


def section_events(boot: Boot, measurer: Measurer) -> tuple[Event, ...]:
    """Name (ASCII with NUL), then content, of every measured section that the stub finds.

    Raises UnpredictableError for a section of which the stub takes the one that fits the device.
    """
    measured = {rule.name for rule in rules_of(boot.uki.stub.release) if rule.measured}
    events = []
    for section in boot.uki.sections(boot.configuration.profile):
        if section.name not in measured:
            continue
        if section.name in DEVICE_DEPENDENT:
            raise UnpredictableError(f"which of the sections {section.name} is measured depends on the device")
        name, source = section.name.encode("ascii") + b"\0", f"UKI section {section.name}"
        events += [
            measurer.event(PCR, EventType.EV_IPL, name, description=f"section name {section.name}", source=source),
            measurer.event(
                PCR, EventType.EV_IPL, section.content, description=f"section {section.name}", source=source
            ),
        ]
    return tuple(events)


def phase_events(measurer: Measurer) -> tuple[Event, ...]:
    """The word of every phase after the firmware's, in order."""
    return tuple(
        measurer.event(
            PCR, None, phase.value.encode("ascii"), description=f"boot phase {phase.value}", source="systemd"
        )
        for phase in Phase
        if phase.value is not None
    )


def phase_values(
    sections: tuple[Event, ...], phases: tuple[Event, ...], measurer: Measurer
) -> dict[Phase, Mapping[Bank, bytes]]:
    """The value that PCR 11 has once a boot has reached each phase."""
    return {phase: measurer.replay((*sections, *phases[:count])) for count, phase in enumerate(Phase)}
