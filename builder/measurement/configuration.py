"""What a prediction must be told beside the UKI: the machine's state and everything else that the boot takes in.

Nothing here is guessed from the machine that predicts. File names are as they stand on the EFI system partition.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.measurement.platforms import GENERIC, Platform

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAME_LENGTH = 255
_COMPANION_SUFFIXES = {
    "addons": (".addon.efi",),
    "credentials": (".cred",),
    "extensions": (".raw",),
    "extra": (".addon.efi", ".cred", ".raw"),
}


class SecureBootMode(enum.StrEnum):
    """The state of the variable SecureBoot: 01, 00, or no such variable (firmware built without Secure Boot)."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class SecureBoot:
    """The mode and the contents of the variables, as EFI_SIGNATURE_LISTs; no bytes mean that a variable is absent.

    Every byte counts: owner GUIDs, order, and a dummy dbx that an enrolment tool may have added.
    """

    mode: SecureBootMode
    pk: bytes = b""
    kek: bytes = b""
    db: bytes = b""
    dbx: bytes = b""

    def __post_init__(self) -> None:
        if self.enabled and not (self.pk and self.db):
            raise InvalidInputError("Secure Boot is enabled only with a PK, and starts an image only by its db")
        if self.mode is SecureBootMode.UNSUPPORTED and (self.pk or self.kek or self.db or self.dbx):
            raise InvalidInputError("firmware without Secure Boot has no PK, KEK, db or dbx")

    @property
    def enabled(self) -> bool:
        """Whether firmware verifies what it starts."""
        return self.mode is SecureBootMode.ENABLED


class KernelMeasurement(enum.StrEnum):
    """What the EFI stub of the kernel in the UKI extends into PCR 9."""

    LOAD_OPTIONS_AND_INITRD = "load options and initrd"
    NOTHING = "nothing"


class BootEntry(enum.StrEnum):
    """How a boot loader found the UKI (UAPI group, "Boot Loader Specification")."""

    TYPE_1 = "type 1"
    TYPE_2 = "type 2"


@dataclass(frozen=True, slots=True)
class BootLoader:
    """The systemd-boot that starts the UKI: its PE file, and the kind of entry that it boots."""

    image: bytes | memoryview
    entry: BootEntry = BootEntry.TYPE_2


@dataclass(frozen=True, slots=True)
class EspFile:
    """A file on the EFI system partition: its name without directories, and what is in it."""

    name: str
    content: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Companions:
    """The files that the stub picks up beside the UKI, by directory; each file only where the stub looks for its kind.

    ``extra`` is ``<UKI>.extra.d`` (addons, credentials, extensions), the others are ``/loader/addons``,
    ``/loader/credentials`` and ``/loader/extensions``.
    """

    extra: tuple[EspFile, ...] = ()
    addons: tuple[EspFile, ...] = ()
    credentials: tuple[EspFile, ...] = ()
    extensions: tuple[EspFile, ...] = ()

    def __post_init__(self) -> None:
        for directory, suffixes in _COMPANION_SUFFIXES.items():
            _check_names(getattr(self, directory), directory, suffixes)


@dataclass(frozen=True, slots=True)
class BootConfiguration:
    """One way to boot a UKI.

    ``initrd_systemd`` is the release of systemd in the initrd, None if it has none. ``os_separator`` says whether an
    initrd of systemd 261 or newer contains systemd-pcrosseparator.service and runs it; None: not known.
    ``kernel`` None: read it from the kernel. ``load_options`` is what the firmware's boot entry or the boot loader's
    entry passes to the stub, without the "@N" that selects ``profile``. ``smbios_command_line`` is the SMBIOS type 11
    string io.systemd.stub.kernel-cmdline-extra.
    """

    secure_boot: SecureBoot
    initrd_systemd: int | None
    os_separator: bool | None = None
    kernel: KernelMeasurement | None = None
    platform: Platform = GENERIC
    profile: int = 0
    load_options: str | None = None
    boot_loader: BootLoader | None = None
    companions: Companions = field(default_factory=Companions)
    smbios_command_line: str | None = None
    confidential_vm: bool = False

    def __post_init__(self) -> None:
        if self.profile < 0:
            raise InvalidInputError(f"a profile number is not negative: {self.profile}")
        if self.load_options is not None and (not self.load_options or self.load_options.startswith("@")):
            raise InvalidInputError("load options are None or text; the profile is stated by its number")


def _check_names(files: Iterable[EspFile], directory: str, suffixes: tuple[str, ...]) -> None:
    """Refuse what the stub would silently skip (cpio.c, pack_cpio; stub.c, load_addons_from_dir)."""
    seen = set()
    for file in files:
        name = file.name
        if name.startswith(".") or not name.isascii() or len(name) > MAX_NAME_LENGTH or set(name) & set("/\\\0"):
            raise InvalidInputError(f"the stub does not pick up a file named {name!r}")
        if not name.lower().endswith(suffixes):
            raise InvalidInputError(f"the stub picks up {' '.join(suffixes)} from {directory}, not {name!r}")
        if name.lower() in seen:  # FAT knows no two names that differ in case only
            raise InvalidInputError(f"two files of {directory} are named {name!r}")
        seen.add(name.lower())
