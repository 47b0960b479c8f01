"""Where bedplate keeps what it can make again: toolchain trees, downloaded packages, logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT_VARIABLE: Final = "BEDPLATE_CACHE"
# What to do if the file system of the cache is full.
CACHE_HINT: Final = (
    "what is in the cache is whole; free some space there, or set BEDPLATE_CACHE to a directory on another file system"
)


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache directory, absolute. Deleting it costs time and nothing else."""

    directory: Path

    @property
    def toolchains(self) -> Path:
        """Finished toolchain trees, one directory for each set of packages."""
        return self.directory / "toolchain"

    @property
    def packages(self) -> Path:
        """mkosi's package cache: archive metadata and downloaded .deb files."""
        return self.directory / "packages"

    @property
    def layers(self) -> Path:
        """What mkosi made of the images below a disk, by the digest of their inputs."""
        return self.directory / "layers"

    @property
    def logs(self) -> Path:
        """Full logs of toolchain and image builds, also of failed ones."""
        return self.directory / "logs"


def find_cache(environment: Mapping[str, str]) -> Cache:
    """BEDPLATE_CACHE, else ``bedplate`` in XDG_CACHE_HOME, else in ``~/.cache`` (XDG Base Directory Specification)."""
    if named := environment.get(ENVIRONMENT_VARIABLE):
        return Cache(Path(named).absolute())
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Cache(Path(base).expanduser().absolute() / "bedplate")
