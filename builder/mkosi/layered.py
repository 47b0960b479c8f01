"""A disk image from layers: each is taken from the cache, or made by a run of mkosi that sees nothing but its inputs.

The bytes are those of one run of mkosi on the whole tree (``builder.mkosi.build.build``), which a test compares.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from builder.errors import ToolFailedError
from builder.files import sha256_file
from builder.mkosi.build import BuiltImage, Workspace, layer_packages, require_output, run_mkosi
from builder.mkosi.layer_store import LayerRecord, LayerStore, LayerUse
from builder.mkosi.layers import disk_tree, key_of, layer_inputs, layer_tree, layers_of, packages_by_area
from builder.mkosi.manifest import InstalledPackage
from builder.mkosi.prune_report import read_prune_reports
from builder.side_by_side import Job, processors, side_by_side

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.definition.render import RenderedTree
    from builder.mkosi.layers import Inputs, Layer
    from builder.mkosi.toolchain import Toolchain
    from builder.progress import Reporter
    from builder.vault.supply import Supply


@dataclass(frozen=True, slots=True)
class _Plan:
    """A layer, the tree that makes it, the rows that decide it, and the packages that it adds to those below it."""

    layer: Layer
    tree: RenderedTree
    inputs: Inputs
    packages: frozenset[InstalledPackage]


@dataclass(frozen=True, slots=True)
class LayeredBuild:
    """One build: its tree, packages and tools, and ``folder``, where it may leave what it likes.

    ``tools`` names the toolchain; ``deadline`` is a time of the monotonic clock. The names of logs are made of ``log``.
    """

    toolchain: Toolchain
    tools: str
    tree: RenderedTree
    supply: Supply
    source_date: dt.datetime
    store: LayerStore
    folder: Path
    log: Path
    deadline: float
    reporter: Reporter

    @property
    def output(self) -> Path:
        """Where mkosi leaves layers and disk, and looks for layers."""
        return self.folder / "output"

    def make(self, stem: str) -> BuiltImage:
        """The disk image ``stem.raw`` in the output directory.

        Raises ToolFailedError if a tool fails, and InvalidInputError if the tree or the lock is not what it should be.
        """
        for directory in (self.output, self.folder / "scratch"):
            directory.mkdir()
        started = time.monotonic()
        plans = self._plans()
        with self.store.building(plan.inputs for plan in plans):
            records, because = self._taken(plans)
            missing = [plan for plan in plans if plan.layer.name in because]
            self._write_archives(plan.layer for plan in missing)
            jobs = [Job(plan.layer.name, plan.layer.on, partial(self._make, plan)) for plan in missing]
            records = side_by_side(jobs, records, processors())
        uses = tuple(
            LayerUse(
                layer=plan.layer.name,
                inputs=key_of(plan.inputs),
                files=records[plan.layer.name].files,
                because=because.get(plan.layer.name, ""),
            )
            for plan in plans
        )
        with self.reporter.stage("disk") as stage:
            workspace = self._run("disk", disk_tree(self.tree), None, stage.line)
        disk = require_output(workspace, f"{stem}.raw", self._log("disk"))
        seconds = time.monotonic() - started
        reports = read_prune_reports(self.output)
        added = {name: record.packages for name, record in records.items()}
        return BuiltImage(disk, packages_by_area(added), reports, seconds, uses)

    def _plans(self) -> list[_Plan]:
        """What is to be made, in an order in which each stands on earlier ones only."""
        plans: list[_Plan] = []
        keys: dict[str, str] = {}
        tools = f"{self.tools} {_rights()}"
        for layer in layers_of(self.tree):
            tree = layer_tree(self.tree, layer)
            inputs = layer_inputs(layer, tree, self.supply.lock.of(*layer.parts), keys, tools)
            keys[layer.name] = key_of(inputs)
            below = {package for plan in plans if plan.layer.name in layer.on for package in self._locked(plan.layer)}
            plans.append(_Plan(layer, tree, inputs, self._locked(layer) - below))
        return plans

    def _taken(self, plans: Sequence[_Plan]) -> tuple[dict[str, LayerRecord], dict[str, str]]:
        """The layers that the cache has, now in the output directory; and of the others, why it has them not."""
        records: dict[str, LayerRecord] = {}
        because: dict[str, str] = {}
        with self.reporter.stage("layers of the cache"):
            for plan in plans:
                found = self.store.take(plan.layer, plan.inputs, self.output, plan.packages)
                if isinstance(found, LayerRecord):
                    records[plan.layer.name] = found
                else:
                    because[plan.layer.name] = found
        return records, because

    def _write_archives(self, layers: Iterable[Layer]) -> None:
        """Fetch what layers are installed from, and make an archive for each."""
        installing = [layer for layer in layers if layer.parts]
        if not installing:
            return
        with self.reporter.stage("packages") as stage:
            for layer in installing:
                self.supply.write_archive(self._archive(layer), *layer.parts, date=self.source_date, on_line=stage.line)

    def _archive(self, layer: Layer) -> Path:
        return self.folder / f"archive-{layer.name}"

    def _locked(self, layer: Layer) -> frozenset[InstalledPackage]:
        """The packages that the lock has for a layer and those below it; a lock has just what apt installs."""
        return frozenset(
            InstalledPackage(package.name, package.version, package.architecture, package.sha256)
            for package in self.supply.lock.of(*layer.parts)
        )

    def _make(self, plan: _Plan, below: Mapping[str, LayerRecord], stopped: Callable[[], bool]) -> LayerRecord:
        """Make a layer, leave it in the output directory and put it into the cache."""
        layer = plan.layer
        with self.reporter.stage(f"layer {layer.name}") as stage:
            archive = self._archive(layer) if layer.parts else None
            workspace = self._run(layer.name, plan.tree, archive, stage.line, stopped)
            log = self._log(layer.name)
            paths = [require_output(workspace, name, log) for name in layer.outputs]
            report = workspace.output / layer.report
            paths += [report] if report.exists() else []
            record = LayerRecord(
                layer=layer.name,
                inputs=plan.inputs,
                files={path.name: sha256_file(path) for path in paths},
                packages=layer_packages(layer, workspace, {name: below[name].packages for name in layer.on}),
            )
            if archive is not None:
                shutil.rmtree(archive)
            require_locked(layer.name, record.packages, plan.packages)
            self.store.put(record, self.output)
        return record

    def _log(self, name: str) -> Path:
        """Runs at the same time have a log each."""
        return self.log.with_name(f"{self.log.stem}-{name}{self.log.suffix}")

    def _run(
        self,
        name: str,
        tree: RenderedTree,
        archive: Path | None,
        on_line: Callable[[str], None],
        stopped: Callable[[], bool] | None = None,
    ) -> Workspace:
        """Let mkosi build ``tree``; what it left is in the output directory."""
        trees, packages = self.folder / f"tree-{name}", self.folder / f"packages-{name}"
        workspace = Workspace(trees, self.output, self.folder / "scratch", packages, archive)
        for directory in (workspace.tree, workspace.packages):
            directory.mkdir()
        tree.write(workspace.tree)
        # What installs nothing needs no index of an archive, and has none.
        options = () if archive is not None else ("--cache-only=always",)
        left = max(1.0, self.deadline - time.monotonic())
        run_mkosi(
            self.toolchain,
            workspace,
            options,
            log=self._log(name),
            timeout=left,
            on_line=on_line,
            stopped=stopped,
        )
        with contextlib.suppress(OSError):  # only for the space
            shutil.rmtree(workspace.packages)
        return workspace


def require_locked(layer: str, installed: Collection[InstalledPackage], locked: Collection[InstalledPackage]) -> None:
    """Raise ToolFailedError, naming the first package, if not exactly what the lock has for a layer was installed.

    The digests of what was installed are those of the files that apt unpacked, taken after it did.
    """
    for package in sorted(set(installed) ^ set(locked)):
        finding = "installed and not in the lock" if package in installed else "in the lock and not installed"
        raise ToolFailedError(
            f"layer {layer}: {package.name} {package.version} ({package.architecture}) with SHA-256 {package.sha256} "
            f"is {finding}",
            hint="something else wrote to the directory of the build, or the lock is out of date",
        )


def _rights() -> str:
    """As root mkosi keeps the owners of files, in a user's namespace it does not; the disk comes out the same."""
    return "root" if os.geteuid() == 0 else "user"
