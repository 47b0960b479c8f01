"""The statements of a release, verified if there are keys to trust, else read with a loud remark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from builder.compare.baseline import InstalledPackage, Unknown
from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.measurements import read_measurements
from builder.release.statements import (
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    convert,
    decode_statement,
)
from signing import dsse, envelope_json
from signing.errors import InvalidSignatureError, MalformedSignatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.compare.baseline import Part
    from builder.release.statements import ReferenceMeasurements, Statement
    from signing.dsse import Envelope
    from signing.keys import PublicKey

UNVERIFIED: Final = "UNVERIFIED: no key was given, so anybody may have written what this release says of itself"
UNSIGNED: Final = "UNVERIFIED: nobody signs reference values alone"
_DEBIAN_PACKAGE: Final = re.compile(r"pkg:deb/debian/([^@?]+)@([^?]+)\?arch=([^&]+)")


class _Annotations(msgspec.Struct, frozen=True, rename="camel"):
    used_in: tuple[str, ...] = ()


class _Dependency(msgspec.Struct, frozen=True):
    uri: str = ""
    digest: dict[str, str] = {}
    annotations: _Annotations = _Annotations()


class _BuildDefinition(msgspec.Struct, frozen=True, rename="camel"):
    external_parameters: dict[str, Any] = {}
    internal_parameters: dict[str, Any] = {}
    resolved_dependencies: tuple[_Dependency, ...] = ()


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    finished_on: str | None = None


class _RunDetails(msgspec.Struct, frozen=True):
    builder: dict[str, Any] = {}
    metadata: _Metadata = _Metadata()


class Provenance(msgspec.Struct, frozen=True, rename="camel"):
    """What a comparison needs of SLSA provenance (https://slsa.dev/spec/v1.0/provenance); it has more."""

    build_definition: _BuildDefinition = _BuildDefinition()
    run_details: _RunDetails = _RunDetails()


@dataclass(frozen=True, slots=True)
class Stated:
    """What a release says. ``key_ids`` are trusted keys that signed all of it, ``named`` those that signatures name.

    ``subjects`` maps the names of the release's files to their SHA-256; ``provenance`` is None without one.
    """

    reference: ReferenceMeasurements
    key_ids: tuple[str, ...]
    named: tuple[str, ...]
    subjects: Mapping[str, str]
    provenance: Provenance | None


def read_stated(data: bytes, trusted: Sequence[PublicKey], place: str) -> Stated:
    """Read the content of ``release.intoto.jsonl``.

    Raises NotVerifiedError if there are trusted keys and a statement has no signature of one of them,
    InvalidInputError for what is no release's.
    """
    try:
        envelopes = envelope_json.decode_lines(data)
    except MalformedSignatureError as error:
        raise InvalidInputError(f"{place} holds no statements of a release: {error}") from error
    key_ids = _verify(envelopes, trusted, place) if trusted else ()
    statements = _statements(envelopes, place)
    if REFERENCE_MEASUREMENTS not in statements:
        raise InvalidInputError(f"{place} has no statement of reference measurements")
    statement = statements[REFERENCE_MEASUREMENTS]
    return Stated(
        reference=read_measurements(statement.predicate, what=place),
        key_ids=key_ids,
        named=tuple(sorted({item.key_id for envelope in envelopes for item in envelope.signatures})),
        subjects={subject.name: subject.digest.get("sha256", "") for subject in statement.subject},
        provenance=_provenance(statements, place),
    )


def _provenance(statements: Mapping[str, Statement], place: str) -> Provenance | None:
    if PROVENANCE not in statements:
        return None
    return convert(statements[PROVENANCE].predicate, Provenance, what=f"{place}: provenance")


def _verify(envelopes: Sequence[Envelope], trusted: Sequence[PublicKey], place: str) -> tuple[str, ...]:
    """The trusted keys that signed every statement, at least one."""
    signers: list[frozenset[str]] = []
    problems: list[str] = []
    for number, envelope in enumerate(envelopes, 1):
        try:
            signers.append(frozenset(dsse.verify(envelope, trusted, threshold=1).key_ids))
        except InvalidSignatureError as error:
            problems.append(f"line {number}: {error}")
    key_ids = frozenset.intersection(*signers) if signers else frozenset()
    if not key_ids and not problems:
        problems.append("no trusted key signed all statements")
    if problems:
        raise NotVerifiedError(f"{place} is not signed by keys that you trust", tuple(problems))
    return tuple(sorted(key_ids))


def _statements(envelopes: Sequence[Envelope], place: str) -> Mapping[str, Statement]:
    """The statements by type, all of them about the same files."""
    statements: dict[str, Statement] = {}
    for number, envelope in enumerate(envelopes, 1):
        if envelope.payload_type != PAYLOAD_TYPE:
            raise InvalidInputError(f"{place} line {number}: the payload type is {envelope.payload_type!r}")
        statement = decode_statement(envelope.payload)
        if statement.predicate_type in statements:
            raise InvalidInputError(f"{place} line {number}: a second statement of {statement.predicate_type!r}")
        statements[statement.predicate_type] = statement
        if statement.subject != next(iter(statements.values())).subject:
            raise InvalidInputError(f"{place} line {number}: the statements are about different files")
    return statements


def build_inputs(provenance: Provenance | None) -> Part[Mapping[str, str]]:
    """What the provenance says that the build was made from, by name, without what identity and packages say."""
    if provenance is None:
        return Unknown("there is no provenance")
    definition = provenance.build_definition
    own = {"name", "version", "architecture", "profile"}
    external = {name: value for name, value in definition.external_parameters.items() if name not in own}
    values = {
        "definition": external,
        "internal": _by_layer(definition.internal_parameters),
        "builder": provenance.run_details.builder,
    }
    return dict(_flat(values, ""))


def _by_layer(internal: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the layers and their files by name; whether a cache had a layer is no input of it."""
    layers = internal.get("layers")
    if not isinstance(layers, list):
        return dict(internal)
    named = {
        name: {key: value for key, value in layer.items() if key not in {"name", "fromCache", "files"}}
        | {"files": _named(layer.get("files"))}
        for name, layer in _named(layers).items()
    }
    return {**internal, "layers": named}


def _named(items: Any) -> dict[str, Any]:
    """A list of objects by their names; those without one by their place."""
    listed = items if isinstance(items, list) else []
    objects = [item for item in listed if isinstance(item, dict)]
    return {str(item.get("name", place)): item for place, item in enumerate(objects)}


def dependencies(provenance: Provenance | None, *, toolchain: bool) -> Part[tuple[InstalledPackage, ...]]:
    """The Debian packages that the provenance lists: those of the toolchain, or those of root and initrd."""
    if provenance is None:
        return Unknown("there is no provenance")
    listed = provenance.build_definition.resolved_dependencies
    found = tuple(item for item in _packages(listed) if (item.area == "toolchain") is toolchain)
    return found or Unknown("the provenance lists no packages")


def _packages(listed: Sequence[_Dependency]) -> Iterator[InstalledPackage]:
    for item in listed:
        match = _DEBIAN_PACKAGE.match(item.uri)
        if match is not None:
            name, version, architecture = map(unquote, match.groups())
            for area in item.annotations.used_in:
                yield InstalledPackage(area, name, version, architecture, item.digest.get("sha256"))


def _flat(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """The leaves of a JSON value by their dotted path; null is nothing."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{place}[{index}]")
    elif value is not None:
        yield place, str(value)
