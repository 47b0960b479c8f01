"""Measured UEFI variables: UEFI_VARIABLE_DATA (TCG PFP 1.06, 10.2.6) and what the variables of a boot mean.

``GUID vendor; u64 name length in characters; u64 content length; UTF-16LE name without NUL; content``.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from builder.errors import MalformedImageError
from builder.evidence.device_path import DevicePath, parse_device_paths
from builder.evidence.text import ascii_text, guess_text, utf16_text
from builder.image.binary import BinaryView
from builder.measurement.events import EventType
from builder.measurement.pcr7 import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE
from signing.certificate import load_certificate, name
from signing.efi import SignatureType
from signing.errors import SigningError
from signing.esl import SignatureList, parse_signature_lists

if TYPE_CHECKING:
    from collections.abc import Callable

SHIM_LOCK = UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
VENDOR_NAMES = {GLOBAL_VARIABLE: "global", IMAGE_SECURITY_DATABASE: "security database", SHIM_LOCK: "shim"}
# Shim logs up to this many bytes more than the structure has (sizeof() of a C struct with one-element arrays).
_MAX_TRAILING = 8
_MAX_NAME = 1024
_SHOWN_BYTES = 24
_GUID_BYTES = 16
_DER_SEQUENCE = 0x30
_LOAD_OPTION_ACTIVE = 1
_AUTHORITIES = frozenset({"db", "Shim", "vendor_db", "MokList", "MokListRT"})
_LOAD_OPTION_NAME = re.compile(r"(Boot|Driver|SysPrep|PlatformRecovery)[0-9A-Fa-f]{4}")


class Meaning(Protocol):
    """What a variable's content stands for."""

    @property
    def text(self) -> str:
        """One line for a person."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One byte that is on or off."""

    value: int

    @property
    def text(self) -> str:
        """``on`` or ``off``."""
        return {0: "off", 1: "on"}.get(self.value, f"{self.value:#04x}")


@dataclass(frozen=True, slots=True)
class Order:
    """The numbers of load options, first to try first."""

    numbers: tuple[int, ...]

    @property
    def text(self) -> str:
        """The numbers as they stand in the names of the options."""
        return ", ".join(f"{number:04X}" for number in self.numbers) or "empty"


@dataclass(frozen=True, slots=True)
class LoadOption:
    """EFI_LOAD_OPTION (UEFI 2.10, 3.1.3)."""

    attributes: int
    description: str
    paths: tuple[DevicePath, ...]
    optional_data: bytes

    @property
    def text(self) -> str:
        """Description, paths and optional data."""
        state = "" if self.attributes & _LOAD_OPTION_ACTIVE else " (inactive)"
        where = " ".join(path.text for path in self.paths)
        data = guess_text(self.optional_data)
        extra = f", data {data or self.optional_data[:_SHOWN_BYTES].hex()}" if self.optional_data else ""
        return f"{self.description}{state}: {where}{extra}"


@dataclass(frozen=True, slots=True)
class SignatureDatabase:
    """Signature lists. ``subjects`` are those of the X.509 certificates, in order; None is an unreadable one."""

    lists: tuple[SignatureList, ...]
    subjects: tuple[str | None, ...]

    @property
    def text(self) -> str:
        """Subjects of certificates, and how many entries of other types there are."""
        parts = [subject or "an unreadable certificate" for subject in self.subjects]
        for kind in SignatureType:
            count = sum(len(item.entries) for item in self.lists if item.type is kind)
            if count and kind is not SignatureType.X509:
                parts.append(f"{count} of type {kind.name}")
        return ", ".join(parts) or "empty"


@dataclass(frozen=True, slots=True)
class AuthorityEntry:
    """What let an image run: an entry of a database (with its owner), or shim's bare certificate (without)."""

    owner: UUID | None
    subject: str | None
    data: bytes

    @property
    def text(self) -> str:
        """Subject, or the digest that was enrolled."""
        if self.subject:
            return self.subject
        shown = self.data[:32].hex()
        return f"digest {shown}"


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    text: str


@dataclass(frozen=True, slots=True)
class EfiVariable:
    """A measured variable. ``trailing`` is what shim logs beyond the structure; ``meaning`` is None if unknown."""

    vendor: UUID
    name: str
    content: bytes
    trailing: bytes
    meaning: Meaning | None

    @property
    def text(self) -> str:
        """Name and meaning."""
        if not self.content:
            return f"{self.name}: not set"
        if self.meaning is None:
            more = f"... ({len(self.content)} bytes)" if len(self.content) > _SHOWN_BYTES else ""
            return f"{self.name}: {self.content[:_SHOWN_BYTES].hex()}{more}"
        return f"{self.name}: {self.meaning.text}"


def split_variable(data: bytes) -> tuple[UUID, str, bytes, bytes]:
    """Vendor, name, content and trailing bytes. Raises MalformedImageError if a length is out of bounds."""
    view = BinaryView.of(data, "UEFI_VARIABLE_DATA")
    characters, size = view.u64(16), view.u64(24)
    if characters > _MAX_NAME:
        raise view.error(16, f"a name of {characters} characters is longer than {_MAX_NAME}")
    text = utf16_text(view.slice(32, 2 * characters))
    content = view.read(32 + 2 * characters, size)
    end = 32 + 2 * characters + size
    if len(view) - end > _MAX_TRAILING:
        raise view.error(end, f"{len(view) - end} bytes follow the variable")
    return UUID(bytes_le=view.read(0, _GUID_BYTES)), text, content, view.read(end, len(view) - end)


def parse_variable(data: bytes, kind: int) -> EfiVariable:
    """A variable as an event of type ``kind`` holds it. Raises MalformedImageError if the structure is broken.

    Content that does not fit what the variable's name promises has no meaning, and is shown raw.
    """
    vendor, variable, content, trailing = split_variable(data)
    reader = _reader(vendor, variable, kind)
    meaning: Meaning | None = None
    if reader is not None and content:
        try:
            meaning = reader(content)
        except (MalformedImageError, SigningError):
            meaning = None
    return EfiVariable(vendor, variable, content, trailing, meaning)


def _reader(vendor: UUID, variable: str, kind: int) -> Callable[[bytes], Meaning] | None:
    if kind == EventType.EV_EFI_VARIABLE_AUTHORITY and variable in _AUTHORITIES:
        return _authority
    if vendor == SHIM_LOCK and variable == "SbatLevel":
        return _lines
    if variable in _READERS:
        return _READERS[variable]
    return load_option if _LOAD_OPTION_NAME.fullmatch(variable) else None


def _lines(content: bytes) -> Text:
    return Text(ascii_text(content.replace(b"\n", b" ").strip()))


def _flag(content: bytes) -> Flag:
    if len(content) != 1:
        raise MalformedImageError("variable", None, f"a flag has one byte, not {len(content)}")
    return Flag(content[0])


def _order(content: bytes) -> Order:
    if len(content) % 2:
        raise MalformedImageError("variable", None, f"{len(content)} bytes are no list of 16 bit numbers")
    return Order(tuple(int.from_bytes(content[at : at + 2], "little") for at in range(0, len(content), 2)))


def signature_database(content: bytes) -> SignatureDatabase:
    """Signature lists with the subjects of their certificates. Raises MalformedSignatureError."""
    lists = parse_signature_lists(content)
    certificates = [entry.data for item in lists if item.type is SignatureType.X509 for entry in item.entries]
    return SignatureDatabase(lists, tuple(_subject(data) for data in certificates))


def _authority(content: bytes) -> AuthorityEntry:
    if content[0] == _DER_SEQUENCE and (subject := _subject(content)):
        return AuthorityEntry(None, subject, content)
    if len(content) <= _GUID_BYTES:
        raise MalformedImageError("EFI_SIGNATURE_DATA", None, f"{len(content)} bytes are no owner with data")
    data = content[_GUID_BYTES:]
    return AuthorityEntry(UUID(bytes_le=content[:_GUID_BYTES]), _subject(data), data)


def _subject(certificate: bytes) -> str | None:
    with warnings.catch_warnings():
        # Certificates in dbx break rules of RFC 5280 that the library warns of; that is not the log's fault.
        warnings.simplefilter("ignore")
        try:
            return name(load_certificate(certificate, "certificate")).strip("'\"")
        except SigningError:
            return None


def load_option(content: bytes) -> LoadOption:
    """EFI_LOAD_OPTION: u32 attributes, u16 length of the paths, description with NUL, paths, optional data.

    Raises MalformedImageError.
    """
    view = BinaryView.of(content, "EFI_LOAD_OPTION")
    attributes, size = view.u32(0), view.u16(4)
    end = next((at for at in range(6, len(view) - 1, 2) if view.u16(at) == 0), None)
    if end is None:
        raise view.error(6, "the description has no end")
    paths = parse_device_paths(view.view(end + 2, size, "device path"))
    rest = end + 2 + size
    return LoadOption(attributes, utf16_text(view.slice(6, end - 6)), paths, view.read(rest, len(view) - rest))


_READERS: dict[str, Callable[[bytes], Meaning]] = {
    **dict.fromkeys(("SecureBoot", "SetupMode", "AuditMode", "DeployedMode", "MokListTrusted", "MokSBState"), _flag),
    **dict.fromkeys(("BootOrder", "DriverOrder", "SysPrepOrder", "PlatformRecoveryOrder"), _order),
    **dict.fromkeys(
        ("PK", "KEK", "db", "dbx", "dbt", "dbr", "dbDefault", "dbxDefault", "MokList", "MokListX", "vendor_db"),
        signature_database,
    ),
}
