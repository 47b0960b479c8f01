"""Facts about the disk, the EFI system partition and the unified kernel image."""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.base import Fact, about

PartitionRole = Literal["esp", "root", "root-verity", "other"]
HashTree = Literal["matches", "differs", "absent"]


class ImageIdentity(Fact, frozen=True, kw_only=True):
    """What the measured os-release file (``.osrel``, or /usr/lib/os-release of a tree) calls the image."""

    name: Annotated[str | None, about("IMAGE_ID.")]
    version: Annotated[str | None, about("IMAGE_VERSION.")]
    profile: Annotated[str | None, about('VARIANT_ID; "production" or "development" in images of bedplate.')]


class Partition(Fact, frozen=True, kw_only=True):
    """One used entry of the partition table (UEFI 2.10, 5.3.3)."""

    number: Annotated[int, about("Counts from 1, as Linux does.")]
    role: Annotated[PartitionRole, about("What the partition is for, by its type.")]
    type: Annotated[str, about('Name that systemd gives the partition type ("esp", "swap"), else its UUID.')]
    uuid: Annotated[str, about("Unique partition UUID, lower case.")]
    label: Annotated[str, about("Partition name.")]
    offset: Annotated[int, about("Bytes from the start of the disk.")]
    size: Annotated[int, about("Bytes.")]
    flags: Annotated[
        tuple[str, ...],
        about('Set attributes: "required", "no-block-io", "legacy-boot", "growfs", "read-only", "no-auto", "bit-N".'),
    ]


class Disk(Fact, frozen=True, kw_only=True):
    """The partition table, and whether root and hash tree belong together."""

    table: Annotated[
        Literal["gpt", "hybrid", "mbr", "none"],
        about('Partition table; "hybrid" is a GPT whose MBR is not only protective; "none" if it cannot be read.'),
    ]
    boot_code: Annotated[bool, about("The first sector has code that BIOS would run.")]
    sector_size: Annotated[int, about("Bytes.")]
    partitions: Annotated[tuple[Partition, ...], about("By number.")]
    root_hash: Annotated[str | None, about("Root hash that the command line names, hexadecimal; null without one.")]
    hash_tree: Annotated[HashTree, about("The root's dm-verity hash tree, computed again, against the root hash.")]
    root_file_system: Annotated[str, about('Type of the root\'s file system, such as "erofs"; "none" without a root.')]


class Argument(Fact, frozen=True, kw_only=True):
    """One argument of a kernel command line (Linux lib/cmdline.c ``next_arg``)."""

    name: Annotated[str, about('Part before the first "=", as spelled, without quotes.')]
    value: Annotated[str | None, about('Part after the first "=", without quotes; null without "=".')]
    position: Annotated[int, about("Counts from 0.")]
    for_init: Annotated[bool, about('Stands after "--": the kernel does not look at it, PID 1 does.')]

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


class CommandLine(Fact, frozen=True, kw_only=True):
    """A kernel command line."""

    text: Annotated[str, about("As it stands in the section, up to the first NUL.")]
    arguments: Annotated[tuple[Argument, ...], about("In order.")]

    def all(self, name: str) -> tuple[Argument, ...]:
        """The arguments of a name, in order; the kernel and systemd take "-" and "_" for the same."""
        return tuple(argument for argument in self.arguments if _canonical(argument.name) == _canonical(name))


def _canonical(name: str) -> str:
    return name.replace("-", "_")


class UkiSection(Fact, frozen=True, kw_only=True):
    """A payload section as the stub measures it."""

    name: Annotated[str, about('With its dot: ".linux".')]
    size: Annotated[int, about("Bytes in memory.")]
    sha256: Annotated[str, about("Of the bytes in memory, lower-case hexadecimal.")]


class UkiProfile(Fact, frozen=True, kw_only=True):
    """What a boot with one profile of the UKI uses; a UKI without profiles has one with number 0."""

    number: Annotated[int, about("Counts from 0; 0 is the default.")]
    id: Annotated[str | None, about("ID= of its .profile section.")]
    sections: Annotated[tuple[UkiSection, ...], about("In the order of measurement.")]
    command_line: Annotated[CommandLine | None, about("The .cmdline section; null if there is none.")]
    os_release: Annotated[dict[str, str], about("The .osrel section, quotes removed; empty if there is none.")]
    kernel_release: Annotated[str | None, about("The .uname section.")]


class Uki(Fact, frozen=True, kw_only=True):
    """The unified kernel image that firmware starts."""

    path: Annotated[str, about("In the EFI system partition.")]
    sha256: Annotated[str, about("Of the whole file.")]
    stub_release: Annotated[int, about("Release number of systemd-stub.")]
    stub_version: Annotated[str, about("Full version of systemd-stub.")]
    signed: Annotated[bool, about("The PE file has an Authenticode signature; who signed is not looked at.")]
    profiles: Annotated[tuple[UkiProfile, ...], about("By number, at least one.")]


class EspFile(Fact, frozen=True, kw_only=True):
    """A file in the EFI system partition besides the UKI."""

    path: Annotated[str, about("Absolute in the partition, with slashes.")]
    size: Annotated[int, about("Bytes.")]
    sha256: Annotated[str | None, about("Lower-case hexadecimal; null where nothing asks for digests.")]
    role: Annotated[
        Literal["program", "addon", "credential", "loader", "other"],
        about(
            "A PE program; an addon or a credential or extension that a stub takes in; below loader/; anything else."
        ),
    ]
    command_line: Annotated[CommandLine | None, about("What an addon adds to the kernel's command line.")]
