"""What a verifier takes from a release when it has only its statements: signatures first, parsing second.

A :class:`TrustedReference` cannot be made from values that nobody signed: the functions here are the only way to one.
The image is not needed. That the values follow from the image is what the signer vouches for; whoever has the whole
directory can check that too (``builder.release.verify``).
"""

from __future__ import annotations

import hashlib
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import PCR_COUNT, Bank
from builder.measurement.phases import Phase
from builder.release.statements import (
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    STATEMENT_TYPE,
    ReferenceMeasurements,
    Statement,
    convert,
    decode_statement,
    read_json,
)
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.release.statements import MeasuredPcr, ReferenceValues
    from signing.dsse import Envelope
    from signing.keys import PublicKey

# A statement of reference measurements has some 25 KiB, one that also has the provenance 100 KiB.
MAX_REFERENCE_BYTES: Final = 8 << 20
_PROOF: Final = object()
_PHASES: Final = {phase.label: phase for phase in Phase}
_BUNDLE_ENVELOPE: Final = "dsseEnvelope"


@dataclass(frozen=True, slots=True)
class StatedPcr:
    """The values of one PCR by bank; ``phases`` by boot phase in the order of a boot, for PCR 11 only."""

    values: Mapping[str, bytes]
    phases: dict[Phase, Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class StatedBoot:
    """One way to boot. ``unpredictable`` has the reason for every PCR that the release gives no value of."""

    mode: SecureBootMode
    pcrs: Mapping[int, StatedPcr]
    unpredictable: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class TrustedReference:
    """The reference measurements of a release as trusted keys signed them.

    ``digest`` is the SHA-256 (hex) of the signed statement and names the release in a list of revocations; ``key_ids``
    are the trusted keys that signed it; ``finished`` is when the build ended, if the same keys say so in a provenance
    of the same files; ``boots`` are the values in the form in which evidence is compared with them.
    """

    reference: ReferenceMeasurements
    digest: str
    key_ids: tuple[str, ...]
    finished: datetime | None
    boots: tuple[StatedBoot, ...]
    subjects: frozenset[str] = field(repr=False)
    # No default, so that dataclasses.replace() needs it, too.
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _PROOF:
            raise TypeError("a TrustedReference is made by load_trusted_reference")

    @property
    def label(self) -> str:
        """Name and version, for a person."""
        return f"{self.reference.image.name} {self.reference.image.version}"


def load_trusted_reference(data: bytes, trusted: Sequence[PublicKey], threshold: int = 1) -> TrustedReference:
    """Verify and read the reference measurements in ``data``.

    ``data`` is the content of ``release.intoto.jsonl``, a single DSSE envelope, or a sigstore bundle. Every envelope
    in it must be signed by at least ``threshold`` of the trusted keys, and exactly one must be of reference
    measurements.

    Raises NotVerifiedError with every reason not to believe it, InvalidInputError if what was signed cannot be used,
    and InvalidRequestError without trusted keys or for an impossible threshold.
    """
    envelopes = _envelopes(data)
    verified, problems = [], []
    for number, envelope in enumerate(envelopes, 1):
        try:
            verified.append(dsse.verify(envelope, trusted, threshold=threshold))
        except InvalidSignatureError as error:
            problems.append(f"envelope {number}: {error}")
    if problems:
        raise NotVerifiedError("the release is not signed by keys that you trust", tuple(problems))
    statements: dict[str, tuple[Statement, str, tuple[str, ...]]] = {}
    for payload in verified:
        if payload.payload_type != PAYLOAD_TYPE:
            raise InvalidInputError(f"the payload type is {payload.payload_type!r}, expected {PAYLOAD_TYPE!r}")
        statement = _statement(payload.payload)
        if statement.predicate_type in statements:
            raise InvalidInputError(f"there are two statements of the type {statement.predicate_type!r}")
        digest = hashlib.sha256(payload.payload).hexdigest()
        statements[statement.predicate_type] = (statement, digest, payload.key_ids)
    if REFERENCE_MEASUREMENTS not in statements:
        raise InvalidInputError("there is no statement of reference measurements")
    statement, digest, key_ids = statements[REFERENCE_MEASUREMENTS]
    reference = convert(statement.predicate, ReferenceMeasurements, what="reference measurements")
    finished = None
    if PROVENANCE in statements:
        provenance, _, signers = statements[PROVENANCE]
        key_ids = tuple(sorted(set(key_ids) & set(signers)))
        if provenance.subject != statement.subject or len(key_ids) < threshold:
            raise NotVerifiedError(
                "the release is not signed by keys that you trust",
                ("its statements are about different files, or signed by different keys",),
            )
        finished = _finished(provenance.predicate)
    return TrustedReference(
        reference,
        digest,
        key_ids,
        finished,
        tuple(_boot(mode, values) for mode, values in reference.reference_values.items()),
        frozenset(value for subject in statement.subject for value in subject.digest.values()),
        _PROOF,
    )


def _envelopes(data: bytes) -> tuple[Envelope, ...]:
    if len(data) > MAX_REFERENCE_BYTES:
        raise InvalidInputError(f"statements of {len(data)} bytes are longer than {MAX_REFERENCE_BYTES}")
    try:
        if _BUNDLE_ENVELOPE.encode() in data[:4096] or b"mediaType" in data[:64]:
            bundle = read_json(data, what="sigstore bundle")
            inner = bundle.get(_BUNDLE_ENVELOPE) if isinstance(bundle, dict) else None
            if not isinstance(inner, dict):
                raise InvalidInputError(f"the sigstore bundle has no {_BUNDLE_ENVELOPE}")
            return (envelope_json.decode(msgspec.json.encode(inner)),)
        return envelope_json.decode_lines(data)
    except MalformedSignatureError as error:
        raise InvalidInputError(f"these are no statements of a release: {error}") from error


def _statement(payload: bytes) -> Statement:
    """The statement. Statements of bedplate are canonical, and reading those is fast.

    A statement that gives its own bytes when it is written again has no key twice and nothing unknown.
    """
    try:
        statement = msgspec.json.decode(payload, type=Statement)
        canonical = msgspec.json.encode(statement, order="sorted") == payload
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        canonical = False
    if canonical and statement.type == STATEMENT_TYPE and statement.subject:
        return statement
    return decode_statement(payload)


def _finished(provenance: Mapping[str, Any]) -> datetime | None:
    try:
        stated = provenance["runDetails"]["metadata"]["finishedOn"]
        finished = datetime.fromisoformat(stated)
    except (KeyError, TypeError, ValueError):
        return None
    return finished.astimezone(UTC) if finished.tzinfo is not None else None


def _boot(mode: str, values: ReferenceValues) -> StatedBoot:
    if values.boot.secure_boot != mode:
        problem = f"the values for Secure Boot {mode} are of {values.boot.secure_boot}"
        raise InvalidInputError(f"reference values: {problem}")
    try:
        stated = {_index(pcr): entry for pcr, entry in values.pcrs.items()}
        pcrs = {pcr: _pcr(pcr, entry) for pcr, entry in stated.items() if entry.predictable}
        unpredictable = {pcr: entry.reason or "no reason" for pcr, entry in stated.items() if not entry.predictable}
        return StatedBoot(SecureBootMode(mode), MappingProxyType(pcrs), MappingProxyType(unpredictable))
    except (ValueError, KeyError) as error:
        raise InvalidInputError(f"reference values: {error}") from error


def _index(text: str) -> int:
    index = int(text)
    if str(index) != text or not 0 <= index < PCR_COUNT:
        raise ValueError(f"there is no PCR {text!r}")
    return index


def _pcr(pcr: int, entry: MeasuredPcr) -> StatedPcr:
    values = _values(entry.values)
    if not values:
        raise ValueError(f"PCR {pcr} has no value")
    if unknown := sorted(entry.phases.keys() - _PHASES.keys()):
        raise ValueError(f"PCR {pcr} has the unknown boot phase {unknown[0]!r}")
    phases = {phase: _values(entry.phases[label]) for label, phase in _PHASES.items() if label in entry.phases}
    return StatedPcr(values, phases)


def _values(stated: Mapping[str, str]) -> Mapping[str, bytes]:
    values = {}
    for name, text in stated.items():
        value = values[name] = bytes.fromhex(text)
        if len(value) != _SIZES[name] or len(text) != 2 * len(value):  # fromhex skips blanks
            raise ValueError(f"a value of the bank {name} has {len(value)} bytes")
    return values


_SIZES: Final = {bank.value: bank.size for bank in Bank}
