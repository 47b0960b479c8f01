"""What a verifier takes from a release when it has only its statements: signatures first, parsing second.

A :class:`TrustedReference` cannot be made from values that nobody signed: the functions here are the only way to one.
The image is not needed. That the values follow from the image is what the signer vouches for; whoever has the whole
directory can check that too (``builder.release.verify``).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError, in_words
from builder.measurement.configuration import SecureBootMode
from builder.measurement.phases import Phase
from builder.release.layout import STATEMENTS
from builder.release.measurements import checked, read_measurements
from builder.release.statements import (
    MODEL,
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    STATEMENT_TYPE,
    VERDICT,
    ReferenceMeasurements,
    Subject,
    convert,
    decode_statement,
    read_json,
)
from builder.weights.identity import Model
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.release.statements import MeasuredPcr, ReferenceValues
    from signing.dsse import Envelope, VerifiedPayload
    from signing.keys import PublicKey

# A statement of reference measurements has some 25 KiB, one that also has the provenance 100 KiB.
MAX_REFERENCE_BYTES: Final = 8 << 20
_PROOF: Final = object()
_PHASES: Final = {phase.label: phase for phase in Phase}
_BUNDLE_ENVELOPE: Final = "dsseEnvelope"
# How a file of reference values begins, as bedplate writes it.
_UNSIGNED: Final = re.compile(rb'\s*\{\s*"(?:image|reference_values)"')
_HEAD_BYTES: Final = 4096


class _Head(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"type": "_type", "predicate_type": "predicateType"},
):
    """A statement whose predicate is as yet unread."""

    type: str
    subject: tuple[Subject, ...]
    predicate_type: str
    predicate: msgspec.Raw


class _BuildMetadata(msgspec.Struct, frozen=True, rename={"finished": "finishedOn"}):
    finished: datetime


class _RunDetails(msgspec.Struct, frozen=True):
    metadata: _BuildMetadata


class _Provenance(msgspec.Struct, frozen=True, rename={"run": "runDetails"}):
    """SLSA provenance v1, as far as appraisal reads it."""

    run: _RunDetails


@dataclass(frozen=True, slots=True)
class _Signed:
    """A statement and the verified bytes that it was read from."""

    head: _Head
    payload: VerifiedPayload


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
    of the same files; ``model`` is the one that the image serves, ``None`` if no statement names one; ``boots`` are the
    values in the form in which evidence is compared with them.
    """

    reference: ReferenceMeasurements
    digest: str
    key_ids: tuple[str, ...]
    finished: datetime | None
    model: Model | None
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


class _Verdict(msgspec.Struct, frozen=True):
    """What counts of a verification summary."""

    result: str = msgspec.field(name="verificationResult")


def load_trusted_reference(data: bytes, trusted: Sequence[PublicKey], threshold: int = 1) -> TrustedReference:
    """Verify and read the reference measurements in ``data``.

    ``data`` is the content of ``release.intoto.jsonl``, a single DSSE envelope, or a sigstore bundle. Every envelope
    in it must be signed by at least ``threshold`` of the trusted keys, and exactly one must be of reference
    measurements. Where there are more, it is a release, whose policy verdict must be there and be yes.

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
    statements: dict[str, _Signed] = {}
    for payload in verified:
        if payload.payload_type != PAYLOAD_TYPE:
            raise InvalidInputError(f"the payload type is {payload.payload_type!r}, expected {PAYLOAD_TYPE!r}")
        head = _head(payload.payload)
        if head.predicate_type in statements:
            raise InvalidInputError(f"there are two statements of the type {head.predicate_type!r}")
        statements[head.predicate_type] = _Signed(head, payload)
    if REFERENCE_MEASUREMENTS not in statements:
        raise InvalidInputError("there is no statement of reference measurements")
    stated = statements[REFERENCE_MEASUREMENTS]
    key_ids = tuple(sorted(set.intersection(*(set(item.payload.key_ids) for item in statements.values()))))
    if any(item.head.subject != stated.head.subject for item in statements.values()) or len(key_ids) < threshold:
        raise NotVerifiedError(
            "the release is not signed by keys that you trust",
            ("its statements are about different files, or signed by different keys",),
        )
    if len(statements) > 1:
        _require_verdict(statements.get(VERDICT))
    finished = _finished(statements[PROVENANCE].head.predicate) if PROVENANCE in statements else None
    reference = _reference(stated)
    return TrustedReference(
        reference,
        hashlib.sha256(stated.payload.payload).hexdigest(),
        key_ids,
        finished,
        _model(statements.get(MODEL)),
        tuple(_boot(mode, values) for mode, values in reference.reference_values.items()),
        frozenset(value for subject in stated.head.subject for value in subject.digest.values()),
        _PROOF,
    )


def _envelopes(data: bytes) -> tuple[Envelope, ...]:
    if len(data) > MAX_REFERENCE_BYTES:
        raise InvalidInputError(f"statements of {len(data)} bytes are longer than {MAX_REFERENCE_BYTES}")
    try:
        if _BUNDLE_ENVELOPE.encode() in data[:_HEAD_BYTES] or b"mediaType" in data[:64]:
            bundle = read_json(data, what="sigstore bundle")
            inner = bundle.get(_BUNDLE_ENVELOPE) if isinstance(bundle, dict) else None
            if not isinstance(inner, dict):
                raise InvalidInputError(f"the sigstore bundle has no {_BUNDLE_ENVELOPE}")
            return (envelope_json.decode(msgspec.json.encode(inner)),)
        return envelope_json.decode_lines(data)
    except MalformedSignatureError as error:
        if _UNSIGNED.match(data[:_HEAD_BYTES]):
            raise InvalidInputError(
                "these are reference values without a signature, expected the signed statements of a release",
                hint=f"name {STATEMENTS}, which lies beside them",
            ) from error
        raise InvalidInputError(f"these are no statements of a release: {error}") from error


def _head(payload: bytes) -> _Head:
    """The statement in a payload.

    What gives its own bytes when it is written again, as statements of bedplate do, has no key twice and nothing
    unknown. Others are read by the slow, strict reader.
    """
    try:
        head = msgspec.json.decode(payload, type=_Head)
        canonical = msgspec.json.encode(head, order="sorted") == payload
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        canonical = False
    if canonical and head.type == STATEMENT_TYPE and head.subject:
        return head
    statement = decode_statement(payload)
    predicate = msgspec.Raw(msgspec.json.encode(statement.predicate, order="sorted"))
    return _Head(
        type=statement.type, subject=statement.subject, predicate_type=statement.predicate_type, predicate=predicate
    )


def _require_verdict(signed: _Signed | None) -> None:
    """What the verdict is about is for `bedplate verify`, which has the files; here it must only be yes."""
    result = None
    if signed is not None:
        try:
            result = msgspec.json.decode(signed.head.predicate, type=_Verdict).result
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInputError(f"the policy verdict is none: {in_words(error)}") from error
    if result != "PASSED":
        problem = "there is no policy verdict" if signed is None else f"the policy verdict is {result}"
        raise NotVerifiedError("nobody vouches that the release satisfies its policy", (problem,))


def _reference(signed: _Signed) -> ReferenceMeasurements:
    predicate = bytes(signed.head.predicate)
    try:
        reference = msgspec.json.decode(predicate, type=ReferenceMeasurements)
        if msgspec.json.encode(reference, order="sorted") == predicate:
            return checked(reference, what="reference measurements")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    # Not as bedplate writes it, or wrong: the strict reader knows, and says what.
    return read_measurements(decode_statement(signed.payload.payload).predicate, what="reference measurements")


def _model(signed: _Signed | None) -> Model | None:
    if signed is None:
        return None
    return convert(decode_statement(signed.payload.payload).predicate, Model, what="model")


def _finished(provenance: msgspec.Raw) -> datetime | None:
    """When the build ended, the one thing that appraisal reads of a provenance; ``bedplate verify`` reads all."""
    try:
        finished = msgspec.json.decode(provenance, type=_Provenance).run.metadata.finished
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return finished.astimezone(UTC) if finished.tzinfo is not None else None


def _boot(mode: str, values: ReferenceValues) -> StatedBoot:
    if values.boot.secure_boot != mode or mode not in _MODES:
        problem = f"the values for Secure Boot {mode} are of {values.boot.secure_boot}, expected {' or '.join(_MODES)}"
        raise InvalidInputError(f"reference values: {problem} in both places")
    stated = {int(pcr): entry for pcr, entry in values.pcrs.items()}
    pcrs = {pcr: _pcr(pcr, entry) for pcr, entry in stated.items() if entry.predictable}
    unpredictable = {pcr: entry.reason or "no reason" for pcr, entry in stated.items() if not entry.predictable}
    return StatedBoot(SecureBootMode(mode), MappingProxyType(pcrs), MappingProxyType(unpredictable))


def _pcr(pcr: int, entry: MeasuredPcr) -> StatedPcr:
    if not entry.values:
        raise InvalidInputError(f"reference values: PCR {pcr} has no value, expected one of each bank")
    phases = {phase: _values(entry.phases[label]) for label, phase in _PHASES.items() if label in entry.phases}
    return StatedPcr(_values(entry.values), phases)


def _values(stated: Mapping[str, str]) -> Mapping[str, bytes]:
    return {bank: bytes.fromhex(digest) for bank, digest in stated.items()}


_MODES: Final = tuple(mode.value for mode in SecureBootMode)
