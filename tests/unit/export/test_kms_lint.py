"""Every key policy under tests/vectors/kms: the good ones pass, each bad one is refused for its own reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import InvalidInputError, NotVerifiedError
from builder.export import kms, kms_lint
from builder.measurement.pcr import Bank
from tests.export_subjects import secured, unsecured

VECTORS = Path(__file__).parents[2] / "vectors" / "kms"
GOOD = sorted(path.stem for path in VECTORS.glob("good-*.json"))
OPERATOR = (
    "statement 1 (Node): kms:RecipientAttestation:NitroTPMPCR4 is compared by {}, expected StringEqualsIgnoreCase"
)
NOT_OF_THE_IMAGE = (
    "statement 1 (Node): PCR {} is not of the image: firmware, its settings or running programs change it"
)
UNBOUND = "statement 2 (Admin): it allows {} without any condition on attestation"
# The first words of a finding that the policy must have.
BAD = {
    "wildcard": "statement 1 (Node): PCR 4: '*' has a wildcard or a variable",
    "wildcard-inside": "statement 1 (Node): PCR 4: 'fb4f0ec7bc*' has a wildcard",
    "question-mark": "statement 1 (Node): PCR 4: 'fb4f0ec7",
    "policy-variable": "statement 1 (Node): PCR 4: '${aws:PrincipalTag/pcr4}' has a wildcard or a variable",
    "zero-pcr-4": "statement 1 (Node): PCR 4: it is all zeros",
    "zero-pcr-4-in-a-list": "statement 1 (Node): PCR 4: it is all zeros",
    "zero-pcr-7": "statement 1 (Node): PCR 7: it is all zeros",
    "no-pcr-12": "statement 1 (Node): without Secure Boot (PCR 7) there must be a sound condition on PCR 12",
    "no-pcr-4": "statement 1 (Node): without Secure Boot (PCR 7) there must be a sound condition on PCR 4",
    "pcr-12-of-an-injected-argument": "statement 1 (Node): PCR 12: it is not zeros",
    "pcr-12-zeros-or-other": "statement 1 (Node): PCR 12: it is not zeros",
    "secure-boot-off": "statement 1 (Node): PCR 7: it is the value of Secure Boot being off",
    "secure-boot-off-alone": "statement 1 (Node): PCR 7: it is the value of Secure Boot being off",
    "base64": "statement 1 (Node): PCR 4: '+08Ox7zyCFeIvZSfOHBzyk",
    "upper-case": "statement 1 (Node): PCR 4: 'FB4F0EC7BCF2",
    "sha-256": "statement 1 (Node): PCR 4: 'fb4f0ec7bcf2085788bd949f387073ca496722b7368930a2c84ed786f2b98898' has 64",
    "too-long": "statement 1 (Node): PCR 4: 'fb4f0ec7bcf2",
    "empty-value": "statement 1 (Node): PCR 4: '' has 0 digits",
    "number": "statement 1 (Node): PCR 4: 4 is not a string",
    "empty-list": "statement 1 (Node): PCR 4 is compared with an empty list",
    "prefix-0x": "statement 1 (Node): PCR 4: '0xfb4f0ec7",
    **{f"pcr-{pcr}": NOT_OF_THE_IMAGE.format(pcr) for pcr in (0, 1, 2, 3, 5, 6, 8, 10, 16, 23)},
    "operator-StringLike": OPERATOR.format("StringLike"),
    "operator-StringEquals": OPERATOR.format("StringEquals"),
    "operator-StringEqualsIgnoreCaseIfExists": OPERATOR.format("StringEqualsIgnoreCaseIfExists"),
    "operator-ForAnyValue-StringEqualsIgnoreCase": OPERATOR.format("ForAnyValue:StringEqualsIgnoreCase"),
    "operator-ForAllValues-StringEqualsIgnoreCase": OPERATOR.format("ForAllValues:StringEqualsIgnoreCase"),
    "operator-StringNotEqualsIgnoreCase": OPERATOR.format("StringNotEqualsIgnoreCase"),
    "operator-ArnLike": OPERATOR.format("ArnLike"),
    "operator-Null": OPERATOR.format("Null"),
    "one-under-the-wrong-operator": "statement 1 (Node): without Secure Boot (PCR 7) there must be a sound condition on"
    " PCR 12",
    "no-condition": "statement 2 (Open): it allows kms:Decrypt without any condition on attestation",
    "empty-condition": "statement 1 (Node): it allows kms:Decrypt without any condition on attestation",
    "other-condition-only": "statement 1 (Node): it allows kms:Decrypt without any condition on attestation",
    "all-actions": UNBOUND.format("kms:*"),
    "star": UNBOUND.format("*"),
    "create-star": UNBOUND.format("kms:Create*"),
    "create-grant": UNBOUND.format("kms:CreateGrant"),
    "re-encrypt": UNBOUND.format("kms:ReEncrypt*"),
    "replicate": UNBOUND.format("kms:ReplicateKey"),
    "wildcard-inside-an-action": UNBOUND.format("kms:D*t"),
    "not-action": "statement 2 (Admin): NotAction allows everything but what it names",
    "not-principal": "statement 2 (Admin): NotPrincipal allows everything but what it names",
    "anyone": "statement 1 (Node): the principal is anyone, in any account",
    **dict.fromkeys(
        (
            "anyone-over-tls",
            "anyone-by-wildcard",
            "anyone-of-an-account-pattern",
            "anyone-but-one-account",
            "anyone-if-it-has-an-account",
            "anyone-of-no-account",
        ),
        "statement 1 (Node): the principal is anyone, in any account",
    ),
    "two-statement-lists": "the element 'statement' is not known",
    "anyone-in-a-list": "statement 1 (Node): the principal is anyone, in any account",
    "anyone-manages": "statement 2 (Admin): the principal is anyone, in any account",
    "no-principal": "statement 1 (Node): it names no principal",
    "enclave": "statement 1 (Node): kms:RecipientAttestation:PCR0 is not about a NitroTPM",
    "image-sha384": "statement 1 (Node): kms:RecipientAttestation:ImageSha384 is not about a NitroTPM",
    "leading-zero": "statement 1 (Node): kms:RecipientAttestation:NitroTPMPCR04 is not about a NitroTPM",
    "unknown-element": "statement 1 (Node): the element 'Conditions' is not known",
    "unknown-effect": "statement 1 (Node): Effect is 'allow', expected Allow or Deny",
    "condition-list": "statement 1 (Node): Condition is not an object of objects",
    "administration-only": "no statement lets a measured machine use the key",
    "deny-only": "no statement lets a measured machine use the key",
    "text-as-statement": "statement 1: it is not an object",
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_policy_is_accepted(name: str) -> None:
    kms_lint.check_policy((VECTORS / f"{name}.json").read_bytes())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_policy_is_refused_for_its_reason(name: str) -> None:
    with pytest.raises(NotVerifiedError, match="the key policy is not safe") as refused:
        kms_lint.check_policy((VECTORS / f"{name}.json").read_bytes())
    assert any(problem.startswith(BAD[name]) for problem in refused.value.problems), refused.value.problems


def test_every_policy_is_tried() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == {*GOOD, *BAD}


def test_all_findings_are_listed() -> None:
    text = (VECTORS / "base64.json").read_text().replace("NitroTPMPCR12", "NitroTPMPCR1")
    with pytest.raises(NotVerifiedError) as refused:
        kms_lint.check_policy(text.encode())
    assert [problem.removeprefix("statement 1 (Node): ")[:12] for problem in refused.value.problems] == [
        "PCR 4: '+08O", "PCR 1 is not", "PCR 1: it is", "without Secu", "without Secu",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"Statement": []}', b'{"Statement": 1}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_policy_is_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="key policy"):
        kms_lint.check_policy(data)


def test_a_key_given_twice_is_invalid_input() -> None:
    with pytest.raises(InvalidInputError, match="a key twice"):
        kms_lint.check_policy(b'{"Statement": [], "Statement": []}')


def test_a_huge_policy_is_invalid_input() -> None:
    with pytest.raises(InvalidInputError, match="at most 1048576 are read"):
        kms_lint.check_policy(b" " * (kms_lint.MAX_POLICY_BYTES + 1))


def test_the_value_of_secure_boot_off_is_what_is_predicted_for_it() -> None:
    assert unsecured().value(7, Bank.SHA384).hex() == kms_lint.SECURE_BOOT_OFF_PCR_7


def test_our_own_policies_pass() -> None:
    role = "arn:aws:iam::111122223333:role/node"
    kms_lint.check_policy(kms.export([secured(), unsecured()], [role]).encode())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["Allow", "Deny", "*", "kms:Decrypt"]),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["Statement", "Effect", "Action", "Condition", "Principal", "StringLike", kms.CONDITION_PCR]
                ),
                inner,
            )
        ),
    )
)
def test_no_json_is_accepted_by_chance_or_crashes(value: Any) -> None:
    with pytest.raises((InvalidInputError, NotVerifiedError)):
        kms_lint.check_policy(json.dumps(value).encode())


@pytest.mark.parametrize(("value", "shown"), [(None, "null"), (True, "true"), ({"a": None}, '{"a": null}')])
def test_a_value_is_shown_as_it_stands_in_the_policy(value: object, shown: str) -> None:
    policy = json.loads((VECTORS / "number.json").read_bytes())
    condition = policy["Statement"][0]["Condition"]["StringEqualsIgnoreCase"]
    condition[next(iter(condition))] = value
    with pytest.raises(NotVerifiedError) as refused:
        kms_lint.check_policy(json.dumps(policy).encode())
    assert any(f"{shown} is not a string, expected one of 96" in problem for problem in refused.value.problems)
