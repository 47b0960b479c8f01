"""Addons: PE files beside a UKI from which the stub takes more command line, initrds or microcode.

Source: systemd ``src/boot/stub.c``, load_addons. The stub loads all of ``/loader/addons`` first and then all of
``<UKI>.extra.d``, each sorted by name, by the firmware's LoadImage: so each is an image in PCR 4 as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, UnpredictableError
from builder.image.pe import loaded_section, read_pe
from builder.image.uki import PAYLOAD_SECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.image.uki import Uki
    from builder.measurement.configuration import BootConfiguration, EspFile

ADDON_SUFFIX = ".addon.efi"
_ADDONS_SINCE = 254
_INITRDS_SINCE = 257


@dataclass(frozen=True, slots=True)
class Addon:
    """An addon that the stub loads: the file, and what it takes from it."""

    file: EspFile
    command_line: str | None
    initrd: memoryview | None
    ucode: memoryview | None


def read_addons(uki: Uki, configuration: BootConfiguration) -> tuple[Addon, ...]:
    """The addons in the order of loading; none for a stub that knows none.

    Raises InvalidInputError for an addon that this stub would ignore, UnpredictableError for one whose use depends on
    the device or is not known for sure.
    """
    uname = uki.content(".uname", configuration.profile)
    return tuple(_read(file, uki.stub.release, uname) for file in addon_files(uki, configuration))


def addon_files(uki: Uki, configuration: BootConfiguration) -> tuple[EspFile, ...]:
    """The files of the addons in the order of loading."""
    if uki.stub.release < _ADDONS_SINCE:
        return ()
    companions = configuration.companions
    return (*_sorted_addons(companions.addons), *_sorted_addons(companions.extra))


def _sorted_addons(files: Sequence[EspFile]) -> list[EspFile]:
    addons = (file for file in files if file.name.lower().endswith(ADDON_SUFFIX))
    return sorted(addons, key=lambda file: file.name)


def _read(file: EspFile, release: int, uname: memoryview | None) -> Addon:
    view = memoryview(file.content)
    sections = [section for section in read_pe(view).sections if section.name in PAYLOAD_SECTIONS]
    names = [section.name for section in sections]
    if len(set(names)) != len(names):
        raise UnpredictableError(f"the addon {file.name} has several sections of one name")
    payload = {section.name: loaded_section(view, section) for section in sections if section.virtual_size}
    if ".linux" in payload:
        raise InvalidInputError(f"{file.name} has a kernel, so it is a UKI and no addon; the stub ignores it")
    if ".dtb" in payload or ".dtbauto" in payload:
        raise UnpredictableError(f"whether the devicetree of {file.name} is used depends on the device")
    wanted = payload.get(".uname")
    if wanted is not None and uname is not None and _text(wanted) != _text(uname):
        raise InvalidInputError(f"{file.name} is for the kernel {_text(wanted)!r}, not {_text(uname)!r}")
    if release < _INITRDS_SINCE and (".initrd" in payload or ".ucode" in payload):
        raise UnpredictableError(
            f"whether systemd-stub {release} takes an initrd from {file.name} is not known for sure"
        )
    if not payload.keys() & {".cmdline", ".initrd", ".ucode"}:
        raise InvalidInputError(f"{file.name} adds nothing; the stub ignores it")
    command_line = payload.get(".cmdline")
    return Addon(
        file,
        None if command_line is None else _text(command_line),
        payload.get(".initrd"),
        payload.get(".ucode"),
    )


def _text(content: memoryview) -> str:
    return bytes(content).partition(b"\0")[0].decode("utf-8", "replace")
