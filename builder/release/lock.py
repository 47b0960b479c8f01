"""Making an image's lock: which packages its parts are made of, as archives offer them today."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from builder import __version__
from builder.definition.archives import engine_archives, other_archives, package_archives
from builder.definition.lock import ENGINE_PART, ImageLock, LockedPackage, date_text, encode_lock, requested
from builder.definition.render import ENGINE_TREE, render
from builder.errors import InvalidInputError
from builder.files import write_atomically
from builder.mkosi.archive_state import require_not_older
from builder.mkosi.bootstrap import ensure_toolchain, find_toolchain
from builder.mkosi.build import Workspace, validate
from builder.mkosi.layers import DISK, asked_by_area
from builder.mkosi.packages import SUITE, TOOLCHAIN
from builder.mkosi.resolve import read_archives
from builder.mkosi.scratch import scratch_in_cache
from builder.release.lock_changes import PackageChange, package_changes
from builder.vault.archive import write_archive
from builder.vault.fetch import Source, fetch

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from builder.definition.archives import PackageArchive
    from builder.definition.load import LoadedDefinition
    from builder.definition.lock import ArchiveState
    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.mkosi.resolve import Index, Key
    from builder.mkosi.toolchain import Toolchain
    from builder.progress import Reporter
    from builder.vault.store import Vault


@dataclass(frozen=True, slots=True)
class LockRequest:
    """Of what to make a lock.

    ``old`` is the lock that is there, and ``update`` the packages to take anew from the archives: None means all.
    ``sources`` have the packages that stay.
    """

    loaded: LoadedDefinition
    mirror: Mirror | None
    cache: Cache
    vault: Vault
    sources: Sequence[Source]
    old: ImageLock | None = None
    update: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class NewLock:
    """A lock, and what is other in it than in the old one."""

    lock: ImageLock
    changes: tuple[PackageChange, ...]


def make_lock(request: LockRequest, reporter: Reporter) -> NewLock:
    """The lock of a definition, which nothing is written of yet.

    Raises InvalidInputError without an archive to choose from, or for a package to update that is in no lock, and
    ToolFailedError if an archive cannot be used, is older than the old lock, or has no way to install what is asked
    for.
    """
    loaded, definition = request.loaded, request.loaded.definition
    if request.mirror is None:
        raise InvalidInputError(
            "no Debian archive is known to choose packages from",
            hint="name one with --mirror, BEDPLATE_MIRROR or distribution.mirror of the definition",
        )
    if definition.distribution.suite != SUITE:
        raise InvalidInputError(
            f"{loaded.path} is of {definition.distribution.suite}, but one archive must have image and toolchain, "
            f"which is {SUITE}",
            hint="`bedplate build --unlocked` builds it without a lock",
        )
    archives = package_archives(loaded, request.mirror)
    kept = _kept(request)
    # Any will do: what apt chooses follows from the archives, and a first lock needs no toolchain of its own.
    toolchain = find_toolchain(request.cache) or ensure_toolchain(request.cache, request.mirror, reporter)
    # Not in /tmp, which apt in the toolchain's sandbox does not see.
    with scratch_in_cache(request.cache) as scratch:
        names = _requested(loaded, toolchain, scratch)
        _require_parts(archives, names)
        engine = {ENGINE_PART: names.pop(ENGINE_PART)} if ENGINE_PART in names else {}
        chosen = [_choose(request, toolchain, archives, names, kept, scratch / "apt", reporter)]
        if loaded.engine is not None:
            apart = engine_archives(loaded.engine, request.mirror)
            chosen.append(_choose(request, toolchain, apart, engine, kept, scratch / "apt-engine", reporter))
        lock = ImageLock(
            image=definition.name,
            bedplate=__version__,
            source_date=date_text(definition.source_date),
            seed=str(definition.seed),
            archives=tuple(state for choice in chosen for state in _states(choice, request.old)),
            requested=names | engine,
            packages=tuple(sorted(package for choice in chosen for package in choice.packages)),
        )
        return NewLock(lock, _changes(request.old, lock, chosen[0].index))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What apt chose from some archives for some parts."""

    index: Index
    packages: tuple[LockedPackage, ...]


def _choose(
    request: LockRequest,
    toolchain: Toolchain,
    archives: Sequence[PackageArchive],
    names: Mapping[str, tuple[str, ...]],
    all_kept: Sequence[LockedPackage],
    directory: Path,
    reporter: Reporter,
) -> _Choice:
    """The packages of the parts that ``names`` has, of archives that other parts do not take from."""
    kept = tuple(package for package in all_kept if names.keys() & set(package.parts))
    date = request.loaded.definition.source_date
    directory.mkdir()
    with reporter.stage("read the archives") as stage:
        held = None
        if kept:
            local = directory / "kept"
            local.mkdir()
            with request.vault.locked(stage.line):
                fetch(request.vault, kept, request.sources, stage.line)
                write_archive(request.vault, kept, local, suite=archives[0].suite, date=date)
            held = (local, archives[0].suite)
        log = request.cache.logs / "lock.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        now = dt.datetime.now(dt.UTC)
        index = read_archives(toolchain, directory, archives, now=now, log=log, local=held)
        require_not_older(index.states.values(), {} if request.old is None else request.old.current)
    with reporter.stage("choose packages"):
        chosen = {part: index.choose(part, wanted, _versions(kept, part)) for part, wanted in names.items()}
        return _Choice(index, _packages(chosen, index, kept, request.old))


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
    named = {*other_archives(request.loaded), request.old.main.name}
    if gone := sorted(set(request.old.current) - named):
        raise InvalidInputError(
            f"the lock takes packages from the archive {gone[0]}, which the definition does not name",
            hint="`bedplate lock` without --update chooses all packages anew",
        )
    return tuple(package for package in request.old.packages if package.name not in request.update)


def _versions(kept: Sequence[LockedPackage], part: str) -> dict[str, str]:
    """The versions to keep in a part: its own, else those of other parts, so that parts do not drift apart."""
    others = {package.name: package.version for package in kept}
    return others | {package.name: package.version for package in kept if part in package.parts}


def _requested(loaded: LoadedDefinition, toolchain: Toolchain, scratch: Path) -> dict[str, tuple[str, ...]]:
    workspace = Workspace(scratch / "tree", scratch / "output", scratch / "work", scratch / "packages")
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages):
        directory.mkdir()
    render(loaded, None).write(workspace.tree)
    asked = asked_by_area(validate(toolchain, workspace).packages)
    if loaded.engine is not None:
        engine = dataclasses.replace(workspace, tree=workspace.tree / ENGINE_TREE)
        asked |= {ENGINE_PART: validate(toolchain, engine).packages[DISK]}
    return requested(asked, TOOLCHAIN)


def _require_parts(archives: Sequence[PackageArchive], parts: Collection[str]) -> None:
    for archive in archives:
        if unknown := sorted(set(archive.parts or ()) - set(parts)):
            raise InvalidInputError(
                f"the archive {archive.name} is for {unknown[0]}, which is no part of this image",
                hint=f"it has the parts {', '.join(sorted(parts))}",
            )


def _packages(
    chosen: Mapping[str, Collection[Key]], index: Index, kept: Sequence[LockedPackage], old: ImageLock | None
) -> tuple[LockedPackage, ...]:
    """The union of what is chosen for each part.

    A package that the old lock has from the same place of the same archive keeps what the old lock says of it.
    """
    rows = {(package.name, package.version, package.architecture): package for package in kept}
    wanted: frozenset[Key] = frozenset().union(*chosen.values())
    parts = {key: tuple(part for part in sorted(chosen) if key in chosen[part]) for key in wanted}
    before = {} if old is None else {(row.archive_name, row.path, row.sha256): row for row in old.packages}
    for key, candidate in index.find(wanted - rows.keys()).items():
        state = index.states[candidate.archive]
        rows[key] = before.get((state.name, candidate.path, candidate.sha256)) or LockedPackage(
            name=candidate.name,
            version=candidate.version,
            architecture=candidate.architecture,
            parts=parts[key],
            archive=state.id,
            size=candidate.size,
            sha256=candidate.sha256,
            path=candidate.path,
        )
    return tuple(sorted(msgspec.structs.replace(rows[key], parts=parts[key]) for key in wanted))


def _states(choice: _Choice, old: ImageLock | None) -> tuple[ArchiveState, ...]:
    """The states that packages are from, and that of today, by archive and date."""
    used = {package.archive for package in choice.packages}
    earlier = () if old is None else old.archives
    states = []
    for archive in choice.index.archives:
        today = choice.index.states[archive.name]
        past = [state for state in earlier if state.name == archive.name and state.id in used and state.id != today.id]
        states += [*sorted(past, key=lambda state: state.date), today]
    return tuple(states)


def _changes(old: ImageLock | None, new: ImageLock, index: Index) -> tuple[PackageChange, ...]:
    if old is None:
        return ()
    return package_changes(old, new, index.fixes({package.name for package in old.packages}))
