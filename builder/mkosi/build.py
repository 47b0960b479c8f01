"""Running mkosi on a rendered tree, and naming what it made and from which packages."""

from __future__ import annotations

import configparser
import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.errors import InvalidInputError, ToolFailedError
from builder.files import sha256_file
from builder.mkosi.prune_report import PruneReport, read_prune_reports
from builder.process import run, run_logged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

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


class InstalledPackage(msgspec.Struct, frozen=True, order=True):
    """A package that mkosi installed, and the SHA-256 (hex) of the .deb file it came from."""

    name: str
    version: str
    architecture: str
    sha256: str


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What mkosi made: the unsigned disk, the packages that went into root and initrd, and what pruning did to both.

    ``pruned`` is empty where the definition turned pruning off.
    """

    disk: Path
    packages: Mapping[str, tuple[InstalledPackage, ...]]
    pruned: Mapping[str, PruneReport]
    seconds: float


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


def validate(toolchain: Toolchain, workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Let mkosi read the tree and refuse whatever it does not know, before any package is downloaded.

    The value is the packages that the tree asks for, by image ("root", "initrd"). Raises InvalidInputError that names
    the unknown section or repeats mkosi's own words.
    """
    for config in sorted(workspace.tree.rglob("mkosi.conf")):
        # Only the section names are read here; mkosi repeats settings, which strict mode would refuse.
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(config.read_text(encoding="utf-8"), str(config))
        for section in parser.sections():
            if section not in _KNOWN_SECTIONS:
                raise InvalidInputError(
                    f"{config}: unknown section [{section}]", hint=f"mkosi knows {', '.join(_KNOWN_SECTIONS)}"
                )
    images = {image["Image"] or "root": image for image in json.loads(_summary(toolchain, workspace))["Images"]}
    return {name: tuple(image["Packages"]) for name, image in images.items()}


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
    """Build the tree and return the disk image that mkosi left in the output directory as ``<stem>.raw``.

    Raises ToolFailedError with mkosi's last lines and the log's path if mkosi fails, runs longer than ``timeout``
    seconds, ignores a setting or does not leave the files it should.
    """
    unknown: list[str] = []

    def watch(line: str) -> None:
        if _UNKNOWN.search(line):
            unknown.append(line)
        if on_line is not None:
            on_line(line)

    seconds = run_logged(
        mkosi_command(toolchain, workspace, "--force", "build"),
        timeout=timeout,
        log=log,
        env=mkosi_environment(toolchain),
        cwd=workspace.tree,
        on_line=watch,
    )
    hint = f"the full log is {log}"
    if unknown:
        raise ToolFailedError(f"a tool ignored a setting: {unknown[0].strip()}", hint=hint)
    disk = workspace.output / f"{stem}.raw"
    if not disk.is_file():
        raise ToolFailedError(f"mkosi ended well but left no {disk.name}", hint=hint)
    debs = _debs(workspace.debs)
    packages = {
        area: tuple(sorted(_installed(workspace.output / f"{manifest}.manifest", debs)))
        for area, manifest in (("root", stem), ("initrd", "initrd"))
    }
    return BuiltImage(disk, packages, read_prune_reports(workspace.output), seconds)


def _installed(manifest: Path, debs: Mapping[tuple[str, str, str], Path]) -> Iterable[InstalledPackage]:
    try:
        document: dict[str, Any] = json.loads(manifest.read_bytes())
        rows = [(row["name"], row["version"], row["architecture"]) for row in document["packages"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolFailedError(f"mkosi left no usable manifest {manifest.name}: {error}") from error
    if not rows:
        raise ToolFailedError(f"mkosi's manifest {manifest.name} lists no packages")
    for row in rows:
        if row not in debs:
            raise ToolFailedError(f"the file that package {row[0]} {row[1]} ({row[2]}) came from is not there")
        yield InstalledPackage(*row, sha256=sha256_file(debs[row]))


def _debs(directory: Path) -> dict[tuple[str, str, str], Path]:
    """The .deb files by (name, version, architecture); apt writes ":" of an epoch as %3a in file names."""
    found = {}
    for path in directory.glob("*.deb"):
        parts = path.stem.split("_")
        if len(parts) == 3:  # noqa: PLR2004 -- name_version_architecture (deb-name(7))
            name, version, architecture = parts
            found[name, version.replace("%3a", ":"), architecture] = path
    return found
