"""The strict CBOR reader and COSE_Sign1: what is read, and what is refused that other readers let pass."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.evidence import cbor
from builder.evidence.cose import CoseAlgorithm, parse_sign1, sign1, verify_sign1
from tests.attester import ec_key

P384 = ec_key("signer", ec.SECP384R1)
P256 = ec_key("signer")


def read(data: str | bytes) -> cbor.Value:
    return cbor.loads(bytes.fromhex(data) if isinstance(data, str) else data, "test", limit=1000)


@pytest.mark.parametrize(
    "value",
    [0, 23, 24, 255, 256, 1 << 32, (1 << 64) - 1, -1, -35, b"", b"x" * 300, "", "Größe", [], [1, [2]], {}, True, None,
     {1: -35, "a": b"b", b"c": [False]}],
)  # fmt: skip
def test_what_an_encoder_writes_is_read(value: Any) -> None:
    assert read(cbor2.dumps(value)) == value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("bf616101ff", {"a": 1}),
        ("9f0102ff", [1, 2]),
        ("5f41014102ff", b"\1\2"),
        ("7f6161ff", "a"),
        ("d28100", cbor.Tagged(18, [0])),
        ("1801", 1),  # not in its shortest form, but there is one meaning only
    ],
)
def test_other_forms_of_rfc_8949_are_read(data: str, value: cbor.Value) -> None:
    assert read(data) == value


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("", "needs 1 bytes"),
        ("a201010102", "the map key 1 comes twice"),
        ("a20101180102", "the map key 1 comes twice"),
        ("bf616101616102ff", "the map key 'a' comes twice"),
        ("0101", "1 bytes follow the end"),
        ("81" * 17 + "00", "nested deeper than 16"),
        ("9f" * 18, "nested deeper than 16"),
        ("c1" * 17 + "00", "nested deeper than 16"),
        ("9bffffffffffffffff", "needs 1 bytes"),
        ("5bffffffffffffffff", "needs 18446744073709551615 bytes"),
        ("bbffffffffffffffff", "needs 1 bytes"),
        ("ff", "a break"),
        ("1f", "an indefinite length stands where none may"),
        ("df", "an indefinite length stands where none may"),
        ("a1f501", "a map key is neither a number nor a string"),
        ("a18001", "a map key is neither a number nor a string"),
        ("61ff", "a text string is not UTF-8"),
        ("5f6161ff", "a part of a string"),
        ("5f5f4101ffff", "a part of a string"),
        ("f7", "the simple value 23 is not supported"),
        ("f820", "the initial byte 0xf8 is not supported"),
        ("f90000", "the initial byte 0xf9 is not supported"),
        ("fb0000000000000000", "the initial byte 0xfb is not supported"),
        ("1c", "the initial byte 0x1c is not supported"),
        ("9f01", "needs 1 bytes"),
        ("bf01ff", "a break"),
    ],
)
def test_what_could_be_misread_is_refused(data: str, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        read(data)


def test_size_and_number_of_items_are_bounded() -> None:
    with pytest.raises(MalformedImageError, match="1001 bytes, more than 1000"):
        read(bytes(1001))
    with pytest.raises(MalformedImageError, match="more than 4096 items"):
        cbor.loads(b"\x9f" + bytes(5000), "test", limit=10000)


@pytest.mark.parametrize(("algorithm", "key"), [(CoseAlgorithm.ES256, P256), (CoseAlgorithm.ES384, P384)])
@pytest.mark.parametrize("tagged", [True, False])
def test_what_is_signed_is_verified(algorithm: CoseAlgorithm, key: ec.EllipticCurvePrivateKey, tagged: bool) -> None:  # noqa: FBT001
    message = sign1(b"payload", key, algorithm, {3: "text/plain"}, tagged=tagged, external=b"context")
    verified = verify_sign1(parse_sign1(message, limit=1000), key.public_key(), algorithm, b"context")
    assert verified.payload == b"payload"
    assert verified.headers == {1: int(algorithm), 3: "text/plain"}
    with pytest.raises(NotVerifiedError, match="COSE signature"):
        verify_sign1(parse_sign1(message, limit=1000), key.public_key(), algorithm)


def message(**changes: Any) -> bytes:
    fields = cbor2.loads(sign1(b"payload", P384, CoseAlgorithm.ES384, tagged=False))
    names = ("protected", "unprotected", "payload", "signature")
    return cbor2.dumps([changes.get(name, field) for name, field in zip(names, fields, strict=True)])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"protected": cbor2.dumps({1: -7})}, r"the algorithm is -7 instead of -35 \(ES384\)"),
        ({"protected": cbor2.dumps({})}, "the algorithm is None instead of -35"),
        ({"protected": b""}, "the algorithm is None instead of -35"),
        ({"protected": b"", "unprotected": {1: -35}}, "the algorithm is None instead of -35"),
        ({"protected": cbor2.dumps({1: -35, 2: [4]})}, "critical headers"),
        ({"unprotected": {2: [4]}}, "critical headers"),
        ({"signature": bytes(95)}, "the signature has 95 bytes instead of 96"),
        ({"signature": bytes(96)}, "not made over this document"),
        ({"payload": b"Payload"}, "not made over this document"),
        ({"protected": bytes.fromhex("bf013822ff")}, "not made over this document"),
    ],
)
def test_a_signature_that_is_not_over_exactly_this_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(NotVerifiedError, match="COSE signature") as caught:
        verify_sign1(parse_sign1(message(**changes), limit=1000), P384.public_key(), CoseAlgorithm.ES384)
    assert problem.replace("\\", "") in caught.value.problems[0]


def test_a_key_on_another_curve_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify_sign1(parse_sign1(message(), limit=1000), P256.public_key(), CoseAlgorithm.ES384)
    assert caught.value.problems == ("the key is on secp256r1, which is not the curve of ES384",)
    with pytest.raises(InvalidInputError, match="secp256r1 does not sign with ES384"):
        sign1(b"", P256, CoseAlgorithm.ES384)


def test_the_algorithm_cannot_be_signed_as_another() -> None:
    with pytest.raises(InvalidInputError, match="set by the signature itself"):
        sign1(b"", P256, CoseAlgorithm.ES256, {1: -35})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (cbor2.dumps([b"", {}, b"", b"", b""]), "not an array of 4 fields"),
        (cbor2.dumps([b"", {}, b""]), "not an array of 4 fields"),
        (cbor2.dumps({}), "not an array of 4 fields"),
        (cbor2.dumps(cbor2.CBORTag(98, [b"", {}, b"", b""])), "the tag 98 instead of 18"),
        (cbor2.dumps(cbor2.CBORTag(18, cbor2.CBORTag(18, [b"", {}, b"", b""]))), "not an array of 4 fields"),
        (message(payload=None), "is no byte string"),
        (message(protected="text"), "is no byte string"),
        (message(protected=cbor2.dumps([])), "a header is no map"),
        (message(protected=cbor2.dumps({1: -35}) + b"\0"), "bytes follow the end"),
        (message(protected=bytes.fromhex("a20138220126")), "the map key 1 comes twice"),
        (message(unprotected=[]), "a header is no map"),
        (message(unprotected={1: -35}), "the header 1 is both protected and unprotected"),
        (message() + b"\0", "1 bytes follow the end"),
    ],
)
def test_what_is_no_sign1_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        parse_sign1(data, limit=1000)
