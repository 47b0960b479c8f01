"""The Spec ID event, which opens a log and says how to read the rest (TCG PFP 1.06, 10.4.5.1; EFI 1.2, 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.evidence.algorithms import known_algorithm

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

SIGNATURE_PREFIX = b"Spec ID Event"
CRYPTO_AGILE = "Spec ID Event03"
# Of conventional BIOS with TPM 1.2, and of UEFI with TPM 1.2.
_SHA1_SIGNATURES = ("Spec ID Event00", "Spec ID Event02")
_MAX_ALGORITHMS = 16
_MAX_DIGEST_BYTES = 64


@dataclass(frozen=True, slots=True)
class SpecId:
    """``uintn_bytes`` is 4 or 8 (None where the log does not say), ``algorithms`` are (TPM_ALG_ID, digest size)."""

    signature: str
    platform_class: int
    major: int
    minor: int
    errata: int
    uintn_bytes: int | None
    algorithms: tuple[tuple[int, int], ...]
    vendor_info: bytes


def parse_spec_id(view: BinaryView) -> SpecId:
    """Read the event's data.

    An algorithm that bedplate does not know is kept, because the table gives its size. Raises MalformedImageError for
    an unknown signature, no or too many algorithms, one that stands there twice, one with a wrong or impossible size,
    and for trailing bytes.
    """
    signature = view.read(0, 16)
    text = signature[:15].decode("ascii", "replace")
    if signature[15] != 0 or text not in (CRYPTO_AGILE, *_SHA1_SIGNATURES):
        raise view.error(0, f"the signature {signature!r} is not known")
    platform_class, minor, major, errata, uintn = view.u32(16), view.u8(20), view.u8(21), view.u8(22), view.u8(23)
    algorithms: tuple[tuple[int, int], ...] = ()
    position = 24
    if text == CRYPTO_AGILE:
        algorithms, position = _algorithms(view)
    size = view.u8(position)
    vendor_info = view.read(position + 1, size)
    if position + 1 + size != len(view):
        raise view.error(position + 1 + size, f"{len(view) - position - 1 - size} bytes follow the vendor's")
    return SpecId(text, platform_class, major, minor, errata, {1: 4, 2: 8}.get(uintn), algorithms, vendor_info)


def _algorithms(view: BinaryView) -> tuple[tuple[tuple[int, int], ...], int]:
    count = view.u32(24)
    if not 0 < count <= _MAX_ALGORITHMS:
        raise view.error(24, f"{count} algorithms are not 1 to {_MAX_ALGORITHMS}")
    table: dict[int, int] = {}
    for number in range(count):
        offset = 28 + 4 * number
        identifier, size = view.u16(offset), view.u16(offset + 2)
        if identifier in table:
            raise view.error(offset, f"the algorithm {identifier:#06x} stands there twice")
        known = known_algorithm(identifier)
        if (known and size != known.size) or not 0 < size <= _MAX_DIGEST_BYTES:
            raise view.error(offset + 2, f"a digest of the algorithm {identifier:#06x} cannot have {size} bytes")
        table[identifier] = size
    return tuple(table.items()), 28 + 4 * count
