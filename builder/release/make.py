"""From a rendered tree and its packages to a disk image: what a build and a rebuild have in common."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.definition.lock import ENGINE_PART, Part, requested, require_requested
from builder.definition.render import ENGINE_TREE
from builder.files import copy_sparse, locked, move_file
from builder.mkosi import build as mkosi
from builder.mkosi.archive import ArchiveWatch, blame_archive
from builder.mkosi.bootstrap import ensure_toolchain, toolchain_key
from builder.mkosi.command_line import replace_command_line
from builder.mkosi.layered import LayeredBuild
from builder.mkosi.layers import DISK, asked_by_area
from builder.mkosi.packages import TOOLCHAIN
from builder.mkosi.scratch import scratch
from builder.release.layout import Names

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from builder.definition.mirror import Mirror
    from builder.definition.render import RenderedTree
    from builder.mkosi.cache import Cache
    from builder.mkosi.layer_store import LayerStore
    from builder.mkosi.manifest import InstalledPackage
    from builder.mkosi.toolchain import Toolchain
    from builder.progress import Reporter
    from builder.vault.supply import Supply


# Of 108 MB of packages a build on two processors made 0.6 GiB at most; the rest is for packages that are packed better.
_SCRATCH_BYTES: Final = 512 << 20
_SCRATCH_FACTOR: Final = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the bytes of an image: the mkosi tree, and the packages that it is filled with.

    ``stem`` begins the names of its files. Without ``supply`` the packages are those that ``mirror`` has today.
    """

    stem: str
    tree: RenderedTree
    supply: Supply | None
    mirror: Mirror | None
    source_date: dt.datetime


@dataclass(frozen=True, slots=True)
class MadeImage:
    """A disk image, what mkosi says of it, and the tools that made it."""

    disk: Path
    built: mkosi.BuiltImage
    toolchain: Toolchain


def make_image(
    recipe: Recipe,
    directory: Path,
    cache: Cache,
    timeout: float,
    reporter: Reporter,
    *,
    layers: LayerStore | None = None,
) -> MadeImage:
    """Make the disk image in ``directory``, which gets nothing else. mkosi may take ``timeout`` seconds.

    With ``layers``, which needs a supply, what was made before of the same inputs is taken from there; without, one run
    of mkosi makes all. Raises InvalidInputError if mkosi does not accept the tree or if the lock lacks what it asks
    for, ToolFailedError with the log's path if a tool fails.
    """
    toolchain = ensure_toolchain(cache, recipe.mirror, reporter, supply=recipe.supply)
    for needed in (cache.logs, cache.packages):
        needed.mkdir(parents=True, exist_ok=True)
    log = cache.logs / f"{recipe.stem}-{time.strftime('%Y%m%dT%H%M%S')}.log"
    disk = directory / Names(recipe.stem).disk
    with scratch(cache, directory, _needed_bytes(recipe.supply)) as folder:
        workspace = _workspace(recipe, folder / "whole", cache)
        recipe.tree.write(workspace.tree)
        engine = _engine_workspace(recipe, folder, workspace)
        with reporter.stage("validate"):
            asked = asked_by_area(mkosi.validate(toolchain, workspace).packages)
            if engine is not None:
                asked |= {ENGINE_PART: mkosi.validate(toolchain, engine).packages[DISK]}
            if recipe.supply is not None:
                require_requested(recipe.supply.lock, requested(asked, TOOLCHAIN))
        if recipe.supply is None or layers is None:
            added = {} if engine is None else {ENGINE_PART: _engine(recipe, toolchain, engine, log, timeout, reporter)}
            built = _whole(recipe, toolchain, workspace, log, timeout, reporter)
            built = dataclasses.replace(built, packages={**built.packages, **added})
        else:
            built = LayeredBuild(
                toolchain=toolchain,
                tools=toolchain_key(supply=recipe.supply),
                tree=recipe.tree,
                supply=recipe.supply,
                source_date=recipe.source_date,
                store=layers,
                folder=folder,
                log=log,
                deadline=time.monotonic() + timeout,
                reporter=reporter,
            ).make(recipe.stem)
        move_file(built.disk, disk)
    return MadeImage(disk, built, toolchain)


def change_command_line(recipe: Recipe, old: Path, directory: Path, cache: Cache, reporter: Reporter) -> Path:
    """Make the disk image in ``directory`` from the one of a tree that differs in the kernel command line only.

    Raises InvalidInputError if mkosi does not accept the tree, or if the image is not one that this can be done to.
    """
    toolchain = ensure_toolchain(cache, recipe.mirror, reporter, supply=recipe.supply)
    disk = directory / Names(recipe.stem).disk
    with scratch(cache, directory, _SCRATCH_BYTES) as folder:
        workspace = _workspace(recipe, folder / "whole", cache)
        recipe.tree.write(workspace.tree)
        with reporter.stage("validate"):
            arguments = mkosi.validate(toolchain, workspace).command_line
        with reporter.stage("command line"):
            copy_sparse(old, disk)
            sections = folder / "sections"
            sections.mkdir()
            replace_command_line(toolchain, disk, arguments, sections)
    return disk


def _whole(
    recipe: Recipe, toolchain: Toolchain, workspace: mkosi.Workspace, log: Path, timeout: float, reporter: Reporter
) -> mkosi.BuiltImage:
    """The image by one run of mkosi."""
    if recipe.supply is not None and workspace.archive is not None:
        with reporter.stage("packages") as stage:
            recipe.supply.write_archive(
                workspace.archive, Part.ROOT, Part.INITRD, date=recipe.source_date, on_line=stage.line
            )
    # apt writes into the package cache, so only one mkosi may use it at a time.
    with reporter.stage("mkosi") as stage, locked(workspace.packages / ".lock"):
        watch = ArchiveWatch(stage.line)
        with blame_archive(watch, recipe.mirror):
            return mkosi.build(toolchain, workspace, recipe.stem, log=log, timeout=timeout, on_line=watch.line)


def _engine(
    recipe: Recipe, toolchain: Toolchain, workspace: mkosi.Workspace, log: Path, timeout: float, reporter: Reporter
) -> tuple[InstalledPackage, ...]:
    """The root of the engine, by a run of mkosi before that of the image."""
    if recipe.supply is not None and workspace.archive is not None:
        with reporter.stage("packages") as stage:
            recipe.supply.write_archive(workspace.archive, ENGINE_PART, date=recipe.source_date, on_line=stage.line)
    with reporter.stage("engine") as stage, locked(workspace.packages / ".lock"):
        watch = ArchiveWatch(stage.line)
        with blame_archive(watch, recipe.mirror):
            log = log.with_stem(f"{log.stem}-engine")
            return mkosi.build_engine(toolchain, workspace, log=log, timeout=timeout, on_line=watch.line)


def _needed_bytes(supply: Supply | None) -> int | None:
    """About what a build of a lock's packages writes at most at a time; nobody knows it of one without a lock."""
    if supply is None:
        return None
    packed = sum(package.size for package in supply.lock.of(Part.ROOT, Part.INITRD, ENGINE_PART))
    return _SCRATCH_BYTES + _SCRATCH_FACTOR * packed


def _workspace(recipe: Recipe, folder: Path, cache: Cache) -> mkosi.Workspace:
    """The directories of one mkosi; a locked build brings its packages and shares nothing with other builds."""
    packages, archive = cache.packages, None
    if recipe.supply is not None:
        packages, archive = folder / "packages", folder / "archive"
        packages.mkdir(parents=True)
    workspace = mkosi.Workspace(folder / "tree", folder / "output", folder / "scratch", packages, archive)
    for directory in (workspace.tree, workspace.output, workspace.scratch):
        directory.mkdir(parents=True, exist_ok=True)
    return workspace


def _engine_workspace(recipe: Recipe, folder: Path, workspace: mkosi.Workspace) -> mkosi.Workspace | None:
    """The directories of the run that makes the engine's root, into the same output; None without an engine."""
    tree = workspace.tree / ENGINE_TREE
    if not tree.is_dir():
        return None
    packages, archive = workspace.packages, None
    if recipe.supply is not None:
        packages, archive = folder / "engine-packages", folder / "engine-archive"
        packages.mkdir()
    made = mkosi.Workspace(tree, workspace.output, folder / "engine-scratch", packages, archive)
    made.scratch.mkdir()
    return made
