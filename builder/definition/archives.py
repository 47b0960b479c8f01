"""The archives that the packages of a definition come from, with their places: Debian's own first, then others."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.definition.distribution import ENGINE_ARCHIVE, MAIN_ARCHIVE, AdditionalArchive
from builder.definition.mirror import Mirror
from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from builder.definition.load import LoadedDefinition

SECURITY_SUFFIX: Final = "-security"
# Where the place of an archive was named that the definition ties to a place.
OWN_ORIGIN: Final = "distribution.archives of the definition"
# Mirrors keep both side by side, and so do archives of dated snapshots: /archive/debian/20260101T000000Z.
_ARCHIVE_PATH: Final = re.compile(r"/debian(?=(/[0-9]{8}T[0-9]{6}Z)?\Z)")


@dataclass(frozen=True, slots=True)
class PackageArchive:
    """An archive to choose packages from.

    Without ``keyring`` Debian's keys must have signed it. ``only`` are the packages to take from it, None means every
    one that is newer there than elsewhere; ``parts`` are those of the lock to take them for, None means all.
    ``fixed_place`` is set where the definition itself names the place.
    """

    name: str
    suite: str
    components: tuple[str, ...]
    place: Mirror
    fixed_place: str | None = None
    keyring: Path | None = None
    only: tuple[str, ...] | None = None
    parts: tuple[str, ...] | None = None
    allow_expired: bool = False

    @property
    def is_security(self) -> bool:
        """Whether what is newer here mends a weakness."""
        return is_security(self.suite)

    @property
    def directory(self) -> Path | None:
        """The directory of an archive on this disk."""
        url = self.place.url
        return Path(url.removeprefix("file://")) if url.startswith("file://") else None


def is_security(suite: str) -> bool:
    """Whether a suite is one of Debian's security archive, by its name (since Debian 11)."""
    return suite.endswith(SECURITY_SUFFIX)


def place_of(suite: str, fixed: str | None, mirror: Mirror | None) -> Mirror | None:
    """Where an archive besides the main one is: where the definition says, or where it is beside the main one's mirror.

    None if that is not known.
    """
    if fixed is not None:
        return Mirror(fixed.rstrip("/"), OWN_ORIGIN)
    if mirror is None or not is_security(suite):
        return mirror
    if mirror.security is not None:
        return Mirror(mirror.security, mirror.origin)
    beside, count = _ARCHIVE_PATH.subn("/debian-security", mirror.url)
    return Mirror(beside, f"beside {mirror.origin}") if count else None


def other_archives(loaded: LoadedDefinition) -> dict[str, AdditionalArchive]:
    """The archives of a lock besides the main one, by their name in the lock: the definition's, then its engine's."""
    found = {archive.name: archive for archive in loaded.definition.distribution.archives}
    if loaded.engine is not None:
        engine = loaded.engine.definition.distribution
        found[ENGINE_ARCHIVE] = AdditionalArchive(
            name=ENGINE_ARCHIVE, suite=engine.suite, components=engine.components, allow_expired=engine.allow_expired
        )
        found |= {_of_engine(archive.name): archive for archive in engine.archives}
    return found


def engine_archives(engine: LoadedDefinition, mirror: Mirror) -> tuple[PackageArchive, ...]:
    """All archives of an engine's definition, with their names in the lock. Raises as ``package_archives``."""
    main, *others = package_archives(engine, mirror)
    return (replace(main, name=ENGINE_ARCHIVE), *(replace(other, name=_of_engine(other.name)) for other in others))


def _of_engine(name: str) -> str:
    return f"{ENGINE_ARCHIVE}-{name}"


def package_archives(loaded: LoadedDefinition, mirror: Mirror) -> tuple[PackageArchive, ...]:
    """All archives of a definition, the main one first; ``mirror`` is where that one is.

    Raises InvalidInputError if it is not known where one of them is.
    """
    distribution = loaded.definition.distribution
    main = PackageArchive(
        MAIN_ARCHIVE, distribution.suite, distribution.components, mirror, allow_expired=distribution.allow_expired
    )
    archives = [main]
    for index, archive in enumerate(distribution.archives):
        place = place_of(archive.suite, archive.mirror, mirror)
        if place is None:
            raise InvalidInputError(
                f"{loaded.path}: nothing says where the archive {archive.name} is: {mirror.url} has no usual path",
                hint=f"name it with BEDPLATE_SECURITY_MIRROR or distribution.archives[{index}].mirror",
            )
        archives.append(
            PackageArchive(
                name=archive.name,
                suite=archive.suite,
                components=archive.components,
                place=place,
                fixed_place=archive.mirror,
                keyring=None if archive.keyring is None else loaded.directory / archive.keyring,
                only=archive.packages,
                parts=archive.parts,
                allow_expired=archive.allow_expired,
            )
        )
    return tuple(archives)
