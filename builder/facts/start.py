"""All that firmware and boot loaders of an image could start, with the initrds that come with it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError
from builder.facts import boot
from builder.facts.boot_programs import boot_program, is_uki, pe_files
from builder.facts.boot_volumes import content
from builder.facts.loader_entries import grub_menus, loader_entries, systemd_boot_menu
from builder.facts.tree import initrd_tree
from builder.image.binary import BinaryView
from builder.image.disk import UKI_PATH
from builder.image.initrd import read_initrd
from builder.image.uki import read_uki
from policies.facts import Boot, BootEntry, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from builder.facts.boot_volumes import BootFile, BootVolume, Gaps
    from builder.facts.tree import FileTree
    from builder.image.initrd import Initrd
    from builder.image.uki import Uki as ReadUki
    from policies.facts import BootProgram, EspFile, Uki

# Two kernels, each with an initrd to run from and one to rescue with, are usual; no image needs more looked at.
_MAX_INITRDS: Final = 8


@dataclass(frozen=True, slots=True)
class Start:
    """The UKI that firmware starts (None if it starts something else), the rest, and the initrds of all of them.

    ``archives`` are the initrds as they are packed, as far as they were read from a disk.
    """

    uki: Uki | None
    boot: Boot
    esp_files: tuple[EspFile, ...]
    initrds: tuple[FileTree, ...]
    archives: tuple[Initrd, ...] = ()


@dataclass(frozen=True, slots=True)
class _FoundUki:
    file: BootFile
    data: memoryview
    image: ReadUki


def read_start(volumes: Sequence[BootVolume], gaps: Gaps, *, digests: bool = True) -> Start:
    """What the volumes hold to start, with digests of files or without. What of it cannot be read is a gap."""
    programs: list[BootProgram] = []
    ukis: list[_FoundUki] = []
    for file, data in pe_files([volume for volume in volumes if volume.name != "root"], gaps):
        program = boot_program(file, data)
        programs.append(program)
        if is_uki(data) and program.product != "addon":
            try:
                ukis.append(_FoundUki(file, data, read_uki(data)))
            except BedplateError as error:
                gaps.add(f"{file.volume}:{file.path}", error)
    chosen = _chosen(ukis)
    others = [uki for uki in ukis if uki is not chosen]
    entries = [*_uki_entries(others), *(entry for volume in volumes for entry in loader_entries(volume, gaps))]
    packed = {} if chosen is None else dict(_uki_initrds([chosen]))
    packed |= dict(_uki_initrds(others)) | dict(_entry_initrds(entries, volumes, gaps))
    menus = [
        systemd_boot_menu(volume, program.path, gaps)
        for volume in volumes
        for program in programs
        if program.product == "systemd-boot" and program.volume == volume.name and _is_first(program, programs)
    ]
    menus += [menu for volume in volumes for menu in grub_menus(volume, gaps)]
    unpacked = tuple(_unpacked(packed, gaps))
    own = None if chosen is None else (chosen.file.volume, chosen.file.path)
    return Start(
        uki=None if chosen is None else boot.uki(chosen.image, chosen.file.path, chosen.data),
        boot=Boot(
            programs=tuple(program for program in programs if (program.volume, program.path) != own),
            entries=tuple(entries),
            menus=tuple(menus),
        ),
        esp_files=_esp_files(volumes, own, gaps, digests=digests),
        initrds=tuple(tree for _, tree in unpacked),
        archives=tuple(archive for archive, _ in unpacked),
    )


def _chosen(ukis: Sequence[_FoundUki]) -> _FoundUki | None:
    """The UKI that firmware starts by itself; without one the last of EFI/Linux, which systemd-boot takes."""
    by_path = {uki.file.path.lower(): uki for uki in ukis if uki.file.volume == "esp"}
    if found := by_path.get(f"/{UKI_PATH.lower()}"):
        return found
    installed = sorted(path for path in by_path if path.startswith("/efi/linux/"))
    return by_path[installed[-1]] if installed else None


def _is_first(program: BootProgram, programs: Sequence[BootProgram]) -> bool:
    """bootctl installs systemd-boot twice; there is one menu for both."""
    same = [other for other in programs if (other.volume, other.product) == (program.volume, program.product)]
    return program is same[0]


def _uki_entries(ukis: Iterable[_FoundUki]) -> Iterator[BootEntry]:
    for uki in ukis:
        for number in range(len(uki.image.profiles)):
            text = uki.image.kernel_command_line(number)
            yield BootEntry(
                kind="uki",
                volume=uki.file.volume,
                origin=Origin(path=uki.file.path, line=None),
                title=f"profile {number}",
                kernel=uki.file.path,
                initrds=(),
                command_line=None if text is None else boot.command_line(text),
            )


def _uki_initrds(ukis: Iterable[_FoundUki]) -> Iterator[tuple[str, bytes | memoryview]]:
    for uki in ukis:
        for number in range(len(uki.image.profiles)):
            initrd = uki.image.initrd(number)
            if initrd is not None:
                yield f"{uki.file.path} (.initrd of profile {number})", initrd


def _entry_initrds(
    entries: Iterable[BootEntry], volumes: Sequence[BootVolume], gaps: Gaps
) -> Iterator[tuple[str, bytes | memoryview]]:
    """The initrds of an entry one after the other, as the kernel gets them; those of several entries once."""
    seen: set[tuple[BootFile | None, ...]] = set()
    for entry in entries:
        if entry.kind == "uki":
            continue
        _resolve(entry, entry.kernel, volumes, gaps)
        files = tuple(_resolve(entry, path, volumes, gaps) for path in entry.initrds)
        if files in seen:
            continue
        seen.add(files)
        parts = [content(file, gaps) for file in files if file is not None]
        if parts and None not in parts and None not in files:
            # The loaders align each to 4 bytes (Documentation/driver-api/early-userspace/buffer-format.rst).
            aligned = ((part, bytes(-len(part) % 4)) for part in parts if part is not None)
            yield " and ".join(entry.initrds), b"".join(itertools.chain.from_iterable(aligned))


def _resolve(entry: BootEntry, path: str, volumes: Sequence[BootVolume], gaps: Gaps) -> BootFile | None:
    """The file that an entry means: on its own volume, else wherever there is one of that path."""
    ordered = sorted(volumes, key=lambda volume: volume.name != entry.volume)
    for place in (path, f"/boot/{path.lstrip('/')}"):
        for volume in ordered:
            if found := volume.find(place):
                return found
    gaps.add(f"{entry.volume}:{entry.origin}", f"it starts {path}, which is in no partition that could be read")
    return None


def _unpacked(packed: dict[str, bytes | memoryview], gaps: Gaps) -> Iterator[tuple[Initrd, FileTree]]:
    seen: list[bytes | memoryview] = []
    for place, data in packed.items():
        if any(len(data) == len(other) and data == other for other in seen):
            continue
        seen.append(data)
        if len(seen) > _MAX_INITRDS:
            gaps.add(f"initrd {place}", f"there are more than {_MAX_INITRDS} initrds, this one was not looked at")
            continue
        try:
            archive = read_initrd(BinaryView.of(data, f"initrd {place}"))
            yield archive, initrd_tree(archive)
        except BedplateError as error:
            gaps.add(f"initrd {place}", error)


def _esp_files(
    volumes: Iterable[BootVolume], own: tuple[str, str] | None, gaps: Gaps, *, digests: bool
) -> tuple[EspFile, ...]:
    found = (
        boot.esp_file(file.path, data, digests=digests)
        for volume in volumes
        for file in (volume.files.values() if volume.name == "esp" else ())
        if (file.volume, file.path) != own and (data := content(file, gaps)) is not None
    )
    return tuple(sorted(found, key=lambda file: file.path))
