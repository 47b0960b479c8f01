"""The one document that controls look at."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 -- an annotation that msgspec may resolve
from functools import cached_property
from typing import Annotated, Any, Literal, cast

from msgspec import json

from policies.facts.accounts import Accounts  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.facts.base import AreaName, Fact, about
from policies.facts.boot import Disk, EspFile, ImageIdentity, Uki  # noqa: TC001
from policies.facts.configuration import Configuration  # noqa: TC001
from policies.facts.files import Elf, File, Kernel, Package, Script, Secret  # noqa: TC001
from policies.facts.loaders import Boot, Unread  # noqa: TC001
from policies.facts.paths import chase
from policies.facts.systemd import Systemd, Unit  # noqa: TC001


class Area(Fact, frozen=True, kw_only=True, dict=True):
    """A file system that runs: the root, or the initrd."""

    name: Annotated[AreaName, about("Which of the two.")]
    files: Annotated[tuple[File, ...], about("By path, the root directory first.")]
    packages: Annotated[tuple[Package, ...], about("By name; empty where there is no package database.")]
    os_release: Annotated[dict[str, str], about("/etc/os-release or /usr/lib/os-release, quotes removed.")]
    accounts: Annotated[Accounts, about("Users, groups, keys.")]
    systemd: Annotated[Systemd, about("Units, generators, presets, configuration.")]
    configuration: Annotated[Configuration, about("Other configuration.")]
    kernel: Annotated[Kernel, about("Modules and configuration of kernels.")]
    elf: Annotated[tuple[Elf, ...], about("By path.")]
    scripts: Annotated[tuple[Script, ...], about("By path.")]
    secrets: Annotated[tuple[Secret, ...], about("By path and line.")]

    @cached_property
    def by_path(self) -> dict[str, File]:
        """The files by path."""
        return {file.path: file for file in self.files}

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The units by name, aliases included."""
        names = {alias: unit for unit in self.systemd.units for alias in unit.aliases}
        return names | {unit.name: unit for unit in self.systemd.units}

    @property
    def has_files(self) -> bool:
        """Whether there is more than an empty root directory."""
        return len(self.files) > 1

    def find(self, path: str) -> File | None:
        """The file that ``path`` leads to, symbolic links followed inside the area; None if there is none."""
        found = chase(path, self._target)
        return None if found is None else self.by_path.get(found)

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
