"""The files that tpm2-tools writes: ``tpm2_quote --message M --signature S --pcr P``, in all their forms.

Message: the TPMS_ATTEST. Signature: a TPMT_SIGNATURE (``-f tss``, the default) or plain. PCR file (``-F``):

serialized   C structures of tpm2-tss as they lie in memory, little-endian: TPML_PCR_SELECTION (132 bytes, 16 entries
             of which ``count`` are used), a 32 bit number of lists, that many TPML_DIGEST (532 bytes, 8 digests of
             64 bytes each of which ``count`` are used). tpm2-tools, lib/pcr.c, pcr_fwrite_serialized.
marshaled    the same lists in the TPM's own wire format (tpm2-tools after 5.7). lib/pcr.c, pcr_fwrite_marshaled.
values       the digests one after the other; the selection is the quote's.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from builder.evidence.pcr_selection import MAX_BANKS, read_selection, selection_of
from builder.evidence.public_area import PublicArea
from builder.evidence.signature import ECDSA, RSASSA, parse_signature, plain_signature
from builder.evidence.tpm_wire import HASH_SIZES, WireReader, hash_name
from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.errors import MalformedImageError
    from builder.evidence.pcr_selection import PcrBanks, Selection
    from builder.evidence.signature import PublicKey, TpmSignature

_NAME: Final = "tpm2-tools PCR file"
_SELECTION_ENTRY: Final = struct.Struct("<HB4sx")
_SELECTION_SIZE: Final = 4 + MAX_BANKS * _SELECTION_ENTRY.size
_DIGESTS_PER_LIST: Final = 8
_DIGEST_BUFFER: Final = 64
_DIGEST_SIZE: Final = 2 + _DIGEST_BUFFER
_LIST_SIZE: Final = 4 + _DIGESTS_PER_LIST * _DIGEST_SIZE
_MAX_SELECT_BYTES: Final = 4
# 24 PCRs in each of 16 banks.
_MAX_LISTS: Final = 48
_DER_SEQUENCE: Final = 0x30


def parse_serialized_pcrs(data: bytes) -> PcrBanks:
    """Read the serialized form of the PCR file.

    Raises MalformedImageError if it breaks the format or has not exactly one digest per selected PCR, and
    InvalidInputError for a bank that is not supported.
    """
    view = BinaryView.of(data, _NAME)
    count = view.u32(0)
    if count > MAX_BANKS:
        raise view.error(0, f"a selection of {count} banks is longer than {MAX_BANKS}")
    entries = []
    for index in range(count):
        offset = 4 + index * _SELECTION_ENTRY.size
        algorithm, size, select = view.unpack(_SELECTION_ENTRY, offset)
        if not 1 <= size <= _MAX_SELECT_BYTES:
            raise view.error(offset, f"a PCR selection of {size} bytes is not between 1 and {_MAX_SELECT_BYTES}")
        entries.append((hash_name(algorithm, _NAME), select[:size]))
    selection = selection_of(entries, lambda problem: view.error(0, problem))
    lists = view.u32(_SELECTION_SIZE)
    if lists > _MAX_LISTS:
        raise view.error(_SELECTION_SIZE, f"{lists} lists of digests are more than {_MAX_LISTS}")
    start = _SELECTION_SIZE + 4
    if len(view) != start + lists * _LIST_SIZE:
        raise view.error(start, f"{len(view) - start} bytes do not hold {lists} lists of digests and nothing else")
    digests = [
        digest
        for index in range(lists)
        for digest in _serialized_list(view.view(start + index * _LIST_SIZE, _LIST_SIZE))
    ]
    return _values(selection, digests, view.error(start, "the digests are not those of the selected PCRs"))


def parse_marshaled_pcrs(data: bytes) -> PcrBanks:
    """Read the marshaled form of the PCR file. Raises as ``parse_serialized_pcrs``."""
    reader = WireReader(data, _NAME, limit=_MAX_LISTS * _LIST_SIZE)
    selection = read_selection(reader)
    digests = [
        reader.sized(_DIGEST_BUFFER)
        for _ in range(reader.count(_MAX_LISTS))
        for _ in range(reader.count(_DIGESTS_PER_LIST))
    ]
    reader.finish()
    return _values(selection, digests, reader.error("the digests are not those of the selected PCRs"))


def parse_plain_pcrs(data: bytes, selection: Selection) -> PcrBanks:
    """Read the values form of the PCR file; ``selection`` is that of the quote it belongs to.

    Raises MalformedImageError if the file has not exactly the bytes of the selected PCRs.
    """
    view = BinaryView.of(data, _NAME)
    digests = []
    position = 0
    for bank, indexes in selection:
        for _ in indexes:
            digests.append(view.read(position, HASH_SIZES[bank]))
            position += HASH_SIZES[bank]
    if position != len(view):
        raise view.error(position, f"{len(view) - position} bytes follow the last selected PCR")
    return _values(selection, digests, view.error(0, "the digests are not those of the selected PCRs"))


def read_signature(
    data: bytes, key: PublicKey | PublicArea, *, scheme: str | None = None, algorithm: str | None = None
) -> TpmSignature:
    """Read a signature file of either form.

    A plain one says nothing about itself: ``scheme`` and ``algorithm`` then default to the public area's, and to
    RSASSA or ECDSA over SHA-256 where the key leaves them open. Raises as ``parse_signature`` and
    ``plain_signature``.
    """
    area = key if isinstance(key, PublicArea) else None
    public = key.key if isinstance(key, PublicArea) else key
    elliptic = isinstance(public, ec.EllipticCurvePublicKey)
    # A TPMT_SIGNATURE starts with the number of its scheme, 0014 to 001a: never a DER sequence, and longer than
    # the RSA key by its header.
    plain = data[:1] == bytes([_DER_SEQUENCE]) if elliptic else len(data) == (public.key_size + 7) // 8
    if not plain:
        return parse_signature(data)
    scheme = scheme or (area and area.scheme) or (ECDSA if elliptic else RSASSA)
    algorithm = algorithm or (area and area.scheme_hash) or "sha256"
    return plain_signature(data, scheme, algorithm)


def _serialized_list(view: BinaryView) -> list[bytes]:
    count = view.u32(0)
    if count > _DIGESTS_PER_LIST:
        raise view.error(0, f"a list of {count} digests is longer than {_DIGESTS_PER_LIST}")
    digests = []
    for index in range(count):
        offset = 4 + index * _DIGEST_SIZE
        size = view.u16(offset)
        if size > _DIGEST_BUFFER:
            raise view.error(offset, f"a digest of {size} bytes is longer than {_DIGEST_BUFFER}")
        digests.append(view.read(offset + 2, size))
    return digests


def _values(selection: Selection, digests: Sequence[bytes], error: MalformedImageError) -> PcrBanks:
    places = [(bank, index) for bank, indexes in selection for index in indexes]
    if [HASH_SIZES[bank] for bank, _ in places] != [len(digest) for digest in digests]:
        raise error
    values: dict[str, dict[int, bytes]] = {}
    for (bank, index), digest in zip(places, digests, strict=True):
        values.setdefault(bank, {})[index] = digest
    return values
