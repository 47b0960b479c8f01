"""The one document that controls look at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable  # noqa: TC003 -- an annotation that msgspec may resolve
from functools import cached_property
from typing import Annotated, Any, Final, Literal, cast

from msgspec import json
from msgspec.structs import replace

from policies.facts.accounts import Accounts  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.facts.base import AreaName, Fact, about
from policies.facts.boot import Disk, EspFile, ImageIdentity, Uki  # noqa: TC001
from policies.facts.configuration import Configuration  # noqa: TC001
from policies.facts.files import Elf, File, Kernel, Package, Script, Secret  # noqa: TC001
from policies.facts.loaders import Boot, Unread  # noqa: TC001
from policies.facts.paths import chase
from policies.facts.rights import Rights  # noqa: TC001
from policies.facts.systemd import Systemd, Unit  # noqa: TC001

# file-hierarchy(7), "Compatibility symlinks".
_MERGED: Final = {f"/{name}": f"usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")}
_MAX_REACHED: Final = 1 << 18
# Linux include/linux/namei.h, MAXSYMLINKS.
_MAX_LINKS: Final = 40


class Area(Fact, frozen=True, kw_only=True, dict=True):
    """A file system that runs: the root, or the initrd."""

    name: Annotated[AreaName, about("Which of the two.")]
    files: Annotated[tuple[File, ...], about("By path, the root directory first.")]
    packages: Annotated[tuple[Package, ...], about("By name; empty where there is no package database.")]
    os_release: Annotated[dict[str, str], about("/etc/os-release or /usr/lib/os-release, quotes removed.")]
    accounts: Annotated[Accounts, about("Users, groups, keys.")]
    systemd: Annotated[Systemd, about("Units, generators, presets, configuration.")]
    configuration: Annotated[Configuration, about("Other configuration.")]
    rights: Annotated[Rights, about("Rules of the message bus, polkit, sudo and doas.")]
    kernel: Annotated[Kernel, about("Modules and configuration of kernels.")]
    elf: Annotated[tuple[Elf, ...], about("By path.")]
    scripts: Annotated[tuple[Script, ...], about("By path.")]
    secrets: Annotated[tuple[Secret, ...], about("By path and line.")]

    @cached_property
    def by_path(self) -> dict[str, File]:
        """The files by path."""
        return {file.path: file for file in self.files}

    @cached_property
    def reached(self) -> tuple[File, ...]:
        """The files by every path that leads to them through links to directories: first ``files``, then the others.

        Names at the top that lead into /usr, as distributions merge them, count as that place. Raises ValueError for
        links that multiply files without end.
        """
        if self.unreached is not None:
            raise ValueError(self.unreached)
        return (*self.files, *self._aliases[0])

    @property
    def unreached(self) -> str | None:
        """Why not all paths are known that lead to files: links that multiply files without end; else None."""
        return self._aliases[1]

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The units by name, aliases included."""
        names = {alias: unit for unit in self.systemd.units for alias in unit.aliases}
        return names | {unit.name: unit for unit in self.systemd.units}

    @cached_property
    def programs(self) -> dict[str, tuple[tuple[File, File], ...]]:
        """By file name what can be executed, with the executable that it is or leads to; by path for each name.

        What the dynamic linker could run counts without a mode that says so.
        """
        runnable = {elf.path for elf in self.elf if elf.interpreter is not None or elf.starts}
        named: dict[str, list[tuple[File, File]]] = {}
        for file in self.files:
            program = self.find(file.path) if file.type == "symlink" else file
            if program is not None and (program.is_executable or program.path in runnable):
                named.setdefault(file.name, []).append((file, program))
        return {name: tuple(files) for name, files in named.items()}

    @property
    def has_files(self) -> bool:
        """Whether there is more than an empty root directory."""
        return len(self.files) > 1

    def find(self, path: str) -> File | None:
        """The file that ``path`` leads to, symbolic links followed inside the area; None if there is none."""
        found = chase(path, self._target)
        return None if found is None else self.by_path.get(found)

    def real(self, path: str) -> str | None:
        """Where a path leads, links followed, whether or not there is a file; None for one that leads nowhere."""
        return chase(path, self._target)

    def below(self, folder: str) -> tuple[File, ...]:
        """The files below a directory, by a path without links."""
        prefix = folder.rstrip("/") + "/"
        start, end = (bisect_left(self._paths, text) for text in (prefix, prefix[:-1] + "0"))  # "0" comes after "/"
        return self.files[start:end]

    @cached_property
    def _aliases(self) -> tuple[tuple[File, ...], str | None]:
        """The files by the paths that lead through links, and why those are not all."""
        found: list[File] = []
        for file in self.files:
            if file.type == "symlink" and _MERGED.get(file.path) != file.target:
                try:
                    self._follow(file.path, file.path, frozenset(), found)
                except ValueError as error:
                    return (), str(error)
        return tuple(found), None

    def _follow(self, path: str, link: str, passed: frozenset[str], found: list[File]) -> None:
        """Add what lies behind ``link`` to a directory to ``found``, by the paths that begin with ``path``."""
        folder = self.find(link)
        if folder is None or folder.type != "directory" or folder.path in passed or len(passed) >= _MAX_LINKS:
            return
        prefix = folder.path.rstrip("/") + "/"
        for file in self.below(folder.path):
            alias = f"{path}/{file.path[len(prefix) :]}"
            if file.path == "/" or not file.path[len(prefix) :]:
                continue
            found.append(replace(file, path=alias))
            if len(found) > _MAX_REACHED:
                raise ValueError(f"links to directories lead to more than {_MAX_REACHED} paths, one of them {path}")
            if file.type == "symlink" and _MERGED.get(file.path) != file.target:
                self._follow(alias, file.path, passed | {folder.path}, found)

    @cached_property
    def _paths(self) -> list[str]:
        return [file.path for file in self.files]

    @property
    def _target(self) -> Callable[[str], str | None]:
        files = self.by_path
        return lambda path: files[path].target if path in files else None


class Facts(Fact, frozen=True, kw_only=True, dict=True):
    """All that is known about an image, or about a directory tree that could become one."""

    schema: Annotated[Literal["bedplate.facts.v1"], about("Version of this document.")]
    kind: Annotated[
        Literal["image", "tree"], about("A whole disk image; or only a root, where disk, UKI and initrd are null.")
    ]
    identity: Annotated[ImageIdentity, about("What the image calls itself.")]
    disk: Annotated[Disk | None, about("Partitions.")]
    esp_files: Annotated[tuple[EspFile, ...], about("Files of the EFI system partition but the UKI, by path.")]
    uki: Annotated[Uki | None, about("The program that firmware starts.")]
    boot: Annotated[Boot, about("What could be started besides the UKI.")]
    root: Annotated[Area, about("The root file system; without files if it could not be read.")]
    initrd: Annotated[
        Area | None, about("The UKI's initrd, unpacked as the kernel does; without a UKI that of the first boot entry.")
    ]
    other_initrds: Annotated[tuple[Area, ...], about("Other initrds that boot entries name.")]
    unread: Annotated[tuple[Unread, ...], about("What could not be read.")]

    @property
    def areas(self) -> tuple[Area, ...]:
        """The root, and the initrds if there are any."""
        return (self.root, *(() if self.initrd is None else (self.initrd,)), *self.other_initrds)

    @cached_property
    def as_json(self) -> dict[str, Any]:
        """The document as a JSON value, which nobody may change."""
        return cast("dict[str, Any]", json.decode(json.encode(self)))
