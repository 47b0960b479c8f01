from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing import esl
from signing.efi import SignatureType
from signing.errors import InvalidRequestError, MalformedSignatureError

if TYPE_CHECKING:
    from pathlib import Path

OWNER = UUID("4bf4f3ee-2975-4930-839a-86a6b34ba576")
ATTRIBUTES = 4
SHA256_LIST = esl.build_sha256_list(OWNER, [b"\x01" * 32, b"\x02" * 32])


def patched(offset: int, value: int) -> bytes:
    """SHA256_LIST with another UINT32 at ``offset``: 16 list size, 20 header size, 24 entry size."""
    return SHA256_LIST[:offset] + value.to_bytes(4, "little") + SHA256_LIST[offset + 4 :]


def test_no_bytes_are_no_lists() -> None:
    assert esl.parse_signature_lists(b"") == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("go-uefi-db", [(SignatureType.X509, size) for size in (975, 955, 1556, 1499)]),
        ("go-uefi-kek", [(SignatureType.X509, 1516)]),
        ("go-uefi-pk", [(SignatureType.EXTERNAL_MANAGEMENT, 1)]),
    ],
)
def test_variables_of_a_real_machine_are_read_and_written_unchanged(
    vectors: Path, name: str, expected: list[tuple[SignatureType, int]]
) -> None:
    data = (vectors / f"{name}.efivar").read_bytes()[ATTRIBUTES:]
    lists = esl.parse_signature_lists(data)
    assert [(found.type, len(entry.data)) for found in lists for entry in found.entries] == expected
    assert b"".join(found.encode() for found in lists) == data


def test_a_certificate_list_is_the_one_that_other_tools_write(vectors: Path) -> None:
    certificate = (vectors / "go-uefi-db.der").read_bytes()
    assert esl.build_x509_list(OWNER, certificate) == (vectors / "go-uefi-db.der.esl").read_bytes()
    pem = x509.load_pem_x509_certificate((vectors / "virt-fw-db.pem").read_bytes())
    built = esl.build_x509_list(UUID("11111111-2222-3333-4444-123456789abc"), pem.public_bytes(Encoding.DER))
    assert built == (vectors / "virt-fw-db.esl").read_bytes()


@pytest.mark.parametrize("name", ["go-uefi-sha256.esl", "virt-fw-dbx.esl"])
def test_a_digest_list_is_the_one_that_other_tools_write(vectors: Path, name: str) -> None:
    data = (vectors / name).read_bytes()
    (found,) = esl.parse_signature_lists(data)
    assert esl.build_sha256_list(found.entries[0].owner, [found.entries[0].data]) == data


def test_an_entry_alone_is_owner_and_data() -> None:
    (found,) = esl.parse_signature_lists(SHA256_LIST)
    assert [entry.encode() for entry in found.entries] == [OWNER.bytes_le + b"\x01" * 32, OWNER.bytes_le + b"\x02" * 32]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (SHA256_LIST[:27], "at offset 0x0: the header needs 28 bytes, 27 are left"),
        (SHA256_LIST[:-1], "SignatureListSize is 124, 123 bytes are left"),
        (SHA256_LIST + b"\0", "at offset 0x7c: the header needs 28 bytes, 1 are left"),
        (patched(16, 27), "SignatureListSize is 27"),
        (patched(16, 0), "SignatureListSize is 0"),
        (patched(16, 0xFFFFFFFF), "SignatureListSize is 4294967295"),
        (patched(16, 28), "0 bytes are not one or more entries of 48"),
        (patched(16, 100), "72 bytes are not one or more entries of 48"),
        (patched(20, 4), "SignatureHeaderSize is 4, SHA256 has no header"),
        (patched(24, 0), "SignatureSize is 0, the owner alone has 16"),
        (patched(24, 16), "SignatureSize is 16, the owner alone has 16"),
        (patched(24, 96), "an entry of type SHA256 has 32 bytes of data, not 80"),
        (bytes(16) + SHA256_LIST[16:], "unknown signature type 00000000-0000-0000-0000-000000000000"),
        (SHA256_LIST + bytes(16) + SHA256_LIST[16:], "at offset 0x7c: unknown signature type"),
    ],
)
def test_a_malformed_database_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedSignatureError, match=problem):
        esl.parse_signature_lists(data)


def test_a_database_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(MalformedSignatureError, match="more than the 1048576 allowed"):
        esl.parse_signature_lists(bytes(esl.MAX_DATABASE_BYTES + 1))


@pytest.mark.parametrize("certificate", [b"", b"junk", bytes(100)])
def test_a_list_is_not_built_of_what_is_no_certificate(certificate: bytes) -> None:
    with pytest.raises(MalformedSignatureError, match=r"not a usable X\.509 certificate"):
        esl.build_x509_list(OWNER, certificate)


def test_bytes_after_a_certificate_are_refused(vectors: Path) -> None:
    with pytest.raises(MalformedSignatureError, match=r"not a usable X\.509 certificate"):
        esl.build_x509_list(OWNER, (vectors / "go-uefi-db.der").read_bytes() + b"\0")


@pytest.mark.parametrize(
    ("digests", "problem"),
    [([], "at least one entry"), ([b""], "has 32 bytes"), ([bytes(20)], "has 32 bytes"), ([bytes(32), b"x"], "has 32")],
)
def test_a_digest_list_needs_digests(digests: list[bytes], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        esl.build_sha256_list(OWNER, digests)


def test_entries_of_different_sizes_do_not_share_a_list() -> None:
    entries = (esl.SignatureEntry(OWNER, b"a"), esl.SignatureEntry(OWNER, b"bb"))
    with pytest.raises(InvalidRequestError, match="different sizes"):
        esl.SignatureList(SignatureType.X509, entries)
