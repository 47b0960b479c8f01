"""What an event of a log says, for a person: one reader per event type.

Data that do not fit their type, and types that nobody told us of, are shown raw. Nothing here raises for what a log
holds: a replay does not depend on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.evidence import decode_firmware as firmware
from builder.evidence import decode_tagged as tagged
from builder.evidence.decoded import Label, Raw
from builder.evidence.efi_variable import parse_variable
from builder.image.binary import BinaryView
from builder.measurement.events import EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.evidence.decoded import Decoded
    from builder.evidence.eventlog import UntrustedEvent

_VARIABLES = frozenset(
    {
        EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
        EventType.EV_EFI_VARIABLE_BOOT,
        EventType.EV_EFI_VARIABLE_BOOT2,
        EventType.EV_EFI_VARIABLE_AUTHORITY,
        EventType.EV_EFI_SPDM_DEVICE_AUTHORITY,
        EventType.EV_EFI_SPDM_DEVICE_POLICY,
    }
)
_READERS: dict[int, Callable[[BinaryView], Decoded]] = {
    EventType.EV_PREBOOT_CERT: firmware.text,
    EventType.EV_POST_CODE: firmware.post_code,
    EventType.EV_POST_CODE2: firmware.blob2,
    EventType.EV_NO_ACTION: tagged.no_action,
    EventType.EV_SEPARATOR: firmware.separator,
    EventType.EV_ACTION: firmware.ascii_string,
    EventType.EV_EVENT_TAG: tagged.event_tag,
    EventType.EV_S_CRTM_CONTENTS: firmware.post_code,
    EventType.EV_S_CRTM_VERSION: firmware.scrtm_version,
    EventType.EV_CPU_MICROCODE: firmware.blob_or_text,
    EventType.EV_PLATFORM_CONFIG_FLAGS: firmware.text,
    EventType.EV_TABLE_OF_DEVICES: firmware.tables_or_text,
    EventType.EV_COMPACT_HASH: firmware.text,
    EventType.EV_IPL: firmware.text,
    EventType.EV_IPL_PARTITION_DATA: firmware.text,
    EventType.EV_NONHOST_CODE: firmware.text,
    EventType.EV_NONHOST_CONFIG: firmware.text,
    EventType.EV_NONHOST_INFO: firmware.non_host_info,
    EventType.EV_OMIT_BOOT_DEVICE_EVENTS: firmware.ascii_string,
    EventType.EV_EFI_BOOT_SERVICES_APPLICATION: firmware.image,
    EventType.EV_EFI_BOOT_SERVICES_DRIVER: firmware.image,
    EventType.EV_EFI_RUNTIME_SERVICES_DRIVER: firmware.image,
    EventType.EV_EFI_GPT_EVENT: firmware.partition_table,
    EventType.EV_EFI_GPT_EVENT2: firmware.partition_table,
    EventType.EV_EFI_ACTION: firmware.ascii_string,
    EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB: firmware.blob,
    EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2: firmware.blob2,
    EventType.EV_EFI_HANDOFF_TABLES: firmware.tables,
    EventType.EV_EFI_HANDOFF_TABLES2: firmware.tables2,
    EventType.EV_EFI_HCRTM_EVENT: firmware.ascii_string,
    EventType.EV_EFI_SPDM_FIRMWARE_BLOB: firmware.spdm,
    EventType.EV_EFI_SPDM_FIRMWARE_CONFIG: firmware.spdm,
}


def decode(event: UntrustedEvent) -> Decoded:
    """The event's data as a value with a text. Never raises for what the data hold."""
    try:
        if event.type in _VARIABLES:
            return parse_variable(event.data, event.type)
        reader = _READERS.get(event.type)
        if reader is None:
            return Raw(event.data)
        return reader(BinaryView.of(event.data, event.type_name)) if event.data else Label("(no data)")
    except MalformedImageError as error:
        return Raw(event.data, problem=str(error))
