"""``image.lock``: every package that an image and the tools that build it are made of, by digest.

The file stands beside ``image.yaml`` and is committed with it. It is JSON with one package on each line, so that an
update is as many lines in a diff as packages changed.
"""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from builder.errors import InvalidInputError
from builder.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.definition.load import LoadedDefinition

LOCK_FILE: Final = "image.lock"
_MAX_LOCK_BYTES: Final = 16 << 20
# What mkosi 25.3 (mkosi/distributions/debian.py) and mmdebstrap's variant "apt" install before all that is named.
_BASE: Final = ("?essential", "base-files")
_HINT: Final = "`bedplate lock IMAGE` writes it"

# The $(?!\n) is because Python's $ also matches before a final line feed.
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
# Debian Policy 5.6.7 and 5.6.12; no version holds a slash, so neither leads out of a directory as part of a file name.
_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9+.-]+$(?!\n)", max_length=128)]
_Version = Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+:~-]+$(?!\n)", max_length=256)]
_Architecture = Annotated[str, Meta(pattern=r"^[a-z0-9-]+$(?!\n)", max_length=32)]
_ArchivePath = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+~%-]*(/[A-Za-z0-9][A-Za-z0-9._+~%-]*)*\.deb$(?!\n)", max_length=512)
]


class Part(enum.StrEnum):
    """What a package is for."""

    INITRD = "initrd"
    ROOT = "root"
    TOOLCHAIN = "toolchain"


class LockedPackage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, order=True):
    """One .deb file. ``size`` is in bytes, ``path`` is where an archive keeps it, relative to the archive's root."""

    name: _Name
    version: _Version
    architecture: _Architecture
    parts: Annotated[tuple[Part, ...], Meta(min_length=1)]
    size: Annotated[int, Meta(ge=1, le=4 << 30)]
    sha256: Sha256
    path: _ArchivePath


class ArchiveState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a Debian archive that packages were chosen from.

    ``date`` is the archive's own (RFC 3339, UTC), ``inrelease`` the SHA-256 of its signed InRelease file, and
    ``signed_by`` the fingerprints of the keys whose signatures on it were good.
    """

    suite: str
    components: tuple[str, ...]
    date: str
    inrelease: Sha256
    signed_by: Annotated[tuple[str, ...], Meta(min_length=1)]


class ImageLock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lock. ``requested`` is what was asked for by part, from which all ``packages`` follow."""

    schema: Literal["bedplate.lock.v1"] = "bedplate.lock.v1"
    image: str
    bedplate: str
    source_date: str
    seed: str
    archive: ArchiveState
    requested: dict[Part, tuple[str, ...]]
    packages: Annotated[tuple[LockedPackage, ...], Meta(min_length=1)]

    def of(self, *parts: Part) -> tuple[LockedPackage, ...]:
        """The packages of at least one of the parts."""
        return tuple(package for package in self.packages if set(package.parts) & set(parts))


def encode_lock(lock: ImageLock) -> bytes:
    """The file's content: the same lock always gives the same bytes."""
    head = {key: msgspec.to_builtins(getattr(lock, key)) for key in ImageLock.__struct_fields__ if key != "packages"}
    head["requested"] = {part.value: sorted(lock.requested[part]) for part in sorted(lock.requested)}
    rows = [json.dumps(msgspec.to_builtins(package)) for package in sorted(lock.packages)]
    text = json.dumps(head, indent=2)
    return (text[: -len("\n}")] + ',\n  "packages": [\n    ' + ",\n    ".join(rows) + "\n  ]\n}\n").encode()


def decode_lock(data: bytes, place: str) -> ImageLock:
    """The lock in a file's content. Raises InvalidInputError that names ``place`` and what is wrong there."""
    try:
        lock = msgspec.json.decode(data, type=ImageLock)
    except msgspec.DecodeError as error:
        raise InvalidInputError(f"{place} is no lock: {error}", hint=_HINT) from error
    for problem in _problems(lock):
        raise InvalidInputError(f"{place} is no lock: {problem}", hint=_HINT)
    return lock


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


def requested(images: Mapping[str, Sequence[str]], toolchain: Sequence[str]) -> dict[Part, tuple[str, ...]]:
    """What is to be installed by part: what the images ("root", "initrd") and the toolchain name, and Debian's base.

    Raises InvalidInputError if these are not the two images.
    """
    if set(images) != {"root", "initrd"}:
        raise InvalidInputError(f"the rendered tree has the images {', '.join(images)}, expected root and initrd")
    return {
        Part.ROOT: (*_BASE, *sorted(images["root"])),
        Part.INITRD: (*_BASE, *sorted(images["initrd"])),
        Part.TOOLCHAIN: ("?essential", *sorted(toolchain)),
    }


def require_current(lock: ImageLock, loaded: LoadedDefinition) -> None:
    """Raise InvalidInputError if the lock was made of another archive or for another image."""
    definition = loaded.definition
    for name, found, expected in (
        ("name", lock.image, definition.name),
        ("distribution.suite", lock.archive.suite, definition.distribution.suite),
        ("distribution.components", lock.archive.components, definition.distribution.components),
    ):
        if found != expected:
            raise _outdated(lock, f"{name} is {found} in the lock and {expected} in the definition")


def require_requested(lock: ImageLock, wanted: Mapping[Part, Sequence[str]]) -> None:
    """Raise InvalidInputError if the lock was made for other packages than are wanted now, naming the first one."""
    for part in Part:
        for name in sorted(set(wanted[part]) ^ set(lock.requested[part])):
            lack = "is not in the lock" if name in wanted[part] else "is in the lock and not asked for"
            raise _outdated(lock, f"{name} {lack} ({part})")


def _outdated(lock: ImageLock, problem: str) -> InvalidInputError:
    return InvalidInputError(
        f"the lock of {lock.image} is out of date: {problem}", hint="`bedplate lock` brings it up to date"
    )


def differences(old: ImageLock, new: ImageLock) -> Mapping[str, tuple[str | None, str | None]]:
    """Old and new version by package of all that changed; None where the package is not there."""

    def versions(packages: Iterable[LockedPackage]) -> dict[str, str]:
        return {f"{package.name}:{package.architecture}": package.version for package in packages}

    before, after = versions(old.packages), versions(new.packages)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return {name: (before.get(name), after.get(name)) for name in changed}


def _problems(lock: ImageLock) -> Iterable[str]:
    if set(lock.requested) != set(Part):
        yield f"requested names {', '.join(sorted(lock.requested)) or 'nothing'}, expected {', '.join(sorted(Part))}"
    seen: set[tuple[str, str]] = set()
    for package in lock.packages:
        if (package.name, package.architecture) in seen:
            yield f"{package.name}:{package.architecture} is there twice"
        seen.add((package.name, package.architecture))
    for part in Part:
        if not lock.of(part):
            yield f"it has no package for {part}"
