"""What holds for all inputs: values survive their encodings, and decoders raise only this package's errors."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing import authenticode, der, dsse, envelope_json, esl, keys, pkcs7, secureboot
from signing.efi import SignatureType
from signing.errors import InvalidSignatureError, MalformedSignatureError, SigningError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

SIGNERS = [
    FileSigner.from_pem(keys.generate(algorithm).private_pem)
    for algorithm in (keys.Algorithm.ED25519, keys.Algorithm.ECDSA_P256_SHA256)
]
IMAGE = hashlib.sha256(b"an image").digest()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


@pytest.fixture(scope="module")
def signed() -> tuple[bytes, x509.Certificate]:
    generated = secureboot.generate_identity("test", secureboot.owner_guid("test"), datetime(2026, 1, 1, tzinfo=UTC))
    signer = FileSigner.from_pem(generated.files["db.key"].content)
    return authenticode.build(IMAGE, signer, generated.identity.db_certificate), generated.identity.db_certificate


@given(TEXT, st.binary(max_size=300))
def test_an_envelope_survives_its_encoding_and_verifies(payload_type: str, payload: bytes) -> None:
    envelope = envelope_json.decode(envelope_json.encode(dsse.sign(payload_type, payload, SIGNERS)))
    verified = dsse.verify(envelope, [signer.public_key for signer in SIGNERS], threshold=2)
    assert (verified.payload_type, verified.payload) == (payload_type, payload)


@given(
    st.one_of(
        st.text("AEQgwxyz019+/=\n ", max_size=12),
        st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()),
    )
)
def test_only_one_text_stands_for_a_payload(text: str) -> None:
    envelope = {"payloadType": "x", "payload": text, "signatures": [{"sig": "eA=="}]}
    with contextlib.suppress(MalformedSignatureError):
        assert base64.b64encode(envelope_json.decode(json.dumps(envelope).encode()).payload).decode() == text


@given(TEXT, st.binary(max_size=40), TEXT, st.binary(max_size=40))
def test_the_signed_encoding_of_two_payloads_differs(type_1: str, body_1: bytes, type_2: str, body_2: bytes) -> None:
    same = dsse.pre_authentication_encoding(type_1, body_1) == dsse.pre_authentication_encoding(type_2, body_2)
    assert same == ((type_1, body_1) == (type_2, body_2))


@given(st.data())
def test_one_changed_bit_of_an_envelope_never_verifies_as_something_else(data: st.DataObject) -> None:
    encoded = bytearray(envelope_json.encode(dsse.sign("type", b"payload", SIGNERS[:1])))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(SigningError):
        verified = dsse.verify(envelope_json.decode(bytes(encoded)), [SIGNERS[0].public_key])
        assert (verified.payload_type, verified.payload) == ("type", b"payload")  # only the key's hint changed


ENTRIES = {
    kind: st.lists(
        st.builds(
            esl.SignatureEntry,
            st.uuids(),
            st.binary(min_size=kind.data_size, max_size=kind.data_size) if kind.data_size else st.just(b"certificate"),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple)
    for kind in SignatureType
}
LISTS = st.sampled_from(SignatureType).flatmap(lambda kind: st.builds(esl.SignatureList, st.just(kind), ENTRIES[kind]))


@given(st.lists(LISTS, max_size=5).map(tuple))
def test_signature_lists_survive_their_encoding(lists: tuple[esl.SignatureList, ...]) -> None:
    assert esl.parse_signature_lists(b"".join(item.encode() for item in lists)) == lists


@given(st.lists(LISTS, min_size=1, max_size=3), st.data())
def test_a_cut_off_database_is_never_read_as_a_whole_one(lists: list[esl.SignatureList], data: st.DataObject) -> None:
    encoded = [item.encode() for item in lists]
    size = data.draw(st.integers(0, sum(map(len, encoded))))
    ends = {sum(map(len, encoded[:count])) for count in range(len(encoded) + 1)}
    with contextlib.suppress(SigningError):
        esl.parse_signature_lists(b"".join(encoded)[:size])
        assert size in ends


@given(st.integers(min_value=0, max_value=1 << 160))
def test_an_integer_survives_its_encoding(value: int) -> None:
    content = der.Reader(der.integer(value), "test data").take(der.INTEGER, "value").content
    assert int.from_bytes(content, signed=True) == value
    assert len(content) == 1 or content[0] != 0 or content[1] & 0x80


@given(st.sampled_from([der.OCTET_STRING, der.SEQUENCE, der.context(0)]), st.binary(max_size=70_000))
def test_an_element_survives_its_encoding(tag: int, content: bytes) -> None:
    encoded = der.encode(tag, content)
    reader = der.Reader(encoded, "test data")
    assert reader.take(tag, "value") == der.Element(tag, content, encoded)
    reader.finish()


@given(st.binary(max_size=12))
def test_what_is_read_as_an_element_is_its_only_encoding(data: bytes) -> None:
    reader = der.Reader(data, "test data")
    with contextlib.suppress(SigningError):
        element = reader.take(data[0] if data else 0, "value")
        assert der.encode(element.tag, element.content) == element.encoding == data[: len(element.encoding)]


DECODERS: list[Callable[[bytes], object]] = [
    envelope_json.decode,
    envelope_json.decode_lines,
    esl.parse_signature_lists,
    pkcs7.parse,
    authenticode.digest_algorithm,
    keys.load_public,
    keys.load_private,
    lambda data: secureboot.load_identity({"owner.guid": data}),
]


@pytest.mark.parametrize("decode", DECODERS)
@given(
    st.binary()
    | st.binary().map(lambda tail: b"\x30\x82\x01\x00" + tail)
    | st.binary().map(lambda tail: SignatureType.SHA256.guid.bytes_le + tail)
    | st.binary().map(lambda tail: b"-----BEGIN PRIVATE KEY-----\n" + tail + b"\n-----END PRIVATE KEY-----\n")
    | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
        lambda value: envelope_json._json({"payload": "", "payloadType": "t", "signatures": value})
    ),
)
def test_a_decoder_raises_only_the_errors_of_this_package(decode: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(SigningError):
        decode(data)


@given(st.data())
def test_no_change_to_a_signature_verifies_or_raises_anything_unforeseen(
    signed: tuple[bytes, x509.Certificate], data: st.DataObject
) -> None:
    whole, anchor = signed
    start = data.draw(st.integers(0, len(whole) - 1))
    end = data.draw(st.integers(start, min(start + 8, len(whole))))
    changed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    with contextlib.suppress(SigningError):
        authenticode.verify(changed, image_digest=lambda _: IMAGE, anchor=anchor)
        assert changed == whole


@given(st.binary(min_size=32, max_size=32))
def test_a_signature_holds_for_its_own_image_only(signed: tuple[bytes, x509.Certificate], digest: bytes) -> None:
    whole, anchor = signed
    if digest == IMAGE:
        return
    with pytest.raises(InvalidSignatureError, match="is for an image with"):
        authenticode.verify(whole, image_digest=lambda _: digest, anchor=anchor)
