"""From a rendered tree and its packages to a disk image: what a build and a rebuild have in common."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.definition.lock import Part, requested, require_requested
from builder.files import locked
from builder.mkosi import build as mkosi
from builder.mkosi.archive import ArchiveWatch, blame_archive
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.packages import TOOLCHAIN
from builder.release.layout import Names

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from builder.definition.mirror import Mirror
    from builder.definition.render import RenderedTree
    from builder.mkosi.cache import Cache
    from builder.mkosi.toolchain import Toolchain
    from builder.progress import Reporter
    from builder.vault.supply import Supply


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


def make_image(recipe: Recipe, directory: Path, cache: Cache, timeout: float, reporter: Reporter) -> MadeImage:
    """Make the disk image in ``directory``, which gets nothing else. mkosi may take ``timeout`` seconds.

    Raises InvalidInputError if mkosi does not accept the tree or if the lock lacks what it asks for, ToolFailedError
    with the log's path if a tool fails.
    """
    toolchain = ensure_toolchain(cache, recipe.mirror, reporter, supply=recipe.supply)
    for needed in (cache.logs, cache.packages):
        needed.mkdir(parents=True, exist_ok=True)
    log = cache.logs / f"{recipe.stem}-{time.strftime('%Y%m%dT%H%M%S')}.log"
    folder = directory / "work"
    workspace = _workspace(recipe, folder, cache, reporter)
    recipe.tree.write(workspace.tree)
    with reporter.stage("validate"):
        asked = mkosi.validate(toolchain, workspace)
        if recipe.supply is not None:
            require_requested(recipe.supply.lock, requested(asked, TOOLCHAIN))
    # apt writes into the package cache, so only one mkosi may use it at a time.
    with reporter.stage("mkosi") as stage, locked(workspace.packages / ".lock"):
        watch = ArchiveWatch(stage.line)
        with blame_archive(watch, recipe.mirror):
            built = mkosi.build(toolchain, workspace, recipe.stem, log=log, timeout=timeout, on_line=watch.line)
    disk = directory / Names(recipe.stem).disk
    built.disk.rename(disk)
    shutil.rmtree(folder)
    return MadeImage(disk, built, toolchain)


def _workspace(recipe: Recipe, folder: Path, cache: Cache, reporter: Reporter) -> mkosi.Workspace:
    """The directories of mkosi; a locked build brings its packages and shares nothing with other builds."""
    folder.mkdir()
    packages, archive = cache.packages, None
    if recipe.supply is not None:
        packages, archive = folder / "packages", folder / "archive"
        packages.mkdir()
        with reporter.stage("packages") as stage:
            recipe.supply.write_archive(archive, Part.ROOT, Part.INITRD, date=recipe.source_date, on_line=stage.line)
    workspace = mkosi.Workspace(folder / "tree", folder / "output", folder / "scratch", packages, archive)
    for directory in (workspace.tree, workspace.output, workspace.scratch):
        directory.mkdir()
    return workspace
