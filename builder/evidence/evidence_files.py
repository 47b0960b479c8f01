"""Files of evidence, recognised by content, and what is verified of them: the way from what a node sent to evidence.

quote of tpm2-tools    three files in any order: the message (``tpm2_quote -m``, begins with the TPM's magic), the
                       signature (``-s``) and the PCR values (``-o``), each in any of its forms; the files of a
                       further quote of the same TPM follow those of the first
go-tpm-tools           one protobuf file, with key, quotes and event log
go-attestation         one JSON file, with key, quote and event log
trustee                one JSON file, with quote and key, or of an Azure vTPM with quote and HCL report
NitroTPM document      one COSE_Sign1

A key that came with the evidence is used only if the caller says that it is trusted on first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, MalformedImageError
from builder.evidence.attest import parse_quote
from builder.evidence.evidence import VerifiedEvidence, evidence_of_document, evidence_of_quotes
from builder.evidence.go_tools import parse_go_attestation, parse_go_tpm_tools
from builder.evidence.nitro import verify_document
from builder.evidence.public_area import PublicArea, parse_public
from builder.evidence.quote import verify_quote
from builder.evidence.signature import TpmSignature, parse_signature
from builder.evidence.tpm2_tools import parse_marshaled_pcrs, parse_plain_pcrs, parse_serialized_pcrs, read_signature
from builder.evidence.trust import TrustedAk, load_public_key, trust_on_first_use
from builder.evidence.trustee import parse_azure_evidence, parse_tpm_evidence
from builder.release.statements import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from builder.evidence.endorsement import EndorsementRoots
    from builder.evidence.freshness import ExpectedNonce
    from builder.evidence.pcr_selection import PcrBanks, Selection
    from builder.evidence.signature import PublicKey

MAX_EVIDENCE_BYTES: Final = 16 << 20
_TPM_GENERATED: Final = b"\xffTCG"
# A COSE_Sign1 with and without its tag: an array of four.
_COSE_STARTS: Final = (b"\x84", b"\xd2\x84")
# Every writer of protobuf puts the first field of attest.Attestation, ak_pub, first: number 1, with a length.
_FIRST_FIELD: Final = b"\x0a"
_TPM2_TOOLS_FILES: Final = 3
# A quote for each bank, and room for those who quote each PCR by itself.
_MAX_QUOTES: Final = 32
_HINT: Final = "name a quote's message, signature and PCR file, one attestation of Go's tools, or one NitroTPM document"


@dataclass(frozen=True, slots=True)
class UntrustedQuoteParts:
    """A quote as ``verify_quote`` takes it; ``signature`` may be plain bytes, which the key gives a meaning."""

    attest: bytes
    signature: bytes | TpmSignature
    pcrs: PcrBanks


@dataclass(frozen=True, slots=True)
class UntrustedQuotes:
    """Quotes of one TPM. ``key`` and ``event_log`` are what came with them, if anything did."""

    quotes: tuple[UntrustedQuoteParts, ...]
    key: PublicKey | PublicArea | None = None
    event_log: bytes | None = None


@dataclass(frozen=True, slots=True)
class UntrustedDocumentFile:
    """A NitroTPM document as it came."""

    data: bytes


UntrustedEvidence = UntrustedQuotes | UntrustedDocumentFile


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why evidence is believed: an attestation key, or first use of the one that came along, or roots of AWS.

    ``at`` is the time at which certificates of a document must be valid. ``endorsed`` is for whoever can ask the TPM
    (``builder.connect``): it makes an ``ak`` of the key that came along. Raises ValueError for that beside another
    ground.
    """

    ak: TrustedAk | None
    first_use: bool
    nitro_roots: Sequence[x509.Certificate]
    at: datetime
    endorsed: EndorsementRoots | None = None

    def __post_init__(self) -> None:
        if self.endorsed is not None and (self.ak is not None or self.first_use):
            raise ValueError("a key is trusted for its TPM, or for another reason, and not for two")


def recognise(files: Sequence[bytes]) -> UntrustedEvidence:
    """What the files are. Raises InvalidInputError if they are nothing that is known, or more than one thing."""
    if not files or any(not data or len(data) > MAX_EVIDENCE_BYTES for data in files):
        raise InvalidInputError("the evidence is missing, empty or too long", hint=_HINT)
    if any(data.startswith(_TPM_GENERATED) for data in files):
        return UntrustedQuotes(_tpm2_tools(files))
    if len(files) > 1:
        raise InvalidInputError("none of the files is a quote's message, and other evidence is one file", hint=_HINT)
    (data,) = files
    if data.startswith(_COSE_STARTS):
        return UntrustedDocumentFile(data)
    if data.lstrip()[:1] == b"{":
        return _json(data)
    if data[:1] != _FIRST_FIELD:
        raise InvalidInputError("the file is no evidence of a known kind", hint=_HINT)
    found = parse_go_tpm_tools(data)
    quotes = tuple(UntrustedQuoteParts(item.attest, item.signature, item.pcrs) for item in found.quotes)
    return UntrustedQuotes(quotes, parse_public(found.ak_public), found.event_log or None)


def verify_evidence(evidence: UntrustedEvidence, nonce: ExpectedNonce, grounds: Grounds) -> VerifiedEvidence:
    """Verify what was recognised.

    Raises NotVerifiedError if a check says no, InvalidInputError without the grounds that this kind needs, and as
    ``verify_quote`` and ``verify_document``.
    """
    if isinstance(evidence, UntrustedDocumentFile):
        if not grounds.nitro_roots:
            raise InvalidInputError("a NitroTPM document is verified with a root certificate of AWS, and none is given")
        return evidence_of_document(verify_document(evidence.data, grounds.nitro_roots, nonce, grounds.at))
    ak = grounds.ak
    if ak is None and grounds.first_use and evidence.key is not None:
        ak = trust_on_first_use(evidence.key)
    if ak is None:
        raise InvalidInputError(
            "a quote is verified with an attestation key, and none is given",
            hint="name the key, or its certificate and a root; nothing that came with the evidence vouches for it",
        )
    return evidence_of_quotes(
        [verify_quote(item.attest, _signature(item, ak), ak, nonce, item.pcrs) for item in evidence.quotes]
    )


def read_attestation_key(data: bytes) -> PublicKey | PublicArea:
    """A key file: PEM, or TPMT_PUBLIC or TPM2B_PUBLIC as a TPM gives them. Raises InvalidInputError."""
    return load_public_key(data) if data.lstrip().startswith(b"-----") else parse_public(data)


def _signature(quote: UntrustedQuoteParts, ak: TrustedAk) -> TpmSignature:
    if isinstance(quote.signature, TpmSignature):
        return quote.signature
    return read_signature(quote.signature, ak.public_area or ak.key)


def _json(data: bytes) -> UntrustedQuotes:
    value = read_json(data, what="evidence")
    if "AK" in value:
        found = parse_go_attestation(data)
        quotes = tuple(UntrustedQuoteParts(item.attest, item.signature, item.pcrs) for item in found.quotes)
        return UntrustedQuotes(quotes, parse_public(found.ak_public), found.event_log or None)
    if "ak_public" in value:
        tpm = parse_tpm_evidence(data)
        return UntrustedQuotes((UntrustedQuoteParts(tpm.attest, tpm.signature, tpm.pcrs),), tpm.key)
    azure = parse_azure_evidence(data)
    return UntrustedQuotes((UntrustedQuoteParts(azure.attest, azure.signature, azure.pcrs),), azure.report.ak)


def _tpm2_tools(files: Sequence[bytes]) -> tuple[UntrustedQuoteParts, ...]:
    groups = [files[start : start + _TPM2_TOOLS_FILES] for start in range(0, len(files), _TPM2_TOOLS_FILES)]
    if len(groups) > _MAX_QUOTES:
        raise InvalidInputError(f"{len(files)} files are more than {_MAX_QUOTES} quotes have", hint=_HINT)
    return tuple(_tpm2_tools_quote(group) for group in groups)


def _tpm2_tools_quote(files: Sequence[bytes]) -> UntrustedQuoteParts:
    messages = [data for data in files if data.startswith(_TPM_GENERATED)]
    others = [data for data in files if not data.startswith(_TPM_GENERATED)]
    if len(messages) != 1 or len(others) != _TPM2_TOOLS_FILES - 1:
        raise InvalidInputError(
            f"{len(messages)} of {len(files)} files are messages of quotes; one quote has a message, a signature and "
            "PCRs, and the files of several stand together",
            hint=_HINT,
        )
    selection = parse_quote(messages[0]).selection
    read = [(_pcr_file(data, selection), other) for data, other in zip(others, reversed(others), strict=True)]
    # Raw PCR values can look like a plain signature, and the reverse; a TPMT_SIGNATURE is no PCR file.
    fits = [(pcrs, signature) for pcrs, signature in read if pcrs is not None]
    if len(fits) > 1:
        fits = [(pcrs, signature) for pcrs, signature in fits if _is_tpm_signature(signature)]
    if len(fits) != 1:
        raise InvalidInputError("which file is the signature and which has the PCR values cannot be told", hint=_HINT)
    pcrs, signature = fits[0]
    return UntrustedQuoteParts(messages[0], signature, pcrs)


def _pcr_file(data: bytes, selection: Selection) -> PcrBanks | None:
    for parse in (parse_serialized_pcrs, parse_marshaled_pcrs, lambda file: parse_plain_pcrs(file, selection)):
        try:
            return parse(data)
        except (MalformedImageError, InvalidInputError):
            continue
    return None


def _is_tpm_signature(data: bytes) -> bool:
    try:
        parse_signature(data)
    except (MalformedImageError, InvalidInputError):
        return False
    return True
