"""Making an image's lock: which packages root, initrd and toolchain are made of, as an archive offers them today."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder import __version__
from builder.definition.lock import ImageLock, LockedPackage, Part, encode_lock, requested
from builder.definition.render import render
from builder.errors import InvalidInputError
from builder.files import write_atomically
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.build import Workspace, validate
from builder.mkosi.packages import SUITE, TOOLCHAIN
from builder.mkosi.resolve import Archive
from builder.vault.archive import write_archive
from builder.vault.fetch import Source, fetch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from builder.definition.load import LoadedDefinition
    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.mkosi.resolve import Candidate, Key
    from builder.mkosi.toolchain import Toolchain
    from builder.progress import Reporter
    from builder.vault.store import Vault


@dataclass(frozen=True, slots=True)
class LockRequest:
    """Of what to make a lock.

    ``old`` is the lock that is there, and ``update`` the packages to take anew from the archive: None means all.
    """

    loaded: LoadedDefinition
    mirror: Mirror | None
    cache: Cache
    vault: Vault
    sources: Sequence[Source]
    old: ImageLock | None = None
    update: Collection[str] | None = None


def make_lock(request: LockRequest, reporter: Reporter) -> ImageLock:
    """The lock of a definition, which nothing is written of yet.

    Raises InvalidInputError without an archive to choose from, or for a package to update that is in no lock, and
    ToolFailedError if the archive cannot be used or has no way to install what is asked for.
    """
    if request.mirror is None:
        raise InvalidInputError(
            "no Debian archive is known to choose packages from",
            hint="name one with --mirror, BEDPLATE_MIRROR or distribution.mirror of the definition",
        )
    suite = request.loaded.definition.distribution.suite
    if suite != SUITE:
        raise InvalidInputError(
            f"{request.loaded.path} is of {suite}, but one archive must have image and toolchain, which is {SUITE}",
            hint="`bedplate build --unlocked` builds it without a lock",
        )
    kept = _kept(request)
    toolchain = ensure_toolchain(request.cache, request.mirror, reporter)
    with _scratch(request.cache) as scratch:
        names = _requested(request.loaded, toolchain, scratch)
        archive = Archive(toolchain, scratch / "apt", request.loaded.definition.distribution)
        archive.directory.mkdir()
        with reporter.stage("read the archive") as stage:
            local = None
            if kept:
                local = archive.directory / "kept"
                local.mkdir()
                fetch(request.vault, kept, request.sources, stage.line)
                write_archive(request.vault, kept, local, suite=suite, date=request.loaded.definition.source_date)
            log = request.cache.logs / "lock.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            state = archive.update(request.mirror, log=log, local=local)
        with reporter.stage("choose packages"):
            versions = {package.name: package.version for package in kept}
            chosen = {part: archive.choose(wanted, versions) for part, wanted in names.items()}
            candidates = archive.find(frozenset().union(*chosen.values()))
    definition = request.loaded.definition
    return ImageLock(
        image=definition.name,
        bedplate=__version__,
        source_date=definition.source_date.isoformat().replace("+00:00", "Z"),
        seed=str(definition.seed),
        archive=state,
        requested=names,
        packages=_packages(chosen, candidates, kept),
    )


def write_lock(lock: ImageLock, path: Path) -> None:
    """Write the lock, whole or not at all."""
    write_atomically(path, encode_lock(lock))


def _kept(request: LockRequest) -> tuple[LockedPackage, ...]:
    """The packages of the old lock that stay as they are."""
    if request.update is None or request.old is None:
        return ()
    known = {package.name for package in request.old.packages}
    if unknown := sorted(set(request.update) - known):
        raise InvalidInputError(
            f"there is no package {unknown[0]} in the lock, so it cannot be updated",
            hint="what the definition newly asks for is added by `bedplate lock` itself",
        )
    return tuple(package for package in request.old.packages if package.name not in request.update)


def _requested(loaded: LoadedDefinition, toolchain: Toolchain, scratch: Path) -> dict[Part, tuple[str, ...]]:
    workspace = Workspace(scratch / "tree", scratch / "output", scratch / "work", scratch / "packages")
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages):
        directory.mkdir()
    render(loaded, None).write(workspace.tree)
    return requested(validate(toolchain, workspace), TOOLCHAIN)


def _packages(
    chosen: Mapping[Part, Collection[Key]], candidates: Mapping[Key, Candidate], kept: Sequence[LockedPackage]
) -> tuple[LockedPackage, ...]:
    """The union of what is chosen for each part. A kept package keeps its path: here it is in a local archive."""
    paths = {(package.name, package.version, package.architecture): package.path for package in kept}
    packages = [
        LockedPackage(
            name=candidate.name,
            version=candidate.version,
            architecture=candidate.architecture,
            parts=tuple(part for part in sorted(chosen) if key in chosen[part]),
            size=candidate.size,
            sha256=candidate.sha256,
            path=paths.get(key, candidate.path),
        )
        for key, candidate in candidates.items()
    ]
    return tuple(sorted(packages))


@contextlib.contextmanager
def _scratch(cache: Cache) -> Iterator[Path]:
    """A directory that goes away; in the cache, because apt in the toolchain's sandbox does not see /tmp."""
    cache.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.directory, prefix=".partial-lock-") as name:
        yield Path(name)
