"""Public areas and signatures of TPM keys: what is read, and what is refused."""

from __future__ import annotations

import hashlib
import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.public_area import parse_public, require_attestation_key
from builder.evidence.signature import parse_signature, plain_signature
from builder.evidence.tpm2_tools import read_signature
from tests.attester import (
    AK_ATTRIBUTES,
    DECRYPT,
    FIXED_TPM,
    RESTRICTED,
    SIGN,
    PrivateKey,
    ec_key,
    public_area,
    raw_signature,
    rsa_key,
    sized,
    tpmt_signature,
)

KEYS = [rsa_key(), ec_key(), ec_key("ak", ec.SECP384R1), ec_key("ak", ec.SECP521R1)]


@pytest.mark.parametrize("key", KEYS, ids=["rsa", "p256", "p384", "p521"])
def test_both_forms_of_a_public_area_are_the_same_key(key: PrivateKey) -> None:
    raw = public_area(key)
    area = parse_public(raw)
    assert area == parse_public(sized(raw))
    assert area.key == key.public_key()
    assert area.name == b"\0\x0b" + hashlib.sha256(raw).digest()
    assert (area.scheme_hash, area.auth_policy) == ("sha256", b"")


def test_a_key_that_leaves_the_scheme_open_has_none() -> None:
    area = parse_public(public_area(rsa_key(), scheme=None))
    assert (area.scheme, area.scheme_hash) == (None, None)


def test_a_symmetric_algorithm_is_passed_over() -> None:
    raw = bytearray(public_area(rsa_key()))
    at = 2 + 2 + 4 + 2
    raw[at : at + 2] = struct.pack(">HHH", 0x0006, 128, 0x0043)
    assert parse_public(bytes(raw)).key == rsa_key().public_key()


@pytest.mark.parametrize(("name", "bit"), [("restricted", RESTRICTED), ("sign", SIGN), ("fixedTPM", FIXED_TPM)])
def test_a_key_without_an_attribute_of_attestation_keys_is_refused(name: str, bit: int) -> None:
    area = parse_public(public_area(rsa_key(), attributes=AK_ATTRIBUTES & ~bit))
    with pytest.raises(NotVerifiedError, match="no attestation key") as caught:
        require_attestation_key(area)
    assert caught.value.problems == (f"the attribute {name} is not set",)


def test_a_key_that_also_decrypts_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        require_attestation_key(parse_public(public_area(rsa_key(), attributes=AK_ATTRIBUTES | DECRYPT)))
    assert caught.value.problems == ("the attribute decrypt is set",)


def test_a_key_whose_name_another_key_can_share_is_refused() -> None:
    raw = bytearray(public_area(rsa_key()))
    raw[2:4] = b"\0\x04"  # TPM_ALG_SHA1 for nameAlg
    with pytest.raises(NotVerifiedError) as caught:
        require_attestation_key(parse_public(bytes(raw)))
    assert caught.value.problems == ("its Name is a SHA-1 digest, which another key can share",)


@pytest.mark.parametrize("key", KEYS[:2], ids=["rsa", "ecc"])
def test_a_public_area_that_is_cut_anywhere_is_refused(key: PrivateKey) -> None:
    raw = public_area(key)
    for size in range(len(raw)):
        with pytest.raises(InvalidInputError, match="TPM public area"):
            parse_public(raw[:size])


def changed(key: PrivateKey, offset: int, value: int, size: int = 2) -> bytes:
    raw = bytearray(public_area(key))
    raw[offset : offset + size] = value.to_bytes(size, "big")
    return bytes(raw)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (changed(rsa_key(), 0, 0x0008), "the key type 0x0008 is not supported"),
        (changed(rsa_key(), 2, 0x0012), "the hash algorithm 0x0012 is not supported"),
        (changed(rsa_key(), 10, 0x000A), "the symmetric algorithm 0x000a is not supported"),
        (changed(rsa_key(), 12, 0x001A), "the scheme 0x001a is not supported"),
        (changed(rsa_key(), 16, 1024), "the modulus has 2048 bits, the parameters say 1024"),
        (changed(rsa_key(), 18, 2, 4), "this is no RSA key"),
        (changed(ec_key(), 16, 0x0010), "the curve 0x0010 is not supported"),
        (changed(ec_key(), 18, 0x0020), "the key derivation scheme 0x0020 is not supported"),
        (changed(ec_key(), 22, 0, 32), "the point is not on the curve secp256r1"),
        (public_area(ec_key()) + b"\0", "1 bytes follow its end"),
        (bytes(5000), "it has 5000 bytes, more than 4096"),
        (b"", "it is empty"),
    ],
)
def test_a_public_area_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_public(data)


@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["rsa", "ecc"])
def test_a_plain_signature_is_the_same_as_one_with_a_header(key: PrivateKey) -> None:
    area = parse_public(public_area(key))
    plain = read_signature(raw_signature(key, b"message"), area)
    tss = read_signature(tpmt_signature(key, b"message", area.scheme or ""), area)
    assert (plain.scheme, plain.hash, len(plain.value) > 60) == (tss.scheme, tss.hash, True)


def test_a_plain_signature_takes_its_algorithms_from_the_key_or_the_caller() -> None:
    bound = parse_public(public_area(rsa_key(), scheme="rsapss", algorithm="sha384"))
    plain = raw_signature(rsa_key(), b"message")
    assert (read_signature(plain, bound).scheme, read_signature(plain, bound).hash) == ("rsapss", "sha384")
    assert read_signature(plain, rsa_key().public_key()).scheme == "rsassa"
    assert read_signature(plain, bound, scheme="rsassa", algorithm="sha512") == plain_signature(
        plain, "rsassa", "sha512"
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\0\x1a\0\x0b\0\0", "the scheme 0x001a is not supported"),
        (b"\0\x14\0\x12\0\0", "the hash algorithm 0x0012 is not supported"),
        (b"\0\x14\0\x0b\x02\x01" + bytes(513), "a field of 513 bytes is longer than 512"),
        (b"\0\x14\0\x0b\0\1", "needs 1 bytes"),
        (b"\0\x14\0\x0b\0\0x", "1 bytes follow its end"),
    ],
)
def test_a_signature_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_signature(data)


@pytest.mark.parametrize(
    ("data", "scheme", "algorithm", "problem"),
    [
        (b"x", "hmac", "sha256", "scheme 'hmac' is not supported"),
        (b"x", "rsassa", "md5", "hash algorithm 'md5' is not supported"),
        (b"", "rsassa", "sha256", "these 0 bytes are no plain rsassa signature"),
        (b"\x31\0", "ecdsa", "sha256", "these 2 bytes are no plain ecdsa signature"),
    ],
)
def test_a_plain_signature_that_is_none_is_refused(data: bytes, scheme: str, algorithm: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        plain_signature(data, scheme, algorithm)
