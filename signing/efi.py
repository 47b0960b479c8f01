"""GUIDs of UEFI that Secure Boot uses (UEFI Specification 2.10, 3.3 and 32.4.1).

Stored and measured, a GUID is an EFI_GUID: the first three fields little-endian, ``uuid.UUID.bytes_le``.
"""

from __future__ import annotations

import enum
from uuid import UUID


class SignatureType(enum.Enum):
    """The kinds of EFI_SIGNATURE_LIST: type GUID and bytes of one entry's data (None where it varies)."""

    SHA256 = UUID("c1c41626-504c-4092-aca9-41f936934328"), 32
    RSA2048 = UUID("3c5766e8-269c-4e34-aa14-ed776e85b3b6"), 256
    RSA2048_SHA256 = UUID("e2b36190-879b-4a3d-ad8d-f2e7bba32784"), 256
    SHA1 = UUID("826ca512-cf10-4ac9-b187-be01496631bd"), 20
    RSA2048_SHA1 = UUID("67f8444f-8743-48f1-a328-1eaab8736080"), 256
    X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072"), None
    SHA224 = UUID("0b6e5233-a65c-44c9-9407-d9ab83bfc8bd"), 28
    SHA384 = UUID("ff3e5307-9fd0-48c9-85f1-8ad56c701e01"), 48
    SHA512 = UUID("093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"), 64
    # Digest of a certificate's to-be-signed part, then the EFI_TIME of its revocation (16 bytes).
    X509_SHA256 = UUID("3bd2a492-96c0-4079-b420-fcf98ef103ed"), 48
    X509_SHA384 = UUID("7076876e-80c2-4ee6-aad2-28b349a6865b"), 64
    X509_SHA512 = UUID("446dbf63-2502-4cda-bcfa-2465d2b0fe9d"), 80
    EXTERNAL_MANAGEMENT = UUID("452e8ced-dfff-4b8c-ae01-5118862e682c"), 1

    def __init__(self, guid: UUID, data_size: int | None) -> None:
        self.guid = guid
        self.data_size = data_size
