"""PCR 9: the command line and the initrd as the Linux EFI stub sees them.

Source: Linux ``drivers/firmware/efi/libstub/efi-stub-helper.c`` (efi_convert_cmdline, efi_load_initrd) for the events,
systemd ``src/boot/stub.c`` (run, combine_initrds) for what the stub hands over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from builder.errors import UnpredictableError
from builder.image.bzimage import kernel_release
from builder.measurement import companion_archives, stub_cpio
from builder.measurement.addons import Addon, read_addons
from builder.measurement.command_line import require_final, settle
from builder.measurement.configuration import EspFile, KernelMeasurement
from builder.measurement.events import Event, EventType, Measurer, utf16

if TYPE_CHECKING:
    from builder.measurement.boot import Boot

PCR = 9
# The oldest kernel that was seen to extend both.
_MEASURES_SINCE = (6, 1)
_OS_RELEASE_SINCE = 257
_BOOT_SECRET_SINCE = 261
_NVPCR_SINCE = 259
# What the stub packs into an initrd of its own: section, name of the file.
_LITERALS = ((".pcrsig", "tpm2-pcr-signature.json"), (".pcrpkey", "tpm2-pcr-public-key.pem"))
_LITERALS_SINCE_257 = ((".osrel", "os-release"), (".profile", "profile"))
# An initrd of one part is handed over as it is; of several, each is padded to this.
_ALIGNMENT = 4


def events(boot: Boot, measurer: Measurer) -> tuple[Event, ...]:
    """The kernel's two events. Raises UnpredictableError where one of them, or more, is not known for sure."""
    configuration = boot.configuration
    if configuration.initrd_systemd is not None and configuration.initrd_systemd >= _NVPCR_SINCE:
        raise UnpredictableError(
            f"systemd {configuration.initrd_systemd} extends the initialisation of its NvPCRs into PCR 9 where it sets"
            " up the TPM"
        )
    if _kernel_measurement(boot) is KernelMeasurement.NOTHING:
        return ()
    if boot.uki.stub.release >= _BOOT_SECRET_SINCE:
        raise UnpredictableError(
            f"systemd-stub {boot.uki.stub.release} adds a random boot secret to the initrd that the kernel measures"
        )
    addons = read_addons(boot.uki, configuration)
    texts = [addon.command_line for addon in addons if addon.command_line is not None]
    command_line = require_final(settle(boot.uki, configuration, texts), boot.uki.stub.release)
    measured = [
        measurer.event(
            PCR,
            EventType.EV_EVENT_TAG,
            utf16(command_line),
            description=f"kernel load options {command_line!r}",
            source="kernel command line",
        )
    ]
    if parts := initrd_parts(boot, addons):
        measured.append(
            measurer.event(PCR, EventType.EV_EVENT_TAG, *_combined(parts), description="Linux initrd", source="initrd")
        )
    return tuple(measured)


def initrd_parts(boot: Boot, addons: tuple[Addon, ...]) -> tuple[bytes | memoryview, ...]:
    """The parts of the initrd in the stub's order (stub.c: enum INITRD_*); empty if the kernel gets none."""
    uki, profile = boot.uki, boot.configuration.profile
    archives = companion_archives.pack(boot.configuration.companions, uki.stub.release)
    sections = ((name, uki.content(section, profile)) for section, name in _literals(uki.stub.release))
    candidates = (
        *(addon.ucode for addon in reversed(addons)),
        uki.content(".ucode", profile),
        uki.content(".initrd", profile),
        *archives.in_order(),
        *(stub_cpio.archive(stub_cpio.META, [EspFile(name, content)]) for name, content in sections if content),
        *(addon.initrd for addon in addons),
    )
    return tuple(part for part in candidates if part is not None)


def initrd_sections(release: int) -> tuple[str, ...]:
    """The sections of a UKI that the initrd is made of, for a stub of this release of systemd."""
    return (".ucode", ".initrd", *(section for section, _ in _literals(release)))


def _literals(release: int) -> tuple[tuple[str, str], ...]:
    return _LITERALS + (_LITERALS_SINCE_257 if release >= _OS_RELEASE_SINCE else ())


def _combined(parts: tuple[bytes | memoryview, ...]) -> list[bytes | memoryview]:
    if len(parts) == 1:
        return list(parts)
    return [piece for part in parts for piece in (part, bytes(-len(part) % _ALIGNMENT))]


def _kernel_measurement(boot: Boot) -> KernelMeasurement:
    if boot.configuration.kernel is not None:
        return boot.configuration.kernel
    kernel = boot.uki.content(".linux", boot.configuration.profile)
    release = None if kernel is None else kernel_release(kernel)
    match = re.match(r"(\d{1,3})\.(\d{1,3})", release or "")
    if match is None:
        raise UnpredictableError(
            "the kernel does not say its release, so what it measures is not known",
            hint="state what the kernel measures",
        )
    if (int(match[1]), int(match[2])) < _MEASURES_SINCE:
        raise UnpredictableError(
            f"whether the kernel {release} measures its command line and initrd is not known for sure",
            hint="state what the kernel measures",
        )
    return KernelMeasurement.LOAD_OPTIONS_AND_INITRD
