"""The result of an appraisal as an EAT Attestation Result, in a signed JSON Web Token (draft-ietf-rats-ear-04).

Trust tiers and claims are those of AR4SI (draft-ietf-rats-ar4si, 2.3): 2 "affirming", 32 "warning", 96
"contraindicated", 0 "no claim". A claim is made only of what was appraised: the executables and the file system (the
root hash is in the measured command line) if the PCRs are those of a release, the configuration if nothing was added
to the boot. A result that is no is contraindicated as a whole, and says nothing finer.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from builder import __version__
from builder.errors import InvalidInputError
from builder.evidence.policy import PCR_IMAGES, PCR_KERNEL, PCR_PARAMETERS, PCR_UKI
from builder.evidence.trust import TrustKind
from signing.keys import Algorithm

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from builder.evidence.appraisal import AppraisalResult, ReleaseMatch
    from signing.signer import Signer

EAR_PROFILE: Final = "tag:ietf.org,2026:rats/ear#04"
# RFC 3986, appendix A: scheme, then what a hierarchy, a query and at most one fragment are made of.
_URI_PART: Final = r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})*"
_URI: Final = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:(?=[^#]){_URI_PART}(?:#{_URI_PART})?")
_DEVELOPER: Final = "https://bedplate.dev"
_SUBMODULE: Final = "node"
_AFFIRMING, _CONTRAINDICATED = 2, 96
# JWS algorithm (RFC 7518, 3.1; RFC 8037, 3.1) and the size of r and s, which JWS wants side by side and not in DER.
_JWS: Final = {
    Algorithm.ECDSA_P256_SHA256: ("ES256", 32),
    Algorithm.ECDSA_P384_SHA384: ("ES384", 48),
    Algorithm.ED25519: ("EdDSA", 0),
}


def require_uri(policy_id: str) -> str:
    """What a result calls its policy, a URI with a scheme. Raises InvalidInputError."""
    if _URI.fullmatch(policy_id) is None:
        raise InvalidInputError(
            f"the policy is called {policy_id!r}, expected a URI (RFC 3986)",
            hint="such as https://example.com/policy/1",
        )
    return policy_id


def ear_claims(result: AppraisalResult, at: datetime, policy_id: str) -> dict[str, Any]:
    """The claims; ``policy_id`` is the caller's URI of the policy.

    Raises InvalidInputError if it is none, and for a time without zone.
    """
    if at.tzinfo is None:
        raise InvalidInputError("the time of the appraisal has no time zone")
    match = result.match if not result.refusals else None
    appraisal: dict[str, Any] = {
        "ear.status": "affirming" if match else "contraindicated",
        "ear.trustworthiness-vector": _vector(match),
        "ear.appraisal-policy-id": require_uri(policy_id),
        "bedplate.refusals": [{"reason": item.reason.value, "text": item.text} for item in result.refusals],
    }
    if match is not None:
        image = match.release.reference.image
        appraisal["bedplate.release"] = {
            "name": image.name,
            "version": image.version,
            "profile": image.profile,
            "digest": match.release.digest,
        }
    claims: dict[str, Any] = {
        "eat_profile": EAR_PROFILE,
        "iat": int(at.timestamp()),
        "ear.verifier-id": {"developer": _DEVELOPER, "build": f"bedplate {__version__}"},
        "submods": {_SUBMODULE: appraisal},
    }
    if result.evidence.nonce is not None:
        claims["eat_nonce"] = _base64url(result.evidence.nonce)
    return claims


def sign_ear(result: AppraisalResult, at: datetime, policy_id: str, signer: Signer) -> str:
    """The claims as a JSON Web Token (RFC 7519) in compact form.

    Raises InvalidInputError for a key whose algorithm has no place there: RSA with PKCS #1 v1.5 is for Secure Boot.
    """
    algorithm = signer.public_key.algorithm
    if algorithm not in _JWS:
        raise InvalidInputError(f"an attestation result is not signed with {algorithm}", hint="use Ed25519 or ECDSA")
    name, size = _JWS[algorithm]
    header = {"alg": name, "typ": "JWT", "kid": signer.public_key.key_id}
    message = ".".join(_base64url(msgspec.json.encode(part)) for part in (header, ear_claims(result, at, policy_id)))
    signature = signer.sign(message.encode())
    if size:
        signature = b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))
    return f"{message}.{_base64url(signature)}"


def _vector(match: ReleaseMatch | None) -> dict[str, int]:
    if match is None:
        return {"executables": _CONTRAINDICATED}
    compared = set(match.compared)
    claims = {
        # Somebody vouches for the key; on first use nobody does.
        "instance-identity": _AFFIRMING if match.trust.root_kind is not TrustKind.FIRST_USE else 0,
        "executables": _affirmed(compared, (PCR_IMAGES, PCR_UKI)),
        "file-system": _affirmed(compared, (PCR_IMAGES, PCR_UKI)),
        "configuration": _affirmed(compared, (PCR_PARAMETERS, PCR_KERNEL)),
    }
    return {name: tier for name, tier in claims.items() if tier}


def _affirmed(compared: set[int], pcrs: Sequence[int]) -> int:
    return _AFFIRMING if compared & set(pcrs) else 0


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
