"""PE files (EFI programs, addons, UKIs) by section."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from builder.image.pe import certificates, loaded_section, read_pe

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAGIC: Final = b"MZ"


def properties(_name: str, content: bytes) -> Mapping[str, str] | None:
    """Sections with size and digest, in the order of several of one name, and the digests of signatures.

    None for what does not begin as a PE file does. Raises MalformedImageError for one that breaks the format.
    """
    if not content.startswith(_MAGIC):
        return None
    found: dict[str, str] = {}
    for section in read_pe(content).sections:
        data = loaded_section(memoryview(content), section)
        places = (f"section {section.name}", *(f"section {section.name} ({number})" for number in range(2, 100)))
        name = next(place for place in places if place not in found)
        found[name] = f"{len(data)} bytes {hashlib.sha256(data).hexdigest()}"
    for number, signature in enumerate(certificates(content), 1):
        found[f"signature {number}"] = hashlib.sha256(signature).hexdigest()
    return found or None
