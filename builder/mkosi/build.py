"""Running mkosi on a rendered tree, and naming what it made and from which packages."""

from __future__ import annotations

import configparser
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, ToolFailedError
from builder.full_disk import telling_full_disk
from builder.mkosi.layers import DISK, ENGINE, LAYERS, packages_by_area
from builder.mkosi.manifest import installed_packages, packages_added
from builder.mkosi.prune_report import PruneReport, read_prune_reports
from builder.mkosi.scratch import SCRATCH_HINT
from builder.process import run, run_logged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from builder.mkosi.layer_store import LayerUse
    from builder.mkosi.layers import Layer
    from builder.mkosi.manifest import InstalledPackage
    from builder.mkosi.toolchain import Toolchain

SUMMARY_TIMEOUT: Final = 60.0
# mkosi 25.3 ignores a section that it does not know without a word (mkosi.1, "FORMAT").
# fmt: off
_KNOWN_SECTIONS: Final = (
    "Build", "Config", "Content", "Distribution", "Include", "Match", "Output", "Runtime", "TriggerMatch", "Validation",
)
# fmt: on
_UNKNOWN: Final = re.compile(r"unknown (key|section|setting|lvalue)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directories of one mkosi run, all on one file system so that mkosi renames instead of copying.

    ``packages`` is where mkosi keeps what it downloads, ``archive`` a local archive that it takes packages from
    instead of downloading any.
    """

    tree: Path
    output: Path
    scratch: Path
    packages: Path
    archive: Path | None = None

    @property
    def debs(self) -> Path:
        """The directory with the .deb files that were installed from."""
        return self.packages / "cache/apt/archives" if self.archive is None else self.archive / "pool"


@dataclass(frozen=True, slots=True)
class TreeSummary:
    """What mkosi reads in a tree: the packages to install by image (DISK is the main one), the kernel's arguments."""

    packages: Mapping[str, tuple[str, ...]]
    command_line: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What mkosi made: the unsigned disk, the packages that went into root and initrd, and what pruning did to both.

    ``pruned`` is empty where the definition turned pruning off, ``layers`` where the whole tree was built in one run.
    """

    disk: Path
    packages: Mapping[str, tuple[InstalledPackage, ...]]
    pruned: Mapping[str, PruneReport]
    seconds: float
    layers: tuple[LayerUse, ...] = ()


def mkosi_command(toolchain: Toolchain, workspace: Workspace, *verb: str) -> tuple[str, ...]:
    """mkosi's command line: the tree's mkosi on this Python, with the tree as tools tree."""
    archive = () if workspace.archive is None else ("--local-mirror", f"file://{workspace.archive}")
    # fmt: off
    return (
        sys.executable, "-m", "mkosi",
        "--tools-tree", str(toolchain.tree),
        "--directory", str(workspace.tree),
        "--output-dir", str(workspace.output),
        "--workspace-dir", str(workspace.scratch),
        "--package-cache-dir", str(workspace.packages),
        *archive,
        *verb,
    )
    # fmt: on


def mkosi_environment(toolchain: Toolchain) -> dict[str, str]:
    """What mkosi needs besides the usual environment: where its Python modules are."""
    return {"PYTHONPATH": str(toolchain.python_path)}


def validate(toolchain: Toolchain, workspace: Workspace) -> TreeSummary:
    """Let mkosi read the tree and refuse whatever it does not know, before any package is downloaded.

    Raises InvalidInputError that names the unknown section or repeats mkosi's own words.
    """
    for config in sorted((*workspace.tree.glob("*.conf"), *workspace.tree.glob("mkosi.images/*/mkosi.conf"))):
        # Only the section names are read here; mkosi repeats settings, which strict mode would refuse.
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(config.read_text(encoding="utf-8"), str(config))
        for section in parser.sections():
            if section not in _KNOWN_SECTIONS:
                raise InvalidInputError(
                    f"{config}: unknown section [{section}]", hint=f"mkosi knows {', '.join(_KNOWN_SECTIONS)}"
                )
    images = {image["Image"] or DISK: image for image in json.loads(_summary(toolchain, workspace))["Images"]}
    return TreeSummary(
        packages={name: tuple(image["Packages"]) for name, image in images.items()},
        command_line=tuple(images[DISK]["KernelCommandLine"]),
    )


def _summary(toolchain: Toolchain, workspace: Workspace) -> bytes:
    """What mkosi makes of the tree, as JSON. Raises InvalidInputError with mkosi's own words if it complains."""
    try:
        summary = run(
            mkosi_command(toolchain, workspace, "--json", "summary"),
            timeout=SUMMARY_TIMEOUT,
            env=mkosi_environment(toolchain),
            cwd=workspace.tree,
        )
    except ToolFailedError as error:
        raise InvalidInputError(f"mkosi does not accept the rendered tree: {error}") from error
    if complaint := summary.stderr.decode(errors="replace").strip():
        raise InvalidInputError(f"mkosi does not accept the rendered tree: {complaint}")
    return summary.stdout


def build(
    toolchain: Toolchain,
    workspace: Workspace,
    stem: str,
    *,
    log: Path,
    timeout: float,
    on_line: Callable[[str], None] | None = None,
) -> BuiltImage:
    """Build the whole tree in one run and return the disk image that mkosi left in the output directory.

    Raises ToolFailedError as ``run_mkosi`` does, and if mkosi does not leave the files it should.
    """
    seconds = run_mkosi(toolchain, workspace, (), log=log, timeout=timeout, on_line=on_line)
    disk = require_output(workspace, f"{stem}.raw", log)
    added: dict[str, tuple[InstalledPackage, ...]] = {}
    for layer in LAYERS:
        added[layer.name] = layer_packages(layer, workspace, added)
    return BuiltImage(disk, packages_by_area(added), read_prune_reports(workspace.output), seconds)


def layer_packages(
    layer: Layer, workspace: Workspace, added: Mapping[str, tuple[InstalledPackage, ...]]
) -> tuple[InstalledPackage, ...]:
    """The packages that a layer added to those that it stands on, which ``added`` has by layer.

    Raises ToolFailedError if mkosi did not leave what tells.
    """
    if not layer.parts:
        return ()
    if not layer.on:
        return installed_packages(workspace.output / layer.manifest, workspace.debs)
    below = [package for name in layer.on for package in added[name]]
    return packages_added(workspace.output / layer.outputs[0], below, workspace.debs)


def build_engine(
    toolchain: Toolchain,
    workspace: Workspace,
    *,
    log: Path,
    timeout: float,
    on_line: Callable[[str], None] | None = None,
) -> tuple[InstalledPackage, ...]:
    """Build the tree of an engine, and leave its root in the output directory; the packages that were installed.

    Raises ToolFailedError as :func:`build` does.
    """
    run_mkosi(toolchain, workspace, (), log=log, timeout=timeout, on_line=on_line)
    for name in ENGINE.outputs:
        require_output(workspace, name, log)
    return installed_packages(workspace.output / ENGINE.manifest, workspace.debs)


def run_mkosi(
    toolchain: Toolchain,
    workspace: Workspace,
    options: Sequence[str],
    *,
    log: Path,
    timeout: float,
    on_line: Callable[[str], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> float:
    """Let mkosi build what is in the workspace's tree; the seconds it took.

    Raises ToolFailedError with mkosi's last lines and the log's path if mkosi fails, runs longer than ``timeout``
    seconds or ignores a setting, and StoppedError once ``stopped`` says so.
    """
    unknown: list[str] = []

    def watch(line: str) -> None:
        if _UNKNOWN.search(line):
            unknown.append(line)
        if on_line is not None:
            on_line(line)

    with telling_full_disk("image and log of mkosi", workspace.scratch, log.parent, hint=SCRATCH_HINT):
        seconds = run_logged(
            mkosi_command(toolchain, workspace, *options, "--force", "build"),
            timeout=timeout,
            log=log,
            env=mkosi_environment(toolchain),
            cwd=workspace.tree,
            on_line=watch,
            stopped=stopped,
        )
    if unknown:
        raise ToolFailedError(f"a tool ignored a setting: {unknown[0].strip()}", hint=f"the full log is {log}")
    return seconds


def require_output(workspace: Workspace, name: str, log: Path) -> Path:
    """A file that mkosi should have left. Raises ToolFailedError if it did not."""
    path = workspace.output / name
    if not path.is_file():
        raise ToolFailedError(f"mkosi ended well but left no {name}", hint=f"the full log is {log}")
    return path
