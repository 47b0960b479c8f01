"""The evidence document of a node: bound to nonce and TLS key, and appraised like any evidence."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.evidence.appraisal import RefusalReason
from builder.evidence.evidence import EvidenceKind
from builder.evidence.evidence_files import Grounds
from builder.evidence.node_appraisal import AcceptedNode, AppraisedNode, appraise_node
from builder.evidence.node_document import (
    MAX_DOCUMENT_BYTES,
    Challenge,
    TlsKey,
    binding_of,
    parse_node_document,
    verify_node_document,
)
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.trust import TrustKind
from builder.measurement.events import EventType, utf16
from builder.weights.identity import Model
from tests.attester import AT, indefinite_map, nitro_chain, nitro_document, nitro_payload
from tests.node_documents import BOUND, NONCE, document, encoded, fields, grounds, identity, tls_key
from tests.nodes import Node, event, release, without_secure_boot

GOOD = Node.of()
RELEASE = release()
OWN = identity("node a")
CHALLENGE = Challenge(NONCE, tls_key(OWN))
POLICY = AppraisalPolicy()


def appraised(data: bytes, challenge: Challenge = CHALLENGE, policy: AppraisalPolicy = POLICY) -> AppraisedNode:
    return appraise_node(verify_node_document(parse_node_document(data), challenge, grounds()), [RELEASE], policy)


# The same vector is in the gateway's internal/evidence/evidence_test.go.
def test_the_binding_is_the_documented_hash() -> None:
    binding = binding_of(b"0123456789abcdef", b"a public key")
    assert binding.hex() == "b457745a5e1325f7958fa9eafdf355e0fc2176546310df8eb48acadc2036c6b2"


def test_a_node_that_runs_the_release_is_accepted_with_its_key() -> None:
    node = appraised(document(GOOD, CHALLENGE)).accepted()
    assert node.match.release is RELEASE
    assert node.tls_key == tls_key(OWN)
    assert node.match.trust.kind is TrustKind.PINNED_KEY


PCRS = GOOD.evidence(BOUND).pcrs


def kept(bank: str, *without: int) -> dict[int, bytes]:
    """The PCRs of a bank but some."""
    return {pcr: value for pcr, value in PCRS[bank].items() if pcr not in without}


@pytest.mark.parametrize(
    ("quoted", "lacking"),
    [
        ({"sha256": kept("sha256", 9)}, "sha256 lacks PCR 9"),
        ({"sha256": kept("sha256", 13)}, "sha256 lacks PCR 13"),
        ({"sha256": kept("sha256", 9, 12, 13)}, "sha256 lacks PCR 9, 12, 13"),
        ({"sha256": kept("sha256", 9), "sha384": kept("sha384", 9)}, "sha256 lacks PCR 9"),
        ({"sha256": kept("sha256", 4, 9), "sha384": kept("sha384", 13)}, "sha384 lacks PCR 13"),
        ({"sha1": {pcr: bytes(20) for pcr in BOUND}}, "sha256 lacks PCR 4, 7, 9, 11, 12, 13"),
        ({"sha1": {pcr: bytes(20) for pcr in BOUND}, "sha256": kept("sha256", 13)}, "sha256 lacks PCR 13"),
    ],
)
def test_a_node_that_leaves_out_a_pcr_of_the_policy_is_refused(
    quoted: dict[str, dict[int, bytes]], lacking: str
) -> None:
    result = appraised(document(GOOD, CHALLENGE, quoted=quoted, event_log="", userspace_log="")).result
    assert result.match is None
    assert {item.reason for item in result.refusals} == {RefusalReason.COVERAGE}
    assert result.refusals[-1].text.endswith(lacking)


@pytest.mark.parametrize(
    "quoted",
    [
        {"sha256": kept("sha256")},
        {"sha384": kept("sha384")},
        {"sha256": kept("sha256", 9), "sha384": kept("sha384")},
        # Nobody asks for PCR 14.
        {"sha256": kept("sha256", 14)},
    ],
)
def test_one_bank_with_all_pcrs_of_the_policy_is_enough(quoted: dict[str, dict[int, bytes]]) -> None:
    assert appraised(document(GOOD, CHALLENGE, quoted=quoted)).accepted()
    narrow = AppraisalPolicy(pcrs=frozenset({4, 7, 11, 12}))
    few = {"sha256": kept("sha256", 9, 13, 14)}
    assert appraised(document(GOOD, CHALLENGE, quoted=few), policy=narrow).accepted()


def test_without_logs_the_pcrs_decide_alone() -> None:
    assert appraised(document(GOOD, CHALLENGE, event_log="", userspace_log="")).accepted()
    assert appraised(document(GOOD, CHALLENGE, userspace_log="")).accepted()


@pytest.mark.parametrize(
    ("node", "reason", "problem"),
    [
        (Node.of("t252"), RefusalReason.PCR, "PCR 4"),
        (Node.of("t257").edited(without_secure_boot), RefusalReason.SECURE_BOOT, "Secure Boot is disabled"),
        (GOOD.with_events(event(12, EventType.EV_IPL, utf16("systemd.debug_shell"))), RefusalReason.PCR, "debug_shell"),
        (dataclasses.replace(GOOD, words=("enter-initrd",)), RefusalReason.PHASE, "enter-initrd"),
    ],
    ids=["other image", "secure boot off", "injected command line", "phase"],
)
def test_a_node_that_runs_something_else_is_refused(node: Node, reason: RefusalReason, problem: str) -> None:
    result = appraised(document(node, CHALLENGE))
    assert reason in {item.reason for item in result.result.refusals}
    with pytest.raises(NotVerifiedError, match="not accepted") as refused:
        result.accepted()
    assert any(problem in text for text in refused.value.problems)


def test_a_development_image_is_refused_unless_the_policy_says_so() -> None:
    built = release(profile="development")
    verified = verify_node_document(parse_node_document(document(GOOD, CHALLENGE)), CHALLENGE, grounds())
    with pytest.raises(NotVerifiedError) as refused:
        appraise_node(verified, [built], POLICY).accepted()
    assert "development image" in refused.value.problems[0]
    assert appraise_node(verified, [built], AppraisalPolicy(allow_development=True)).accepted()


OTHER_NONCE = Challenge(bytes(32), CHALLENGE.tls_key)
OTHER_KEY = Challenge(NONCE, tls_key(identity("node b")))


@pytest.mark.parametrize(
    ("challenge", "words"),
    [(OTHER_NONCE, {"nonce": NONCE.hex()}), (OTHER_KEY, {"tls_key": encoded(CHALLENGE.tls_key.public_key)})],
    ids=["nonce", "key"],
)
def test_evidence_for_another_connection_is_refused_whatever_the_document_says(
    challenge: Challenge, words: dict[str, str]
) -> None:
    with pytest.raises(NotVerifiedError, match="not that of this node and connection"):
        appraised(document(GOOD, challenge))
    # The same with a document that says what the verifier would like to hear: the TPM did not sign it.
    with pytest.raises(NotVerifiedError, match="not that of this node and connection") as refused:
        appraised(document(GOOD, challenge, **words))
    (problem,) = refused.value.problems
    assert problem.startswith("what was signed is not over this nonce and this TLS key")


def test_evidence_of_another_machine_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as refused:
        appraised(document(GOOD, CHALLENGE, key="other"))
    assert "another machine" in refused.value.problems[0]
    forged = fields(GOOD, CHALLENGE, key="other")
    forged["tpm"]["key"] = fields(GOOD, CHALLENGE)["tpm"]["key"]
    with pytest.raises(NotVerifiedError, match="signature is not valid"):
        appraised(json.dumps(forged).encode())


def test_a_key_is_never_trusted_on_first_use_unless_it_is_asked_for_and_named() -> None:
    parsed = parse_node_document(document(GOOD, CHALLENGE))
    with pytest.raises(InvalidInputError, match="none is given"):
        verify_node_document(parsed, CHALLENGE, Grounds(None, first_use=False, nitro_roots=(), at=AT))
    verified = verify_node_document(parsed, CHALLENGE, grounds(first_use=True))
    with pytest.raises(NotVerifiedError):
        appraise_node(verified, [RELEASE], POLICY).accepted()
    trusting = AppraisalPolicy(trust=frozenset({TrustKind.FIRST_USE}))
    assert appraise_node(verified, [RELEASE], trusting).accepted().match.trust.kind is TrustKind.FIRST_USE


def test_a_log_that_does_not_explain_the_pcrs_is_refused() -> None:
    other = GOOD.with_events(event(4, EventType.EV_IPL, b"x"))
    for changes in (
        {"event_log": fields(other, CHALLENGE)["event_log"]},
        {"event_log": encoded(b"no log")},
        {"userspace_log": encoded(b"no log")},
        {"userspace_log": fields(dataclasses.replace(GOOD, words=("sysinit",)), CHALLENGE)["userspace_log"]},
    ):
        result = appraised(document(GOOD, CHALLENGE, **changes))
        assert {item.reason for item in result.result.refusals} == {RefusalReason.EVENT_LOG}


def test_a_node_that_names_another_release_is_refused() -> None:
    result = appraised(document(GOOD, CHALLENGE, release={"name": "node", "version": "9.9"}))
    assert [item.reason for item in result.result.refusals] == [RefusalReason.CLAIM]


def test_a_nitrotpm_document_is_verified_with_the_binding_as_its_nonce() -> None:
    given = fields(GOOD, CHALLENGE)
    del given["tpm"]
    root = (nitro_chain()[0].certificate,)
    trusted = Grounds(None, first_use=False, nitro_roots=root, at=AT)
    given["nitrotpm"] = {"document": encoded(nitro_document(nonce=CHALLENGE.binding))}
    verified = verify_node_document(parse_node_document(json.dumps(given).encode()), CHALLENGE, trusted)
    assert verified.evidence.kind is EvidenceKind.NITROTPM
    for nonce in (NONCE, OTHER_KEY.binding):
        given["nitrotpm"] = {"document": encoded(nitro_document(nonce=nonce))}
        with pytest.raises(NotVerifiedError, match="not that of this node and connection"):
            verify_node_document(parse_node_document(json.dumps(given).encode()), CHALLENGE, trusted)


def test_a_document_of_an_enclave_is_not_one_of_a_node() -> None:
    """Its PCRs are other registers, whoever signed it and whatever it answers."""
    given = fields(GOOD, CHALLENGE)
    del given["tpm"]
    trusted = Grounds(None, first_use=False, nitro_roots=(nitro_chain()[0].certificate,), at=AT)
    payload = nitro_payload(nitrotpm_pcrs=..., pcrs={0: bytes(48)}, nonce=CHALLENGE.binding)
    given["nitrotpm"] = {"document": encoded(nitro_document(indefinite_map(payload)))}
    with pytest.raises(InvalidInputError, match="of the Nitro Enclave"):
        verify_node_document(parse_node_document(json.dumps(given).encode()), CHALLENGE, trusted)


STATED = {"name": "m", "licence": "MIT", "sha256": "ab" * 32, "root_hash": "cd" * 32}


def test_the_model_must_be_the_one_that_the_release_states() -> None:
    built = release(model=Model(**STATED))
    for told, wrong in ((STATED, ()), (None, ("no model",)), (STATED | {"sha256": "00" * 32}, ("the model m",))):
        verified = verify_node_document(
            parse_node_document(document(GOOD, CHALLENGE, model=told)), CHALLENGE, grounds()
        )
        result = appraise_node(verified, [built], POLICY).result
        assert {item.reason for item in result.refusals} == ({RefusalReason.CLAIM} if wrong else set())
        assert all(word in item.text for word, item in zip(wrong, result.refusals, strict=True))
    # Without a statement there is nothing to compare with.
    assert appraised(document(GOOD, CHALLENGE, model=STATED)).accepted()


def test_types_cannot_be_mixed_up() -> None:
    parsed = parse_node_document(document(GOOD, CHALLENGE))
    verified = verify_node_document(parsed, CHALLENGE, grounds())
    node = appraise_node(verified, [RELEASE], POLICY)
    wrong: Any = parsed
    with pytest.raises(TypeError, match="verified document"):
        appraise_node(wrong, [RELEASE], POLICY)
    for unparsed, unasked in ((document(GOOD, CHALLENGE), CHALLENGE), (parsed, NONCE)):
        with pytest.raises(TypeError, match="parsed document and a challenge"):
            verify_node_document(unparsed, unasked, grounds())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key of a TLS connection"):
        Challenge(NONCE, CHALLENGE.tls_key.public_key)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no truth value"):
        bool(node)
    with pytest.raises(TypeError, match="made by AppraisedNode"):
        AcceptedNode(node.accepted().match, CHALLENGE.tls_key, object())
    with pytest.raises(ValueError, match="proof"):
        dataclasses.replace(node.accepted(), tls_key=OTHER_KEY.tls_key)


@pytest.mark.parametrize("size", [0, 15, 65])
def test_a_nonce_has_a_length_that_cannot_be_guessed_and_fits(size: int) -> None:
    with pytest.raises(InvalidInputError, match="16 to 64"):
        Challenge(bytes(size), CHALLENGE.tls_key)


def test_the_key_is_that_of_the_certificate_and_nobody_can_say_another() -> None:
    assert CHALLENGE.binding == binding_of(NONCE, CHALLENGE.tls_key.public_key)
    assert CHALLENGE.tls_key.public_key == OWN.key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    with pytest.raises(TypeError, match="positional argument"):
        TlsKey(OWN.der, OTHER_KEY.tls_key.public_key)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="init=False"):
        dataclasses.replace(CHALLENGE.tls_key, public_key=OTHER_KEY.tls_key.public_key)
    assert dataclasses.replace(CHALLENGE.tls_key, certificate=OTHER_KEY.tls_key.certificate) == OTHER_KEY.tls_key


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        (b"", "no certificate"),
        (OWN.der[:-1], "no certificate"),
        (OWN.der + b"\0", "no certificate"),
        (OWN.certificate.public_bytes(Encoding.PEM), "not in DER"),
    ],
    ids=["nothing", "cut off", "more", "PEM"],
)
def test_a_certificate_that_is_none_is_refused(certificate: bytes, problem: str) -> None:
    with pytest.raises(NotVerifiedError, match="certificate cannot be read") as refused:
        TlsKey(certificate)
    assert problem in refused.value.problems[0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema": "bedplate.evidence/v2"}, "schema is"),
        ({"more": 1}, "unknown field"),
        ({"nonce": "AB" * 32}, "lower-case"),
        ({"nonce": "ab " * 16}, "lower-case"),
        ({"tls_key": "!"}, "base64"),
        ({"tls_key": "\ud800"}, "half a surrogate pair"),
        ({"model": {"\udfff": 1}}, "half a surrogate pair"),
        ({"event_log": 5}, "event_log"),
        ({"release": {"name": "a\n", "version": "1"}}, "release"),
        ({"release": {"name": "a"}}, "version"),
        ({"nitrotpm": {"document": ""}}, "exactly one"),
        ({"tpm": None}, "exactly one"),
        ({"model": {"name": "m"}}, "model"),
    ],
)
def test_a_document_that_breaks_the_form_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_node_document(document(GOOD, CHALLENGE, **changes))


@pytest.mark.parametrize(
    ("pcrs", "problem"),
    [
        ({"sha3": {"4": "00"}}, "bank 'sha3'"),
        ({"sha256": {"04": "00"}}, "number of no PCR"),
        ({"sha256": {"-4": "00"}}, "number of no PCR"),
        ({"sha256": {"\u0664": "00"}}, "number of no PCR"),
        ({"sha256": {"4" * 5000: "00"}}, "number of no PCR"),
        ({"sha256": {"4": "0"}}, "lower-case"),
    ],
)
def test_pcrs_that_break_the_form_are_refused(pcrs: dict[str, Any], problem: str) -> None:
    given = fields(GOOD, CHALLENGE)
    given["tpm"]["pcrs"] = pcrs
    with pytest.raises(InvalidInputError, match=problem):
        parse_node_document(json.dumps(given).encode())


def test_what_is_no_document_is_refused() -> None:
    for data in (b"", b"[]", b'"a"', b"{}", b"\xff", document(GOOD, CHALLENGE)[:-1], b"[" * 100_000):
        with pytest.raises(InvalidInputError, match="evidence document"):
            parse_node_document(data)
    with pytest.raises(InvalidInputError, match="more than"):
        parse_node_document(b" " * (MAX_DOCUMENT_BYTES + 1))
    twice = document(GOOD, CHALLENGE).replace(b'{"schema"', b'{"nonce": "", "schema"', 1)
    with pytest.raises(InvalidInputError, match="twice"):
        parse_node_document(twice)


@given(st.data())
def test_a_document_with_a_byte_changed_is_no_yes_for_something_else(data: st.DataObject) -> None:
    text = bytearray(document(GOOD, CHALLENGE))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] = data.draw(st.integers(0, 255))
    try:
        node = appraised(bytes(text)).accepted()
    except (NotVerifiedError, InvalidInputError, MalformedImageError):
        return
    assert node.tls_key == CHALLENGE.tls_key
    assert node.match.release is RELEASE
