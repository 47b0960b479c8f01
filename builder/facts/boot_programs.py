"""PE programs in boot partitions, by what they are and not by what they are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError
from builder.facts.boot_volumes import content
from builder.image.bzimage import kernel_release
from builder.image.pe import certificates, loaded_section, read_pe
from policies.facts import BootProgram

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.facts.boot_volumes import BootFile, BootVolume, Gaps
    from builder.image.pe import PeImage

_MAX_SBAT: Final = 1 << 16
# systemd src/fundamental/efivars.h: what .sdmagic of its programs holds.
_LOADER_INFO: Final = re.compile(rb"#### LoaderInfo: (systemd-[a-z]{1,16}) ([^\s\0]{1,64})")


def pe_files(volumes: Iterable[BootVolume], gaps: Gaps) -> Iterator[tuple[BootFile, memoryview]]:
    """The files that begin as PE programs do, with their content."""
    for volume in volumes:
        for file in volume.files.values():
            if file.size < 2:  # noqa: PLR2004 -- "MZ" does not fit
                continue
            data = content(file, gaps)
            if data is not None and bytes(data[:2]) == b"MZ":
                yield file, data


def section_names(data: memoryview) -> frozenset[str]:
    """The names of a PE file's sections; none for one that firmware would refuse."""
    try:
        return frozenset(section.name for section in read_pe(data).sections)
    except BedplateError:
        return frozenset()


def is_uki(data: memoryview) -> bool:
    """Whether a PE program has a kernel and something of systemd's stub in sections."""
    return section_names(data) >= {".linux", ".sdmagic"}


def boot_program(file: BootFile, data: memoryview) -> BootProgram:
    """What a PE program is, as far as it says so itself; a broken one is of product "unknown"."""
    product, version, signed = "unknown", None, False
    try:
        image = read_pe(data)
        product, version = _product(image, data)
        signed = bool(certificates(data))
    except BedplateError:
        pass
    return BootProgram(volume=file.volume, path=file.path, product=product, version=version, signed=signed)


def _product(image: PeImage, data: memoryview) -> tuple[str, str | None]:
    if release := kernel_release(data):
        return "linux", release
    sections = {section.name: section for section in image.sections}
    if ".cmdline" in sections and ".linux" not in sections:
        return "addon", None
    magic = sections.get(".sdmagic")
    if magic is not None and (found := _LOADER_INFO.search(bytes(loaded_section(data, magic)))):
        return found[1].decode(), found[2].decode("utf-8", "backslashreplace")
    # UEFI shim SBAT.md: lines of "component,generation,vendor,package,version,url"; the first is about the format.
    sbat = sections.get(".sbat")
    text = b"" if sbat is None else bytes(loaded_section(data, sbat)[:_MAX_SBAT]).partition(b"\0")[0]
    rows = [line.split(",") for line in text.decode("utf-8", "backslashreplace").splitlines()]
    names = [row for row in rows if row[0] != "sbat"]
    if names:
        return names[0][0].split(".")[0], names[0][4] if len(names[0]) > 4 else None  # noqa: PLR2004 -- the version
    return "unknown", None
