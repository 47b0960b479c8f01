"""EFI_SIGNATURE_LIST, the content of the variables PK, KEK, db and dbx (UEFI Specification 2.10, 32.4.1).

One variable holds any number of lists after each other; every list has entries of one type and one size::

    EFI_GUID SignatureType; UINT32 SignatureListSize, SignatureHeaderSize, SignatureSize;
    SignatureHeader; { EFI_GUID SignatureOwner; SignatureData } ...

Owner, order and every byte count: firmware measures the variable as it is into PCR 7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from signing.certificate import load_certificate
from signing.efi import SignatureType
from signing.errors import InvalidRequestError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

# A dbx with every known revocation has some 24 KiB; firmware refuses variables of more than a few hundred.
MAX_DATABASE_BYTES = 1 << 20
_HEADER = struct.Struct("<16sIII")
_GUID_BYTES = 16
_SHA256_BYTES = 32
_TYPES = {kind.guid: kind for kind in SignatureType}


@dataclass(frozen=True, slots=True)
class SignatureEntry:
    """One EFI_SIGNATURE_DATA: who enrolled it, and a certificate (DER), a digest or a key."""

    owner: UUID
    data: bytes

    def encode(self) -> bytes:
        """The bytes of EFI_SIGNATURE_DATA, which is also what PCR 7 gets of the entry that let an image run."""
        return self.owner.bytes_le + self.data


@dataclass(frozen=True, slots=True)
class SignatureList:
    """One EFI_SIGNATURE_LIST. All entries have the same size; ``type`` fixes it for all types but X509."""

    type: SignatureType
    entries: tuple[SignatureEntry, ...]

    def __post_init__(self) -> None:
        if not self.entries:
            raise InvalidRequestError(f"a signature list of type {self.type.name} needs at least one entry")
        for entry in self.entries:
            if problem := _size_problem(self.type, len(entry.data)):
                raise InvalidRequestError(problem)
            if len(entry.data) != len(self.entries[0].data):
                raise InvalidRequestError("entries of different sizes need signature lists of their own")

    def encode(self) -> bytes:
        """The bytes of EFI_SIGNATURE_LIST."""
        body = b"".join(entry.encode() for entry in self.entries)
        entry_size = _GUID_BYTES + len(self.entries[0].data)
        return _HEADER.pack(self.type.guid.bytes_le, _HEADER.size + len(body), 0, entry_size) + body


def parse_signature_lists(data: bytes) -> tuple[SignatureList, ...]:
    """Read the content of a signature database variable. No bytes are no lists: such a variable does not exist.

    Stricter than edk2 (``CheckSignatureListFormat``) in one point: a list without entries is refused. Certificates are
    not parsed. Raises MalformedSignatureError that names the offset.
    """
    if len(data) > MAX_DATABASE_BYTES:
        raise MalformedSignatureError(
            f"signature database has {len(data)} bytes, more than the {MAX_DATABASE_BYTES} allowed"
        )
    lists = []
    offset = 0
    while offset < len(data):
        parsed, size = _parse_list(data, offset)
        lists.append(parsed)
        offset += size
    return tuple(lists)


def build_x509_list(owner: UUID, certificate: bytes) -> bytes:
    """A list with one certificate (DER). Raises MalformedSignatureError if it is not exactly one."""
    load_certificate(certificate, "the certificate to enrol")
    return SignatureList(SignatureType.X509, (SignatureEntry(owner, certificate),)).encode()


def build_sha256_list(owner: UUID, digests: Sequence[bytes]) -> bytes:
    """A list of SHA-256 digests (32 bytes each): Authenticode digests of images to allow or to revoke.

    Raises InvalidRequestError if there is none or one has another length.
    """
    if any(len(digest) != _SHA256_BYTES for digest in digests):
        raise InvalidRequestError(f"a SHA-256 digest has {_SHA256_BYTES} bytes")
    return SignatureList(SignatureType.SHA256, tuple(SignatureEntry(owner, digest) for digest in digests)).encode()


def _parse_list(data: bytes, offset: int) -> tuple[SignatureList, int]:
    """The list at ``offset`` and the bytes it takes."""
    place = f"EFI_SIGNATURE_LIST at offset {offset:#x}"
    left = len(data) - offset
    if left < _HEADER.size:
        raise MalformedSignatureError(f"{place}: the header needs {_HEADER.size} bytes, {left} are left")
    guid, size, header_size, entry_size = _HEADER.unpack_from(data, offset)
    if not _HEADER.size <= size <= left:
        raise MalformedSignatureError(f"{place}: SignatureListSize is {size}, {left} bytes are left")
    kind = _TYPES.get(UUID(bytes_le=guid))
    if kind is None:
        raise MalformedSignatureError(f"{place}: unknown signature type {UUID(bytes_le=guid)}")
    if header_size != 0:  # no type defines a header
        raise MalformedSignatureError(f"{place}: SignatureHeaderSize is {header_size}, {kind.name} has no header")
    if entry_size <= _GUID_BYTES:
        raise MalformedSignatureError(f"{place}: SignatureSize is {entry_size}, the owner alone has {_GUID_BYTES}")
    if problem := _size_problem(kind, entry_size - _GUID_BYTES):
        raise MalformedSignatureError(f"{place}: {problem}")
    body = size - _HEADER.size
    if body == 0 or body % entry_size != 0:
        raise MalformedSignatureError(f"{place}: {body} bytes are not one or more entries of {entry_size}")
    start = offset + _HEADER.size
    entries = tuple(
        SignatureEntry(UUID(bytes_le=data[at : at + _GUID_BYTES]), data[at + _GUID_BYTES : at + entry_size])
        for at in range(start, offset + size, entry_size)
    )
    return SignatureList(kind, entries), size


def _size_problem(kind: SignatureType, size: int) -> str | None:
    if size > 0 and kind.data_size in (None, size):
        return None
    return f"an entry of type {kind.name} has {kind.data_size or 'at least 1'} bytes of data, not {size}"
