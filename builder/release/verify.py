"""Verify a release: signatures before anything is parsed, then every digest, then the image against its own claims.

What follows from the image is computed again from its bytes: the hash tree of the root, the inventory, the PCR values.
All mismatches are collected, because the first one alone seldom tells what happened.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.definition.model import Profile
from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import mapped, read_bytes
from builder.release.contents import ImageContents, read_contents
from builder.release.layout import (
    BUNDLE_SUFFIX,
    INVENTORY,
    MAX_RECORD_BYTES,
    MAX_STATEMENTS_BYTES,
    REFERENCE_VALUES,
    STATEMENTS,
    Names,
)
from builder.release.reference import load_variables, measure
from builder.release.statements import (
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    SHORT_NAMES,
    ReferenceMeasurements,
    Statement,
    Subject,
    convert,
    decode_statement,
    read_json,
)
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, SigningError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from signing.dsse import Envelope, VerifiedPayload
    from signing.keys import PublicKey

_MAX_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """A release whose every claim held. ``key_ids`` are the trusted keys that signed it."""

    directory: Path
    key_ids: tuple[str, ...]
    reference: ReferenceMeasurements
    provenance: dict[str, Any]
    files: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class _Signed:
    """What the trusted keys signed, before it was compared with anything."""

    key_ids: tuple[str, ...]
    statements: Mapping[str, Statement]
    reference: ReferenceMeasurements


def verify_release(
    directory: Path, trusted: Sequence[PublicKey], *, threshold: int = 1, allow_development: bool = False
) -> VerifiedRelease:
    """Verify the release in ``directory`` with at least ``threshold`` of the trusted keys.

    Raises NotVerifiedError with every problem found, InvalidInputError if ``directory`` is no release at all, and
    InvalidRequestError without trusted keys.
    """
    if not directory.is_dir():
        raise InvalidInputError(f"{directory} is not a directory")
    data = read_bytes(directory / STATEMENTS, what="release statements", limit=MAX_STATEMENTS_BYTES)
    signed = _verify_signatures(data, trusted, threshold, directory)
    problems: list[str] = []
    subjects = _check_statements(signed.statements, problems)
    reference = signed.reference
    problems += _check_files(directory, subjects, _bundles(data, trusted))
    problems += _check_image(directory, reference)
    problems += _check_identity(reference, signed.statements[PROVENANCE].predicate)
    if reference.image.profile != Profile.PRODUCTION.value and not allow_development:
        problems.append(f"it is a {reference.image.profile} image, which may have a way in (--allow-development)")
    if problems:
        raise NotVerifiedError(f"{directory} is not what was signed", tuple(problems))
    provenance = signed.statements[PROVENANCE].predicate
    return VerifiedRelease(directory, signed.key_ids, reference, provenance, subjects)


def _verify_signatures(data: bytes, trusted: Sequence[PublicKey], threshold: int, directory: Path) -> _Signed:
    """The statements whose envelopes enough trusted keys signed; without all of them there is nothing to go on."""
    try:
        envelopes = envelope_json.decode_lines(data)
    except SigningError as error:
        raise NotVerifiedError(f"{directory} is not what was signed", (f"{STATEMENTS}: {error}",)) from error
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
    if problems:
        raise NotVerifiedError(
            f"{directory} is not signed by keys that you trust",
            tuple(problems),
            hint="check the keys given with --trust; nothing in a release may be believed before its signatures hold",
        )
    predicate = statements[REFERENCE_MEASUREMENTS].predicate
    reference = convert(predicate, ReferenceMeasurements, what="reference measurements")
    return _Signed(tuple(sorted(set.intersection(*signers))), statements, reference)


def _read_statement(verified: VerifiedPayload, others: Mapping[str, Statement]) -> Statement:
    """A statement from a payload whose signatures hold. Raises InvalidInputError if it has no place in a release."""
    if verified.payload_type != PAYLOAD_TYPE:
        raise InvalidInputError(f"the payload type is {verified.payload_type!r}, expected {PAYLOAD_TYPE!r}")
    statement = decode_statement(verified.payload)
    if statement.predicate_type not in SHORT_NAMES:
        raise InvalidInputError(f"the predicate type {statement.predicate_type!r} is not known")
    if statement.predicate_type in others:
        raise InvalidInputError(f"there are two {SHORT_NAMES[statement.predicate_type]} statements")
    return statement


def _check_statements(statements: Mapping[str, Statement], problems: list[str]) -> tuple[Subject, ...]:
    subjects = statements[REFERENCE_MEASUREMENTS].subject
    if statements[PROVENANCE].subject != subjects:
        problems.append(f"{STATEMENTS}: the two statements are about different files")
    if len({subject.name for subject in subjects}) != len(subjects):
        problems.append(f"{STATEMENTS}: a file is named twice")
    return subjects


def _check_files(directory: Path, subjects: Sequence[Subject], bundles: Mapping[str, set[bytes]]) -> Iterator[str]:
    """Every file of the directory is signed for, and every file that was signed for is there, unchanged."""
    present = {str(path.relative_to(directory)) for path in directory.rglob("*") if not _is_plain_directory(path)}
    signed = {subject.name for subject in subjects}
    for name in sorted(present - signed - {STATEMENTS} - set(bundles)):
        yield f"{name}: no statement knows this file"
    for name in sorted(set(bundles) & present):
        if read_bytes(directory / name, what="bundle", limit=MAX_STATEMENTS_BYTES) not in bundles[name]:
            yield f"{name}: it is not the bundle of the statement in {STATEMENTS}"
    for subject in subjects:
        path = directory / subject.name
        if subject.name not in present:
            yield f"{subject.name}: missing"
        elif path.is_symlink() or not path.is_file():
            yield f"{subject.name}: not a regular file"
        else:
            yield from _check_digest(path, subject)


def _check_digest(path: Path, subject: Subject) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        yield f"{subject.name}: cannot be read: {error.strerror}"
        return
    if subject.digest != {"sha256": found}:
        yield f"{subject.name}: SHA-256 is {found}, signed was {subject.digest.get('sha256', 'none')}"


def _is_plain_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _bundles(data: bytes, trusted: Sequence[PublicKey]) -> dict[str, set[bytes]]:
    """The bundles that may stand beside the statements: one per statement, for any of the trusted keys."""
    found: dict[str, set[bytes]] = {f"{name}{BUNDLE_SUFFIX}": set() for name in SHORT_NAMES.values()}
    for envelope in envelope_json.decode_lines(data):
        name = SHORT_NAMES[decode_statement(envelope.payload).predicate_type]
        found[f"{name}{BUNDLE_SUFFIX}"] |= {
            envelope_json.encode_bundle(envelope, key) for key in trusted if _signed_by(envelope, key)
        }
    return found


def _signed_by(envelope: Envelope, key: PublicKey) -> bool:
    return [signature.key_id for signature in envelope.signatures].count(key.key_id) == 1


def _check_image(directory: Path, reference: ReferenceMeasurements) -> Iterator[str]:
    """Read the disk image again, and compare everything that the release says about it."""
    identity = reference.image
    stem = f"{identity.name}_{identity.version}_{identity.architecture}"
    names = Names(stem)
    try:
        with mapped(directory / names.disk, what="disk image") as view:
            contents = read_contents(view)
            yield from _check_parts(directory, names, contents)
            yield from _check_inventory(directory, contents)
            yield from _check_measurements(directory, contents, stem, reference)
    except NotVerifiedError as error:
        yield from (f"{names.disk}: {problem}" for problem in error.problems)
    except InvalidInputError as error:
        yield f"{names.disk}: {error}"


def _check_parts(directory: Path, names: Names, contents: ImageContents) -> Iterator[str]:
    parts = {
        names.uki: contents.uki_file,
        names.root: contents.root.slice(0, len(contents.root)),
        names.root_verity: contents.root_verity.slice(0, len(contents.root_verity)),
    }
    for name, part in parts.items():
        try:
            with mapped(directory / name, what="part of the release") as file:
                if file != part:
                    yield f"{name}: it is not the one in {names.disk}"
        except InvalidInputError as error:
            yield f"{name}: {error}"


def _check_inventory(directory: Path, contents: ImageContents) -> Iterator[str]:
    try:
        stored = read_bytes(directory / INVENTORY, what="inventory", limit=MAX_STATEMENTS_BYTES)
    except InvalidInputError as error:
        yield f"{INVENTORY}: {error}"
        return
    if stored != contents.inventory_file():
        yield f"{INVENTORY}: it is not the inventory of the image"


def _check_measurements(
    directory: Path, contents: ImageContents, stem: str, reference: ReferenceMeasurements
) -> Iterator[str]:
    try:
        computed = measure(contents, load_variables(directory), stem)
    except InvalidInputError as error:
        yield f"reference measurements: they cannot be computed from the image: {error}"
        return
    yield from _differences("reference measurements", reference, computed)
    try:
        data = read_bytes(directory / REFERENCE_VALUES, what="reference values", limit=MAX_RECORD_BYTES)
        stored = convert(read_json(data, what=REFERENCE_VALUES), ReferenceMeasurements, what=REFERENCE_VALUES)
    except InvalidInputError as error:
        yield f"{REFERENCE_VALUES}: {error}"
        return
    yield from _differences(REFERENCE_VALUES, stored, computed)


def _differences(name: str, stated: ReferenceMeasurements, computed: ReferenceMeasurements) -> Iterator[str]:
    if stated == computed:
        return
    left, right = msgspec.to_builtins(stated), msgspec.to_builtins(computed)
    found = [f"{name}: {place} is {a}, the image gives {b}" for place, a, b in _unequal(left, right, "")]
    yield from found[:_MAX_LISTED]
    if len(found) > _MAX_LISTED:
        yield f"{name}: {len(found) - _MAX_LISTED} more values differ"


def _unequal(left: Any, right: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two JSON values differ, with their dotted path."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from _unequal(left.get(key), right.get(key), f"{place}.{key}" if place else key)
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from _unequal(a, b, f"{place}[{index}]")
    elif left != right:
        yield place, left, right


def _check_identity(reference: ReferenceMeasurements, provenance: Mapping[str, Any]) -> Iterator[str]:
    """Both statements speak of the same image."""
    try:
        built = provenance["buildDefinition"]["externalParameters"]
        stated = {key: built[key] for key in ("name", "version", "architecture", "profile")}
    except (KeyError, TypeError):
        yield "provenance: it does not say which image was built"
        return
    yield from (
        f"provenance: {place} is {a}, the reference measurements say {b}"
        for place, a, b in _unequal(stated, msgspec.to_builtins(reference.image), "")
    )
