"""Evidence as Confidential Containers writes it (trustee): of Azure confidential VMs, and of any TPM.

Azure (az-snp-vtpm, az-tdx-vtpm): JSON with an HCL report, a quote of the vTPM with 24 SHA-256 PCRs and a plain RSASSA
signature over SHA-256, and the hardware's own evidence. Version 0 writes bytes as lists of numbers (``quote`` and
``report``, or ``tpm_quote`` and ``hcl_report``); versions 1 and 2 write hexadecimal, and the HCL report as base64url
without padding.

Any TPM (tpm): JSON with the attestation key as SubjectPublicKeyInfo, TPMS_ATTEST and TPMT_SIGNATURE, all in base64, and
24 SHA-256 PCRs in hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError
from builder.evidence.azure import parse_hcl_report
from builder.evidence.signature import RSASSA, parse_signature, plain_signature
from builder.evidence.strict_json import decode_json
from builder.evidence.trust import load_public_key

if TYPE_CHECKING:
    from builder.evidence.azure import HclReport
    from builder.evidence.pcr_selection import PcrBanks
    from builder.evidence.signature import PublicKey, TpmSignature

_NAME: Final = "Azure vTPM evidence"
_TPM_NAME: Final = "TPM evidence"
_VERSIONS: Final = (0, 1, 2)
MAX_FILE: Final = 1 << 20
_PCRS: Final = 24

_Bytes = str | list[int]


class _Quote(msgspec.Struct):
    message: _Bytes
    signature: _Bytes
    pcrs: list[_Bytes]


class _Evidence(msgspec.Struct):
    version: int = 0
    quote: _Quote | None = None
    tpm_quote: _Quote | None = None
    report: _Bytes | None = None
    hcl_report: _Bytes | None = None


class _TpmQuote(msgspec.Struct):
    message: str
    signature: str
    pcrs: list[str]


class _TpmEvidence(msgspec.Struct):
    ak_public: str
    tpm_quote: _TpmQuote


@dataclass(frozen=True, slots=True)
class UntrustedTpmEvidence:
    """The parts of the file. ``key`` signed, if anybody did, and nobody vouches for it."""

    attest: bytes
    signature: TpmSignature
    pcrs: PcrBanks
    key: PublicKey


@dataclass(frozen=True, slots=True)
class UntrustedAzureEvidence:
    """The parts of the file. ``report`` names the key that signed, and is not verified against the hardware."""

    attest: bytes
    signature: TpmSignature
    pcrs: PcrBanks
    report: HclReport


def parse_azure_evidence(data: bytes) -> UntrustedAzureEvidence:
    """Read the JSON. Raises InvalidInputError if it breaks the format, and as ``parse_hcl_report``."""
    if len(data) > MAX_FILE:
        raise InvalidInputError(f"{_NAME}: {len(data)} bytes are more than {MAX_FILE}")
    evidence = decode_json(data, _Evidence, _NAME)
    if evidence.version not in _VERSIONS:
        raise InvalidInputError(f"{_NAME}: version {evidence.version} is none of 0, 1 and 2")
    quote, report = evidence.tpm_quote or evidence.quote, evidence.hcl_report or evidence.report
    if quote is None or report is None:
        raise InvalidInputError(f"{_NAME}: the quote or the HCL report is missing")
    if len(quote.pcrs) != _PCRS:
        raise InvalidInputError(f"{_NAME}: it has {len(quote.pcrs)} PCRs instead of {_PCRS}")
    return UntrustedAzureEvidence(
        _bytes(quote.message),
        plain_signature(_bytes(quote.signature), RSASSA, "sha256"),
        {"sha256": {index: _bytes(value) for index, value in enumerate(quote.pcrs)}},
        parse_hcl_report(_base64url(report) if isinstance(report, str) else _bytes(report)),
    )


def parse_tpm_evidence(data: bytes) -> UntrustedTpmEvidence:
    """Read the JSON of any TPM. Raises InvalidInputError if it breaks the format, and as ``parse_signature``."""
    if len(data) > MAX_FILE:
        raise InvalidInputError(f"{_TPM_NAME}: {len(data)} bytes are more than {MAX_FILE}")
    evidence = decode_json(data, _TpmEvidence, _TPM_NAME)
    quote = evidence.tpm_quote
    if len(quote.pcrs) != _PCRS:
        raise InvalidInputError(f"{_TPM_NAME}: it has {len(quote.pcrs)} PCRs instead of {_PCRS}")
    return UntrustedTpmEvidence(
        _base64(quote.message),
        parse_signature(_base64(quote.signature)),
        {"sha256": {index: _bytes(value, _TPM_NAME) for index, value in enumerate(quote.pcrs)}},
        load_public_key(_base64(evidence.ak_public)),
    )


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"{_TPM_NAME}: a value is not base64") from None


def _bytes(value: _Bytes, name: str = _NAME) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else bytes(value)
    except ValueError:
        raise InvalidInputError(f"{name}: a value is neither hexadecimal nor a list of bytes") from None


def _base64url(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"{_NAME}: the HCL report is not base64url") from None
