"""PCR 4: boot manager code, that is every image that firmware loads (TCG PC Client Platform Firmware Profile, 3.3.4.5).

Ported from edk2 ``SecurityPkg/Tcg/Tcg2Dxe/Tcg2Dxe.c`` (action, separator) and
``SecurityPkg/Library/DxeTpm2MeasureBootLib`` (images). That the stub starts its kernel through the firmware too, so
that the kernel is measured, holds before systemd 258 and without Secure Boot: with it the stub replaces the firmware's
security protocols for that one image, since 258 it jumps into the kernel itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.image.pe import SUBSYSTEM_EFI_APPLICATION, read_pe
from builder.measurement.boot import LoadedImage
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
    images = (_image(measurer, image) for image in (*boot.images, *_inner_kernel(boot)))
    return (action, separator(measurer, PCR), *images)


def _inner_kernel(boot: Boot) -> tuple[LoadedImage, ...]:
    """The kernel, if the stub has firmware load it."""
    kernel = boot.uki.content(".linux", boot.configuration.profile)
    if kernel is None or boot.uki.stub.release >= KERNEL_NOT_LOADED_SINCE or boot.configuration.secure_boot.enabled:
        return ()
    return (LoadedImage("UKI section .linux", kernel),)


def _image(measurer: Measurer, image: LoadedImage) -> Event:
    subsystem = read_pe(image.data).subsystem
    if subsystem != SUBSYSTEM_EFI_APPLICATION:
        raise MalformedImageError(image.source, None, f"its PE subsystem {subsystem} is no EFI application")
    return Event(
        PCR,
        EventType.EV_EFI_BOOT_SERVICES_APPLICATION,
        measurer.in_banks(lambda bank: image.digest(bank.value), len(image.data)),
        description="Authenticode digest",
        source=image.source,
    )
