from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from signing import dsse, envelope_json, keys
from signing.errors import InvalidRequestError, InvalidSignatureError, MalformedSignatureError, SigningError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

TYPE = "application/vnd.in-toto+json"
ED, P256 = keys.Algorithm.ED25519, keys.Algorithm.ECDSA_P256_SHA256


@pytest.fixture(scope="session")
def signers(key_pairs: dict[keys.Algorithm, keys.GeneratedKey]) -> dict[keys.Algorithm, FileSigner]:
    return {algorithm: FileSigner.from_pem(pair.private_pem) for algorithm, pair in key_pairs.items()}


def specification_vectors(directory: Path) -> tuple[list[dict[str, Any]], dict[str, keys.PublicKey]]:
    document = json.loads((directory / "dsse.json").read_text())
    trusted = {
        name: keys.public_key(ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public"])))
        for name, key in document["keys"].items()
    }
    return document["vectors"], trusted


def test_the_encoding_is_the_one_that_the_specification_prints() -> None:
    encoded = dsse.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_the_specification_vectors_are_decided_as_it_says(vectors: Path) -> None:
    cases, trusted = specification_vectors(vectors)
    decided = {}
    for case in cases:
        try:
            envelope = envelope_json.decode(json.dumps(case["envelope"]).encode())
            dsse.verify(envelope, [trusted[name] for name in case["trustedKeys"]], threshold=case["threshold"])
        except SigningError:
            decided[case["id"]] = "reject"
        else:
            decided[case["id"]] = "accept"
            encoded = dsse.pre_authentication_encoding(envelope.payload_type, envelope.payload)
            assert encoded == bytes.fromhex(case["pae"])
    assert len(decided) == 9
    assert decided == {case["id"]: case["expect"] for case in cases}


@pytest.mark.parametrize("algorithm", list(keys.Algorithm))
def test_what_was_signed_comes_back_after_verifying(
    signers: dict[keys.Algorithm, FileSigner], algorithm: keys.Algorithm
) -> None:
    envelope = dsse.sign(TYPE, b'{"a": 1}', [signers[algorithm]])
    received = envelope_json.decode(envelope_json.encode(envelope))
    verified = dsse.verify(received, [signers[algorithm].public_key])
    assert verified == dsse.VerifiedPayload(TYPE, b'{"a": 1}', (signers[algorithm].public_key.key_id,))


def test_the_payload_is_not_parsed(signers: dict[keys.Algorithm, FileSigner]) -> None:
    payload = b'\xff\x00 not JSON {"a":1,"a":2}'
    envelope = dsse.sign(TYPE, payload, [signers[ED]])
    assert dsse.verify(envelope, [signers[ED].public_key]).payload == payload


def test_another_key_is_refused(signers: dict[keys.Algorithm, FileSigner]) -> None:
    envelope = dsse.sign(TYPE, b"payload", [signers[ED]])
    with pytest.raises(InvalidSignatureError, match="0 of 1 trusted keys signed this envelope, 1 must have"):
        dsse.verify(envelope, [signers[P256].public_key])


@pytest.mark.parametrize("changed", [("application/other", b"payload"), (TYPE, b"payloae"), (TYPE + " 7", b"payload")])
def test_a_changed_type_or_payload_is_refused(
    signers: dict[keys.Algorithm, FileSigner], changed: tuple[str, bytes]
) -> None:
    envelope = dsse.sign(TYPE, b"payload", [signers[ED]])
    with pytest.raises(InvalidSignatureError, match="0 of 1"):
        dsse.verify(dsse.Envelope(*changed, envelope.signatures), [signers[ED].public_key])


def test_a_threshold_of_two_needs_two_keys(signers: dict[keys.Algorithm, FileSigner]) -> None:
    trusted = [signers[ED].public_key, signers[P256].public_key]
    both = dsse.sign(TYPE, b"payload", [signers[ED], signers[P256]])
    assert dsse.verify(both, trusted, threshold=2).key_ids == tuple(sorted(key.key_id for key in trusted))
    one = dsse.sign(TYPE, b"payload", [signers[ED]])
    with pytest.raises(InvalidSignatureError, match="1 of 2 trusted keys signed this envelope, 2 must have"):
        dsse.verify(one, trusted, threshold=2)


def test_one_key_that_signed_twice_counts_once(signers: dict[keys.Algorithm, FileSigner]) -> None:
    one = dsse.sign(TYPE, b"payload", [signers[ED]])
    twice = dsse.Envelope(TYPE, b"payload", one.signatures * 2)
    with pytest.raises(InvalidSignatureError, match="1 of 2"):
        dsse.verify(twice, [signers[ED].public_key, signers[P256].public_key], threshold=2)


def test_one_key_that_is_trusted_twice_counts_once(signers: dict[keys.Algorithm, FileSigner]) -> None:
    one = dsse.sign(TYPE, b"payload", [signers[ED]])
    with pytest.raises(InvalidRequestError, match="threshold is 2"):
        dsse.verify(one, [signers[ED].public_key] * 2, threshold=2)


@pytest.mark.parametrize("key_id", ["", "someone else", "0" * 64])
def test_the_key_id_of_a_signature_decides_nothing(signers: dict[keys.Algorithm, FileSigner], key_id: str) -> None:
    envelope = dsse.sign(TYPE, b"payload", [signers[ED]])
    renamed = dsse.Envelope(TYPE, b"payload", (dsse.Signature(key_id, envelope.signatures[0].signature),))
    assert dsse.verify(renamed, [signers[ED].public_key]).key_ids == (signers[ED].public_key.key_id,)
    claimed = dsse.Envelope(TYPE, b"payload", (dsse.Signature(signers[ED].public_key.key_id, bytes(64)),))
    with pytest.raises(InvalidSignatureError, match="0 of 1"):
        dsse.verify(claimed, [signers[ED].public_key])


def test_signing_with_nobody_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least one signer"):
        dsse.sign(TYPE, b"payload", [])


def test_signing_twice_with_one_key_is_refused(signers: dict[keys.Algorithm, FileSigner]) -> None:
    with pytest.raises(InvalidRequestError, match="given twice"):
        dsse.sign(TYPE, b"payload", [signers[ED], signers[ED]])


def test_signing_without_a_type_is_refused(signers: dict[keys.Algorithm, FileSigner]) -> None:
    with pytest.raises(InvalidRequestError, match="payload type"):
        dsse.sign("", b"payload", [signers[ED]])


def test_trusting_nobody_is_refused(signers: dict[keys.Algorithm, FileSigner]) -> None:
    with pytest.raises(InvalidRequestError, match="no trusted keys"):
        dsse.verify(dsse.sign(TYPE, b"payload", [signers[ED]]), [])


@pytest.mark.parametrize("threshold", [-1, 0, 2])
def test_a_threshold_that_has_no_meaning_is_refused(signers: dict[keys.Algorithm, FileSigner], threshold: int) -> None:
    envelope = dsse.sign(TYPE, b"payload", [signers[ED]])
    with pytest.raises(InvalidRequestError, match=f"threshold is {threshold}"):
        dsse.verify(envelope, [signers[ED].public_key], threshold=threshold)


def test_an_envelope_without_signatures_verifies_nowhere(signers: dict[keys.Algorithm, FileSigner]) -> None:
    with pytest.raises(InvalidSignatureError, match="0 of 1"):
        dsse.verify(dsse.Envelope(TYPE, b"payload", ()), [signers[ED].public_key])


GOOD = b'{"payload":"eA==","payloadType":"t","signatures":[{"keyid":"k","sig":"+/8="}]}'


def test_an_envelope_has_one_encoding() -> None:
    envelope = envelope_json.decode(GOOD)
    assert envelope == dsse.Envelope("t", b"x", (dsse.Signature("k", b"\xfb\xff"),))
    assert envelope_json.encode(envelope) == GOOD


def test_both_base64_alphabets_are_read() -> None:
    assert envelope_json.decode(GOOD.replace(b"+/8=", b"-_8=")) == envelope_json.decode(GOOD)


def test_unknown_fields_are_ignored_as_the_specification_demands() -> None:
    more = GOOD.replace(b'"keyid"', b'"ext":{"a":[1]},"keyid"').replace(b'"payloadType"', b'"x":null,"payloadType"')
    assert envelope_json.decode(more) == envelope_json.decode(GOOD)


def test_a_missing_key_id_is_an_empty_one() -> None:
    assert envelope_json.decode(GOOD.replace(b'"keyid":"k",', b"")).signatures[0].key_id == ""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (GOOD, b"", "not JSON"),
        (GOOD, b"\xff\xfe", "not JSON"),
        (GOOD, GOOD + b"{}", "not JSON"),
        (GOOD, b"[" * 100_000, "not JSON"),
        (GOOD, b"[]", "envelope is not a JSON object"),
        (GOOD, b"9" * 5000, "not JSON"),
        (b'"t"', b"NaN", "NaN is not JSON"),
        (b'"payloadType"', b'"payload":"eA==","payloadType"', "a key comes twice"),
        (b'"sig"', b'"sig":"","sig"', "a key comes twice"),
        (b'"payload"', b'"Payload"', "has no payload"),
        (b'"payloadType"', b'"type"', "has no payloadType"),
        (b'"sig"', b'"signature"', "signature has no sig"),
        (b'"signatures"', b'"signers"', "has no signatures"),
        (b'"t"', b'""', "payloadType is empty"),
        (b'"t"', b"null", "payloadType of the envelope is not a JSON string"),
        (b'"t"', b'"\\ud800"', "half a surrogate pair"),
        (b'"k"', b'"\\udfff"', "half a surrogate pair"),
        (b'"k"', b"7", "keyid of the signature is not a JSON string"),
        (b'"t"', b'"' + b"t" * 1025 + b'"', "more than 1024 characters"),
        (b'[{"keyid":"k","sig":"+/8="}]', b"[]", "1 to 32 signatures, this has 0"),
        (b'[{"keyid":"k","sig":"+/8="}]', b"{}", "signatures of the envelope is not a JSON array"),
        (b'[{"keyid":"k","sig":"+/8="}]', b'["k"]', "signature is not a JSON object"),
        (b'[{"keyid":"k","sig":"+/8="}]', b"[" + b",".join([b'{"sig":""}'] * 33) + b"]", "this has 33"),
        (b"eA==", b"eA=", "payload is not base64"),
        (b"eA==", b"eA", "payload is not base64"),
        (b"eA==", b"eB==", "not base64 in its one form"),
        (b"eA==", b"eA==\\n", "payload is not base64"),
        (b"eA==", b"\\u00e9", "payload is not base64"),
        (b"eA==", b"\\ud800", "payload is not base64"),
        (b"eA==", b"eHh4=", "payload is not base64"),
        (b"+/8=", b"+_8=", "sig is not base64"),
    ],
)
def test_a_malformed_envelope_is_refused(old: bytes, new: bytes, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(MalformedSignatureError, match=problem):
        envelope_json.decode(GOOD.replace(old, new))


def test_an_envelope_over_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope_json, "MAX_ENVELOPE_BYTES", len(GOOD) - 1)
    with pytest.raises(MalformedSignatureError, match=f"at most {len(GOOD) - 1} bytes"):
        envelope_json.decode(GOOD)


def test_lines_hold_one_envelope_each() -> None:
    envelope = envelope_json.decode(GOOD)
    assert envelope_json.encode_lines([envelope] * 2) == GOOD + b"\n" + GOOD + b"\n"
    assert envelope_json.decode_lines(GOOD + b"\n" + GOOD) == (envelope, envelope)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "line 1: the envelope is not JSON"),
        (GOOD + b"\n\n", "line 2: the envelope is not JSON"),
        (GOOD + b"\n{}", "line 2: the envelope has no signatures"),
        ((GOOD + b"\n") * 65, "more than 64 envelopes"),
    ],
)
def test_lines_that_are_not_all_envelopes_are_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedSignatureError, match=problem):
        envelope_json.decode_lines(data)


def test_writing_no_envelopes_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no envelopes"):
        envelope_json.encode_lines([])


def test_a_bundle_shows_the_signature_of_one_key(signers: dict[keys.Algorithm, FileSigner]) -> None:
    envelope = dsse.sign(TYPE, b"payload", [signers[ED], signers[P256]])
    key = signers[P256].public_key
    bundle = json.loads(envelope_json.encode_bundle(envelope, key))
    assert bundle["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert base64.b64decode(bundle["verificationMaterial"]["publicKey"]["hint"]).hex() == key.key_id
    shown = envelope_json.decode(json.dumps(bundle["dsseEnvelope"]).encode())
    assert dsse.verify(shown, [key]).payload == b"payload"
    assert [signature.key_id for signature in shown.signatures] == [""]


def test_a_bundle_for_a_key_that_did_not_sign_is_refused(signers: dict[keys.Algorithm, FileSigner]) -> None:
    envelope = dsse.sign(TYPE, b"payload", [signers[ED]])
    with pytest.raises(InvalidRequestError, match="0 signatures of the envelope name the key"):
        envelope_json.encode_bundle(envelope, signers[P256].public_key)
