"""A disk image from layers: each is taken from the cache, or made by a run of mkosi that sees nothing but its inputs.

The bytes are those of one run of mkosi on the whole tree (``builder.mkosi.build.build``), which a test compares.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import ToolFailedError
from builder.files import sha256_file
from builder.mkosi.build import BuiltImage, Workspace, layer_packages, require_output, run_mkosi
from builder.mkosi.layer_store import LayerRecord, LayerStore, LayerUse
from builder.mkosi.layers import disk_tree, key_of, layer_inputs, layer_tree, layers_of, packages_by_area
from builder.mkosi.manifest import InstalledPackage
from builder.mkosi.prune_report import read_prune_reports

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from builder.definition.render import RenderedTree
    from builder.mkosi.layers import Inputs, Layer
    from builder.mkosi.toolchain import Toolchain
    from builder.progress import Reporter
    from builder.vault.supply import Supply


@dataclass(frozen=True, slots=True)
class LayeredBuild:
    """One build: its tree, packages and tools, and ``folder``, where it may leave what it likes.

    ``tools`` names the toolchain; ``deadline`` is a time of the monotonic clock.
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
        uses: dict[str, LayerUse] = {}
        added: dict[str, tuple[InstalledPackage, ...]] = {}
        for layer in layers_of(self.tree):
            keys = {name: use.inputs for name, use in uses.items()}
            tree = layer_tree(self.tree, layer)
            tools = f"{self.tools} {_rights()}"
            inputs = layer_inputs(layer, tree, self.supply.lock.of(*layer.parts), keys, tools)
            with self.reporter.stage(f"layer {layer.name}") as stage, self.store.building(inputs):
                packages = self._locked(layer) - {package for name in layer.on for package in added[name]}
                found = self.store.take(layer, inputs, self.output, packages)
                if isinstance(found, LayerRecord):
                    record = found
                else:
                    record = self._make(layer, inputs, tree, added, stage.line)
                    require_locked(layer.name, record.packages, packages)
                    self.store.put(record, self.output)
            because = found if isinstance(found, str) else ""
            uses[layer.name] = LayerUse(layer=layer.name, inputs=key_of(inputs), files=record.files, because=because)
            added[layer.name] = record.packages
        with self.reporter.stage("disk") as stage:
            workspace = self._run("disk", disk_tree(self.tree), None, stage.line)
        disk = require_output(workspace, f"{stem}.raw", self.log)
        seconds = time.monotonic() - started
        reports = read_prune_reports(self.output)
        return BuiltImage(disk, packages_by_area(added), reports, seconds, tuple(uses.values()))

    def _locked(self, layer: Layer) -> frozenset[InstalledPackage]:
        """The packages that the lock has for a layer and those below it; a lock has just what apt installs."""
        return frozenset(
            InstalledPackage(package.name, package.version, package.architecture, package.sha256)
            for package in self.supply.lock.of(*layer.parts)
        )

    def _make(
        self,
        layer: Layer,
        inputs: Inputs,
        tree: RenderedTree,
        added: Mapping[str, tuple[InstalledPackage, ...]],
        on_line: Callable[[str], None],
    ) -> LayerRecord:
        """Make a layer and leave it in the output directory; ``added`` are the packages of those below it."""
        archive = None
        if layer.parts:
            archive = self.folder / f"archive-{layer.name}"
            self.supply.write_archive(archive, *layer.parts, date=self.source_date)
        workspace = self._run(layer.name, tree, archive, on_line)
        paths = [require_output(workspace, name, self.log) for name in layer.outputs]
        report = workspace.output / layer.report
        paths += [report] if report.exists() else []
        record = LayerRecord(
            layer=layer.name,
            inputs=inputs,
            files={path.name: sha256_file(path) for path in paths},
            packages=layer_packages(layer, workspace, added),
        )
        if archive is not None:
            shutil.rmtree(archive)
        return record

    def _run(self, name: str, tree: RenderedTree, archive: Path | None, on_line: Callable[[str], None]) -> Workspace:
        """Let mkosi build ``tree``; what it left is in the output directory."""
        trees, packages = self.folder / f"tree-{name}", self.folder / f"packages-{name}"
        workspace = Workspace(trees, self.output, self.folder / "scratch", packages, archive)
        for directory in (workspace.tree, workspace.packages):
            directory.mkdir()
        tree.write(workspace.tree)
        # What installs nothing needs no index of an archive, and has none.
        options = () if archive is not None else ("--cache-only=always",)
        left = max(1.0, self.deadline - time.monotonic())
        run_mkosi(self.toolchain, workspace, options, log=self.log, timeout=left, on_line=on_line)
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
