"""Events of boot loaders and kernels, and those that extend nothing: EV_EVENT_TAG, EV_IPL, EV_NO_ACTION."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from builder.evidence.decoded import (
    ComponentMeasurement,
    Label,
    Raw,
    ReferenceManifest,
    SpecIdEvent,
    StartupLocality,
    TaggedEvent,
)
from builder.evidence.spec_id import SIGNATURE_PREFIX, parse_spec_id
from builder.evidence.text import ascii_text, guess_text

if TYPE_CHECKING:
    from builder.evidence.decoded import Decoded
    from builder.image.binary import BinaryView

# Linux: drivers/firmware/efi/libstub/efistub.h. systemd: src/fundamental/tpm2-pcr.h and its docs/TPM2_PCR_MEASUREMENTS.
# Attestation agent: confidential-containers/guest-components, attestation-agent/docs/AAEL.md.
TAGS = {
    0x8F3B22EC: "Linux: initrd",
    0x8F3B22ED: "Linux: command line",
    0xF5BC582A: "systemd-boot: loader.conf",
    0x6C46F751: "systemd-stub: device tree addon",
    0x49DFFE0F: "systemd-stub: initrd addon",
    0xDAC08E1A: "systemd-stub: microcode addon",
    0x13AED6DB: "systemd-stub: profile",
    0xD5CB7CBC: "systemd-stub: SMBIOS system information",
    0xE0D47BC8: "systemd-stub: SMBIOS baseboard information",
    0xC0B3BD23: "systemd-stub: SMBIOS OEM strings",
    0x4141454C: "attestation agent",
}
# Windows boot manager (SIPAEVENTTYPE_*, wbcl.h): containers of further tagged events.
_WINDOWS_CONTAINERS = {
    0x40010001: "Windows: trust boundary",
    0x40010002: "Windows: early-launch driver",
    0x40010003: "Windows: loaded module",
    0xC0010004: "Windows: trust point",
}
_LOCALITY = b"StartupLocality\0"
_COMPONENT = b"H-CRTM CompMeas\0"
_MANIFESTS = {b"SP800-155 Event\0": 1, b"SP800-155 Event2": 2, b"SP800-155 Event3": 3}
_LOCATORS = {0: "data", 1: "URI", 2: "device path", 3: "variable"}
_SIGNATURE_BYTES = 16
_SHOWN_BYTES = 24


def event_tag(view: BinaryView) -> Decoded:
    """TCG_PCClientTaggedEvent: u32 tag, u32 size, data. Linux 6.0 and older logged the string alone."""
    tag, size = (view.u32(0), view.u32(4)) if len(view) >= 8 else (0, -1)  # noqa: PLR2004 -- the two fields
    if size == len(view) - 8:
        data = view.read(8, size)
        meaning = TAGS.get(tag) or _WINDOWS_CONTAINERS.get(tag)
        label = guess_text(data)
        if label is None:
            label = data[:_SHOWN_BYTES].hex() + ("..." if len(data) > _SHOWN_BYTES else "")
        return TaggedEvent(tag, meaning, label)
    whole = view.read(0, len(view))
    label = guess_text(whole)
    if label is not None:
        return Label(label)
    if len(whole) >= 8:  # noqa: PLR2004 -- Windows: several tagged events in a row
        return TaggedEvent(tag, _WINDOWS_CONTAINERS.get(tag), f"{len(whole)} bytes")
    return Raw(whole)


def no_action(view: BinaryView) -> Decoded:
    """What a signature of 16 bytes names; other records are raw, for there is no list of them all.

    Raises MalformedImageError if the structure that is named does not hold.
    """
    signature = view.read(0, min(_SIGNATURE_BYTES, len(view)))
    if signature.startswith(SIGNATURE_PREFIX):
        return SpecIdEvent(parse_spec_id(view))
    if signature == _LOCALITY:
        return startup_locality(view)
    if signature in _MANIFESTS:
        return _manifest(view, _MANIFESTS[signature])
    if signature == _COMPONENT:
        return _component(view)
    found = guess_text(view.read(0, len(view)))
    return Raw(view.read(0, len(view))) if found is None else Label(found)


def is_startup_locality(data: bytes) -> bool:
    """Whether the data of a no-action event say from where the TPM was started."""
    return data.startswith(_LOCALITY)


def startup_locality(view: BinaryView) -> StartupLocality:
    """TCG_EfiStartupLocalityEvent (PFP 10.4.5.3): 16 bytes signature, u8. Raises MalformedImageError."""
    if len(view) != _SIGNATURE_BYTES + 1:
        raise view.error(0, f"{len(view)} bytes are not {_SIGNATURE_BYTES + 1}")
    locality = view.u8(_SIGNATURE_BYTES)
    if locality not in {0, 3, 4}:
        raise view.error(_SIGNATURE_BYTES, f"a TPM cannot be started from locality {locality}")
    return StartupLocality(locality)


class _Fields:
    """Takes fields off an event one after the other."""

    def __init__(self, view: BinaryView, position: int) -> None:
        self.view = view
        self.position = position

    def u32(self) -> int:
        self.position += 4
        return self.view.u32(self.position - 4)

    def counted(self, size_bytes: int = 1) -> bytes:
        """A run of bytes with its length (u8 or u32) before it."""
        size = self.view.u8(self.position) if size_bytes == 1 else self.view.u32(self.position)
        data = self.view.read(self.position + size_bytes, size)
        self.position += size_bytes + size
        return data


def _manifest(view: BinaryView, version: int) -> ReferenceManifest:
    """TCG_Sp800_155_PlatformId_Event, 2 and 3 (PFP 10.4.5.2)."""
    fields = _Fields(view, _SIGNATURE_BYTES)
    vendor = fields.u32()
    guid = UUID(bytes_le=view.read(fields.position, 16))
    fields.position += 16
    found = [("vendor", str(vendor))]
    if version > 1:
        names = ("platform manufacturer", "platform model", "platform version", "firmware manufacturer")
        found += [(name, ascii_text(fields.counted())) for name in names]
        found.append(("firmware manufacturer id", str(fields.u32())))
        found.append(("firmware version", ascii_text(fields.counted())))
    if version > 2:  # noqa: PLR2004 -- the third version added locators
        for name in ("manifest", "platform certificate"):
            kind, data = fields.u32(), fields.counted(4)
            if data:
                found.append((f"{name} as {_LOCATORS.get(kind, kind)}", _locator(kind, data)))
    return ReferenceManifest(version, guid, tuple(found))


def _locator(kind: int, data: bytes) -> str:
    if kind == 3:  # noqa: PLR2004 -- a variable: GUID, then its name in UTF-16
        name = guess_text(data[16:]) if len(data) > _SIGNATURE_BYTES else None
        return name or data.hex()
    return guess_text(data) or f"{data[:_SHOWN_BYTES].hex()}"


def _component(view: BinaryView) -> ComponentMeasurement:
    """TCG_HCRTMComponentEvent (PFP 10.4.5.5)."""
    fields = _Fields(view, _SIGNATURE_BYTES)
    description = ascii_text(fields.counted())
    kind = view.u8(fields.position)
    fields.position += 1
    return ComponentMeasurement(description, kind, fields.counted())
