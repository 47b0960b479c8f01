"""PCR 7: Secure Boot policy (TCG PC Client Platform Firmware Profile, 3.3.4.8), without shim.

Ported from edk2 ``SecurityPkg/Tcg/Tcg2Dxe/Tcg2Dxe.c`` (MeasureAllSecureVariables) for the variables and
``SecurityPkg/Library/DxeImageVerificationLib/Measurement.c`` (SecureBootHook) for the entries of db that were used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from builder.measurement.configuration import SecureBootMode
from builder.measurement.events import Event, EventType, Measurer, separator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.measurement.boot import Boot
    from builder.measurement.configuration import SecureBoot

PCR = 7
# signing.efi has these too, but importing it takes the signing package's dependencies along.
GLOBAL_VARIABLE = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY_DATABASE = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
_SECURE_BOOT_VALUE = {
    SecureBootMode.ENABLED: b"\x01",
    SecureBootMode.DISABLED: b"\x00",
    SecureBootMode.UNSUPPORTED: b"",
}
_SOURCE = "Secure Boot variables"


def events(boot: Boot, measurer: Measurer) -> tuple[Event, ...]:
    """The variables, the separator and, with Secure Boot, the entries of db that let the images run.

    Raises what ``image_verification.authority`` raises for an image that firmware would not start.
    """
    secure_boot = boot.configuration.secure_boot
    authorities = _authorities(boot, measurer) if secure_boot.enabled else ()
    return (*policy_events(secure_boot, measurer), *authorities)


def policy_events(secure_boot: SecureBoot, measurer: Measurer) -> tuple[Event, ...]:
    """What firmware measures before it starts anything: the variables, whether they exist or not, and the separator."""
    variables = (
        (GLOBAL_VARIABLE, "SecureBoot", _SECURE_BOOT_VALUE[secure_boot.mode]),
        (GLOBAL_VARIABLE, "PK", secure_boot.pk),
        (GLOBAL_VARIABLE, "KEK", secure_boot.kek),
        (IMAGE_SECURITY_DATABASE, "db", secure_boot.db),
        (IMAGE_SECURITY_DATABASE, "dbx", secure_boot.dbx),
    )
    configured = (
        measurer.event(
            PCR,
            EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
            variable_data(guid, name, content),
            description=f"variable {name}" if content else f"variable {name} (absent)",
            source=_SOURCE,
        )
        for guid, name, content in variables
    )
    return (*configured, separator(measurer, PCR))


def authority_event(entry: bytes, image: str, measurer: Measurer) -> Event:
    """The use of a db entry (EFI_SIGNATURE_DATA) that lets ``image`` run; firmware measures each entry once a boot."""
    return measurer.event(
        PCR,
        EventType.EV_EFI_VARIABLE_AUTHORITY,
        variable_data(IMAGE_SECURITY_DATABASE, "db", entry),
        description=f"entry of db that lets the {image} run",
        source=_SOURCE,
    )


def variable_data(guid: UUID, name: str, content: bytes) -> bytes:
    """UEFI_VARIABLE_DATA: vendor GUID, u64 length of the name in characters, u64 length of the content, both."""
    lengths = len(name).to_bytes(8, "little") + len(content).to_bytes(8, "little")
    return guid.bytes_le + lengths + name.encode("utf-16-le") + content


def _authorities(boot: Boot, measurer: Measurer) -> Iterator[Event]:
    # Not at the top: only Secure Boot needs the signing package, which takes long to import.
    from builder.measurement.image_verification import authority  # noqa: PLC0415

    secure_boot = boot.configuration.secure_boot
    measured = set()
    for image in boot.images:
        entry = authority(image, secure_boot.db, secure_boot.dbx)
        if entry in measured:  # SecureBootHook measures each entry once a boot
            continue
        measured.add(entry)
        yield authority_event(entry.encode(), image.source, measurer)
