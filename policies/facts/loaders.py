"""Facts about what firmware and boot loaders could start besides the UKI, and about what could not be read."""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.base import Fact, Origin, about
from policies.facts.boot import CommandLine  # noqa: TC001 -- msgspec resolves annotations at run time

Volume = Literal["esp", "xbootldr", "root"]
EntryKind = Literal["uki", "loader-entry", "grub"]


class BootProgram(Fact, frozen=True, kw_only=True):
    """A PE program besides the UKI, in a partition from which firmware or a boot loader starts programs."""

    volume: Annotated[Volume, about("Partition that it is in.")]
    path: Annotated[str, about("Absolute in the partition.")]
    product: Annotated[
        str, about('What its .sbat section, or its own version string, calls it ("grub", "shim", "systemd-boot",'
                   ' "systemd-stub"); "linux" for a kernel, "addon" for an addon of a stub, else "unknown".')
    ]  # fmt: skip
    version: Annotated[str | None, about("Version that it states.")]
    signed: Annotated[bool, about("It has an Authenticode signature; who signed is not looked at.")]


class BootEntry(Fact, frozen=True, kw_only=True):
    """Something that a boot loader can start: another UKI or profile of it, a loader entry, a command of GRUB."""

    kind: Annotated[EntryKind, about("A UKI in EFI/Linux, a file in loader/entries, or a command in a grub.cfg.")]
    volume: Annotated[Volume, about("Partition with the file that says so.")]
    origin: Annotated[Origin, about("That file, and the line in a grub.cfg.")]
    title: Annotated[str | None, about("What a menu shows.")]
    kernel: Annotated[str, about("Path of the kernel, or of the UKI.")]
    initrds: Annotated[tuple[str, ...], about("Paths of initrds, in order; empty for a UKI, which has its own.")]
    command_line: Annotated[CommandLine | None, about("Kernel command line; variables of GRUB are not filled in.")]


class LoaderMenu(Fact, frozen=True, kw_only=True):
    """A boot loader that can be talked to at the console, unless its configuration forbids it."""

    loader: Annotated[Literal["systemd-boot", "grub"], about("Which one.")]
    volume: Annotated[Volume, about("Partition with its configuration, or with the program if it has none.")]
    path: Annotated[str, about("Its configuration, or the program.")]
    editor: Annotated[
        bool, about("Command lines can be changed: no `editor no` of systemd-boot, no `superusers` of GRUB.")
    ]
    timeout: Annotated[str | None, about("How long the menu waits, as it is spelled; null if not stated.")]


class Unread(Fact, frozen=True, kw_only=True):
    """A part of the image that nobody looked into, because it could not be read."""

    place: Annotated[str, about('Which part: "partition 2 (root-x86-64)", "/loader/entries/a.conf".')]
    problem: Annotated[str, about("Why.")]


class Boot(Fact, frozen=True, kw_only=True):
    """What could be started besides the UKI, and how."""

    programs: Annotated[tuple[BootProgram, ...], about("Other PE programs, by path.")]
    entries: Annotated[tuple[BootEntry, ...], about("All entries, by file and line.")]
    menus: Annotated[tuple[LoaderMenu, ...], about("Boot loaders with a menu.")]
