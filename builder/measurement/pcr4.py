"""PCR 4: boot manager code, that is every image that firmware loads (TCG PC Client Platform Firmware Profile, 3.3.4.5).

Ported from edk2 ``SecurityPkg/Tcg/Tcg2Dxe/Tcg2Dxe.c`` (action, separator) and
``SecurityPkg/Library/DxeTpm2MeasureBootLib`` (images). That the stub starts its kernel through the firmware too, so
that the kernel is measured, holds before systemd 258 and without Secure Boot: with it the stub replaces the firmware's
security protocols for that one image, since 258 it jumps into the kernel itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.image.pe import SUBSYSTEM_EFI_APPLICATION, authenticode_parts, read_pe
from builder.measurement.addons import addon_files
from builder.measurement.events import Event, EventType, Measurer, separator

if TYPE_CHECKING:
    from builder.measurement.boot import Boot

PCR = 4
CALLING_BOOT_OPTION = b"Calling EFI Application from Boot Option"
KERNEL_NOT_LOADED_SINCE = 258


def events(boot: Boot, measurer: Measurer) -> tuple[Event, ...]:
    """The events of a first boot option that is started and does not return.

    Raises MalformedImageError for an image that firmware would refuse to load or measure elsewhere.
    """
    action = measurer.event(
        PCR, EventType.EV_EFI_ACTION, CALLING_BOOT_OPTION, description=CALLING_BOOT_OPTION.decode(), source="firmware"
    )
    images = (_image(measurer, data, source) for source, data in loaded_images(boot))
    kernel = boot.uki.content(".linux", boot.configuration.profile)
    inner: tuple[Event, ...] = ()
    if kernel is not None and _kernel_is_measured(boot):
        inner = (_image(measurer, kernel, "UKI section .linux"),)
    return (action, separator(measurer, PCR), *images, *inner)


def loaded_images(boot: Boot) -> tuple[tuple[str, memoryview], ...]:
    """Name and file of every image that firmware verifies and measures, in the order of loading."""
    loader = boot.configuration.boot_loader
    before = [("boot loader", memoryview(loader.image))] if loader else []
    addons = addon_files(boot.uki, boot.configuration)
    return (*before, ("UKI", boot.file), *((f"addon {file.name}", memoryview(file.content)) for file in addons))


def _kernel_is_measured(boot: Boot) -> bool:
    return boot.uki.stub.release < KERNEL_NOT_LOADED_SINCE and not boot.configuration.secure_boot.enabled


def _image(measurer: Measurer, data: memoryview, source: str) -> Event:
    image = read_pe(data)
    if image.subsystem != SUBSYSTEM_EFI_APPLICATION:
        raise MalformedImageError(source, None, f"its PE subsystem {image.subsystem} is no EFI application")
    return measurer.event(
        PCR,
        EventType.EV_EFI_BOOT_SERVICES_APPLICATION,
        *authenticode_parts(data, image),
        description="Authenticode digest",
        source=source,
    )
