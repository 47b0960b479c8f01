"""Verify a TPM quote: these PCR values, in this TPM, now.

What a yes rests on, in this order: the signature by a trusted attestation key over the statement, the statement's
magic number and type (a restricted key signs no forged one), the nonce, the selection (exactly the PCRs whose values
are given, and at least one), and the digest over the values. Each is a refusal of its own.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import NotVerifiedError
from builder.evidence.attest import parse_quote
from builder.evidence.freshness import check_nonce
from builder.evidence.pcr_selection import composite_digest, select_values
from builder.evidence.trust import check_statement

if TYPE_CHECKING:
    from builder.evidence.attest import Clock
    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.pcr_selection import PcrBanks
    from builder.evidence.signature import TpmSignature
    from builder.evidence.trust import TrustedAk


@dataclass(frozen=True, slots=True)
class VerifiedQuote:
    """PCR values that a trusted TPM key vouches for, as bank name -> PCR -> value; read-only.

    ``nonce`` is ``None`` if the caller said that freshness is not checked. ``signature_hash`` names the hash of the
    signature, which is also that of the digest over the PCRs.
    """

    pcrs: PcrBanks
    ak: TrustedAk
    nonce: bytes | None
    clock: Clock
    firmware_version: int
    qualified_signer: bytes
    signature_hash: str


def verify_quote(
    attest: bytes,
    signature: TpmSignature,
    ak: TrustedAk,
    nonce: ExpectedNonce,
    pcr_values: PcrBanks,
    *,
    allow_sha1: bool = False,
) -> VerifiedQuote:
    """Verify ``attest`` (the TPMS_ATTEST as it was signed) and return what it vouches for.

    Raises NotVerifiedError with every reason of the first step that fails, InvalidInputError or MalformedImageError
    if the statement breaks its format or names an algorithm that is not supported.
    """
    quote = parse_quote(check_statement(ak, signature, attest, allow_sha1=allow_sha1))
    fresh = check_nonce(nonce, quote.extra_data)
    values = select_values(quote.selection, pcr_values)
    if not hmac.compare_digest(composite_digest(quote.selection, values, signature.hash), quote.pcr_digest):
        raise NotVerifiedError(
            "the PCR values are not those of the quote", ("the digest over the given values is not the quoted one",)
        )
    return VerifiedQuote(values, ak, fresh, quote.clock, quote.firmware_version, quote.qualified_signer, signature.hash)
