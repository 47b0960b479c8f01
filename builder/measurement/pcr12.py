"""PCR 12, what parameterises the UKI, and PCR 13, system extensions (systemd ``src/boot/stub.c``, run).

Both are all zeros when a UKI boots with nothing but itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.measurement import companion_archives
from builder.measurement.addons import read_addons
from builder.measurement.command_line import settle
from builder.measurement.events import Event, EventType, Measurer, utf16

if TYPE_CHECKING:
    from builder.measurement.boot import Boot

PCR = 12
PCR_EXTENSIONS = 13


def events(boot: Boot, measurer: Measurer) -> tuple[Event, ...]:
    """The events of PCR 12 in order. Raises UnpredictableError for what is not known for sure."""
    configuration, release = boot.configuration, boot.uki.stub.release
    addons = read_addons(boot.uki, configuration)
    texts = [addon.command_line for addon in addons if addon.command_line is not None]
    command_line = settle(boot.uki, configuration, texts)
    archives = companion_archives.pack(configuration.companions, release)

    strings = [(command_line.from_loader, "options that the boot loader passes", "boot loader entry")]
    after_profile = [
        (command_line.passed, "load options", "boot entry"),
        *((text, "command line of addons", "addons") for text in command_line.addons),
        (command_line.smbios, "SMBIOS kernel-cmdline-extra", "SMBIOS"),
    ]
    packed = [
        (archives.credentials, "credentials initrd"),
        (archives.global_credentials, "global credentials initrd"),
        (archives.confext, "configuration extension initrd"),
        (archives.global_confext, "global configuration extension initrd"),
    ]
    ucode = [(addon.file.name, addon.ucode) for addon in reversed(addons) if addon.ucode is not None]
    initrds = [(addon.file.name, addon.initrd) for addon in addons if addon.initrd is not None]
    return (
        *_strings(measurer, strings),
        *_profile(measurer, configuration.profile),
        *_strings(measurer, after_profile),
        *_archives(measurer, PCR, packed),
        *(_tagged(measurer, content, "microcode", name) for name, content in ucode),
        *(_tagged(measurer, content, "initrd", name) for name, content in initrds),
    )


def extension_events(boot: Boot, measurer: Measurer) -> tuple[Event, ...]:
    """The events of PCR 13 in order."""
    archives = companion_archives.pack(boot.configuration.companions, boot.uki.stub.release)
    packed = [
        (archives.sysext, "system extension initrd"),
        (archives.global_sysext, "global system extension initrd"),
    ]
    return _archives(measurer, PCR_EXTENSIONS, packed)


def _strings(measurer: Measurer, strings: list[tuple[str | None, str, str]]) -> tuple[Event, ...]:
    return tuple(
        measurer.event(PCR, EventType.EV_IPL, utf16(text), description=f"{what} {text!r}", source=source)
        for text, what, source in strings
        if text is not None
    )


def _profile(measurer: Measurer, profile: int) -> tuple[Event, ...]:
    if profile == 0:  # the stub measures nothing for the profile that is the default
        return ()
    data = utf16(str(profile))
    return (
        measurer.event(PCR, EventType.EV_EVENT_TAG, data, description=f"UKI profile {profile}", source="boot entry"),
    )


def _archives(measurer: Measurer, pcr: int, packed: list[tuple[bytes | None, str]]) -> tuple[Event, ...]:
    return tuple(
        measurer.event(pcr, EventType.EV_IPL, archive, description=what, source="companion files")
        for archive, what in packed
        if archive is not None
    )


def _tagged(measurer: Measurer, content: memoryview, what: str, name: str) -> Event:
    return measurer.event(
        PCR, EventType.EV_EVENT_TAG, content, description=f"{what} of an addon", source=f"addon {name}"
    )
