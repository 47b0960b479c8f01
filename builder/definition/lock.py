"""``image.lock``: every package that an image and the tools that build it are made of, by digest.

The file stands beside ``image.yaml`` and is committed with it. It is JSON with one package on each line, so that an
update is as many lines in a diff as packages changed. A package that stays keeps its line, with the state of the
archive in which it was found; so there may be several states of an archive, each as long as something is from it.
"""

from __future__ import annotations

import contextlib
import enum
import json
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from builder.definition.archives import is_security, other_archives
from builder.definition.distribution import MAIN_ARCHIVE
from builder.definition.explain import explain
from builder.definition.problems import quote
from builder.definition.text import IMAGE_NAME_EXPECTED, IMAGE_NAME_LENGTH, IMAGE_NAME_PATTERN, MIRROR_PATTERN
from builder.errors import InvalidInputError, in_words
from builder.files import read_bytes

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.definition.load import LoadedDefinition
    from builder.definition.rules import KeyPath

LOCK_FILE: Final = "image.lock"
_MAX_LOCK_BYTES: Final = 16 << 20
# What mkosi 25.3 (mkosi/distributions/debian.py) and mmdebstrap's variant "apt" install before all that is named.
_BASE: Final = ("?essential", "base-files")
_HINT: Final = "`bedplate lock IMAGE` writes it"
_SCHEMA: Final = "bedplate.lock.v2"
_FIRST_SCHEMA: Final = "bedplate.lock.v1"


def _text(pattern: str, expected: str, max_length: int | None = None) -> Meta:
    """``expected`` finishes the sentence "expected ..."."""
    # The (?!\n) is because Python's $ also matches before a final line feed.
    return Meta(pattern=rf"^({pattern})$(?!\n)", max_length=max_length, extra={"expected": expected})


Sha256 = Annotated[str, _text("[0-9a-f]{64}", "a SHA-256 of 64 lower-case hexadecimal digits")]
# Debian Policy 5.6.7 and 5.6.12; no version holds a slash, so neither leads out of a directory as part of a file name.
_Name = Annotated[str, _text("[a-z0-9][a-z0-9+.-]+", "a Debian package name", 128)]
_Version = Annotated[str, _text("[0-9A-Za-z.+:~-]+", "a Debian version", 256)]
_Architecture = Annotated[str, _text("[a-z0-9-]+", "a Debian architecture such as amd64", 32)]
_PartName = Annotated[str, _text("[a-z][a-z0-9-]*", "a part such as root", 32)]
_ArchiveName = Annotated[str, _text("[a-z][a-z0-9-]*", "a name of lower-case letters, digits and dashes", 64)]
_Date = Annotated[
    str, _text("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", "a date such as 2026-01-31T00:00:00Z")
]
_FILE_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._+~%-]*"
_ArchivePath = Annotated[
    str, _text(rf"{_FILE_NAME}(/{_FILE_NAME})*\.deb", "the path of a .deb file from the root of the archive", 512)
]
_Image = Annotated[str, _text(IMAGE_NAME_PATTERN, IMAGE_NAME_EXPECTED, IMAGE_NAME_LENGTH)]
_Seed = Annotated[str, _text("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID in lower case")]
_Word = Annotated[str, _text("[!-~]+", "printable ASCII without spaces", 256)]
_Mirror = Annotated[str, _text(MIRROR_PATTERN, "an http, https or file URL", 512)]


class Part(enum.StrEnum):
    """What a package is for. Every lock has these; a lock may have others, which are no more than their names."""

    INITRD = "initrd"
    ROOT = "root"
    TOOLCHAIN = "toolchain"


# The part of an engine, whose packages come from archives of its own.
ENGINE_PART: Final = "engine"


class LockedPackage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, order=True):
    """One .deb file.

    ``archive`` is the id of the state of the archive that it was chosen from, ``size`` is in bytes, ``path`` is where
    the archive keeps it, relative to the archive's root.
    """

    name: _Name
    version: _Version
    architecture: _Architecture
    parts: Annotated[tuple[_PartName, ...], Meta(min_length=1)]
    archive: _Word
    size: Annotated[int, Meta(ge=1, le=4 << 30)]
    sha256: Sha256
    path: _ArchivePath

    @property
    def archive_name(self) -> str:
        """The name of the archive, without the state."""
        return self.archive.partition("@")[0]


class ArchiveState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The state of a Debian archive that packages were chosen from.

    ``date`` is the archive's own (RFC 3339, UTC), ``inrelease`` the SHA-256 of its signed InRelease file, and
    ``signed_by`` the fingerprints of the keys whose signatures on it were good. ``expired`` is its Valid-Until where
    that had passed when the lock was made, which the definition allows: from then on nobody said that nothing was
    newer. ``mirror`` is where the archive is, if the definition ties it to a place.
    """

    name: _ArchiveName
    suite: _ArchiveName
    components: tuple[_ArchiveName, ...]
    date: _Date
    inrelease: Sha256
    signed_by: Annotated[tuple[_Word, ...], Meta(min_length=1)]
    expired: _Date | None = None
    mirror: _Mirror | None = None

    @property
    def id(self) -> str:
        """Its name in the lines of packages."""
        return f"{self.name}@{self.date}"


class ImageLock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lock. ``requested`` is what was asked for by part, from which all ``packages`` follow.

    ``archives`` are in the order of the definition, the main one first, and by date.
    """

    schema: Literal["bedplate.lock.v2"] = _SCHEMA
    image: _Image
    bedplate: _Word
    source_date: _Date
    seed: _Seed
    archives: Annotated[tuple[ArchiveState, ...], Meta(min_length=1)]
    requested: dict[_PartName, tuple[_Word, ...]]
    packages: Annotated[tuple[LockedPackage, ...], Meta(min_length=1)]

    @property
    def current(self) -> dict[str, ArchiveState]:
        """The newest state of each archive, by the archive's name."""
        return {state.name: state for state in self.archives}

    @property
    def main(self) -> ArchiveState:
        """The newest state of the main archive, whose suite is the image's."""
        return self.current[self.archives[0].name]

    def of(self, *parts: str) -> tuple[LockedPackage, ...]:
        """The packages of at least one of the parts."""
        return tuple(package for package in self.packages if set(package.parts) & set(parts))

    def is_security(self, package: LockedPackage) -> bool:
        """Whether the package is from Debian's archive of security updates, by the name of its suite."""
        suites = {state.id: state.suite for state in self.archives}
        return is_security(suites[package.archive])


def encode_lock(lock: ImageLock) -> bytes:
    """The file's content: the same lock always gives the same bytes."""
    head = {key: msgspec.to_builtins(getattr(lock, key)) for key in ImageLock.__struct_fields__ if key != "packages"}
    head["requested"] = {str(part): sorted(names) for part, names in sorted(lock.requested.items())}
    rows = [json.dumps(msgspec.to_builtins(package)) for package in sorted(lock.packages)]
    text = json.dumps(head, indent=2)
    return (text[: -len("\n}")] + ',\n  "packages": [\n    ' + ",\n    ".join(rows) + "\n  ]\n}\n").encode()


def decode_lock(data: bytes, place: str) -> ImageLock:
    """The lock in a file's content; one of the first form, which knew one archive, is read as what it means today.

    Raises InvalidInputError that names ``place`` and what is wrong there.
    """
    try:
        text = data.decode()
        # Of two equal keys a build would take the last one, and who reads the file perhaps the first one.
        document = json.loads(text, object_pairs_hook=_once)
        _require_schema(document, place)
        lock = _convert(document, text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{place} is no lock: {in_words(error)}", hint=_HINT) from error
    for problem in _problems(lock):
        raise InvalidInputError(f"{place} is no lock: {problem}", hint=_HINT)
    return lock


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises ValueError if it has a key twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)} is there twice in an object")
    return found


def _require_schema(document: object, place: str) -> None:
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, str):
        raise InvalidInputError(f"{place} is no lock: it is no JSON object with a schema", hint=_HINT)
    if schema not in {_SCHEMA, _FIRST_SCHEMA}:
        raise InvalidInputError(
            f"{place} is no lock: its schema is {quote(schema)}, expected {_SCHEMA} or {_FIRST_SCHEMA}",
            hint="a newer bedplate may have written it, and can read it; `bedplate lock IMAGE` writes it anew",
        )


def _convert(document: dict[str, Any], text: str) -> ImageLock:
    """The lock in a document, which was read from ``text``. Raises ValueError that says what is wrong, and where."""
    modern = _from_first(document) if document["schema"] == _FIRST_SCHEMA else document
    try:
        return msgspec.convert(modern, ImageLock)
    except msgspec.ValidationError as error:
        problem = explain(modern, ImageLock)
        if problem is None:
            raise
        raise ValueError(_told(document, text, *problem)) from error


def _told(document: dict[str, Any], text: str, path: KeyPath, sentence: str) -> str:
    """The sentence; for one about a package also the package's name and line."""
    match path:
        case ("packages", int() as number, *_):
            package = document["packages"][number]
            name = package.get("name") if isinstance(package, dict) else None
            named = f" ({quote(name)})" if isinstance(name, str) else ""
            line = _line(package, text)
            return f"{sentence}{named}" if line is None else f"line {line}: {sentence}{named}"
    return sentence


def _line(package: object, text: str) -> int | None:
    """The number of the line that a package has to itself, if it has one."""
    for number, line in enumerate(text.split("\n"), 1):
        with contextlib.suppress(ValueError):
            if json.loads(line.strip().rstrip(",")) == package:
                return number
    return None


def _from_first(document: dict[str, Any]) -> dict[str, Any]:
    """A lock of the first form in that of today, as far as it has that form."""
    archive, packages = document.get("archive"), document.get("packages")
    if not isinstance(archive, dict) or not isinstance(packages, list):
        missing = "packages" if isinstance(archive, dict) else "archive"
        raise ValueError(f"it has no {missing}, which locks of the schema {_FIRST_SCHEMA} have")  # noqa: TRY004 -- as above
    state = {"name": MAIN_ARCHIVE, **archive}
    others = {key: value for key, value in document.items() if key != "archive"}
    where = {"archive": f"{MAIN_ARCHIVE}@{archive.get('date')}"}
    rows = [{**package, **where} if isinstance(package, dict) else package for package in packages]
    return {**others, "schema": _SCHEMA, "archives": [state], "packages": rows}


def load_lock(directory: Path) -> ImageLock:
    """The lock beside the definition in ``directory``. Raises InvalidInputError if there is none, or a broken one."""
    path = directory / LOCK_FILE
    if not path.exists():
        raise InvalidInputError(
            f"{directory} has no {LOCK_FILE}, which says what to build from",
            hint=f"{_HINT}; --unlocked does without one",
        )
    return read_lock(path)


def read_lock(path: Path) -> ImageLock:
    """The lock in a file. Raises InvalidInputError if it is none."""
    return decode_lock(read_bytes(path, what="lock", limit=_MAX_LOCK_BYTES), str(path))


def requested(images: Mapping[str, Sequence[str]], toolchain: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What is to be installed by part: what the images and the toolchain name, and Debian's base.

    Raises InvalidInputError if the images are not "root" and "initrd", and "engine" where there is one.
    """
    if set(images) - {ENGINE_PART} != {"root", "initrd"}:
        raise InvalidInputError(f"the rendered tree has the images {', '.join(images)}, expected root and initrd")
    engine = {ENGINE_PART: (*_BASE, *sorted(images[ENGINE_PART]))} if ENGINE_PART in images else {}
    return engine | {
        Part.ROOT: (*_BASE, *sorted(images["root"])),
        Part.INITRD: (*_BASE, *sorted(images["initrd"])),
        Part.TOOLCHAIN: ("?essential", *sorted(toolchain)),
    }


def require_current(lock: ImageLock, loaded: LoadedDefinition) -> None:
    """Raise InvalidInputError if the lock was made of other archives or for another image, source date or seed."""
    definition, main = loaded.definition, lock.main
    others = {name: state for name, state in lock.current.items() if name != main.name}
    wanted = other_archives(loaded)
    for name, found, expected in (
        ("name", lock.image, definition.name),
        ("source_date", lock.source_date, date_text(definition.source_date)),
        ("seed", lock.seed, str(definition.seed)),
        ("distribution.suite", main.suite, definition.distribution.suite),
        ("distribution.components", main.components, definition.distribution.components),
        ("distribution.archives", tuple(others), tuple(wanted)),
        *(
            (f"distribution.archives.{name}.{key}", getattr(others[name], key), getattr(archive, key))
            for name, archive in wanted.items()
            if name in others
            for key in ("suite", "components", "mirror")
        ),
    ):
        if found != expected:
            raise _outdated(lock, f"{name} is {_shown(found)} in the lock and {_shown(expected)} in the definition")


def date_text(date: dt.datetime) -> str:
    """A source date (UTC) as a lock has it (RFC 3339)."""
    return date.isoformat().replace("+00:00", "Z")


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "empty"
    return "not given" if value is None else str(value)


def require_requested(lock: ImageLock, wanted: Mapping[str, Sequence[str]]) -> None:
    """Raise InvalidInputError if the lock was made for other packages than are wanted now, naming the first one."""
    for part in sorted({*wanted, *lock.requested}):
        asked, locked = wanted.get(part, ()), lock.requested.get(part, ())
        for name in sorted(set(asked) ^ set(locked)):
            lack = "is not in the lock" if name in asked else "is in the lock and not asked for"
            raise _outdated(lock, f"{name} {lack} ({part})")


def _outdated(lock: ImageLock, problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"the lock of {lock.image} is out of date: {problem}", hint="`bedplate lock` brings it up to date"
    )


def _problems(lock: ImageLock) -> Iterable[str]:
    if missing := sorted(set(Part) - set(lock.requested)):
        yield f"requested does not name {', '.join(missing)}"
    states = [state.id for state in lock.archives]
    yield from (f"the archive {state} is there twice" for state in sorted(set(states)) if states.count(state) > 1)
    seen: set[tuple[str, str, str]] = set()
    for package in lock.packages:
        name = f"{package.name}:{package.architecture}"
        if package.archive not in states:
            yield f"{name} is from {package.archive}, which is not among the archives"
        for part in package.parts:
            if part not in lock.requested:
                yield f"{name} is for {part}, and nothing is requested for that"
            if (part, package.name, package.architecture) in seen:
                yield f"{name} is there twice for {part}"
            seen.add((part, package.name, package.architecture))
    for part in sorted(lock.requested):
        if not lock.of(part):
            yield f"it has no package for {part}"
