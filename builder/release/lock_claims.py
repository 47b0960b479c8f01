"""The claims of a release about its inputs: the provenance against the lock and the mkosi tree that it carries.

Of a locked build the provenance names just what the lock has for root, initrd and engine, with the same digests, and
tools of which each is in the lock; the tree has the digest that it names. A build without a lock says so, and then the
release has neither: which packages it may have nobody can tell.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from builder.definition.lock import ENGINE_PART, ImageLock, LockedPackage, Part, date_text, decode_lock
from builder.definition.tree_archive import MAX_ARCHIVE_BYTES, tree_digest, unpack_tree
from builder.errors import InvalidInputError
from builder.files import read_bytes
from builder.release.layout import LOCK, MAX_STATEMENTS_BYTES, TREE
from builder.release.provenance import package_url
from builder.release.statements import Sha256, convert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.release.signed import SignedStatements

_TOOLCHAIN: Final = "toolchain"
# The parts of a lock that an area of the image is installed from. The root stands on what the initrd is made of.
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "root": (Part.ROOT, Part.INITRD),
    "initrd": (Part.INITRD,),
    ENGINE_PART: (ENGINE_PART,),
    _TOOLCHAIN: (Part.TOOLCHAIN,),
}
_MAX_LISTED: Final = 20


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Other fields are ignored, as SLSA asks of a reader of provenance."""


class _Digest(_Struct, frozen=True):
    sha256: Sha256


class _Reference(_Struct, frozen=True):
    digest: _Digest


class _Annotations(_Struct, frozen=True):
    used_in: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class _Dependency(_Struct, frozen=True):
    uri: str
    annotations: _Annotations
    digest: _Digest | None = None


class _Internal(_Struct, frozen=True):
    mkosi_tree: _Reference
    lock: _Reference | None


class _External(_Struct, frozen=True):
    source_date_epoch: int
    seed: str


class _Definition(_Struct, frozen=True):
    external_parameters: _External
    internal_parameters: _Internal
    resolved_dependencies: tuple[_Dependency, ...]


class _Provenance(_Struct, frozen=True):
    build_definition: _Definition


def check_lock(directory: Path, signed: SignedStatements) -> Iterator[str]:
    """Every problem with the tree and the packages that the provenance names, the first of many."""
    problems = [*_problems(directory, signed)]
    yield from problems[:_MAX_LISTED]
    if len(problems) > _MAX_LISTED:
        yield f"{LOCK}: {len(problems) - _MAX_LISTED} more problems"


def _problems(directory: Path, signed: SignedStatements) -> Iterator[str]:
    try:
        stated = convert(signed.provenance, _Provenance, what="provenance").build_definition
    except InvalidInputError as error:
        yield str(error)
        return
    files = {subject.name for subject in signed.subjects}
    if stated.internal_parameters.lock is None:
        yield from (f"{name}: the provenance says that there was no lock" for name in (LOCK, TREE) if name in files)
        return
    missing = [name for name in (LOCK, TREE) if name not in files]
    if missing:
        yield from (f"{name}: it is missing, and the provenance says that there was a lock" for name in missing)
        return
    yield from _check_tree(directory, stated.internal_parameters.mkosi_tree.digest.sha256)
    try:
        data = read_bytes(directory / LOCK, what="lock", limit=MAX_STATEMENTS_BYTES)
        lock = decode_lock(data, LOCK)
    except InvalidInputError as error:
        yield str(error)
        return
    expected, found = stated.internal_parameters.lock.digest.sha256, hashlib.sha256(data).hexdigest()
    if found != expected:
        yield f"{LOCK}: its SHA-256 is {found}, the provenance says {expected}"
    yield from _check_identity(lock, signed.reference.image.name, stated.external_parameters)
    yield from _check_packages(lock, stated.resolved_dependencies)


def _check_tree(directory: Path, stated: str) -> Iterator[str]:
    """Whoever rebuilds takes the tree of the release, and this is the one of which the image was made."""
    try:
        found = tree_digest(unpack_tree(read_bytes(directory / TREE, what="mkosi tree", limit=MAX_ARCHIVE_BYTES), TREE))
    except InvalidInputError as error:
        yield str(error)
        return
    if found != stated:
        yield f"{TREE}: its digest is {found}, the provenance says {stated}"


def _check_identity(lock: ImageLock, image: str, stated: _External) -> Iterator[str]:
    try:
        date = date_text(dt.datetime.fromtimestamp(stated.source_date_epoch, dt.UTC))
    except (ValueError, OverflowError, OSError):
        date = f"no date ({stated.source_date_epoch})"
    for name, found, expected in (
        ("image", lock.image, image),
        ("source_date", lock.source_date, date),
        ("seed", lock.seed, stated.seed),
    ):
        if found != expected:
            yield f"{LOCK}: {name} is {found}, the statements say {expected}"


def _check_packages(lock: ImageLock, stated: Sequence[_Dependency]) -> Iterator[str]:
    locked = {area: _digests(lock.of(*parts)) for area, parts in _PARTS.items()}
    named: dict[str, set[str]] = {area: set() for area in _PARTS}
    for dependency in stated:
        for area in dependency.annotations.used_in:
            if area not in _PARTS:
                yield f"provenance: {dependency.uri} is used in {area}, expected {', '.join(_PARTS)}"
                continue
            named[area].add(dependency.uri)
            if problem := _problem(dependency, area, locked[area].get(dependency.uri)):
                yield f"provenance: {dependency.uri} ({area}) {problem}"
    if not named[_TOOLCHAIN]:
        yield f"provenance: it names no package of the {_TOOLCHAIN}"
    for area in _PARTS:
        # A tool that was not there made nothing of the image.
        missing = locked[area].keys() - named[area] if area != _TOOLCHAIN else ()
        yield from (f"provenance: it does not name {uri}, which {LOCK} has for {area}" for uri in sorted(missing))


def _problem(dependency: _Dependency, area: str, locked: str | None) -> str | None:
    """What is wrong with a package that has the digest ``locked`` (SHA-256, hex) in the lock, if it is there."""
    if locked is None:
        return f"is not in {LOCK}"
    if dependency.digest is None:
        return None if area == _TOOLCHAIN else "has no SHA-256"
    if dependency.digest.sha256 != locked:
        return f"has the SHA-256 {dependency.digest.sha256}, {LOCK} says {locked}"
    return None


def _digests(packages: Sequence[LockedPackage]) -> dict[str, str]:
    """SHA-256 (hex) by package URL; of a lock that can be built, an area has each package once."""
    return {package_url(package.name, package.version, package.architecture): package.sha256 for package in packages}
