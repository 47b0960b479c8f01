"""Attestation results as signed tokens."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from builder.errors import InvalidInputError
from builder.evidence.appraisal import appraise
from builder.evidence.ear import EAR_PROFILE, ear_claims, sign_ear
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.trust import Trust, TrustKind
from signing import keys
from signing.signer import FileSigner
from tests.nodes import FINISHED, Node, release

POLICY_ID = "https://example.com/policy/1"
GOOD = Node.of()
YES = appraise(GOOD.evidence(), [release()], AppraisalPolicy())
NO = appraise(GOOD.evidence(), [release()], AppraisalPolicy(minimum_version="2"))


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def appraisal(claims: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = claims["submods"]["node"]
    return found


def test_a_yes_is_affirming_and_names_the_release() -> None:
    claims = ear_claims(YES, FINISHED, POLICY_ID)
    assert claims["eat_profile"] == EAR_PROFILE
    assert claims["iat"] == int(FINISHED.timestamp())
    assert decoded(claims["eat_nonce"]) == YES.evidence.nonce
    assert set(claims["ear.verifier-id"]) == {"developer", "build"}
    found = appraisal(claims)
    assert found["ear.status"] == "affirming"
    assert set(found["ear.trustworthiness-vector"].values()) == {2}
    assert found["ear.appraisal-policy-id"] == POLICY_ID
    assert found["bedplate.release"]["version"] == "1.0.0"


def test_a_no_is_contraindicated_with_its_reasons_and_names_no_release() -> None:
    found = appraisal(ear_claims(NO, FINISHED, POLICY_ID))
    assert found["ear.status"] == "contraindicated"
    assert found["ear.trustworthiness-vector"] == {"executables": 96}
    assert [item["reason"] for item in found["bedplate.refusals"]] == ["version"]
    assert "bedplate.release" not in found


def test_nothing_is_claimed_of_an_identity_that_nobody_vouches_for() -> None:
    evidence = GOOD.evidence(trust=Trust(TrustKind.FIRST_USE, "first use"))
    result = appraise(evidence, [release()], AppraisalPolicy(trust=frozenset({TrustKind.FIRST_USE})))
    assert "instance-identity" not in appraisal(ear_claims(result, FINISHED, POLICY_ID))["ear.trustworthiness-vector"]


@pytest.mark.parametrize(
    ("algorithm", "name", "size"),
    [
        (keys.Algorithm.ED25519, "EdDSA", 64),
        (keys.Algorithm.ECDSA_P256_SHA256, "ES256", 64),
        (keys.Algorithm.ECDSA_P384_SHA384, "ES384", 96),
    ],
)
def test_the_token_is_signed_as_its_header_says(algorithm: keys.Algorithm, name: str, size: int) -> None:
    signer = FileSigner.from_pem(keys.generate(algorithm).private_pem)
    header, claims, signature = sign_ear(YES, FINISHED, POLICY_ID, signer).split(".")
    assert json.loads(decoded(header)) == {"alg": name, "typ": "JWT", "kid": signer.public_key.key_id}
    assert json.loads(decoded(claims)) == ear_claims(YES, FINISHED, POLICY_ID)
    raw = decoded(signature)
    assert len(raw) == size
    if name != "EdDSA":
        half = size // 2
        raw = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    signer.public_key.verify(raw, f"{header}.{claims}".encode())


def test_an_rsa_key_is_refused() -> None:
    signer = FileSigner.from_pem(keys.generate(keys.Algorithm.RSA_PKCS1_SHA256).private_pem)
    with pytest.raises(InvalidInputError, match="not signed with rsa"):
        sign_ear(YES, FINISHED, POLICY_ID, signer)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no time zone"):
        ear_claims(YES, FINISHED.replace(tzinfo=None), POLICY_ID)


@pytest.mark.parametrize(
    "policy",
    ["urn:x", "tag:example.com,2026:policy", "https://[::1]:80/a%20b?c=d#e", "urn:example:a-b", "a+b.c-1:x", "x:a#"],
)
def test_a_policy_is_called_by_a_uri(policy: str) -> None:
    assert appraisal(ear_claims(YES, FINISHED, policy))["ear.appraisal-policy-id"] == policy


@pytest.mark.parametrize(
    "policy",
    [
        "not a uri",
        "",
        "urn:",
        "urn:#x",
        ":x",
        "policy/1",
        "1urn:x",
        "urn:a b",
        "urn:%zz",
        "urn:a#b#c",
        "urn:x\n",
        "ürn:x",
    ],
)
def test_a_policy_is_not_called_by_anything_else(policy: str) -> None:
    with pytest.raises(InvalidInputError, match=r"the policy is called .*, expected a URI \(RFC 3986\)$"):
        ear_claims(YES, FINISHED, policy)
