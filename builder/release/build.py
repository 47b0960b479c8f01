"""From a definition to an unsigned build: a directory with the disk image that mkosi made and the build record."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder import __version__
from builder.definition.lock import encode_lock, require_current
from builder.definition.render import file_stem, render
from builder.definition.tree_archive import pack_tree, tree_digest
from builder.errors import InvalidInputError
from builder.files import (
    copy_sparse,
    locked,
    mapped,
    new_directory,
    remove_partial,
    require_free,
    sha256_file,
    write_atomically,
)
from builder.mkosi.bootstrap import toolchain_key
from builder.mkosi.layer_store import LayerStore
from builder.mkosi.layers import key_of
from builder.release.contents import read_contents
from builder.release.layout import BUILD_RECORD, LOCK, TREE, UNSIGNED_SUFFIX, Names
from builder.release.make import Recipe, change_command_line, make_image
from builder.release.record import BuildRecord, ToolPackage, encode_record
from builder.release.reuse import Reuse, Standing, find_standing, image_inputs
from builder.release.verdict import check_build, require_production_pack, require_valid_waivers
from policies.policy import encode as encode_policy
from policies.policy import settle

if TYPE_CHECKING:
    from pathlib import Path

    from builder.definition.load import LoadedDefinition
    from builder.definition.mirror import Mirror
    from builder.definition.render import RenderedTree
    from builder.mkosi.cache import Cache
    from builder.mkosi.layers import Inputs
    from builder.progress import Reporter
    from builder.release.make import MadeImage
    from builder.vault.supply import Supply
    from policies.policy import Policy
    from policies.report import Report

_PLAIN_PATH: Final = re.compile(r"[\w/.+@:-]+")
# mkosi needs the unpacked root, the disk and the archives at once; seen: 1.1 GiB for a 210 MiB disk.
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
class Step:
    """A part of an image, and why it was made; ``because`` is empty if it was taken over from before."""

    name: str
    because: str


@dataclass(frozen=True, slots=True)
class UnsignedBuild:
    """An unsigned build on disk with the verdict on it; ``report`` is None if an earlier build served.

    ``steps`` says what was taken over from earlier builds, and why not more.
    """

    directory: Path
    record: BuildRecord
    report: Report | None
    steps: tuple[Step, ...]

    @property
    def reused(self) -> bool:
        """Whether an earlier build of the same inputs served."""
        return self.report is None


def build_image(request: BuildRequest, reporter: Reporter) -> UnsignedBuild:
    """Build into ``output/NAME/VERSION.unsigned``, or take the build of the same inputs that is there.

    When the inputs have changed, or with ``force``, or when a file of the old build is not what it was, it is replaced
    once the new one is whole. What the inputs leave as it was is taken over: all but the record and the verdict, or all
    but the command line, or layers of the cache.

    Raises InvalidInputError, InvalidPolicyError, ToolMissingError or ToolFailedError, NotVerifiedError if a waiver has
    expired, whatever stands at the target, and RefusedImageError if the image does not satisfy its policy; then nothing
    new stands there.
    """
    definition = request.loaded.definition
    policy = settle(definition.packs, request.loaded.directory, request.loaded.waivers)
    require_production_pack(policy, definition.profile.value, str(request.loaded.path))
    require_valid_waivers(policy, str(request.loaded.waivers or request.loaded.path), dt.datetime.now(dt.UTC).date())
    if request.keep_failed is not None and request.keep_failed.exists():
        raise InvalidInputError(f"{request.keep_failed} exists already, so no image could be kept there")
    supply = request.supply
    if supply is not None:
        require_current(supply.lock, request.loaded)
    tree = render(request.loaded, None if supply else request.mirror)
    inputs = image_inputs(tree, tools=toolchain_key(supply=supply), lock=None if supply is None else supply.lock_digest)
    for directory in (request.output.absolute(), request.cache.directory):
        _require_plain(directory)
    target = request.output.absolute() / definition.name / f"{definition.version}{UNSIGNED_SUFFIX}"
    plan = _Plan(request, tree, inputs, policy, target)
    with locked(target.parent / ".lock"):
        remove_partial(target.parent)
        standing = find_standing(target, inputs, policy=plan.policy_digest, definition=request.loaded.digest)
        if request.force:
            standing = Standing(Reuse.NOTHING, "--force asks for it")
        if standing.reuse is Reuse.BUILD and standing.record is not None:
            return UnsignedBuild(target, standing.record, None, (Step("build", ""),))
        return _build(plan, standing, reporter)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to be built, from what, and where."""

    request: BuildRequest
    tree: RenderedTree
    inputs: Inputs
    policy: Policy
    target: Path

    @property
    def policy_digest(self) -> str:
        return hashlib.sha256(encode_policy(self.policy)).hexdigest()

    @property
    def recipe(self) -> Recipe:
        definition = self.request.loaded.definition
        return Recipe(
            file_stem(definition), self.tree, self.request.supply, self.request.mirror, definition.source_date
        )


def _build(plan: _Plan, standing: Standing, reporter: Reporter) -> UnsignedBuild:
    require_free(plan.target.parent, _NEEDED_BYTES, what="the build")
    with new_directory(plan.target, replace=True) as partial:
        record, steps = _make(plan, standing, partial, reporter)
        disk = partial / Names(record.stem).disk
        with reporter.stage("read"), mapped(disk, what="disk image") as view:
            read_contents(view)
        with reporter.stage("check"):
            report = check_build(disk, record.disk, plan.policy, keep_failed=plan.request.keep_failed)
        if plan.request.supply is not None:
            write_atomically(partial / LOCK, encode_lock(plan.request.supply.lock))
            write_atomically(partial / TREE, pack_tree(plan.tree))
        write_atomically(partial / BUILD_RECORD, encode_record(record))
    return UnsignedBuild(plan.target, record, report, steps)


def _make(plan: _Plan, standing: Standing, partial: Path, reporter: Reporter) -> tuple[BuildRecord, tuple[Step, ...]]:
    """Put the disk image into ``partial``, from what stands or anew; its record, and how it came about."""
    old, because = standing.record, standing.because
    if standing.reuse is Reuse.IMAGE and old is not None:
        return _take_over_image(plan, old, partial), (Step("image", ""), Step("verdict", because))
    if standing.reuse is Reuse.ROOT and old is not None:
        try:
            record = _take_over_root(plan, old, partial, reporter)
        except InvalidInputError as error:
            because = f"{because}, and {error}"
            (partial / Names(old.stem).disk).unlink(missing_ok=True)
        else:
            return record, (Step("root", ""), Step("command line", because))
    started = _now()
    layers = None if plan.request.supply is None else LayerStore(plan.request.cache.layers)
    made = make_image(plan.recipe, partial, plan.request.cache, plan.request.timeout, reporter, layers=layers)
    steps = tuple(Step(f"layer {layer.layer}", layer.because) for layer in made.built.layers)
    return _record(plan, made, started), (*steps, Step("disk", because))


def _take_over_image(plan: _Plan, old: BuildRecord, partial: Path) -> BuildRecord:
    name = Names(old.stem).disk
    copy_sparse(plan.target / name, partial / name)
    return replace(old, definition=plan.request.loaded.digest, policy=plan.policy_digest)


def _take_over_root(plan: _Plan, old: BuildRecord, partial: Path, reporter: Reporter) -> BuildRecord:
    """All of the old image but its command line. Raises InvalidInputError if there is no room for the new one."""
    started = _now()
    disk = change_command_line(plan.recipe, plan.target / Names(old.stem).disk, partial, plan.request.cache, reporter)
    return replace(
        old,
        inputs=key_of(plan.inputs),
        definition=plan.request.loaded.digest,
        tree=tree_digest(plan.tree),
        layers=tuple(replace(layer, because="") for layer in old.layers),
        started=started,
        finished=_now(),
        disk=sha256_file(disk),
        policy=plan.policy_digest,
    )


def _record(plan: _Plan, made: MadeImage, started: str) -> BuildRecord:
    definition, supply = plan.request.loaded.definition, plan.request.supply
    return BuildRecord(
        name=definition.name,
        version=definition.version,
        architecture=definition.architecture.value,
        profile=definition.profile.value,
        stem=plan.recipe.stem,
        inputs=key_of(plan.inputs),
        definition=plan.request.loaded.digest,
        tree=tree_digest(plan.tree),
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
        engine_packages=made.built.packages.get("engine", ()),
        pruned=dict(made.built.pruned),
        layers=made.built.layers,
        started=started,
        finished=_now(),
        disk=sha256_file(made.disk),
        policy=plan.policy_digest,
    )


def _require_plain(directory: Path) -> None:
    """mkosi 25.3 hands a path below the workspace to a shell, through apt, without quotes."""
    if not _PLAIN_PATH.fullmatch(str(directory)):
        raise InvalidInputError(
            f"mkosi cannot build in {directory}: the path has spaces or characters that mean something to a shell",
            hint="use a directory whose path has letters, digits and . _ + @ : - only (--output, BEDPLATE_CACHE)",
        )


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
