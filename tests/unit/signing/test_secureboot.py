from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from cryptography import x509

from signing import esl, keys, secureboot
from signing.efi import SignatureType
from signing.errors import InvalidKeyError, InvalidRequestError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from signing.secureboot import GeneratedIdentity, SecureBootIdentity

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def public_files(generated: GeneratedIdentity) -> dict[str, bytes]:
    return {name: file.content for name, file in generated.files.items() if file.mode == 0o644}


def test_the_files_are_the_documented_ones_and_private_keys_are_private(generated: GeneratedIdentity) -> None:
    modes = {name: file.mode for name, file in generated.files.items()}
    private = {"PK.key": 0o600, "KEK.key": 0o600, "db.key": 0o600}
    public = ["owner.guid", "PK.crt", "KEK.crt", "db.crt", "PK.esl", "KEK.esl", "db.esl"]
    assert modes == private | dict.fromkeys(public, 0o644)
    assert [name for name, file in generated.files.items() if b"PRIVATE" in file.content] == list(private)


def test_an_identity_loads_from_its_public_files(generated: GeneratedIdentity) -> None:
    assert secureboot.load_identity(public_files(generated)) == generated.identity


def test_each_variable_holds_one_certificate_of_the_owner(identity: SecureBootIdentity) -> None:
    variables = identity.variables()
    assert list(variables) == ["PK", "KEK", "db", "dbx"]
    for name, certificate in (("PK", identity.pk), ("KEK", identity.kek), ("db", identity.db)):
        (found,) = esl.parse_signature_lists(variables[name])
        assert found == esl.SignatureList(SignatureType.X509, (esl.SignatureEntry(identity.owner, certificate),))


def test_a_new_identity_has_no_dbx(identity: SecureBootIdentity) -> None:
    assert identity.variables()["dbx"] == b""


def test_a_dbx_is_kept_as_it_is(generated: GeneratedIdentity) -> None:
    dbx = esl.build_sha256_list(generated.identity.owner, [b"\1" * 32])
    loaded = secureboot.load_identity(public_files(generated) | {"dbx.esl": dbx})
    assert loaded == dataclasses.replace(generated.identity, dbx=dbx)
    assert loaded.variables()["dbx"] == dbx


@pytest.mark.parametrize("variable", ["PK", "KEK", "db"])
def test_a_certificate_is_what_its_description_says(generated: GeneratedIdentity, variable: str) -> None:
    certificate = x509.load_pem_x509_certificate(generated.files[f"{variable}.crt"].content)
    signer = FileSigner.from_pem(generated.files[f"{variable}.key"].content)
    assert keys.public_key(certificate.public_key()) == signer.public_key
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == f"CN=test {variable}"
    assert certificate.serial_number == int(signer.public_key.key_id[:32], 16)
    assert certificate.not_valid_before_utc == MADE_AT
    assert (certificate.not_valid_after_utc - MADE_AT).days == 7300
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name == "sha256"
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_three_keys_differ(identity: SecureBootIdentity) -> None:
    assert len({identity.pk, identity.kek, identity.db}) == 3


def test_the_owner_follows_from_the_name_alone() -> None:
    assert secureboot.owner_guid("production") == UUID("93fc9c7c-95d3-543e-93c7-bd12cc76d87f")
    assert secureboot.owner_guid("production") != secureboot.owner_guid("development")


@pytest.mark.parametrize("name", ["", "-", "a/b", "..", "Prod", "a b", "a" * 41, "a\n"])
def test_a_name_that_is_no_plain_word_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not a name for a Secure Boot identity"):
        secureboot.owner_guid(name)
    with pytest.raises(InvalidRequestError, match="is not a name for a Secure Boot identity"):
        secureboot.generate_identity(name, UUID(int=1), MADE_AT)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no time zone"):
        secureboot.generate_identity("test", UUID(int=1), MADE_AT.replace(tzinfo=None))


def test_no_private_key_shows_in_repr(generated: GeneratedIdentity) -> None:
    assert "PRIVATE" not in repr(generated)
    assert generated.files["db.key"].content.splitlines()[1].decode() not in repr(generated)


@pytest.mark.parametrize("name", ["owner.guid", "PK.crt", "KEK.crt", "db.crt", "PK.esl", "KEK.esl", "db.esl"])
def test_an_identity_with_a_file_missing_is_refused(generated: GeneratedIdentity, name: str) -> None:
    files = public_files(generated)
    del files[name]
    with pytest.raises(InvalidKeyError, match=f"has no {name}"):
        secureboot.load_identity(files)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("owner.guid", b"", "does not hold a GUID"),
        ("owner.guid", b"\xff", "does not hold a GUID"),
        ("owner.guid", b"{00000000-0000-0000-0000-000000000001}", "must hold the GUID as 0"),
        ("owner.guid", b"00000000-0000-0000-0000-000000000001\n", "PK.esl does not hold the certificate PK.crt"),
        ("db.crt", b"junk", "db.crt is not a certificate in PEM"),
        ("db.esl", b"", "db.esl does not hold the certificate db.crt"),
        ("dbx.esl", b"junk", "dbx.esl: EFI_SIGNATURE_LIST at offset 0x0"),
    ],
)
def test_an_identity_with_a_wrong_file_is_refused(
    generated: GeneratedIdentity, name: str, content: bytes, problem: str
) -> None:
    with pytest.raises(InvalidKeyError, match=problem):
        secureboot.load_identity(public_files(generated) | {name: content})


def test_an_identity_of_mixed_parts_is_refused(generated: GeneratedIdentity) -> None:
    files = public_files(generated)
    with pytest.raises(InvalidKeyError, match=r"db\.esl does not hold the certificate db\.crt"):
        secureboot.load_identity(files | {"db.crt": files["KEK.crt"]})
