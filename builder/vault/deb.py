"""The control fields of a .deb file, which an archive's index repeats.

Source: deb(5): an ar archive with the members ``debian-binary``, ``control.tar`` and ``data.tar``, in this order; ar(5)
for the 60 bytes before each member.
"""

from __future__ import annotations

import io
import tarfile
from typing import Final

from builder.errors import InvalidInputError, MalformedImageError
from builder.image.binary import BinaryView
from builder.image.decompress import decompress

_AR_MAGIC: Final = b"!<arch>\n"
_HEADER_SIZE: Final = 60
_HEADER_END: Final = b"`\n"
_SIZE_FIELD: Final = slice(48, 58)
_MAX_CONTROL_BYTES: Final = 16 << 20


def control(deb: bytes | memoryview, name: str) -> str:
    """The text of the ``control`` file, without empty lines at its end. ``name`` is for messages.

    Raises InvalidInputError if the file breaks the format.
    """
    try:
        member, packed = _member(deb, 1)
        data = _unpacked(member, packed)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            file = archive.extractfile("./control")
            text = file.read().decode() if file is not None else ""
    except (ValueError, KeyError, tarfile.TarError, MalformedImageError) as error:
        raise InvalidInputError(f"{name} is no Debian package: {error}") from error
    if not text.strip() or "\n\n" in text.strip():
        raise InvalidInputError(f"{name} is no Debian package: its control file is not one paragraph")
    return text.strip("\n")


def _member(deb: bytes | memoryview, number: int) -> tuple[str, bytes]:
    """Name and content of the member with a number. Raises ValueError."""
    if bytes(deb[: len(_AR_MAGIC)]) != _AR_MAGIC:
        raise ValueError("it does not begin as an ar archive")
    offset = len(_AR_MAGIC)
    for _ in range(number):
        offset += _HEADER_SIZE + _size(deb, offset) + _size(deb, offset) % 2
    start = offset + _HEADER_SIZE
    size = _size(deb, offset)
    return bytes(deb[offset : offset + 16]).decode("ascii").strip().rstrip("/"), bytes(deb[start : start + size])


def _size(deb: bytes | memoryview, offset: int) -> int:
    header = bytes(deb[offset : offset + _HEADER_SIZE])
    if len(header) != _HEADER_SIZE or not header.endswith(_HEADER_END):
        raise ValueError(f"no ar member begins at offset {offset}")
    size = int(header[_SIZE_FIELD].decode("ascii"))
    if not 0 <= size <= len(deb) - offset - _HEADER_SIZE:
        raise ValueError(f"the ar member at offset {offset} ends behind the end of the file")
    return size


def _unpacked(member: str, packed: bytes) -> bytes | memoryview:
    if member == "control.tar":
        return packed
    if not member.startswith("control.tar."):
        raise ValueError(f"its second member is {member!r}, expected control.tar")
    return decompress(BinaryView.of(packed, member), 0, _MAX_CONTROL_BYTES)[0]
