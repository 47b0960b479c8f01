"""What others than its makers sign about a release, such as rebuilders: one in-toto statement in one DSSE envelope.

Signatures come first, parsing second, as everywhere. What the predicate says is for the caller to believe or not.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.statements import PAYLOAD_TYPE, Statement, decode_statement, encode_statement
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from builder.release.statements import Subject
    from signing.keys import PublicKey
    from signing.signer import Signer

# One has less than 2 KiB.
MAX_ATTESTATION_BYTES: Final = 1 << 20
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
# Clocks differ, some by a time zone.
_MAX_AHEAD: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement, and the ids of the trusted keys that signed it, at least one."""

    statement: Statement
    key_ids: tuple[str, ...]


def sign_attestation(
    predicate_type: str, predicate: Any, subjects: tuple[Subject, ...], signers: Sequence[Signer]
) -> bytes:
    """The envelope as JSON. Raises InvalidRequestError without signers."""
    return envelope_json.encode(dsse.sign(PAYLOAD_TYPE, encode_statement(predicate_type, predicate, subjects), signers))


def read_attestation(
    data: bytes, trusted: Sequence[PublicKey], predicate_type: str, *, threshold: int = 1, what: str
) -> Attestation:
    """The statement of ``predicate_type`` in an envelope, ``what`` being its name in a sentence.

    Raises NotVerifiedError if too few of the trusted keys signed it, InvalidInputError if it is something else, and
    InvalidRequestError without trusted keys or for an impossible threshold.
    """
    try:
        verified = dsse.verify(envelope_json.decode(data), trusted, threshold=threshold)
    except MalformedSignatureError as error:
        raise InvalidInputError(f"this is no {what}: {error}") from error
    except InvalidSignatureError as error:
        raise NotVerifiedError(f"the {what} is not signed by keys that you trust", (str(error),)) from error
    if verified.payload_type != PAYLOAD_TYPE:
        problem = f"has the payload type {verified.payload_type!r}, expected {PAYLOAD_TYPE!r}"
        raise InvalidInputError(f"the {what} {problem}")
    statement = decode_statement(verified.payload)
    if statement.predicate_type != predicate_type:
        problem = f"has the predicate type {statement.predicate_type!r}, expected {predicate_type!r}"
        raise InvalidInputError(f"the {what} {problem}")
    return Attestation(statement, verified.key_ids)


def require_attesters(
    statements: Mapping[str, bytes],
    count: int,
    read: Callable[[bytes], Iterable[str]],
    *,
    subject: str,
    role: str,
    deed: str,
) -> tuple[str, ...]:
    """The ids of those who say in ``statements`` that they did something, at least ``count`` different ones.

    ``statements`` are envelopes by the name of their file; ``read`` gives the ids of those who signed one, or raises.
    A single bad one is a mismatch, even if enough others are good. ``role`` (rebuilder), ``deed`` (rebuilt) and
    ``subject`` are for sentences. Raises NotVerifiedError with every problem.
    """
    problems: list[str] = []
    attesters: set[str] = set()
    for name, data in statements.items():
        try:
            attesters.update(read(data))
        except NotVerifiedError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
        except InvalidInputError as error:
            problems.append(f"{name}: {error}")
    if len(attesters) < count:
        problems.append(f"{len(attesters)} of the trusted {role}s say that they {deed} it, {count} are needed")
    if problems:
        raise NotVerifiedError(f"{subject} is not {deed} as is demanded", tuple(problems))
    return tuple(sorted(attesters))


def timestamp(time: dt.datetime) -> str:
    """A time as statements have it: UTC, to the second."""
    return time.astimezone(dt.UTC).strftime(_TIME_FORMAT)


def require_past(field: str, value: str, now: dt.datetime | None = None) -> None:
    """Raise InvalidInputError if a field of a statement is no time in the form of ``timestamp``, or not before ``now``.

    A day too far ahead is forgiven. Who signs may date a statement back all the same.
    """
    try:
        time = dt.datetime.strptime(value, _TIME_FORMAT).replace(tzinfo=dt.UTC)
    except ValueError:
        time = None
    # strptime also reads other digits than ASCII's, and fewer of them.
    if time is None or timestamp(time) != value:
        raise InvalidInputError(f"{field} is {value!r}, expected a time in UTC such as 2026-03-01T12:00:00Z")
    latest = (now or dt.datetime.now(dt.UTC)) + _MAX_AHEAD
    if time > latest:
        raise InvalidInputError(
            f"{field} is {value!r}, which is in the future, expected a time up to {timestamp(latest)}"
        )
