"""A Nitro document is verified, or refused for the one thing that is wrong with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.evidence.cose import CoseAlgorithm, sign1
from builder.evidence.freshness import NoNonce
from builder.evidence.nitro import MAX_DOCUMENT, NitroKind, VerifiedNitroDocument, document_time, verify_document
from builder.evidence.trust import TrustKind
from tests.attester import AT, NONCE, Issued, ec_key, indefinite_map, issue, nitro_chain, nitro_document, nitro_payload

ROOT, REGIONAL, LEAF = nitro_chain()


def verify(
    data: bytes | None = None, *, root: Issued = ROOT, nonce: Any = NONCE, at: datetime = AT
) -> VerifiedNitroDocument:
    return verify_document(nitro_document() if data is None else data, [root.certificate], nonce, at)


def refused(data: bytes | None = None, **keywords: Any) -> str:
    with pytest.raises(NotVerifiedError) as caught:
        verify(data, **keywords)
    return f"{caught.value}: {'; '.join(caught.value.problems)}"


def test_a_document_is_verified() -> None:
    document = verify()
    assert document.kind == NitroKind.NITROTPM
    assert document.module_id.startswith("i-0123456789abcdef0-tpm")
    assert document.timestamp == AT
    assert document.sha384_pcrs == {index: bytes([index]) * 48 for index in range(24)}
    assert (document.nonce, document.user_data, document.public_key) == (NONCE, b"user data", None)
    assert document.trust.kind == TrustKind.CERTIFICATE


def test_a_tag_and_a_map_of_known_length_are_the_same_document() -> None:
    key = LEAF.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert verify(sign1(cbor2.dumps(nitro_payload()), key, CoseAlgorithm.ES384, tagged=True)) == verify()


def test_an_enclave_document_is_told_from_a_nitrotpm_one() -> None:
    pcrs = {index: bytes(48) for index in range(16)}
    document = verify(nitro_document(nitrotpm_pcrs=..., pcrs=pcrs))
    assert (document.kind, document.sha384_pcrs) == (NitroKind.ENCLAVE, pcrs)


def test_another_nonce_is_refused() -> None:
    assert "another nonce" in refused(nonce=b"other")


@pytest.mark.parametrize("nonce", [None, b"", ...], ids=["null", "empty", "absent"])
def test_a_document_without_nonce_is_refused_unless_freshness_is_not_checked(nonce: Any) -> None:
    data = nitro_document(nonce=nonce)
    assert "no nonce" in refused(data)
    assert verify(data, nonce=NoNonce.FRESHNESS_NOT_CHECKED).nonce is None


@pytest.mark.parametrize("hours", [-2, 2], ids=["before", "after"])
def test_a_document_outside_the_validity_of_its_certificate_is_refused(hours: int) -> None:
    assert "not valid at validation time" in refused(at=AT + timedelta(hours=hours))


def test_another_root_of_the_same_name_is_refused() -> None:
    impostor = issue("root", key=ec_key("impostor", ec.SECP384R1), authority=True)
    assert "does not lead to a trusted root" in refused(root=impostor)


def test_a_root_in_the_document_is_not_trusted_for_being_there() -> None:
    own = issue("own", authority=True)
    leaf = issue("leaf", own)
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    data = nitro_document(key=leaf.key, certificate=leaf.der, cabundle=[own.der])
    assert "does not lead to a trusted root" in refused(data)
    assert verify(data, root=own).kind == NitroKind.NITROTPM


def test_a_document_signed_by_another_key_is_refused() -> None:
    assert "not made over this document" in refused(nitro_document(key=ec_key("other", ec.SECP384R1)))


def test_only_es384_is_accepted() -> None:
    leaf = issue("leaf", REGIONAL, key=ec_key("leaf"))
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    payload = cbor2.dumps(nitro_payload(certificate=leaf.der))
    assert "not on P-384" in refused(sign1(payload, leaf.key, CoseAlgorithm.ES256))
    protected = sign1(cbor2.dumps(nitro_payload()), ec_key("leaf"), CoseAlgorithm.ES256)
    assert "the algorithm is -7 instead of -35" in refused(protected)


def test_every_certificate_of_the_path_is_p384_with_sha384() -> None:
    weak = issue("weak", ROOT, authority=True, digest=hashes.SHA256())
    leaf = issue("leaf", weak)
    assert isinstance(leaf.key, ec.EllipticCurvePrivateKey)
    data = nitro_document(key=leaf.key, certificate=leaf.der, cabundle=[ROOT.der, weak.der])
    assert refused(data).endswith("CN=weak is not signed with ECDSA and SHA-384")


def test_a_root_and_a_time_zone_are_needed() -> None:
    with pytest.raises(InvalidInputError, match="no root certificate"):
        verify_document(nitro_document(), [], NONCE, AT)
    with pytest.raises(InvalidInputError, match="no time zone"):
        verify(at=AT.replace(tzinfo=None))


def test_the_time_of_a_stored_document_is_its_own() -> None:
    assert document_time(nitro_document()) == AT


def test_a_flipped_bit_anywhere_is_refused() -> None:
    whole = nitro_document()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        with pytest.raises((NotVerifiedError, InvalidInputError)):
            verify(bytes(changed))


def test_a_document_that_is_cut_or_has_bytes_after_it_is_refused() -> None:
    whole = nitro_document()
    for size in range(0, len(whole), 7):
        with pytest.raises(MalformedImageError):
            verify(whole[:size])
    with pytest.raises(MalformedImageError, match="1 bytes follow the end"):
        verify(whole + b"\0")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"module_id": ...}, "missing fields: module_id"),
        ({"digest": ...}, "missing fields: digest"),
        ({"timestamp": ...}, "missing fields: timestamp"),
        ({"certificate": ...}, "missing fields: certificate"),
        ({"cabundle": ...}, "missing fields: cabundle"),
        ({"nitrotpm_pcrs": ...}, "it has neither nitrotpm_pcrs nor pcrs"),
        ({"pcrs": {0: bytes(48)}}, "it has nitrotpm_pcrs and pcrs"),
        ({"extra": 1}, "unknown: 'extra'"),
        ({1: 1}, "unknown: 1"),
        ({"digest": "SHA256"}, "the digest is 'SHA256' instead of 'SHA384'"),
        ({"module_id": ""}, "module_id is no text"),
        ({"module_id": b"i-0"}, "module_id is no text"),
        ({"module_id": "x" * 257}, "module_id is no text"),
        ({"timestamp": 0}, "timestamp is no number"),
        ({"timestamp": True}, "timestamp is no number"),
        ({"timestamp": -1}, "timestamp is no number"),
        ({"timestamp": 1 << 63}, "timestamp is no number"),
        ({"nitrotpm_pcrs": {}}, "no map of 1 to 32 entries"),
        ({"nitrotpm_pcrs": []}, "no map of 1 to 32 entries"),
        ({"nitrotpm_pcrs": {index: bytes(48) for index in range(33)}}, "no map of 1 to 32 entries"),
        ({"nitrotpm_pcrs": {0: bytes(32)}}, "PCR 0 does not have 48 bytes"),
        ({"nitrotpm_pcrs": {0: bytes(49)}}, "PCR 0 does not have 48 bytes"),
        ({"nitrotpm_pcrs": {0: "0" * 48}}, "PCR 0 does not have 48 bytes"),
        ({"nitrotpm_pcrs": {32: bytes(48)}}, "32 is no index of a PCR"),
        ({"nitrotpm_pcrs": {-1: bytes(48)}}, "-1 is no index of a PCR"),
        ({"nitrotpm_pcrs": {"0": bytes(48)}}, "'0' is no index of a PCR"),
        ({"certificate": b""}, "the field certificate is not 1 to 1024 bytes"),
        ({"certificate": bytes(1025)}, "the field certificate is not 1 to 1024 bytes"),
        ({"certificate": b"0\0"}, "certificate: this is no certificate"),
        ({"cabundle": []}, "the cabundle is no list of 1 to 8"),
        ({"cabundle": [b"x"] * 9}, "the cabundle is no list of 1 to 8"),
        ({"cabundle": [bytes(1025)]}, "the field cabundle is not 1 to 1024 bytes"),
        ({"cabundle": [b"0\0"]}, "cabundle: this is no certificate"),
        ({"public_key": bytes(1025)}, "the field public_key is neither null nor at most 1024 bytes"),
        ({"user_data": bytes(1025)}, "the field user_data is neither null nor at most 1024 bytes"),
        ({"nonce": "text"}, "the field nonce is neither null nor at most 1024 bytes"),
    ],
)
def test_a_document_with_a_wrong_field_is_refused(changes: dict[Any, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        verify(signed(changes))


def signed(changes: dict[Any, Any]) -> bytes:
    fields = nitro_payload() | changes
    return nitro_document(indefinite_map({name: value for name, value in fields.items() if value is not ...}))


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (indefinite_map(nitro_payload())[:-1] + cbor2.dumps("digest") + cbor2.dumps("SHA384") + b"\xff", "comes twice"),
        (indefinite_map(nitro_payload()) + b"\0", "1 bytes follow the end"),
        (cbor2.dumps([]), "the payload is no map"),
        (b"", "needs 1 bytes"),
        (bytes(16385), "16385 bytes, more than 16384"),
    ],
    ids=["duplicate", "trailing", "array", "empty", "long"],
)
def test_a_payload_that_is_no_document_is_refused(payload: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        verify(nitro_document(payload))


def test_a_document_of_five_fields_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="not an array of 4 fields"):
        verify(cbor2.dumps([*cbor2.loads(nitro_document()), b""]))


def test_a_document_of_any_size_is_refused_before_it_is_read() -> None:
    with pytest.raises(MalformedImageError, match=f"more than {MAX_DOCUMENT}"):
        verify(bytes(MAX_DOCUMENT + 1))
