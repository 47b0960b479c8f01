"""Which packages mkosi installed, and the digests of the files they came from.

For an image that stands on nothing mkosi's manifest tells. For one that stands on another mkosi leaves out of it what
it takes for the other's: what was installed before its own start, which it compares with times in whole seconds
(``Manifest.record_deb_packages`` of mkosi/manifest.py). A quick machine installs everything within that second, so
there dpkg's own list tells.
"""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.errors import MalformedImageError, ToolFailedError
from builder.files import sha256_file
from builder.image.dpkg import packages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

_STATUS: Final = "./var/lib/dpkg/status"


class InstalledPackage(msgspec.Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """A package that mkosi installed, and the SHA-256 (hex) of the .deb file it came from."""

    name: str
    version: str
    architecture: str
    sha256: str


def installed_packages(manifest: Path, debs: Path) -> tuple[InstalledPackage, ...]:
    """The packages of a manifest, sorted; ``debs`` is the directory with the files that were installed from.

    Raises ToolFailedError if the manifest is missing, broken or empty, or names what is not there.
    """
    return tuple(sorted(_installed(manifest, _files(debs))))


def packages_added(tree: Path, below: Collection[InstalledPackage], debs: Path) -> tuple[InstalledPackage, ...]:
    """The packages in a tree, a tar archive, that are not among those ``below`` it, sorted.

    Raises ToolFailedError if the archive has no list of packages or a broken one, if it has nothing new, or if a
    package's file is not in ``debs``.
    """
    under = {(package.name, package.version, package.architecture) for package in below}
    try:
        with tarfile.open(tree, "r:") as archive:
            file = archive.extractfile(_STATUS)
            found = () if file is None else packages(file.read())
    except (OSError, KeyError, tarfile.TarError, MalformedImageError) as error:
        raise ToolFailedError(f"mkosi left no usable list of packages in {tree.name}: {error}") from error
    rows = [row for item in found if (row := (item.name, item.version, item.architecture)) not in under]
    if not rows:
        raise ToolFailedError(f"{tree.name} has no packages beside those below it")
    return tuple(sorted(_with_digests(rows, _files(debs))))


def _installed(manifest: Path, debs: Mapping[tuple[str, str, str], Path]) -> Iterator[InstalledPackage]:
    try:
        document: dict[str, Any] = json.loads(manifest.read_bytes())
        rows = [(row["name"], row["version"], row["architecture"]) for row in document["packages"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ToolFailedError(f"mkosi left no usable manifest {manifest.name}: {error}") from error
    if not rows:
        raise ToolFailedError(f"mkosi's manifest {manifest.name} lists no packages")
    yield from _with_digests(rows, debs)


def _with_digests(
    rows: Iterable[tuple[str, str, str]], debs: Mapping[tuple[str, str, str], Path]
) -> Iterator[InstalledPackage]:
    for row in rows:
        if row not in debs:
            raise ToolFailedError(f"the file that package {row[0]} {row[1]} ({row[2]}) came from is not there")
        yield InstalledPackage(*row, sha256=sha256_file(debs[row]))


def _files(directory: Path) -> dict[tuple[str, str, str], Path]:
    """The .deb files by (name, version, architecture); apt writes ":" of an epoch as %3a in file names."""
    found = {}
    for path in directory.glob("*.deb"):
        parts = path.stem.split("_")
        if len(parts) == 3:  # noqa: PLR2004 -- name_version_architecture (deb-name(7))
            name, version, architecture = parts
            found[name, version.replace("%3a", ":"), architecture] = path
    return found
