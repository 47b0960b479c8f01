"""What events say, as frozen values; every one has ``text``, a line for a person.

All of it is what the log claims. Whether the event's digest covers its data is another question, see
``builder.evidence.digest_check``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from uuid import UUID

    from builder.evidence.device_path import DevicePath
    from builder.evidence.spec_id import SpecId

_SHOWN_BYTES = 24
_WINDOWS_SEPARATOR = int.from_bytes(b"WBCL", "little")


class Decoded(Protocol):
    """A decoded event."""

    @property
    def text(self) -> str:
        """One line for a person."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Data that are not understood; ``problem`` says why if the type is one that should be."""

    data: bytes
    problem: str | None = None

    @property
    def text(self) -> str:
        """The first bytes in hexadecimal."""
        more = f"... ({len(self.data)} bytes)" if len(self.data) > _SHOWN_BYTES else ""
        shown = f"{self.data[:_SHOWN_BYTES].hex()}{more}" or "no data"
        return f"{shown} (not understood: {self.problem})" if self.problem else shown


@dataclass(frozen=True, slots=True)
class Label:
    """A string."""

    text: str


@dataclass(frozen=True, slots=True)
class SeparatorEvent:
    """EV_SEPARATOR: zero or FFFFFFFF where the firmware hands over, 1 where it met an error (PFP 1.06, 3.3.2.2).

    Windows ends its own part of the log with "WBCL".
    """

    value: int

    @property
    def is_error(self) -> bool:
        """Whether the firmware says that something went wrong."""
        return self.value == 1

    @property
    def text(self) -> str:
        """``separator``, and the value if it is not the usual one."""
        if self.is_error:
            return "separator: the firmware met an error"
        if self.value == 0:
            return "separator"
        return "separator of Windows" if self.value == _WINDOWS_SEPARATOR else f"separator ({self.value:#010x})"


@dataclass(frozen=True, slots=True)
class SpecIdEvent:
    """The event that opens the log."""

    spec_id: SpecId

    @property
    def text(self) -> str:
        """Signature and version."""
        spec = self.spec_id
        return f"{spec.signature}, specification {spec.major}.{spec.minor} errata {spec.errata}"


@dataclass(frozen=True, slots=True)
class StartupLocality:
    """The locality from which the TPM was started; it is the last byte of PCR 0's initial value."""

    locality: int

    @property
    def text(self) -> str:
        """The number."""
        return f"the TPM was started from locality {self.locality}"


@dataclass(frozen=True, slots=True)
class ReferenceManifest:
    """SP800-155: where the firmware's maker publishes reference values. ``fields`` are the strings and numbers."""

    version: int
    guid: UUID
    fields: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """GUID and fields."""
        return ", ".join([f"reference manifest {self.guid}", *(f"{name} {value}" for name, value in self.fields)])


@dataclass(frozen=True, slots=True)
class ComponentMeasurement:
    """H-CRTM CompMeas: what a part of the H-CRTM was measured as."""

    description: str
    measurement_format: int
    measurement: bytes

    @property
    def text(self) -> str:
        """Description and measurement."""
        return f"H-CRTM component {self.description}: {self.measurement.hex()}"


@dataclass(frozen=True, slots=True)
class ImageLoad:
    """A loaded PE image. ``paths`` is where it came from."""

    address: int
    size: int
    link_address: int
    paths: tuple[DevicePath, ...]

    @property
    def text(self) -> str:
        """Where it came from and its size."""
        where = " ".join(path.text for path in self.paths) or "(no device path)"
        return f"image {where}, {self.size} bytes"


@dataclass(frozen=True, slots=True)
class FirmwareBlob:
    """A run of firmware in memory; ``description`` is empty in the first version of the event."""

    description: str
    address: int
    size: int

    @property
    def text(self) -> str:
        """Description and place."""
        name = f"firmware {self.description}" if self.description else "firmware"
        return f"{name}, {self.size} bytes at {self.address:#x}"


@dataclass(frozen=True, slots=True)
class HandoffTables:
    """Configuration tables that firmware hands over: (name or GUID, address)."""

    description: str
    tables: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The names."""
        name = f"tables {self.description}: " if self.description else "tables "
        return name + ", ".join(table for table, _ in self.tables)


@dataclass(frozen=True, slots=True)
class GptPartition:
    """One used entry of a partition table; LBAs are inclusive."""

    type_name: str
    unique_guid: UUID
    name: str
    first_lba: int
    last_lba: int


@dataclass(frozen=True, slots=True)
class GptTable:
    """The partition table of the disk that the first image came from."""

    disk_guid: UUID
    partitions: tuple[GptPartition, ...]

    @property
    def text(self) -> str:
        """Disk and partitions."""
        shown = ", ".join(f"{entry.name or '(no name)'} ({entry.type_name})" for entry in self.partitions)
        return f"GPT of disk {self.disk_guid}: {shown or 'no partition'}"


@dataclass(frozen=True, slots=True)
class TaggedEvent:
    """EV_EVENT_TAG. ``meaning`` names what was measured if the tag is known, ``label`` is the string in the event."""

    tag: int
    meaning: str | None
    label: str

    @property
    def text(self) -> str:
        """Meaning and label."""
        return f"{self.meaning or f'tag {self.tag:#010x}'}: {self.label}" if self.label else f"tag {self.tag:#010x}"


@dataclass(frozen=True, slots=True)
class NonHostInfo:
    """Google's statement of the confidential computing technology that the VM runs on."""

    technology: str

    @property
    def text(self) -> str:
        """The technology."""
        return f"Google Compute Engine, memory encryption {self.technology}"


@dataclass(frozen=True, slots=True)
class SpdmEvent:
    """What a device said of its firmware over SPDM, or the certificate or policy for that."""

    version: int
    device: str
    size: int

    @property
    def text(self) -> str:
        """The device."""
        return f"SPDM measurement of {self.device}, {self.size} bytes"
