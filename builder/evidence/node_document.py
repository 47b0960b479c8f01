"""The evidence document of a node: what its gateway answers to a nonce, and what a verifier may conclude from it.

docs/reference/evidence-document.md describes the form; ``images/inference-node/gateway/internal/evidence`` makes it.

The statement of the TPM is bound to the verifier's nonce and to the key with which the node's end of the TLS connection
proved itself. So whoever verifies a document with the key that was seen on the connection knows that the machine with
these PCRs is the one that is connected. Without that key there is nothing to verify: :class:`Challenge` has both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.certificates import parse_certificate
from builder.evidence.evidence_files import (
    UntrustedDocumentFile,
    UntrustedQuoteParts,
    UntrustedQuotes,
    verify_evidence,
)
from builder.evidence.freshness import OtherNonceError
from builder.evidence.public_area import PublicArea, parse_public
from builder.evidence.tpm_wire import HASH_SIZES
from builder.release.statements import convert, read_json
from builder.weights.identity import Model  # noqa: TC001 -- msgspec resolves annotations at run time
from signing.certificate import UNREADABLE

if TYPE_CHECKING:
    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.evidence_files import Grounds, UntrustedEvidence
    from builder.evidence.pcr_selection import PcrBanks

SCHEMA: Final = "bedplate.evidence/v1"
# Two logs and an identity of a model, in base64; the gateway sends no longer parts than some megabytes.
MAX_DOCUMENT_BYTES: Final = 8 << 20
MIN_NONCE: Final = 16
MAX_NONCE: Final = 64
_WHAT: Final = "evidence document"
_ANOTHER: Final = "the evidence is not that of this node and connection"

_Name = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z._-]{1,128}$(?!\n)")]


@dataclass(frozen=True, slots=True)
class TlsKey:
    """The key that the other end of a TLS connection proved to have: its certificate and SubjectPublicKeyInfo, DER.

    Clients pin the certificate, and evidence is bound to the key, so the one is taken from the other. Raises
    NotVerifiedError for a certificate that is none, or not in DER.
    """

    certificate: bytes
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        try:
            public_key = _public_key_of(self.certificate)
        except (InvalidInputError, *UNREADABLE) as error:
            raise NotVerifiedError("the node's TLS certificate cannot be read", (str(error),)) from None
        object.__setattr__(self, "public_key", public_key)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the SubjectPublicKeyInfo, in lower-case hexadecimal."""
        return hashlib.sha256(self.public_key).hexdigest()


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a document must answer: the nonce that was sent, and the key of the connection that it was sent on.

    Raises InvalidInputError for a nonce that has not MIN_NONCE to MAX_NONCE bytes.
    """

    nonce: bytes
    tls_key: TlsKey

    def __post_init__(self) -> None:
        if not isinstance(self.tls_key, TlsKey):
            raise TypeError("the key of a TLS connection is expected")
        if not MIN_NONCE <= len(self.nonce) <= MAX_NONCE:
            raise InvalidInputError(
                f"a nonce of {len(self.nonce)} bytes is given, it must have {MIN_NONCE} to {MAX_NONCE}"
            )

    @property
    def binding(self) -> bytes:
        """What the statement must carry in place of a bare nonce."""
        return binding_of(self.nonce, self.tls_key.public_key)


def binding_of(nonce: bytes, public_key: bytes) -> bytes:
    """What a TPM signs that answers ``nonce`` for the owner of a TLS key (32 bytes)."""
    framed = b"".join(len(part).to_bytes(2, "big") + part for part in (nonce, public_key))
    return hashlib.sha256(f"{SCHEMA}\0".encode() + framed).digest()


class ReleaseClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the node says that it runs. Nothing rests on it: appraisal finds out."""

    name: _Name
    version: _Name


class _Tpm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: bytes
    endorsement_certificate: bytes | None
    message: bytes
    signature: bytes
    pcrs: dict[str, dict[str, str]]


class _NitroTpm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    document: bytes


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: str
    nonce: str
    tls_key: bytes
    release: ReleaseClaim
    model: Model | None
    event_log: bytes
    userspace_log: bytes
    tpm: _Tpm | None = None
    nitrotpm: _NitroTpm | None = None


@dataclass(frozen=True, slots=True)
class UntrustedNodeDocument:
    """A document as it came. ``model`` is what the node says of its weights, ``None`` if it has none."""

    nonce: bytes
    tls_public_key: bytes
    release: ReleaseClaim
    model: Model | None
    event_log: bytes
    userspace_log: bytes
    evidence: UntrustedEvidence
    endorsement_certificate: bytes | None


@dataclass(frozen=True, slots=True)
class VerifiedNodeDocument:
    """A document whose statement answers ``challenge``; made by ``verify_node_document``.

    What is in ``evidence`` a TPM vouches for. ``document`` has the rest: the logs, which are still to be verified
    against the evidence, and what the node says of itself, which is as good as the software that the evidence shows.
    """

    evidence: VerifiedEvidence
    challenge: Challenge
    document: UntrustedNodeDocument


def _public_key_of(certificate: bytes) -> bytes:
    parsed = parse_certificate(certificate, "TLS certificate")
    if parsed.public_bytes(Encoding.DER) != certificate:
        raise InvalidInputError("TLS certificate: it is not in DER")
    return parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def parse_node_document(data: bytes) -> UntrustedNodeDocument:
    """Read a document.

    Raises InvalidInputError if it is no JSON of the schema, has unknown members or more than one kind of evidence, and
    as ``parse_public``.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidInputError(f"{_WHAT}: {len(data)} bytes are more than {MAX_DOCUMENT_BYTES}")
    value = read_json(data, what=_WHAT)
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise InvalidInputError(f"{_WHAT}: the schema is {str(schema)[:60]!a}, expected {SCHEMA!r}")
    stated = convert(value, _Document, what=_WHAT)
    return UntrustedNodeDocument(
        nonce=_hexadecimal(stated.nonce, "nonce"),
        tls_public_key=stated.tls_key,
        release=stated.release,
        model=stated.model,
        event_log=stated.event_log,
        userspace_log=stated.userspace_log,
        evidence=_evidence(stated),
        endorsement_certificate=None if stated.tpm is None else stated.tpm.endorsement_certificate,
    )


def verify_node_document(
    document: UntrustedNodeDocument, challenge: Challenge, grounds: Grounds
) -> VerifiedNodeDocument:
    """Verify that a trusted TPM stated its PCRs in answer to ``challenge``.

    Raises NotVerifiedError with the reason if it answers another nonce, or is bound to another TLS key; and as
    ``verify_evidence``, which is asked for the binding in place of a nonce.
    """
    if not isinstance(document, UntrustedNodeDocument) or not isinstance(challenge, Challenge):
        raise TypeError("a parsed document and a challenge are expected")
    problems = []
    # The binding decides. These two say in words what would else only be a wrong hash.
    if document.nonce != challenge.nonce:
        problems.append("it answers another nonce: it is an answer to somebody else, or an old one")
    if document.tls_public_key != challenge.tls_key.public_key:
        problems.append("it is bound to another TLS key than that of the connection: somebody is in between")
    if grounds.ak is not None and isinstance(document.evidence, UntrustedQuotes):
        shown = document.evidence.key
        if (shown.key if isinstance(shown, PublicArea) else shown) != grounds.ak.key:
            problems.append("its attestation key is another than the trusted one: it is of another machine")
    if problems:
        raise NotVerifiedError(_ANOTHER, tuple(problems))
    try:
        verified = verify_evidence(document.evidence, challenge.binding, grounds)
    except OtherNonceError:
        # What was asked for is one hash over both, so it cannot be told which of them the TPM was given.
        problem = (
            "what was signed is not over this nonce and this TLS key: it is an old answer, or somebody is in between"
        )
        raise NotVerifiedError(_ANOTHER, (problem,)) from None
    return VerifiedNodeDocument(verified, challenge, document)


def _evidence(stated: _Document) -> UntrustedEvidence:
    match stated.tpm, stated.nitrotpm:
        case _Tpm() as tpm, None:
            quote = UntrustedQuoteParts(tpm.message, tpm.signature, _pcrs(tpm.pcrs))
            return UntrustedQuotes((quote,), parse_public(tpm.key))
        case None, _NitroTpm() as nitrotpm:
            return UntrustedDocumentFile(nitrotpm.document)
        case _:
            raise InvalidInputError(f"{_WHAT}: exactly one of tpm and nitrotpm is expected")


def _pcrs(stated: dict[str, dict[str, str]]) -> PcrBanks:
    banks: dict[str, dict[int, bytes]] = {}
    for bank, values in stated.items():
        if bank not in HASH_SIZES:
            raise InvalidInputError(f"{_WHAT}: the bank {bank[:20]!a} is not known")
        banks[bank] = {}
        for index, value in values.items():
            if not index.isascii() or not index.isdigit() or str(int(index[:4])) != index:
                raise InvalidInputError(f"{_WHAT}: {index[:20]!a} is the number of no PCR")
            banks[bank][int(index)] = _hexadecimal(value, f"PCR {index}")
    return banks


def _hexadecimal(text: str, what: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if value.hex() != text:  # fromhex takes blanks and capitals
        raise InvalidInputError(f"{_WHAT}: {what} is not in lower-case hexadecimal")
    return value
