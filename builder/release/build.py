"""From a definition to an unsigned build: a directory with the disk image that mkosi made and the build record."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder import __version__
from builder.definition.render import RenderedLink, RenderedTree, file_stem, render
from builder.errors import InvalidInputError
from builder.files import locked, mapped, new_directory, remove_partial, require_free, sha256_file, write_atomically
from builder.mkosi import build as mkosi
from builder.mkosi.archive import ArchiveWatch, blame_archive
from builder.mkosi.bootstrap import ensure_toolchain, toolchain_key
from builder.release.contents import read_contents
from builder.release.layout import BUILD_RECORD, UNSIGNED_SUFFIX, Names
from builder.release.record import BuildRecord, ToolPackage, encode_record, load_record

if TYPE_CHECKING:
    from pathlib import Path

    from builder.definition.load import LoadedDefinition
    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.progress import Reporter

# mkosi needs the unpacked root, the disk and the archives at once; seen: 1.1 GiB for a 210 MiB disk.
_PLAIN_PATH: Final = re.compile(r"[\w/.+@:-]+")
_NEEDED_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, from which archive, and where; ``timeout`` is mkosi's, in seconds.

    ``force`` builds also when a build of the same inputs is there.
    """

    loaded: LoadedDefinition
    mirror: Mirror | None
    cache: Cache
    output: Path
    timeout: float
    force: bool = False


@dataclass(frozen=True, slots=True)
class UnsignedBuild:
    """An unsigned build on disk; ``reused`` tells that an earlier one served."""

    directory: Path
    record: BuildRecord
    reused: bool


def build_image(request: BuildRequest, reporter: Reporter) -> UnsignedBuild:
    """Build into ``output/NAME/VERSION.unsigned``, or take the build of the same inputs that is there.

    When the inputs have changed, or with ``force``, the old build is replaced once the new one is whole. Raises
    InvalidInputError, ToolMissingError or ToolFailedError; then nothing new stands at the target.
    """
    definition = request.loaded.definition
    tree = render(request.loaded, request.mirror)
    inputs = _inputs_digest(tree)
    for directory in (request.output.absolute(), request.cache.directory):
        _require_plain(directory)
    target = request.output.absolute() / definition.name / f"{definition.version}{UNSIGNED_SUFFIX}"
    with locked(target.parent / ".lock"):
        remove_partial(target.parent)
        if target.exists() and not request.force:
            record = load_record(target)
            if record.inputs == inputs:
                return UnsignedBuild(target, record, reused=True)
        record = _build(request, tree, inputs, target, reporter)
    return UnsignedBuild(target, record, reused=False)


def _build(request: BuildRequest, tree: RenderedTree, inputs: str, target: Path, reporter: Reporter) -> BuildRecord:
    definition, cache = request.loaded.definition, request.cache
    stem = file_stem(definition)
    toolchain = ensure_toolchain(cache, request.mirror, reporter)
    require_free(target.parent, _NEEDED_BYTES, what="the build")
    for directory in (cache.logs, cache.packages):
        directory.mkdir(parents=True, exist_ok=True)
    log = cache.logs / f"{stem}-{time.strftime('%Y%m%dT%H%M%S')}.log"
    started = _now()
    with new_directory(target, replace=True) as partial:
        workspace = mkosi.Workspace(partial / "tree", partial / "output", partial / "scratch", cache.packages)
        for directory in (workspace.tree, workspace.output, workspace.scratch):
            directory.mkdir()
        tree.write(workspace.tree)
        with reporter.stage("validate"):
            mkosi.validate(toolchain, workspace)
        # apt writes into the package cache, so only one mkosi may use it at a time.
        with reporter.stage("mkosi") as stage, locked(cache.packages / ".lock"):
            watch = ArchiveWatch(stage.line)
            with blame_archive(watch, request.mirror):
                built = mkosi.build(toolchain, workspace, stem, log=log, timeout=request.timeout, on_line=watch.line)
        disk = partial / Names(stem).disk
        built.disk.rename(disk)
        for directory in (workspace.tree, workspace.output, workspace.scratch):
            shutil.rmtree(directory)
        with reporter.stage("read"), mapped(disk, what="disk image") as view:
            read_contents(view)
            digest = sha256_file(disk)
        record = BuildRecord(
            name=definition.name,
            version=definition.version,
            architecture=definition.architecture.value,
            profile=definition.profile.value,
            stem=stem,
            inputs=inputs,
            definition=request.loaded.digest,
            tree=_tree_digest(tree),
            source_date_epoch=definition.source_date_epoch,
            seed=str(definition.seed),
            bedplate=__version__,
            toolchain=toolchain_key(),
            toolchain_packages=tuple(
                ToolPackage(tool.name, tool.version, tool.architecture) for tool in toolchain.packages()
            ),
            root_packages=built.packages["root"],
            initrd_packages=built.packages["initrd"],
            started=started,
            finished=_now(),
            disk=digest,
        )
        write_atomically(partial / BUILD_RECORD, encode_record(record))
    return record


def find_unsigned(path: Path) -> tuple[Path, BuildRecord]:
    """The unsigned build at ``path``, with its disk image checked against the record.

    Raises InvalidInputError if it is none or if the disk image is not the one that was built.
    """
    record = load_record(path)
    disk = path / Names(record.stem).disk
    if not disk.is_file():
        raise InvalidInputError(f"{path} has a build record but no {disk.name}")
    if sha256_file(disk) != record.disk:
        raise InvalidInputError(
            f"{disk} is not the image that was built: its digest differs from {BUILD_RECORD}", hint="build it again"
        )
    return disk, record


def _require_plain(directory: Path) -> None:
    """mkosi 25.3 hands a path below the workspace to a shell, through apt, without quotes."""
    if not _PLAIN_PATH.fullmatch(str(directory)):
        raise InvalidInputError(
            f"mkosi cannot build in {directory}: the path has spaces or characters that mean something to a shell",
            hint="use a directory whose path has letters, digits and . _ + @ : - only (--output, BEDPLATE_CACHE)",
        )


def _inputs_digest(tree: RenderedTree) -> str:
    parts = [__version__, toolchain_key(), _tree_digest(tree)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _tree_digest(tree: RenderedTree) -> str:
    """SHA-256 over path, kind and content of everything in the rendered tree."""
    state = hashlib.sha256()
    for path, entry in tree.entries.items():
        if isinstance(entry, RenderedLink):
            row = [str(path), "link", entry.target]
        else:
            row = [str(path), "executable" if entry.executable else "file", hashlib.sha256(entry.content).hexdigest()]
        state.update(json.dumps(row).encode())
    return state.hexdigest()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
