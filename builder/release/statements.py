"""The statements of a release: in-toto Statement v1 with three or four predicates, as typed values.

All statements have the same subjects, which are all other files of the release directory; so each of them alone binds
the whole directory.

- reference measurements: bedplate's own predicate, the PCR values of every supported way to boot, with their events;
- SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance): what the image was built from and with;
- SLSA verification summary v1: that the image satisfies its policy (``summary``);
- if the image has weights, the model: bedplate's own predicate (``builder.weights.identity``).

Sources: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and resource_descriptor.md.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, TypeVar

import msgspec

from builder.errors import InvalidInputError, in_words

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
REFERENCE_MEASUREMENTS: Final = "https://bedplate.dev/reference-measurements/v1"
MODEL: Final = "https://bedplate.dev/model/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
VERDICT: Final = "https://slsa.dev/verification_summary/v1"
BUILD_TYPE: Final = "https://bedplate.dev/build/mkosi/v1"
BUILDER_ID: Final = "https://bedplate.dev/builder/v1"
VERIFIER_ID: Final = "https://bedplate.dev/verifier/v1"

# The short name of each statement that every release has, for file names and messages.
SHORT_NAMES: Final = {
    REFERENCE_MEASUREMENTS: "reference-measurements",
    PROVENANCE: "provenance",
    VERDICT: "policy-verdict",
}

# Of those that a release may have besides: which model its image serves.
OPTIONAL_NAMES: Final = {MODEL: "model"}

# Of a pair, and so perhaps of half of one: only an escape can stand for it in UTF-8.
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


# Paths and file names come from these, so neither can lead out of the release directory. Python's $ also matches before
# a final line feed.
RelativePath = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~^-]*(/[A-Za-z0-9][A-Za-z0-9._~^-]*)*$(?!\n)")
]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
NamePart = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.~^-]*$(?!\n)")]


class Subject(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A file of the release by its path relative to the release directory, with its SHA-256."""

    name: RelativePath
    digest: dict[str, str]


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An in-toto statement; the predicate is checked by its own type."""

    type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: dict[str, Any]


class ImageIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which image it is, and whether a verifier may accept it in production."""

    name: NamePart
    version: NamePart
    architecture: NamePart
    profile: NamePart


class UkiIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What boots. ``root_hash`` is the dm-verity root hash (hex), which the command line carries."""

    stub: str
    kernel: str
    command_line: str
    root_hash: str


class MeasuredEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One extend: TCG event type (None for one that no event log has), digest per bank (hex), meaning and origin."""

    type: str | None
    digests: dict[str, str]
    description: str
    source: str


class MeasuredPcr(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A PCR: final value per bank (hex) and the events in order, or the reason why it cannot be predicted.

    ``phases`` is there for PCR 11 only: the value per bank at each boot phase.
    """

    predictable: bool
    reason: str | None = None
    values: dict[str, str] = msgspec.field(default_factory=dict)
    events: tuple[MeasuredEvent, ...] = ()
    phases: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


class BootState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine state that the values hold for."""

    secure_boot: str
    platform: str
    profile: int
    initrd_systemd: int | None


class ReferenceValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The predicted PCRs of one way to boot; keys of ``pcrs`` are PCR numbers."""

    schema: str
    stub: str
    boot: BootState
    banks: tuple[str, ...]
    pcrs: Annotated[dict[str, MeasuredPcr], msgspec.Meta(min_length=1)]


class ReferenceMeasurements(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """bedplate's predicate: the image, what boots, and the reference values by Secure Boot mode."""

    image: ImageIdentity
    uki: UkiIdentity
    reference_values: Annotated[dict[str, ReferenceValues], msgspec.Meta(min_length=1)]


def encode_statement(predicate_type: str, predicate: Any, subjects: tuple[Subject, ...]) -> bytes:
    """The statement as compact JSON with sorted keys, the bytes that are signed."""
    statement = Statement(
        type=STATEMENT_TYPE, subject=subjects, predicate_type=predicate_type, predicate=msgspec.to_builtins(predicate)
    )
    return msgspec.json.encode(statement, order="sorted")


def decode_statement(payload: bytes) -> Statement:
    """Read a statement whose signature has been verified. Raises InvalidInputError if it is not one of ours."""
    statement = convert(read_json(payload, what="statement"), Statement, what="statement")
    if statement.type != STATEMENT_TYPE:
        raise InvalidInputError(f"the statement has the type {statement.type!r}, expected {STATEMENT_TYPE!r}")
    if not statement.subject:
        raise InvalidInputError("the statement has no subject")
    return statement


def read_json(data: bytes, *, what: str) -> Any:
    """Parse JSON in UTF-8 in which no object has a key twice and every string is one. Raises InvalidInputError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise InvalidInputError(f"{what}: an object has a key twice")
        return found

    try:
        # Given bytes, json would also take UTF-16 and UTF-32, and by default NaN.
        text = data.decode()
        value = json.loads(text, object_pairs_hook=unique, parse_constant=_no_constant)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{what}: a string has half a surrogate pair, which stands for nothing") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{what} is not JSON: {in_words(error)}") from error
    return value


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON value")


def convert(value: Any, kind: type[_Struct], *, what: str) -> _Struct:
    """``value`` as a typed structure, with nothing unknown in it. Raises InvalidInputError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{what}: {error}") from error
