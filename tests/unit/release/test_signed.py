"""What makes the statements of a release trusted, and what does not."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import NotVerifiedError
from builder.release.signed import read_signed
from builder.release.statements import MODEL, PAYLOAD_TYPE, PROVENANCE, REFERENCE_MEASUREMENTS, SHORT_NAMES, VERDICT
from builder.release.summary import DETAILS
from signing import dsse, envelope_json
from signing.errors import InvalidRequestError
from tests.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from signing.signer import FileSigner

    Make = Callable[..., dict[str, Any]]

ALL = (REFERENCE_MEASUREMENTS, PROVENANCE, VERDICT)


def envelope(statement: dict[str, Any] | bytes, *signers: FileSigner, kind: str = PAYLOAD_TYPE) -> dsse.Envelope:
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    return dsse.sign(kind, payload, signers)


def refused(envelopes: Sequence[dsse.Envelope] | bytes, *trusted: FileSigner, threshold: int = 1) -> list[str]:
    data = envelopes if isinstance(envelopes, bytes) else envelope_json.encode_lines(envelopes)
    with pytest.raises(NotVerifiedError, match="is not signed by keys that you trust") as caught:
        read_signed(data, [signer.public_key for signer in trusted], threshold)
    return list(caught.value.problems)


def test_the_statements_of_one_key_are_trusted(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    lines = envelope_json.encode_lines([envelope(make_statement(kind), signers[0]) for kind in ALL])
    signed = read_signed(lines, [signers[0].public_key, signers[1].public_key], 1)
    assert signed.key_ids == (signers[0].public_key.key_id,)
    assert [subject.name for subject in signed.subjects] == ["node.efi"]
    assert signed.reference.image.version == "1.0.0"


def test_statements_of_two_keys_are_not_one_release(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    """Each statement has a trusted key, but no key stands behind all."""
    envelopes = [envelope(make_statement(kind), signer) for kind, signer in zip(ALL, signers, strict=True)]
    expected = "release.intoto.jsonl: 0 trusted keys signed all statements, 1 must have"
    assert refused(envelopes, *signers) == [expected]


def test_a_threshold_counts_the_keys_that_signed_everything(
    make_statement: Make, signers: Sequence[FileSigner]
) -> None:
    first, second, third = signers
    envelopes = [
        envelope(make_statement(REFERENCE_MEASUREMENTS), first, second),
        envelope(make_statement(PROVENANCE), second, third),
        envelope(make_statement(VERDICT), second, third),
    ]
    expected = "release.intoto.jsonl: 1 trusted keys signed all statements, 2 must have"
    assert refused(envelopes, *signers, threshold=2) == [expected]


def test_one_key_given_twice_is_one_key(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    lines = envelope_json.encode_lines([envelope(make_statement(kind), signers[0]) for kind in ALL])
    with pytest.raises(InvalidRequestError, match="the threshold is 2"):
        read_signed(lines, [signers[0].public_key] * 2, 2)


def test_a_key_is_needed(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    lines = envelope_json.encode_lines([envelope(make_statement(kind), signers[0]) for kind in ALL])
    with pytest.raises(InvalidRequestError, match="there are no trusted keys"):
        read_signed(lines, [], 1)


@pytest.mark.parametrize("missing", ALL[:2])
def test_a_release_needs_every_statement(make_statement: Make, signers: Sequence[FileSigner], missing: str) -> None:
    envelopes = [envelope(make_statement(kind), signers[0]) for kind in ALL if kind != missing]
    (problem,) = refused(envelopes, signers[0])
    assert re.fullmatch(
        r"release.intoto.jsonl: no trusted (provenance|reference-measurements|policy-verdict) statement", problem
    )


def test_a_release_without_a_verdict_is_told_apart_from_one_that_is_not_signed(
    make_statement: Make, signers: Sequence[FileSigner]
) -> None:
    lines = envelope_json.encode_lines([envelope(make_statement(kind), signers[0]) for kind in ALL[:2]])
    with pytest.raises(NotVerifiedError, match="nobody vouches that the release satisfies its policy") as caught:
        read_signed(lines, [signers[0].public_key], 1)
    assert caught.value.problems == ("release.intoto.jsonl: no trusted policy-verdict statement",)


def test_one_predicate_comes_once(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    envelopes = [envelope(make_statement(kind), signers[0]) for kind in (*ALL, PROVENANCE)]
    assert refused(envelopes, signers[0]) == ["release.intoto.jsonl line 4: there are two provenance statements"]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"_type": "https://in-toto.io/Statement/v0.1"}, "the statement has the type 'https://in-toto.io/Statement/v0"),
        ({"_type": None}, "statement: Expected `str`, got `null`"),
        ({"subject": []}, "the statement has no subject"),
        ({"subject": [{"name": "../a", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": "/etc/passwd", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": "a/../b", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": "a//b", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": ".hidden", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": "a\n", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": "", "digest": {}}]}, "Expected `str` matching regex"),
        ({"subject": [{"name": "a"}]}, "missing required field `digest`"),
        ({"subject": [{"name": "a", "digest": {}, "uri": "b"}]}, "unknown field `uri`"),
        ({"predicateType": "https://example.com/other/v1"}, "the predicate type 'https://example.com/other/v1' is not"),
        ({"predicate": []}, "Expected `object`, got `array`"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_a_signed_statement_is_still_read_strictly(
    make_statement: Make, signers: Sequence[FileSigner], members: dict[str, Any], problem: str
) -> None:
    statement = make_statement(PROVENANCE, **members)
    found = refused([envelope(make_statement(ALL[0]), signers[0]), envelope(statement, signers[0])], signers[0])
    assert found[0].startswith("release.intoto.jsonl line 2: ")
    assert problem in found[0]


@pytest.mark.parametrize("missing", ["_type", "subject", "predicateType", "predicate"])
def test_a_member_of_a_statement_is_never_taken_for_granted(
    make_statement: Make, signers: Sequence[FileSigner], missing: str
) -> None:
    statement = make_statement(PROVENANCE)
    del statement[missing]
    found = refused([envelope(make_statement(ALL[0]), signers[0]), envelope(statement, signers[0])], signers[0])
    assert f"missing required field `{missing}`" in found[0]


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"", "statement is not JSON"),
        (b"{}", "missing required field"),
        (b'{"_type":"a","_type":"b"}', "statement: an object has a key twice"),
        (b"[" * 100_000, "statement is not JSON"),
        (b'{"predicate":NaN}', "NaN is no JSON value"),
        ('{"predicate":{}}'.encode("utf-16"), "statement is not JSON"),
        (b"\xff", "statement is not JSON"),
    ],
)
def test_a_signed_payload_need_not_be_a_statement(signers: Sequence[FileSigner], payload: bytes, problem: str) -> None:
    assert problem in refused([envelope(payload, signers[0])], signers[0])[0]


def test_a_signature_of_another_type_of_payload_is_none(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    envelopes = [envelope(make_statement(kind), signers[0], kind="text/plain") for kind in ALL]
    expected = f"release.intoto.jsonl line 1: the payload type is 'text/plain', expected '{PAYLOAD_TYPE}'"
    assert refused(envelopes, signers[0])[0] == expected


def test_a_predicate_that_is_not_ours_is_refused(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    statement = make_statement(REFERENCE_MEASUREMENTS, predicate={"image": {}})
    envelopes = [envelope(statement, signers[0]), *(envelope(make_statement(kind), signers[0]) for kind in ALL[1:])]
    (problem,) = refused(envelopes, signers[0])
    assert problem.startswith("release.intoto.jsonl: reference measurements: Object missing required field")


def test_a_name_with_a_path_in_it_is_no_image_name(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    statement = make_statement(REFERENCE_MEASUREMENTS)
    statement["predicate"]["image"]["name"] = "../../etc"
    envelopes = [envelope(statement, signers[0]), *(envelope(make_statement(kind), signers[0]) for kind in ALL[1:])]
    assert "$.image.name" in refused(envelopes, signers[0])[0]


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"\0" * 100, b"{}\n\n{}\n"])
def test_what_is_no_envelope_is_told(signers: Sequence[FileSigner], data: bytes) -> None:
    (problem,) = refused(data, signers[0])
    assert problem.startswith("release.intoto.jsonl: line 1: ")


def test_a_second_object_behind_an_envelope_is_refused(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    line = envelope_json.encode(envelope(make_statement(PROVENANCE), signers[0]))
    (problem,) = refused(line + line, signers[0])
    assert "Extra data" in problem


def test_the_bundles_are_those_of_trusted_keys_only(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    first, second, third = signers
    envelopes = [envelope(make_statement(kind), first, second, third) for kind in ALL]
    keys = [first.public_key, second.public_key]
    signed = read_signed(envelope_json.encode_lines(envelopes), keys, 1)
    assert set(signed.bundles) == {f"{name}.sigstore.json" for name in SHORT_NAMES.values()}
    expected = {envelope_json.encode_bundle(envelopes[1], key) for key in keys}
    assert signed.bundles["provenance.sigstore.json"] == expected


@pytest.mark.parametrize(
    ("predicate", "problem"),
    [
        ({}, "policy verdict: Object missing required field `verifier`"),
        (verdict(verificationResult="MAYBE"), "policy verdict: Invalid enum value 'MAYBE'"),
        (verdict(timeVerified="2026-01-01T00:00:00"), "policy verdict: Expected `datetime`"),
        ({key: value for key, value in verdict().items() if key != DETAILS}, f"missing required field `{DETAILS}`"),
        (verdict() | {DETAILS: verdict()[DETAILS] | {"more": 1}}, "unknown field `more`"),
    ],
)
def test_a_verdict_that_is_not_ours_is_refused(
    make_statement: Make, signers: Sequence[FileSigner], predicate: dict[str, Any], problem: str
) -> None:
    statements = [make_statement(kind) for kind in ALL[:2]] + [make_statement(VERDICT, predicate=predicate)]
    (found,) = refused([envelope(statement, signers[0]) for statement in statements], signers[0])
    assert problem in found


def test_fields_of_a_later_verification_summary_are_ignored(
    make_statement: Make, signers: Sequence[FileSigner]
) -> None:
    """As its specification demands."""
    statements = [make_statement(kind) for kind in ALL[:2]]
    statements.append(make_statement(VERDICT, predicate=verdict(slsaVersion="1.9")))
    lines = envelope_json.encode_lines([envelope(statement, signers[0]) for statement in statements])
    assert read_signed(lines, [signers[0].public_key], 1).verdict.verification_result == "PASSED"


MODEL_OF_NODE = {"name": "small", "licence": "MIT", "sha256": "ab" * 32, "root_hash": "cd" * 32}


def test_a_release_may_say_which_model_it_serves(make_statement: Make, signers: Sequence[FileSigner]) -> None:
    statements = [*map(make_statement, ALL), make_statement(MODEL, predicate=MODEL_OF_NODE)]
    lines = envelope_json.encode_lines([envelope(statement, signers[0]) for statement in statements])
    signed = read_signed(lines, [signers[0].public_key], 1)
    assert signed.model is not None
    assert signed.model.name == "small"
    assert "model.sigstore.json" in signed.bundles


@pytest.mark.parametrize(
    ("predicate", "problem"),
    [
        ({}, "model: Object missing required field `name`"),
        (MODEL_OF_NODE | {"more": 1}, "model: Object contains unknown field `more`"),
        (MODEL_OF_NODE | {"root_hash": "cd" * 31}, "model: Expected `str` matching regex"),
    ],
)
def test_a_model_that_is_not_strictly_one_is_refused(
    make_statement: Make, signers: Sequence[FileSigner], predicate: dict[str, Any], problem: str
) -> None:
    statements = [*map(make_statement, ALL), make_statement(MODEL, predicate=predicate)]
    (found,) = refused([envelope(statement, signers[0]) for statement in statements], signers[0])
    assert problem in found


def test_a_model_that_others_signed_is_not_that_of_the_release(
    make_statement: Make, signers: Sequence[FileSigner]
) -> None:
    envelopes = [envelope(make_statement(kind), signers[0]) for kind in ALL]
    envelopes.append(envelope(make_statement(MODEL, predicate=MODEL_OF_NODE), signers[1]))
    keys = signers[:2]
    assert refused(envelopes, *keys) == ["release.intoto.jsonl: 0 trusted keys signed all statements, 1 must have"]
