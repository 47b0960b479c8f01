"""The initrds that the stub makes of credentials and extensions (systemd src/boot/stub.c, generate_sidecar_initrds)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.measurement import stub_cpio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.measurement.configuration import Companions, EspFile

_CONFEXT_SINCE = 256
_GLOBAL_EXTENSIONS_SINCE = 258
_CONFEXT_SUFFIX = ".confext.raw"


@dataclass(frozen=True, slots=True)
class CompanionArchives:
    """The cpio archives, in the order in which the kernel gets them; None where there is nothing to pack."""

    credentials: bytes | None
    global_credentials: bytes | None
    sysext: bytes | None
    global_sysext: bytes | None
    confext: bytes | None
    global_confext: bytes | None

    def in_order(self) -> tuple[bytes, ...]:
        """Those that there are."""
        archives = (
            self.credentials,
            self.global_credentials,
            self.sysext,
            self.global_sysext,
            self.confext,
            self.global_confext,
        )
        return tuple(archive for archive in archives if archive is not None)


def pack(companions: Companions, release: int) -> CompanionArchives:
    """What the stub of a systemd release packs."""
    # Before configuration extensions existed every .raw file was a system extension.
    confext_suffix = _CONFEXT_SUFFIX if release >= _CONFEXT_SINCE else "\0"
    extensions = companions.extensions if release >= _GLOBAL_EXTENSIONS_SINCE else ()
    return CompanionArchives(
        credentials=_archive(stub_cpio.CREDENTIALS, _with_suffix(companions.extra, ".cred")),
        global_credentials=_archive(stub_cpio.GLOBAL_CREDENTIALS, companions.credentials),
        sysext=_archive(stub_cpio.SYSEXT, _with_suffix(companions.extra, ".raw", but_not=confext_suffix)),
        global_sysext=_archive(stub_cpio.GLOBAL_SYSEXT, _with_suffix(extensions, ".raw", but_not=confext_suffix)),
        confext=_archive(stub_cpio.CONFEXT, _with_suffix(companions.extra, confext_suffix)),
        global_confext=_archive(stub_cpio.GLOBAL_CONFEXT, _with_suffix(extensions, confext_suffix)),
    )


def _with_suffix(files: Iterable[EspFile], suffix: str, *, but_not: str = "\0") -> tuple[EspFile, ...]:
    names = ((file, file.name.lower()) for file in files)
    return tuple(file for file, name in names if name.endswith(suffix) and not name.endswith(but_not))


def _archive(target: stub_cpio.Target, files: tuple[EspFile, ...]) -> bytes | None:
    return stub_cpio.archive(target, files) if files else None
