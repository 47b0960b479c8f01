from __future__ import annotations

import hashlib
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from signing import keys
from signing.errors import InvalidKeyError, InvalidSignatureError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from collections.abc import Callable

PEM, PKCS8, PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
ALL = list(keys.Algorithm)
WEAK_BITS = 1024


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.private_bytes(PEM, PKCS8, PLAIN)


@pytest.mark.parametrize("algorithm", ALL)
def test_what_a_key_signs_verifies_with_its_public_half(
    key_pairs: dict[keys.Algorithm, keys.GeneratedKey], algorithm: keys.Algorithm
) -> None:
    signer = FileSigner.from_pem(key_pairs[algorithm].private_pem)
    signature = signer.sign(b"message")
    assert keys.load_public(key_pairs[algorithm].public.pem).verify(signature, b"message") is None
    assert signer.public_key == key_pairs[algorithm].public
    assert signer.public_key.algorithm is algorithm


@pytest.mark.parametrize("algorithm", ALL)
def test_a_signature_over_other_bytes_is_refused(
    key_pairs: dict[keys.Algorithm, keys.GeneratedKey], algorithm: keys.Algorithm
) -> None:
    signature = FileSigner.from_pem(key_pairs[algorithm].private_pem).sign(b"message")
    with pytest.raises(InvalidSignatureError, match="not one of key"):
        key_pairs[algorithm].public.verify(signature, b"massage")


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("signature", [b"", b"\0", bytes(64), bytes(384), b"\x30\x06\x02\x01\x00\x02\x01\x00"])
def test_bytes_that_are_no_signature_are_refused(
    key_pairs: dict[keys.Algorithm, keys.GeneratedKey], algorithm: keys.Algorithm, signature: bytes
) -> None:
    with pytest.raises(InvalidSignatureError, match="not one of key"):
        key_pairs[algorithm].public.verify(signature, b"message")


@pytest.mark.parametrize("algorithm", ALL)
def test_signing_twice_gives_the_same_bytes(
    key_pairs: dict[keys.Algorithm, keys.GeneratedKey], algorithm: keys.Algorithm
) -> None:
    signer = FileSigner.from_pem(key_pairs[algorithm].private_pem)
    assert signer.sign(b"message") == signer.sign(b"message")


def test_the_key_id_is_the_digest_of_the_public_key_info(key_pairs: dict[keys.Algorithm, keys.GeneratedKey]) -> None:
    public = key_pairs[keys.Algorithm.ED25519].public
    der = serialization.load_pem_public_key(public.pem).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public.key_id == hashlib.sha256(der).hexdigest()


def test_one_key_in_two_encodings_is_one_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    assert keys.public_key(ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)) == keys.public_key(key)


def test_a_generated_rsa_key_has_3072_bits(key_pairs: dict[keys.Algorithm, keys.GeneratedKey]) -> None:
    key = keys.load_private(key_pairs[keys.Algorithm.RSA_PKCS1_SHA256].private_pem)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 3072


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: rsa.generate_private_key(65537, WEAK_BITS), "has 1024 bits, 2048 to 4096"),
        (lambda: rsa.generate_private_key(3, 2048), "public exponent is not 65537"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "algorithm or curve is not supported"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "algorithm or curve is not supported"),
        (lambda: dsa.generate_private_key(2048), "algorithm is not supported"),
    ],
    ids=["rsa-1024", "rsa-exponent-3", "p-521", "secp256k1", "dsa"],
)
def test_a_weak_or_unknown_kind_of_key_is_refused(make: Callable[[], Any], problem: str) -> None:
    with pytest.raises(InvalidKeyError, match=problem):
        FileSigner.from_pem(private_pem(make()))


def test_a_weak_public_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, WEAK_BITS).public_key()
    pem = key.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(InvalidKeyError, match="has 1024 bits"):
        keys.load_public(pem)


def test_an_encrypted_key_opens_with_its_passphrase_only() -> None:
    pair = keys.generate(keys.Algorithm.ED25519, b"correct horse")
    assert FileSigner.from_pem(pair.private_pem, b"correct horse").public_key == pair.public
    with pytest.raises(InvalidKeyError, match="is encrypted") as caught:
        FileSigner.from_pem(pair.private_pem)
    assert caught.value.hint == "give its passphrase"
    with pytest.raises(InvalidKeyError, match="passphrase is wrong"):
        FileSigner.from_pem(pair.private_pem, b"battery staple")


def test_a_passphrase_for_a_plain_key_is_refused(key_pairs: dict[keys.Algorithm, keys.GeneratedKey]) -> None:
    with pytest.raises(InvalidKeyError, match="is not encrypted"):
        FileSigner.from_pem(key_pairs[keys.Algorithm.ED25519].private_pem, b"needless")


def test_an_empty_passphrase_does_not_encrypt() -> None:
    with pytest.raises(InvalidKeyError, match="empty passphrase"):
        keys.generate(keys.Algorithm.ED25519, b"")


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_not_a_key_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidKeyError, match="not a private key in PEM"):
        keys.load_private(pem)
    with pytest.raises(InvalidKeyError, match="not a public key in PEM"):
        keys.load_public(pem)


@pytest.mark.parametrize("load", [keys.load_private, keys.load_public])
def test_a_huge_file_is_not_parsed_as_a_key(load: Callable[[bytes], object]) -> None:
    with pytest.raises(InvalidKeyError, match="has at most 32768 bytes"):
        load(bytes(keys.MAX_PEM_BYTES + 1))


def test_a_private_key_is_not_taken_for_a_public_one(key_pairs: dict[keys.Algorithm, keys.GeneratedKey]) -> None:
    with pytest.raises(InvalidKeyError, match="not a public key"):
        keys.load_public(key_pairs[keys.Algorithm.ED25519].private_pem)


@pytest.mark.parametrize("algorithm", ALL)
def test_no_private_key_shows_in_repr(
    key_pairs: dict[keys.Algorithm, keys.GeneratedKey], algorithm: keys.Algorithm
) -> None:
    pair = key_pairs[algorithm]
    secret = pair.private_pem.splitlines()[1].decode()
    shown = repr(pair) + str(pair) + repr(FileSigner.from_pem(pair.private_pem))
    assert pair.public.key_id in shown
    assert secret not in shown
    assert "PRIVATE" not in shown


def test_no_private_key_shows_in_an_error_or_its_traceback() -> None:
    """A key file that lost its header line is the likely way for a key to end up in a log."""
    body = keys.generate(keys.Algorithm.RSA_PKCS1_SHA256).private_pem.splitlines()[1:]
    for load in (keys.load_private, keys.load_public):
        with pytest.raises(InvalidKeyError) as caught:
            load(b"\n".join(body))
        report = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert not [line for line in body if line.decode() in report]
        assert caught.value.__suppress_context__
