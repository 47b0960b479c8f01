"""Trust in an attestation key by the certificate of its TPM: a dialogue in which the verifier keeps a secret.

An endorsement key cannot sign. That an attestation key is in the same TPM is shown by TPM2_ActivateCredential: the TPM
gives the secret out only if it holds both. So whoever answers with it has shown that the attestation key, with the
attributes of its public area, is in the TPM whose endorsement key the certificate names. Unlike a quote this answers
no nonce and is bound to no connection, and need not be: it is as true tomorrow, and for whoever passes it on.

What it does not show is whose TPM that is. A maker's root vouches for every TPM that the maker has sold, also for one
that lies on an attacker's table and is told what to measure. See docs/decisions/0076.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509

from builder.errors import NotVerifiedError
from builder.evidence.certificates import CertificateUse, fingerprint, subject, verify_path
from builder.evidence.credential import Credential, make_credential
from builder.evidence.public_area import PublicArea, require_attestation_key
from builder.evidence.trust import Trust, TrustedAk, TrustKind, certificate_key, check_usage, key_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# tcg-kp-EKCertificate (TCG EK Credential Profile, 3.2.16).
ENDORSEMENT_KEY_USAGE: Final = x509.ObjectIdentifier("2.23.133.8.1")
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class EndorsementRoots:
    """Authorities of whose TPMs every one is trusted, and certificates between them and the TPMs'."""

    roots: Sequence[x509.Certificate]
    intermediates: Sequence[x509.Certificate] = ()


@dataclass(frozen=True, slots=True)
class Activation:
    """A question to a TPM: ``credential`` is sent, and the answer proves that ``area`` is in the TPM ``endorsed``."""

    credential: Credential
    area: PublicArea
    endorsed: str
    _secret: bytes = field(repr=False)

    def trusted(self, answer: bytes) -> TrustedAk:
        """The key, if the answer is right. Raises NotVerifiedError."""
        if not hmac.compare_digest(answer, self._secret):
            raise NotVerifiedError(
                "the attestation key is not trusted",
                (f"the TPM of {self.endorsed} did not show that it holds the key: its answer is wrong",),
            )
        detail = f"in the TPM of {self.endorsed}: key {key_fingerprint(self.area.key)}"
        return TrustedAk(self.area.key, Trust(TrustKind.ENDORSED, detail), self.area)


def ask_endorsed(
    area: PublicArea, certificate: x509.Certificate, trusted: EndorsementRoots, at: datetime
) -> Activation:
    """A question whether the TPM of this certificate holds the attestation key ``area``.

    Raises NotVerifiedError if the key is no attestation key, or the certificate leads to none of the roots at the time
    ``at`` or is for another use; InvalidInputError as ``verify_path`` and ``make_credential``.
    """
    require_attestation_key(area)
    chain = verify_path(certificate, trusted.intermediates, trusted.roots, at, CertificateUse.ENDORSEMENT)
    check_usage(certificate, ENDORSEMENT_KEY_USAGE, "endorsement")
    secret = secrets.token_bytes(_SECRET_BYTES)
    credential = make_credential(certificate_key(certificate), area.name, secret)
    endorsed = f"certificate SHA-256 {fingerprint(certificate)} by root {subject(chain[-1])}"
    return Activation(credential, area, endorsed, secret)
