"""Whether an event's digest is that of its data.

A quote vouches for digests. For some types of event the digest is made from the data, so that the data are vouched
for, too; for others the data are a mere label. TCG PFP 1.06, 10.4.1 says which is which, real firmware and boot loaders
differ in the ways below.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.evidence.algorithms import known_algorithm
from builder.evidence.efi_variable import split_variable
from builder.measurement.events import EventType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.evidence.eventlog import UntrustedEvent

_VARIABLE_BOOT = frozenset({EventType.EV_EFI_VARIABLE_BOOT, EventType.EV_EFI_VARIABLE_BOOT2})
# The digest of these is made from the data by the specification (for EV_EFI_VARIABLE_BOOT since PFP 1.05).
_OF_DATA = frozenset(
    {
        EventType.EV_SEPARATOR,
        EventType.EV_ACTION,
        EventType.EV_EFI_ACTION,
        EventType.EV_S_CRTM_VERSION,
        EventType.EV_NONHOST_INFO,
        EventType.EV_OMIT_BOOT_DEVICE_EVENTS,
        EventType.EV_EFI_VARIABLE_DRIVER_CONFIG,
        EventType.EV_EFI_VARIABLE_AUTHORITY,
        EventType.EV_EFI_GPT_EVENT,
        EventType.EV_EFI_GPT_EVENT2,
        *_VARIABLE_BOOT,
    }
)
_GRUB_PREFIX = b": "
_WIDE_DOT = b".\0"
_TAG_HEADER_BYTES = 8
_ERROR_SEPARATOR = b"\x01\0\0\0"


class Basis(enum.StrEnum):
    """What the digest of an event was made from."""

    DATA = "the data"
    DATA_BUT_LAST_BYTE = "the data but their last byte"  # shim logs one byte too many
    VARIABLE_CONTENT = "the variable's content"  # edk2, EV_EFI_VARIABLE_BOOT
    TAG_CONTENT = "the tag's content"  # systemd-stub, profile
    SECTION_NAME = "the section's name"  # systemd-stub: ASCII with NUL, logged in UTF-16
    TEXT_AFTER_PREFIX = "the text after the prefix"  # GRUB: "grub_cmd: ", "kernel_cmdline: "
    ERROR_VALUE = "the error value 1"  # a separator whose data describe the error
    ELSEWHERE = "something that the log does not hold"
    CONTRADICTS = "not the data, as it should be"


@dataclass(frozen=True, slots=True)
class DigestCheck:
    """``covered`` are the bytes that the digests vouch for, empty if they were made from something else."""

    basis: Basis
    covered: bytes

    @property
    def contradicts(self) -> bool:
        """Whether the log says one thing and its digest another, though they should agree."""
        return self.basis is Basis.CONTRADICTS


def check_digest(event: UntrustedEvent) -> DigestCheck | None:
    """What all digests of an event (of known algorithms) were made from; None if it has no digest that can be checked.

    Digests that do not agree on one basis count as made from something else.
    """
    digests = [
        (algorithm, digest)
        for identifier, digest in event.digests.items()
        if (algorithm := known_algorithm(identifier)) is not None
    ]
    if not digests or not event.extends:
        return None
    for basis, covered in _candidates(event):
        if all(algorithm.digest(covered) == digest for algorithm, digest in digests):
            return DigestCheck(basis, covered)
    return DigestCheck(Basis.CONTRADICTS if event.type in _OF_DATA else Basis.ELSEWHERE, b"")


def _candidates(event: UntrustedEvent) -> Iterator[tuple[Basis, bytes]]:
    """What the digest may have been made from, most likely first."""
    data = event.data
    yield Basis.DATA, data
    if event.type == EventType.EV_EFI_VARIABLE_AUTHORITY and data:
        yield Basis.DATA_BUT_LAST_BYTE, data[:-1]
    elif event.type in _VARIABLE_BOOT:
        try:
            yield Basis.VARIABLE_CONTENT, split_variable(data)[2]
        except MalformedImageError:
            return
    elif event.type == EventType.EV_EVENT_TAG and len(data) > _TAG_HEADER_BYTES:
        yield Basis.TAG_CONTENT, data[_TAG_HEADER_BYTES:]
    elif event.type == EventType.EV_IPL and data.startswith(_WIDE_DOT):
        yield Basis.SECTION_NAME, data[::2].rstrip(b"\0") + b"\0"
    elif event.type == EventType.EV_IPL and _GRUB_PREFIX in data:
        yield Basis.TEXT_AFTER_PREFIX, data.split(_GRUB_PREFIX, 1)[1].rstrip(b"\0")
    elif event.type == EventType.EV_SEPARATOR:
        yield Basis.ERROR_VALUE, _ERROR_SEPARATOR
