from __future__ import annotations

import shutil
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from builder.definition.model import Profile
from builder.errors import InvalidInputError
from builder.measurement.pcr import Bank
from builder.release.keyring import (
    expected_pcr7,
    generate_keyring,
    load_keyring,
    load_public_keyring,
    load_signer,
    load_trusted,
    rotate_keyring,
)
from signing.errors import InvalidKeyError, InvalidRequestError
from signing.keys import Algorithm, generate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keyring") / "keys"
    generate_keyring(directory, Profile.PRODUCTION, Algorithm.ED25519)
    return directory


@pytest.fixture
def keys(generated: Path, tmp_path: Path) -> Path:
    """Keys of our own."""
    shutil.copytree(generated, tmp_path / "keys")
    return tmp_path / "keys"


def test_keys_come_back_as_they_were_made(generated: Path) -> None:
    keyring = load_keyring(generated)
    assert keyring.profile is Profile.PRODUCTION
    assert keyring.release.public_key == load_trusted(generated / "release.pub")
    assert set(keyring.identity.variables()) == {"PK", "KEK", "db", "dbx"}


def test_private_keys_are_readable_by_their_owner_only(generated: Path) -> None:
    private = sorted(generated.rglob("*.key"))
    assert [path.name for path in private] == ["release.key", "KEK.key", "PK.key", "db.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_keys_are_never_written_over(generated: Path) -> None:
    before = (generated / "release.key").read_bytes()
    with pytest.raises(InvalidInputError, match="already exists"):
        generate_keyring(generated, Profile.PRODUCTION, Algorithm.ED25519)
    assert (generated / "release.key").read_bytes() == before


def test_identities_of_two_profiles_differ_by_name(tmp_path: Path, generated: Path) -> None:
    generate_keyring(tmp_path / "keys", Profile.DEVELOPMENT, Algorithm.ED25519)
    names = {
        load_keyring(path).identity.db_certificate.subject.rfc4514_string() for path in (tmp_path / "keys", generated)
    }
    assert len(names) == 2


def test_a_directory_that_is_not_there_is_told_with_the_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there are no keys in") as caught:
        load_keyring(tmp_path / "none")
    assert caught.value.hint == f"`bedplate keys new {tmp_path / 'none'}` makes some"


@pytest.mark.parametrize("word", ["", "Production", "production development", "test"])
def test_a_profile_is_one_of_two_words(keys: Path, word: str) -> None:
    (keys / "profile").write_text(word)
    with pytest.raises(InvalidInputError, match="is neither production nor development"):
        load_keyring(keys)


@pytest.mark.parametrize("name", ["profile", "release.key", "secure-boot/db.key"])
def test_a_missing_file_is_told_by_its_path(keys: Path, name: str) -> None:
    (keys / name).unlink()
    with pytest.raises(InvalidInputError, match=f"cannot read key file .*{name}"):
        load_keyring(keys)


def test_keys_without_a_secure_boot_identity_are_refused(keys: Path) -> None:
    for path in (keys / "secure-boot").iterdir():
        path.unlink()
    (keys / "secure-boot").rmdir()
    with pytest.raises(InvalidInputError, match="have no Secure Boot identity"):
        load_keyring(keys)


def test_a_db_key_that_is_not_certified_is_refused(keys: Path) -> None:
    (keys / "secure-boot/db.key").write_bytes((keys / "secure-boot/KEK.key").read_bytes())
    with pytest.raises(InvalidKeyError, match=r"db.key is not the key of the certificate beside it"):
        load_keyring(keys)


def test_a_broken_key_is_told_by_its_path(keys: Path) -> None:
    (keys / "release.key").write_text("no key")
    with pytest.raises(InvalidKeyError, match=r"release.key: "):
        load_keyring(keys)


def test_a_private_key_is_not_taken_for_a_public_one(generated: Path) -> None:
    with pytest.raises(InvalidKeyError, match="public key"):
        load_trusted(generated / "release.key")


def test_a_rotation_changes_what_it_is_told_and_nothing_else(keys: Path, tmp_path: Path) -> None:
    old = load_public_keyring(keys)
    rotate_keyring(keys, tmp_path / "next", ["db"])
    new = load_keyring(tmp_path / "next")
    assert (new.identity.pk, new.identity.kek, new.identity.owner) == (
        old.identity.pk, old.identity.kek, old.identity.owner
    )  # fmt: skip
    assert new.identity.db != old.identity.db
    assert new.release.public_key == old.release
    before, after = expected_pcr7(old.identity), expected_pcr7(new.identity)
    assert all(before[bank] != after[bank] for bank in Bank)
    assert load_public_keyring(keys) == old, "the old keys stay"
    private = list((tmp_path / "next").rglob("*.key"))
    assert len(private) == 4
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in private)


@pytest.mark.parametrize("variables", [[], ["dbx"], ["db", "nothing"]])
def test_a_rotation_of_nothing_or_of_something_else_is_refused(
    keys: Path, tmp_path: Path, variables: list[str]
) -> None:
    with pytest.raises(InvalidRequestError, match="cannot rotate"):
        rotate_keyring(keys, tmp_path / "next", variables)
    assert not (tmp_path / "next").exists()


def test_a_release_key_that_is_not_the_published_one_is_refused(keys: Path) -> None:
    (keys / "release.pub").write_bytes(generate(Algorithm.ED25519).public.pem)
    with pytest.raises(InvalidKeyError, match=r"release.key is not the key of release.pub beside it"):
        load_keyring(keys)


@pytest.mark.parametrize(
    ("passphrase", "encrypted", "problem", "hint"),
    [
        (None, "encrypted", "the private key is encrypted", "give its passphrase in BEDPLATE_KEY_PASSPHRASE"),
        (b"x", "", "a passphrase was given, but the private key is not encrypted", "leave the passphrase out"),
        (None, None, "not a private key in PEM", 'the file must hold one block "BEGIN PRIVATE KEY"'),
    ],
)
def test_a_hint_names_where_a_passphrase_comes_from_only_if_one_is_missing(
    tmp_path: Path, passphrase: bytes | None, encrypted: str | None, problem: str, hint: str
) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(b"words") if encrypted else NoEncryption()
    pem = b"no key" if encrypted is None else key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    (tmp_path / "key").write_bytes(pem)
    with pytest.raises(InvalidKeyError, match=f"key: {problem}$") as refused:
        load_signer(tmp_path / "key", passphrase)
    assert refused.value.hint == hint
