"""The statements of a release as trusted keys signed them: signatures first, parsing second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.layout import BUNDLE_SUFFIX, STATEMENTS
from builder.release.measurements import read_measurements
from builder.release.statements import (
    MODEL,
    OPTIONAL_NAMES,
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    SHORT_NAMES,
    VERDICT,
    Statement,
    convert,
    decode_statement,
)
from builder.release.summary import VerificationSummary
from builder.weights.identity import Model
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.release.statements import ReferenceMeasurements, Subject
    from signing.dsse import Envelope, VerifiedPayload
    from signing.keys import PublicKey


_NAMES: Final = SHORT_NAMES | OPTIONAL_NAMES


@dataclass(frozen=True, slots=True)
class SignedStatements:
    """What the keys ``key_ids`` signed, before it is compared with any file.

    ``bundles`` are the contents that each bundle file may have: the same envelope, for one of the trusted keys.
    ``envelopes`` are the statements with the signatures of all keys, of those that nobody trusts, too.
    """

    key_ids: tuple[str, ...]
    statements: Mapping[str, Statement]
    reference: ReferenceMeasurements
    verdict: VerificationSummary
    model: Model | None
    bundles: Mapping[str, frozenset[bytes]]
    envelopes: tuple[Envelope, ...]

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The files that the release consists of."""
        return self.statements[REFERENCE_MEASUREMENTS].subject

    @property
    def provenance(self) -> dict[str, Any]:
        """The predicate of the SLSA provenance."""
        return self.statements[PROVENANCE].predicate


def read_signed(data: bytes, trusted: Sequence[PublicKey], threshold: int) -> SignedStatements:
    """The statements in the content of ``release.intoto.jsonl``, each once, all signed by the same trusted keys.

    Raises NotVerifiedError with every reason not to believe them, InvalidRequestError without trusted keys or for a
    threshold above their number.
    """
    try:
        envelopes = envelope_json.decode_lines(data)
    except MalformedSignatureError as error:
        raise _untrusted(f"{STATEMENTS}: {error}") from error
    statements: dict[str, Statement] = {}
    signers: list[set[str]] = []
    problems: list[str] = []
    for number, envelope in enumerate(envelopes, 1):
        try:
            verified = dsse.verify(envelope, trusted, threshold=threshold)
            statement = _read_statement(verified, statements)
        except (InvalidSignatureError, InvalidInputError) as error:
            problems.append(f"{STATEMENTS} line {number}: {error}")
            continue
        statements[statement.predicate_type] = statement
        signers.append(set(verified.key_ids))
    problems += [
        f"{STATEMENTS}: no trusted {name} statement" for kind, name in SHORT_NAMES.items() if kind not in statements
    ]
    # Enough keys for each statement is not enough: the same ones must stand behind all of them.
    key_ids = set.intersection(*signers) if signers else set()
    if not problems and len(key_ids) < threshold:
        problems.append(f"{STATEMENTS}: {len(key_ids)} trusted keys signed all statements, {threshold} must have")
    if statements.keys() - OPTIONAL_NAMES.keys() == SHORT_NAMES.keys() - {VERDICT} and len(problems) == 1:
        raise NotVerifiedError(
            "nobody vouches that the release satisfies its policy",
            tuple(problems),
            hint="releases have a policy verdict since bedplate checks what it signs: build and sign it again",
        )
    if problems:
        raise _untrusted(*problems)
    try:
        predicate = statements[REFERENCE_MEASUREMENTS].predicate
        reference = read_measurements(predicate, what="reference measurements")
        verdict = convert(statements[VERDICT].predicate, VerificationSummary, what="policy verdict")
        model = convert(statements[MODEL].predicate, Model, what="model") if MODEL in statements else None
    except InvalidInputError as error:
        raise _untrusted(f"{STATEMENTS}: {error}") from error
    bundles = _bundles(envelopes, trusted)
    return SignedStatements(tuple(sorted(key_ids)), statements, reference, verdict, model, bundles, envelopes)


def _read_statement(verified: VerifiedPayload, others: Mapping[str, Statement]) -> Statement:
    """A statement from a payload whose signatures hold. Raises InvalidInputError if it has no place in a release."""
    if verified.payload_type != PAYLOAD_TYPE:
        raise InvalidInputError(f"the payload type is {verified.payload_type!r}, expected {PAYLOAD_TYPE!r}")
    statement = decode_statement(verified.payload)
    if statement.predicate_type not in _NAMES:
        raise InvalidInputError(f"the predicate type {statement.predicate_type!r} is not known")
    if statement.predicate_type in others:
        raise InvalidInputError(f"there are two {_NAMES[statement.predicate_type]} statements")
    return statement


def _bundles(envelopes: Sequence[Envelope], trusted: Sequence[PublicKey]) -> dict[str, frozenset[bytes]]:
    found = {}
    for envelope in envelopes:
        name = _NAMES[decode_statement(envelope.payload).predicate_type]
        found[f"{name}{BUNDLE_SUFFIX}"] = frozenset(
            envelope_json.encode_bundle(envelope, key) for key in trusted if _names_once(envelope, key)
        )
    return found


def _names_once(envelope: Envelope, key: PublicKey) -> bool:
    return [signature.key_id for signature in envelope.signatures].count(key.key_id) == 1


def _untrusted(*problems: str) -> NotVerifiedError:
    return NotVerifiedError(
        "the release is not signed by keys that you trust",
        problems,
        hint="check the keys given with --trust; nothing in a release may be believed before its signatures hold",
    )
