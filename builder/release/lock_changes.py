"""What is other in a new lock than in the old one, and which of it mends a weakness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, structs

from builder.image import debversion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from builder.definition.lock import ImageLock, LockedPackage


class PackageChange(Struct, frozen=True, kw_only=True):
    """A package that came, went, or has another version.

    ``old`` and ``new`` are versions, None where the package is not there. ``archive`` is the one that the new version
    is from. ``security`` tells whether Debian's security archive has something newer than the old version; None means
    that no such archive was asked.
    """

    package: str
    architecture: str
    parts: tuple[str, ...]
    old: str | None
    new: str | None
    archive: str | None
    security: bool | None


def package_changes(
    old: ImageLock, new: ImageLock, fixes: Mapping[tuple[str, str], Collection[str]] | None = None
) -> tuple[PackageChange, ...]:
    """All changes, by package. ``fixes`` are the versions in security archives by package and architecture."""
    before, after = _by_part(old), _by_part(new)
    parts: dict[PackageChange, list[str]] = {}
    for key in sorted({*before, *after}):
        part, name, architecture = key
        was, now = before.get(key), after.get(key)
        if was is not None and now is not None and was.version == now.version:
            continue
        mended = None if fixes is None else fixes.get((name, architecture), ())
        change = PackageChange(
            package=name,
            architecture=architecture,
            parts=(),
            old=None if was is None else was.version,
            new=None if now is None else now.version,
            archive=None if now is None else now.archive_name,
            security=None
            if mended is None
            else was is not None and any(debversion.compare(was.version, version) < 0 for version in mended),
        )
        parts.setdefault(change, []).append(part)
    changes = [structs.replace(change, parts=tuple(names)) for change, names in parts.items()]
    return tuple(sorted(changes, key=lambda change: (change.package, change.architecture, change.parts)))


def _by_part(lock: ImageLock) -> dict[tuple[str, str, str], LockedPackage]:
    return {(part, package.name, package.architecture): package for package in lock.packages for part in package.parts}
