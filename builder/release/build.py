"""From a definition to an unsigned build: a directory with the disk image that mkosi made and the build record."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder import __version__
from builder.definition.lock import encode_lock, require_current
from builder.definition.render import RenderedTree, file_stem, render
from builder.definition.tree_archive import MAX_ARCHIVE_BYTES, pack_tree, tree_digest, unpack_tree
from builder.errors import InvalidInputError
from builder.files import (
    locked,
    mapped,
    new_directory,
    read_bytes,
    remove_partial,
    require_free,
    sha256_file,
    write_atomically,
)
from builder.mkosi.bootstrap import toolchain_key
from builder.release.contents import read_contents
from builder.release.layout import BUILD_RECORD, LOCK, TREE, UNSIGNED_SUFFIX, Names
from builder.release.make import Recipe, make_image
from builder.release.record import BuildRecord, ToolPackage, encode_record, load_record
from builder.release.verdict import check_build, require_production_pack
from policies.policy import encode as encode_policy
from policies.policy import settle

if TYPE_CHECKING:
    from pathlib import Path

    from builder.definition.load import LoadedDefinition
    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.progress import Reporter
    from builder.vault.supply import Supply
    from policies.policy import Policy
    from policies.report import Report

# mkosi needs the unpacked root, the disk and the archives at once; seen: 1.1 GiB for a 210 MiB disk.
_PLAIN_PATH: Final = re.compile(r"[\w/.+@:-]+")
_NEEDED_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build, from which archive, and where; ``timeout`` is mkosi's, in seconds.

    ``force`` builds also when a build of the same inputs is there. With ``supply`` everything is installed from the
    lock's packages; without, ``mirror`` offers what it has today. An image that does not satisfy its policy is kept in
    ``keep_failed``, a directory to make.
    """

    loaded: LoadedDefinition
    mirror: Mirror | None
    cache: Cache
    output: Path
    timeout: float
    force: bool = False
    keep_failed: Path | None = None
    supply: Supply | None = None


@dataclass(frozen=True, slots=True)
class UnsignedBuild:
    """An unsigned build on disk with the verdict on it; ``report`` is None if an earlier build served."""

    directory: Path
    record: BuildRecord
    report: Report | None

    @property
    def reused(self) -> bool:
        """Whether an earlier build of the same inputs served."""
        return self.report is None


def build_image(request: BuildRequest, reporter: Reporter) -> UnsignedBuild:
    """Build into ``output/NAME/VERSION.unsigned``, or take the build of the same inputs that is there.

    When the inputs have changed, or with ``force``, the old build is replaced once the new one is whole. Raises
    InvalidInputError, InvalidPolicyError, ToolMissingError or ToolFailedError, and RefusedImageError if the image does
    not satisfy its policy; then nothing new stands at the target.
    """
    definition = request.loaded.definition
    policy = settle(definition.packs, request.loaded.directory, request.loaded.waivers)
    require_production_pack(policy, definition.profile.value, str(request.loaded.path))
    if request.keep_failed is not None and request.keep_failed.exists():
        raise InvalidInputError(f"{request.keep_failed} exists already, so no image could be kept there")
    if request.supply is not None:
        require_current(request.supply.lock, request.loaded)
    tree = render(request.loaded, None if request.supply else request.mirror)
    inputs = _inputs_digest(tree, policy, request.supply)
    for directory in (request.output.absolute(), request.cache.directory):
        _require_plain(directory)
    target = request.output.absolute() / definition.name / f"{definition.version}{UNSIGNED_SUFFIX}"
    with locked(target.parent / ".lock"):
        remove_partial(target.parent)
        if target.exists() and not request.force:
            record = _readable_record(target)
            if record is not None and record.inputs == inputs:
                return UnsignedBuild(target, record, None)
        record, report = _build(request, tree, policy, inputs, target, reporter)
    return UnsignedBuild(target, record, report)


def _readable_record(target: Path) -> BuildRecord | None:
    """The record of the build that is there; None if another version of bedplate wrote it, so that it is replaced.

    Raises InvalidInputError if there is no record: then it is no build, and not for us to replace.
    """
    try:
        return load_record(target)
    except InvalidInputError:
        if not (target / BUILD_RECORD).exists():
            raise
        return None


def _build(
    request: BuildRequest, tree: RenderedTree, policy: Policy, inputs: str, target: Path, reporter: Reporter
) -> tuple[BuildRecord, Report]:
    definition, supply = request.loaded.definition, request.supply
    recipe = Recipe(file_stem(definition), tree, supply, request.mirror, definition.source_date)
    require_free(target.parent, _NEEDED_BYTES, what="the build")
    started = _now()
    with new_directory(target, replace=True) as partial:
        made = make_image(recipe, partial, request.cache, request.timeout, reporter)
        disk = made.disk
        with reporter.stage("read"), mapped(disk, what="disk image") as view:
            read_contents(view)
            digest = sha256_file(disk)
        with reporter.stage("check"):
            report = check_build(disk, digest, policy, keep_failed=request.keep_failed)
        record = BuildRecord(
            name=definition.name,
            version=definition.version,
            architecture=definition.architecture.value,
            profile=definition.profile.value,
            stem=recipe.stem,
            inputs=inputs,
            definition=request.loaded.digest,
            tree=tree_digest(tree),
            source_date_epoch=definition.source_date_epoch,
            seed=str(definition.seed),
            bedplate=__version__,
            lock=None if supply is None else supply.lock_digest,
            toolchain=toolchain_key(supply=supply),
            toolchain_packages=tuple(
                ToolPackage(tool.name, tool.version, tool.architecture) for tool in made.toolchain.packages()
            ),
            root_packages=made.built.packages["root"],
            initrd_packages=made.built.packages["initrd"],
            pruned=dict(made.built.pruned),
            started=started,
            finished=_now(),
            disk=digest,
            policy=hashlib.sha256(encode_policy(policy)).hexdigest(),
        )
        if supply is not None:
            write_atomically(partial / LOCK, encode_lock(supply.lock))
            write_atomically(partial / TREE, pack_tree(tree))
        write_atomically(partial / BUILD_RECORD, encode_record(record))
    return record, report


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


def read_sources(unsigned: Path, record: BuildRecord) -> dict[str, bytes]:
    """What the build was made from, by file name: lock and tree; nothing for one without a lock.

    Raises InvalidInputError if a file is missing or is not the one of the record.
    """
    if record.lock is None:
        return {}
    lock = read_bytes(unsigned / LOCK, what="lock of the build", limit=MAX_ARCHIVE_BYTES)
    tree = read_bytes(unsigned / TREE, what="mkosi tree of the build", limit=MAX_ARCHIVE_BYTES)
    for name, found, recorded in (
        (LOCK, hashlib.sha256(lock).hexdigest(), record.lock),
        (TREE, tree_digest(unpack_tree(tree, TREE)), record.tree),
    ):
        if found != recorded:
            raise InvalidInputError(
                f"{unsigned / name} is not what was built from: its digest differs from {BUILD_RECORD}",
                hint="build it again",
            )
    return {LOCK: lock, TREE: tree}


def _require_plain(directory: Path) -> None:
    """mkosi 25.3 hands a path below the workspace to a shell, through apt, without quotes."""
    if not _PLAIN_PATH.fullmatch(str(directory)):
        raise InvalidInputError(
            f"mkosi cannot build in {directory}: the path has spaces or characters that mean something to a shell",
            hint="use a directory whose path has letters, digits and . _ + @ : - only (--output, BEDPLATE_CACHE)",
        )


def _inputs_digest(tree: RenderedTree, policy: Policy, supply: Supply | None) -> str:
    settled = encode_policy(policy).decode()
    parts = [__version__, toolchain_key(), tree_digest(tree), supply and supply.lock_digest, settled]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
