"""What a verifier knows for sure of a node, whatever the kind of evidence: the value that appraisal takes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.nitro import NitroKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from builder.evidence.attest import Clock
    from builder.evidence.nitro import VerifiedNitroDocument
    from builder.evidence.pcr_selection import PcrBanks
    from builder.evidence.quote import VerifiedQuote
    from builder.evidence.trust import Trust


class EvidenceKind(enum.StrEnum):
    """What vouches for the PCR values."""

    TPM_QUOTE = "tpm-quote"
    NITROTPM = "nitrotpm"


@dataclass(frozen=True, slots=True)
class VerifiedEvidence:
    """PCR values of a node that were verified, and why.

    ``pcrs`` maps bank name ("sha1", "sha256", "sha384", "sha512") and PCR to the value; ``nonce`` is ``None`` if the
    caller said that freshness is not checked. ``clock`` and ``firmware_version`` are a quote's, ``time`` a
    document's. ``claims`` is what else the evidence states: ``module_id`` (AWS's word), ``user_data`` and
    ``public_key`` (the node's own words, signed with the rest).
    """

    kind: EvidenceKind
    pcrs: PcrBanks
    trust: Trust
    nonce: bytes | None
    time: datetime | None
    clock: Clock | None
    firmware_version: int | None
    claims: Mapping[str, str | bytes]


def evidence_of_quotes(quotes: Sequence[VerifiedQuote]) -> VerifiedEvidence:
    """One or more quotes of one TPM (cloud agents quote each bank by itself) as one piece of evidence.

    Raises InvalidInputError if there is none, NotVerifiedError if they differ in the key, the nonce, or the reset or
    restart of the TPM, or say different things of one PCR: they are then not one state of one machine.
    """
    if not quotes:
        raise InvalidInputError("there is no quote")
    first, *others = quotes
    pcrs = {bank: dict(values) for bank, values in first.pcrs.items()}
    problems = set()
    for quote in others:
        if quote.ak.key != first.ak.key:
            problems.add("they are signed by different keys")
        if quote.nonce != first.nonce:
            problems.add("they carry different nonces")
        if (quote.clock.reset_count, quote.clock.restart_count) != (first.clock.reset_count, first.clock.restart_count):
            problems.add("the TPM was reset or restarted between them")
        for bank, values in quote.pcrs.items():
            known = pcrs.setdefault(bank, {})
            changed = (index for index in values.keys() & known.keys() if known[index] != values[index])
            problems.update(f"PCR {index} ({bank}) changed between them" for index in changed)
            known.update(values)
    if problems:
        raise NotVerifiedError("the quotes do not show one state of one machine", tuple(sorted(problems)))
    return VerifiedEvidence(
        kind=EvidenceKind.TPM_QUOTE,
        pcrs=MappingProxyType({bank: MappingProxyType(values) for bank, values in pcrs.items()}),
        trust=first.ak.trust,
        nonce=first.nonce,
        time=None,
        clock=first.clock,
        firmware_version=first.firmware_version,
        claims=MappingProxyType({}),
    )


def evidence_of_document(document: VerifiedNitroDocument) -> VerifiedEvidence:
    """A NitroTPM document as evidence.

    Raises InvalidInputError for an enclave's document: its PCRs are other registers, which measure an enclave image
    and not a boot, and must never be compared with those of a release.
    """
    if document.kind is not NitroKind.NITROTPM:
        raise InvalidInputError(
            f"this is a document of the Nitro Enclave {document.module_id}, not of an instance's NitroTPM",
            hint="the PCRs of an enclave measure its image file, not a boot, so no release can match them",
        )
    stated = {"user_data": document.user_data, "public_key": document.public_key}
    claims: dict[str, str | bytes] = {name: value for name, value in stated.items() if value is not None}
    return VerifiedEvidence(
        kind=EvidenceKind.NITROTPM,
        pcrs=MappingProxyType({"sha384": document.sha384_pcrs}),
        trust=document.trust,
        nonce=document.nonce,
        time=document.timestamp,
        clock=None,
        firmware_version=None,
        claims=MappingProxyType({"module_id": document.module_id, **claims}),
    )
