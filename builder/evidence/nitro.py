"""Attestation documents of AWS: of an EC2 instance's NitroTPM (``nitrotpm_pcrs``) and of a Nitro Enclave (``pcrs``).

A COSE_Sign1 with ES384, untagged as AWS writes it, over a CBOR map:

    module_id text, digest "SHA384", timestamp milliseconds since 1970, nitrotpm_pcrs or pcrs {index: 48 bytes},
    certificate DER, cabundle [DER, ...] root first, public_key, user_data, nonce: bytes or null

Signed by the key of ``certificate``, which leads through ``cabundle`` to AWS's root. Leaf certificates live three
hours, so the path is verified at the time that the caller states: now for a fresh document, the document's own
``timestamp`` (``document_time``) for a stored one, whose age the nonce must then bound.

Format: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/nitrotpm-attestation-document-content.html and
https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/docs/attestation_process.md
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

from builder.errors import MalformedImageError, NotVerifiedError
from builder.evidence import cbor
from builder.evidence.certificates import fingerprint, parse_certificate, subject, verify_path
from builder.evidence.cose import CoseAlgorithm, parse_sign1, verify_sign1
from builder.evidence.freshness import check_nonce
from builder.evidence.trust import Trust, TrustKind
from signing.certificate import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography import x509

    from builder.evidence.freshness import ExpectedNonce

# SHA-256 of the DER of AWS's root "aws.nitro-enclaves" (G1), as AWS publishes it, to compare with what the user gives
# as root. Nothing here trusts it by itself.
AWS_ROOT_FINGERPRINT: Final = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

MAX_DOCUMENT: Final = 32768
MAX_PAYLOAD: Final = 16384
MAX_CERTIFICATE: Final = 1024
MAX_FIELD: Final = 1024
_MAX_MODULE_ID: Final = 256
_MAX_BUNDLE: Final = 8
_MAX_PCRS: Final = 32
_PCR_SIZE: Final = 48
_NAME: Final = "Nitro document"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The year 9999, after which no date can be made of it.
_MAX_TIMESTAMP: Final = 253402300799999


class NitroKind(enum.StrEnum):
    """Whose document it is; the value is the kind of evidence."""

    NITROTPM = "nitrotpm"
    ENCLAVE = "nitro-enclave"


_PCR_FIELDS: Final = {"nitrotpm_pcrs": NitroKind.NITROTPM, "pcrs": NitroKind.ENCLAVE}
_REQUIRED: Final = frozenset({"module_id", "digest", "timestamp", "certificate", "cabundle"})
_OPTIONAL: Final = frozenset({"public_key", "user_data", "nonce"})


@dataclass(frozen=True, slots=True)
class UntrustedDocument:
    """The fields of a document that nobody verified."""

    kind: NitroKind
    module_id: str
    timestamp: datetime
    pcrs: Mapping[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class VerifiedNitroDocument:
    """What AWS vouches for. ``sha384_pcrs`` are values by index, read-only.

    ``nonce`` is ``None`` if the caller said that freshness is not checked. ``public_key`` and ``user_data`` are what
    the node asked to have signed: authentic, but the node's own words.
    """

    kind: NitroKind
    module_id: str
    timestamp: datetime
    sha384_pcrs: Mapping[int, bytes]
    nonce: bytes | None
    user_data: bytes | None
    public_key: bytes | None
    trust: Trust


def verify_document(
    data: bytes, roots: Sequence[x509.Certificate], nonce: ExpectedNonce, at: datetime
) -> VerifiedNitroDocument:
    """Verify a document: path to one of ``roots`` at the time ``at``, signature, nonce.

    Raises NotVerifiedError if a check says no, MalformedImageError or InvalidInputError if the document breaks its
    format, and InvalidInputError if there is no root or ``at`` has no time zone.
    """
    message = parse_sign1(data, limit=MAX_DOCUMENT)
    document = parse_payload(message.payload)
    leaf = parse_certificate(document.certificate, f"{_NAME} certificate")
    bundle = [parse_certificate(entry, f"{_NAME} cabundle") for entry in document.cabundle]
    chain = verify_path(leaf, bundle, roots, at)
    # Until here nothing of the document was believed but what leads to the root.
    verify_sign1(message, _es384_key(chain), CoseAlgorithm.ES384)
    fresh = check_nonce(nonce, document.nonce)
    detail = f"certificate {subject(leaf)} by root {subject(chain[-1])} (SHA-256 {fingerprint(chain[-1])})"
    return VerifiedNitroDocument(
        document.kind,
        document.module_id,
        document.timestamp,
        document.pcrs,
        fresh,
        document.user_data,
        document.public_key,
        Trust(TrustKind.CERTIFICATE, detail),
    )


def document_time(data: bytes) -> datetime:
    """The time that an unverified document says it was made, to verify a stored one at.

    A forger can write any time; the signature is then still not AWS's. Raises MalformedImageError.
    """
    return parse_payload(parse_sign1(data, limit=MAX_DOCUMENT).payload).timestamp


def parse_payload(data: bytes) -> UntrustedDocument:
    """Read the payload of a document. Raises MalformedImageError if a field is missing, unknown, too long or wrong."""
    fields = cbor.loads(data, _NAME, limit=MAX_PAYLOAD)
    if not isinstance(fields, dict):
        raise _malformed("the payload is no map")
    kinds = [name for name in _PCR_FIELDS if name in fields]
    if len(kinds) != 1:
        raise _malformed(f"it has {' and '.join(kinds) or 'neither ' + ' nor '.join(_PCR_FIELDS)}")
    missing = sorted(_REQUIRED - fields.keys())
    unknown = sorted(repr(name) for name in fields.keys() - _REQUIRED - _OPTIONAL - {kinds[0]})
    if missing or unknown:
        raise _malformed(f"missing fields: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}")
    if fields["digest"] != "SHA384":
        raise _malformed(f"the digest is {fields['digest']!r} instead of 'SHA384'")
    module_id = fields["module_id"]
    if not isinstance(module_id, str) or not 1 <= len(module_id) <= _MAX_MODULE_ID:
        raise _malformed("the module_id is no text of 1 to 256 characters")
    return UntrustedDocument(
        kind=_PCR_FIELDS[kinds[0]],
        module_id=module_id,
        timestamp=_timestamp(fields["timestamp"]),
        pcrs=_pcrs(fields[kinds[0]]),
        certificate=_bytes(fields["certificate"], "certificate", MAX_CERTIFICATE),
        cabundle=_bundle(fields["cabundle"]),
        public_key=_optional_bytes(fields.get("public_key"), "public_key"),
        user_data=_optional_bytes(fields.get("user_data"), "user_data"),
        nonce=_optional_bytes(fields.get("nonce"), "nonce"),
    )


def _es384_key(chain: Sequence[x509.Certificate]) -> ec.EllipticCurvePublicKey:
    """The leaf's key, if every key of the path is on P-384 and signs with SHA-384, as all of AWS's do."""
    problems = []
    keys = []
    for certificate in chain:
        try:
            key = certificate.public_key()
        except UNREADABLE:
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
            problems.append(f"the key of {subject(certificate)} is not on P-384")
        elif certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
            problems.append(f"{subject(certificate)} is not signed with ECDSA and SHA-384")
        else:
            keys.append(key)
    if problems:
        raise NotVerifiedError("the certificates are not those of a Nitro document", tuple(problems))
    return keys[0]


def _pcrs(value: cbor.Value) -> Mapping[int, bytes]:
    if not isinstance(value, dict) or not 1 <= len(value) <= _MAX_PCRS:
        raise _malformed(f"the PCRs are no map of 1 to {_MAX_PCRS} entries")
    pcrs = {}
    for index, digest in value.items():
        if not isinstance(index, int) or not 0 <= index < _MAX_PCRS:
            raise _malformed(f"{index!r} is no index of a PCR")
        if not isinstance(digest, bytes) or len(digest) != _PCR_SIZE:
            raise _malformed(f"PCR {index} does not have {_PCR_SIZE} bytes")
        pcrs[index] = digest
    return MappingProxyType(pcrs)


def _timestamp(value: cbor.Value) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _MAX_TIMESTAMP:
        raise _malformed("the timestamp is no number of milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=value)


def _bundle(value: cbor.Value) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_BUNDLE:
        raise _malformed(f"the cabundle is no list of 1 to {_MAX_BUNDLE} certificates")
    return tuple(_bytes(entry, "cabundle", MAX_CERTIFICATE) for entry in value)


def _optional_bytes(value: cbor.Value, field: str) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, bytes) or len(value) > MAX_FIELD:
        raise _malformed(f"the field {field} is neither null nor at most {MAX_FIELD} bytes")
    return value


def _bytes(value: cbor.Value, field: str, limit: int) -> bytes:
    if not isinstance(value, bytes) or not 1 <= len(value) <= limit:
        raise _malformed(f"the field {field} is not 1 to {limit} bytes")
    return value


def _malformed(problem: str) -> MalformedImageError:
    return MalformedImageError(_NAME, None, problem)
