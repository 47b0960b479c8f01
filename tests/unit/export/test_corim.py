"""CoRIMs against the grammar, an independent COSE library, and a look at what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cbor2
import cddl_verifier
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pycose.algorithms import Es256, Es384
from pycose.keys import EC2Key
from pycose.messages import Sign1Message

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.cose import CoseAlgorithm, parse_sign1, verify_sign1
from builder.export import corim
from builder.measurement.pcr import Bank
from signing import keys
from tests.event_logs import PUBLIC
from tests.export_subjects import secured, shown, unsecured

GRAMMAR = Path(__file__).parents[2] / "vectors" / "corim" / "corim.cddl"
CURVES = {keys.Algorithm.ECDSA_P256_SHA256: "P-256", keys.Algorithm.ECDSA_P384_SHA384: "P-384"}
# Test data of another project, which are not part of this one.
VERAISON = PUBLIC / "veraison+corim"


def private(algorithm: keys.Algorithm) -> ec.EllipticCurvePrivateKey:
    key = keys.load_private(keys.generate(algorithm).private_pem)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def misfits(data: bytes, root: str) -> tuple[str, ...]:
    """What keeps ``data`` from being a ``root`` of the grammar."""
    found: tuple[str, ...] = cddl_verifier.validate(GRAMMAR, data, root).errors
    return found


def comids(unsigned: bytes) -> list[dict[int, Any]]:
    return [cbor2.loads(tag.value) for tag in cbor2.loads(unsigned).value[1]]


def test_every_pcr_is_an_integrity_register_with_the_value_that_the_tpm_showed() -> None:
    (comid,) = comids(corim.unsigned([secured()]))
    ((environment, measurements),) = comid[4][0]
    assert environment == {0: {2: "node"}}
    registers = measurements[0][1][14]
    for pcr in (4, 7, 12):
        real = {1: shown("tsb257", "sha256")[pcr], 7: shown("tsb257", "sha384")[pcr]}
        assert {algorithm: digest.hex() for algorithm, digest in registers[pcr]} == real


def test_every_pcr_is_a_measurement_with_the_same_digests() -> None:
    (comid,) = comids(corim.unsigned([secured()]))
    ((_, (first, *others)),) = comid[4][0]
    assert {entry[0]: entry[1][2] for entry in others} == {
        f"tpm_pcr{pcr}": digests for pcr, digests in first[1][14].items()
    }


def test_releases_have_tags_of_their_own() -> None:
    assert [comid[1][0] for comid in comids(corim.unsigned([secured(), unsecured()]))] == [
        "node 1.0.0 x86-64 Secure Boot enabled",
        "node 1.0.0 x86-64 Secure Boot disabled",
    ]


def test_one_release_twice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="a release is given twice"):
        corim.unsigned([secured(), secured()])


def test_a_key_that_cose_has_no_ecdsa_for_is_refused() -> None:
    key = keys.load_private(keys.generate(keys.Algorithm.ED25519).private_pem)
    with pytest.raises(InvalidInputError, match="signed with an ECDSA key"):
        corim.signed([secured()], key)


@pytest.mark.parametrize("algorithm", CURVES)
def test_it_fits_the_grammar(algorithm: keys.Algorithm) -> None:
    assert misfits(corim.signed([secured(), unsecured()], private(algorithm)), "signed-corim") == ()


def test_the_grammar_refuses_what_does_not_fit() -> None:
    content = dict(cbor2.loads(corim.unsigned([secured()])).value)
    assert misfits(corim.unsigned([secured()]), "tagged-unsigned-corim-map") == ()
    for value in (content | {0: 1}, content | {1: []}, content | {99: "more"}):
        assert misfits(cbor2.dumps(cbor2.CBORTag(501, value)), "tagged-unsigned-corim-map")


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("corim/testcases/signed-good-corim.cbor", "signed-corim"),
        ("comid/testcases/comid-integrity-registers.cbor", "concise-mid-tag"),
    ],
)
def test_the_grammar_accepts_documents_of_another_implementation(path: str, root: str) -> None:
    if not VERAISON.is_dir():
        pytest.skip(f"no {VERAISON}: set BEDPLATE_FIXTURES to a directory with test data of veraison/corim")
    assert misfits((VERAISON / path).read_bytes(), root) == ()


@pytest.mark.parametrize("algorithm", CURVES)
def test_an_independent_library_verifies_the_signature(algorithm: keys.Algorithm) -> None:
    key = private(algorithm)
    # Not decode(): pycose wants a list and a dict, and cbor2 6 gives other types below a tag (one byte here).
    message = Sign1Message.from_cose_obj(cbor2.loads(corim.signed([secured()], key)[1:]), allow_unknown_attributes=True)
    numbers = key.public_key().public_numbers()
    size = key.key_size // 8
    message.key = EC2Key(
        crv=CURVES[algorithm].replace("-", "_"), x=numbers.x.to_bytes(size, "big"), y=numbers.y.to_bytes(size, "big")
    )
    assert message.verify_signature()
    assert set(message.phdr.values()) & {Es256, Es384}
    message.payload += b"\0"
    assert not message.verify_signature()


def test_our_own_verifier_reads_it_and_refuses_another_key() -> None:
    key, other = private(keys.Algorithm.ECDSA_P384_SHA384), private(keys.Algorithm.ECDSA_P384_SHA384)
    message = parse_sign1(corim.signed([secured()], key, "Release team"), limit=1 << 16)
    verified = verify_sign1(message, key.public_key(), CoseAlgorithm.ES384)
    assert verified.payload == corim.unsigned([secured()])
    assert cbor2.loads(verified.headers[8]) == {0: {0: "Release team"}}  # type: ignore[arg-type]
    assert verified.headers[4] == bytes.fromhex(keys.public_key(key.public_key()).key_id)
    with pytest.raises(NotVerifiedError):
        verify_sign1(message, other.public_key(), CoseAlgorithm.ES384)


def test_digests_are_numbered_as_iana_does() -> None:
    (comid,) = comids(corim.unsigned([secured()]))
    digests = comid[4][0][0][1][0][1][14][4]
    assert [(algorithm, len(digest)) for algorithm, digest in digests] == [(1, Bank.SHA256.size), (7, Bank.SHA384.size)]
