"""What makes a release's reference measurements trusted, and what makes a list of revocations believed."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from builder.errors import InvalidInputError, NotVerifiedError
from builder.measurement.configuration import SecureBootMode
from builder.measurement.phases import Phase
from builder.release.revocations import (
    Revocation,
    RevocationList,
    VerifiedRevocations,
    amended,
    load_revocations,
    sign_revocations,
)
from builder.release.statements import PAYLOAD_TYPE, PROVENANCE, REFERENCE_MEASUREMENTS, VERDICT, encode_statement
from builder.release.trusted import TrustedReference, load_trusted_reference
from signing import dsse, envelope_json
from signing.errors import InvalidRequestError
from tests.nodes import FINISHED, SIGNER, SUBJECTS, reference, revocations, signed
from tests.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.release.statements import Subject
    from signing.signer import FileSigner

TRUSTED = [SIGNER.public_key]
STATED = reference()
DATA = signed(STATED)
ENTRY = Revocation(digest="00" * 32, reason="leaked")
FIRST_LIST = RevocationList(1, FINISHED, (ENTRY,), {})


def sealed(statement: Any, payload_type: str = PAYLOAD_TYPE) -> bytes:
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    return envelope_json.encode(dsse.sign(payload_type, payload, [SIGNER]))


def statement() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode_statement(REFERENCE_MEASUREMENTS, STATED, SUBJECTS))
    return value


def test_the_statements_of_a_release_are_read_without_its_image() -> None:
    loaded = load_trusted_reference(DATA, TRUSTED)
    assert loaded.reference == STATED
    assert loaded.key_ids == (SIGNER.public_key.key_id,)
    assert loaded.finished == FINISHED
    assert {boot.mode for boot in loaded.boots} == {SecureBootMode.ENABLED, SecureBootMode.DISABLED}
    assert set(loaded.boots[0].pcrs[11].phases) == set(Phase)


def test_a_single_envelope_and_a_bundle_are_read_too() -> None:
    envelope = envelope_json.decode(DATA.split(b"\n")[0])
    for data in (envelope_json.encode(envelope), envelope_json.encode_bundle(envelope, SIGNER.public_key)):
        loaded = load_trusted_reference(data, TRUSTED)
        assert loaded.reference == STATED
        assert loaded.finished is None


def test_a_statement_that_is_not_canonical_is_read_alike() -> None:
    loaded = load_trusted_reference(sealed(json.dumps(statement(), indent=1).encode()), TRUSTED)
    assert loaded.reference == STATED


def test_a_trusted_reference_cannot_be_made_by_hand() -> None:
    loaded = load_trusted_reference(DATA, TRUSTED)
    with pytest.raises(TypeError, match="load_trusted_reference"):
        TrustedReference(STATED, "", (), None, None, (), frozenset(), object())
    with pytest.raises(ValueError, match="proof"):
        dataclasses.replace(loaded, key_ids=())  # type: ignore[call-arg]


def test_another_signer_is_refused(signers: tuple[FileSigner, ...]) -> None:
    with pytest.raises(NotVerifiedError, match="not signed by keys that you trust"):
        load_trusted_reference(DATA, [signers[0].public_key])


def test_too_few_signers_are_refused(signers: tuple[FileSigner, ...]) -> None:
    with pytest.raises(NotVerifiedError, match="not signed by keys that you trust"):
        load_trusted_reference(DATA, [*TRUSTED, signers[0].public_key], threshold=2)


def test_no_trusted_keys_is_an_error() -> None:
    with pytest.raises(InvalidRequestError, match="no trusted keys"):
        load_trusted_reference(DATA, [])


def test_every_byte_of_the_payload_counts() -> None:
    envelope = envelope_json.decode(DATA.split(b"\n")[0])
    changed = dataclasses.replace(envelope, payload=envelope.payload.replace(b'"1.0.0"', b'"9.0.0"'))
    with pytest.raises(NotVerifiedError):
        load_trusted_reference(envelope_json.encode(changed), TRUSTED)


def _release(*others: bytes) -> bytes:
    """The reference measurements, and other statements."""
    payloads = (encode_statement(REFERENCE_MEASUREMENTS, STATED, SUBJECTS), *others)
    return envelope_json.encode_lines(dsse.sign(PAYLOAD_TYPE, payload, [SIGNER]) for payload in payloads)


def test_a_release_without_a_policy_verdict_is_refused() -> None:
    with pytest.raises(NotVerifiedError, match="nobody vouches that the release satisfies its policy") as caught:
        load_trusted_reference(_release(encode_statement(PROVENANCE, {}, SUBJECTS)), TRUSTED)
    assert caught.value.problems == ("there is no policy verdict",)


def test_a_release_with_a_verdict_of_no_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        load_trusted_reference(
            _release(encode_statement(VERDICT, verdict(verificationResult="FAILED"), SUBJECTS)), TRUSTED
        )
    assert caught.value.problems == ("the policy verdict is FAILED",)


def test_a_verdict_on_other_files_is_refused() -> None:
    other = (replace_digest(SUBJECTS[0]), *SUBJECTS[1:])
    with pytest.raises(NotVerifiedError) as caught:
        load_trusted_reference(_release(encode_statement(VERDICT, verdict(), other)), TRUSTED)
    assert caught.value.problems == ("its statements are about different files, or signed by different keys",)


def replace_digest(subject: Subject) -> Subject:
    return msgspec.structs.replace(subject, digest={"sha256": "ff" * 32})


def test_a_verdict_without_a_result_is_none() -> None:
    with pytest.raises(InvalidInputError, match="the policy verdict is none"):
        load_trusted_reference(_release(encode_statement(VERDICT, {}, SUBJECTS)), TRUSTED)


def test_an_unsigned_statement_beside_a_signed_one_is_refused(signers: tuple[FileSigner, ...]) -> None:
    other = dsse.sign(PAYLOAD_TYPE, b"{}", [signers[0]])
    with pytest.raises(NotVerifiedError) as caught:
        load_trusted_reference(DATA + envelope_json.encode(other) + b"\n", TRUSTED)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["envelope 4"]


def _pcr(edit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    value = statement()
    edit(value["predicate"]["reference_values"]["enabled"]["pcrs"])
    return value


def _predicate(**changes: Any) -> dict[str, Any]:
    value = statement()
    return value | {"predicate": value["predicate"] | changes}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (sealed(statement(), "text/plain"), "payload type"),
        (sealed(statement() | {"predicateType": "https://example.com"}), "no statement of reference measurements"),
        (sealed(statement() | {"_type": "x"}), "has the type"),
        (sealed(statement() | {"subject": []}), "no subject"),
        (sealed(statement() | {"more": 1}), "unknown field"),
        (sealed(json.dumps(statement()).replace('"subject":', '"subject": [], "subject":').encode()), "key twice"),
        (sealed(_pcr(lambda pcrs: pcrs.update({"24": pcrs["4"]}))), "has '24', expected the number of a PCR"),
        (sealed(_pcr(lambda pcrs: pcrs.update({"04": pcrs["4"]}))), "has '04', expected the number of a PCR"),
        (sealed(_pcr(lambda pcrs: pcrs["4"]["values"].update(sha256="00"))), "is '00', expected 64 lower-case"),
        (sealed(_pcr(lambda pcrs: pcrs["4"]["values"].update(sha256="zz" * 32))), "expected 64 lower-case"),
        (sealed(_pcr(lambda pcrs: pcrs["4"]["values"].update(md5="00" * 16))), "has 'md5', expected sha256 or"),
        (sealed(_pcr(lambda pcrs: pcrs["4"].update(values={}))), "has no value"),
        (sealed(_pcr(lambda pcrs: pcrs["11"]["phases"].update(later={}))), "has 'later', expected enter"),
        (sealed(_pcr(lambda pcrs: pcrs.clear())), r"length >= 1 - at `\$.reference_values\[...\].pcrs`"),
        (sealed(_predicate(reference_values={})), r"length >= 1 - at `\$.reference_values`"),
        (b"{}", "no statements"),
        (b"", "no statements"),
        (b'{"mediaType": "x"}', "no dsseEnvelope"),
        (rb'{"mediaType": "x", "dsseEnvelope": {"payload": "\ud800"}}', "half a surrogate pair"),
        (DATA + DATA, "two statements"),
    ],
)  # fmt: skip
def test_what_was_signed_must_be_reference_measurements(value: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        load_trusted_reference(value, TRUSTED)


def test_values_under_the_name_of_another_mode_are_refused() -> None:
    value = statement()
    modes = value["predicate"]["reference_values"]
    modes["enabled"], modes["disabled"] = modes["disabled"], modes["enabled"]
    with pytest.raises(InvalidInputError, match="are of"):
        load_trusted_reference(sealed(value), TRUSTED)


def test_revocations_are_read_as_they_were_signed() -> None:
    entries = [ENTRY, Revocation(name="node", version="1", reason="old")]
    loaded = load_revocations(revocations(*entries, serial=3, node="0.9"), TRUSTED)
    assert loaded.content == RevocationList(3, FINISHED, tuple(entries), {"node": "0.9"})
    assert loaded.key_ids == (SIGNER.public_key.key_id,)


def test_revocations_of_others_are_refused(signers: tuple[FileSigner, ...]) -> None:
    with pytest.raises(NotVerifiedError, match="not signed by keys that you trust"):
        load_revocations(sign_revocations(FIRST_LIST, [signers[0]]), TRUSTED)


def test_revocations_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError, match="load_revocations"):
        VerifiedRevocations(FIRST_LIST, (), object())


@pytest.mark.parametrize(
    "members",
    [{}, {"name": "node"}, {"version": "1"}, {"digest": "00" * 32, "name": "node", "version": "1"}],
)
def test_a_revocation_names_one_release_in_one_way(members: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="either a digest, or"):
        Revocation(reason="leaked", **members)


def _revocations(**changes: Any) -> bytes:
    value = json.loads(envelope_json.decode(revocations(ENTRY)).payload)
    return sealed(value | changes)


def _predicate(**changes: Any) -> dict[str, Any]:
    return {"serial": 1, "issued": FINISHED.isoformat(), "revoked": [], "minimum_versions": {}} | changes


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (sealed(statement()), "predicate type"),
        (_revocations(predicate=_predicate(serial=2)), "subject"),
        (_revocations(predicate=_predicate(serial=0)), "serial"),
        (_revocations(predicate=_predicate(serial=2**53)), "serial"),
        (_revocations(predicate=_predicate(revoked=[{"reason": "x"}])), "either a digest"),
        (_revocations(predicate=_predicate(revoked=[{"digest": "00" * 32}])), "reason"),
        (_revocations(predicate=_predicate(minimum_versions={"Node": "1"})), "minimum_versions"),
        (_revocations(predicate={"issued": FINISHED.isoformat()}), "missing required field"),
        (sealed(b"{}", "text/plain"), "payload type"),
        (b"no json", "no list of revocations"),
    ],
)
def test_what_was_signed_must_be_revocations(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        load_revocations(data, TRUSTED)


def test_revocations_need_a_time_zone() -> None:
    with pytest.raises(InvalidInputError, match="no time zone"):
        sign_revocations(replace(FIRST_LIST, issued=FINISHED.replace(tzinfo=None)), [SIGNER])
    with pytest.raises(InvalidInputError, match="no time zone"):
        amended(None, [ENTRY], {}, FINISHED.replace(tzinfo=None))


def test_a_list_older_than_one_that_was_seen_is_refused() -> None:
    listed = revocations(ENTRY, serial=4)
    assert load_revocations(listed, TRUSTED, last_serial=4).content.serial == 4
    with pytest.raises(NotVerifiedError, match="an old one") as refused:
        load_revocations(listed, TRUSTED, last_serial=5)
    assert refused.value.problems == ("its serial number is 4, a list with 5 was seen before",)


def test_an_amended_list_has_all_of_the_previous_one_and_the_next_number() -> None:
    previous = load_revocations(revocations(ENTRY, serial=4, node="1.0"), TRUSTED)
    entry = Revocation(name="node", version="1.1", reason="old")
    found = amended(previous, [ENTRY, entry], {"other": "2"}, FINISHED)
    assert found == RevocationList(5, FINISHED, (ENTRY, entry), {"node": "1.0", "other": "2"})
    assert amended(None, [ENTRY], {}, FINISHED) == FIRST_LIST


@pytest.mark.parametrize(
    ("entries", "minimum_versions", "issued", "problem"),
    [
        ([], {}, FINISHED, "says all of that already"),
        ([ENTRY], {"node": "1.0"}, FINISHED, "says all of that already"),
        ([], {"node": "0.9"}, FINISHED, "0.9 is below 1.0, the lowest version of node"),
        ([], {"node": "1.1"}, FINISHED - timedelta(seconds=1), "still to come"),
    ],
)
def test_an_amendment_takes_nothing_back(
    entries: list[Revocation], minimum_versions: dict[str, str], issued: datetime, problem: str
) -> None:
    previous = load_revocations(revocations(ENTRY, node="1.0"), TRUSTED)
    with pytest.raises(InvalidInputError, match=problem):
        amended(previous, entries, minimum_versions, issued)


def test_reference_values_are_told_from_statements() -> None:
    values = json.dumps(statement()["predicate"])
    for text in (values, json.dumps(json.loads(values), indent=2)):
        expected = r"these are reference values without a signature, expected the signed statements of a release$"
        with pytest.raises(InvalidInputError, match=expected) as refused:
            load_trusted_reference(text.encode(), TRUSTED)
        assert refused.value.hint == "name release.intoto.jsonl, which lies beside them"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a text\n" * 100, "line 1: the envelope is not JSON"),
        (b"[" * 100_000, "line 1: the envelope is not JSON: it is nested too deep$"),
        ((DATA.rstrip(b"\n") + b"\n") * 65, "more than 64 envelopes$"),
    ],
)
def test_other_files_are_no_statements_for_what_they_are(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=f"these are no statements of a release: {problem}"):
        load_trusted_reference(data, TRUSTED)
