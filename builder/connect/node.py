"""Connecting to a node: ask, verify, appraise."""

from __future__ import annotations

import dataclasses
import secrets
from typing import TYPE_CHECKING, Final

from builder.connect.channel import activate, ask
from builder.errors import NotVerifiedError
from builder.evidence.certificates import parse_certificate
from builder.evidence.endorsement import ask_endorsed
from builder.evidence.evidence_files import UntrustedQuotes
from builder.evidence.node_appraisal import AppraisedNode, appraise_node
from builder.evidence.node_document import parse_node_document, verify_node_document
from builder.evidence.public_area import PublicArea

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from builder.connect.origin import Origin
    from builder.evidence.endorsement import EndorsementRoots
    from builder.evidence.evidence_files import Grounds
    from builder.evidence.node_document import UntrustedNodeDocument
    from builder.evidence.policy import AppraisalPolicy
    from builder.evidence.trust import TrustedAk
    from builder.release.trusted import TrustedReference

NONCE_BYTES: Final = 32


def connect(
    origin: Origin, releases: Sequence[TrustedReference], grounds: Grounds, policy: AppraisalPolicy
) -> AppraisedNode:
    """Ask a node for evidence with a nonce of this call, and appraise it.

    If the grounds name authorities of TPMs, the node's TPM is then asked whether it holds the attestation key.
    Raises NotVerifiedError if what it shows is not verified, InvalidInputError if it is nothing that can be read, and
    as ``channel.ask`` and ``appraise_node``. A node that was verified and is not accepted is a result.
    """
    answer = ask(origin, secrets.token_bytes(NONCE_BYTES))
    document = parse_node_document(answer.document)
    if grounds.endorsed is not None:
        grounds = dataclasses.replace(
            grounds, ak=_endorsed_key(origin, document, grounds.endorsed, grounds.at), endorsed=None
        )
    return appraise_node(verify_node_document(document, answer.challenge, grounds), releases, policy)


def _endorsed_key(origin: Origin, document: UntrustedNodeDocument, roots: EndorsementRoots, at: datetime) -> TrustedAk:
    """The key that a node shows, if it is in the TPM whose certificate it shows."""
    evidence, certificate = document.evidence, document.endorsement_certificate
    if not isinstance(evidence, UntrustedQuotes) or not isinstance(evidence.key, PublicArea) or certificate is None:
        raise NotVerifiedError(f"{origin} is not accepted", ("it shows no certificate of a TPM",))
    shown = parse_certificate(certificate, "endorsement certificate")
    activation = ask_endorsed(evidence.key, shown, roots, at)
    return activation.trusted(activate(origin, activation.credential))
