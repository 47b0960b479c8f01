"""A whole disk image as bedplate builds it: a system partition with the UKI, a root and its verity partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.image import gpt
from builder.image.binary import BinaryView
from builder.image.fat import FatEntry, FatVolume, open_fat
from builder.image.fat_edit import replace_file
from builder.image.gpt import Partition, PartitionTable, read_partition_table

if TYPE_CHECKING:
    import uuid

# UEFI 3.5.1.1 "Removable Media Boot Behavior": what firmware starts where no boot entry says otherwise.
UKI_PATH = "EFI/BOOT/BOOTX64.EFI"
_LOADER_DIRECTORY = "loader/"


@dataclass(frozen=True, slots=True)
class Disk:
    """The partitions by their role; ``others`` are the ones that have none of the three."""

    view: BinaryView
    table: PartitionTable
    esp: Partition
    root: Partition
    root_verity: Partition
    others: tuple[Partition, ...]

    @property
    def root_view(self) -> BinaryView:
        """The bytes of the root file system's partition."""
        return self.root.view(self.view)

    @property
    def root_verity_view(self) -> BinaryView:
        """The bytes of the verity hash partition."""
        return self.root_verity.view(self.view)


@dataclass(frozen=True, slots=True)
class SystemPartition:
    """The EFI system partition: the UKI that firmware starts, and every other file by what it could do to a boot.

    ``other_programs`` end in ".efi" (a second UKI, a boot loader, an addon or driver), ``loader_files`` lie in loader/
    (configuration, credentials, keys to enrol), ``other_files`` are the rest. Whoever expects none must look.
    """

    volume: FatVolume
    uki: FatEntry
    other_programs: tuple[FatEntry, ...]
    loader_files: tuple[FatEntry, ...]
    other_files: tuple[FatEntry, ...]

    def uki_content(self) -> memoryview:
        """The bytes of the UKI."""
        return self.volume.content(self.uki)


def read_disk(view: BinaryView) -> Disk:
    """Find the partitions of a disk image by their types.

    Raises MalformedImageError if the partition table is broken or does not have exactly one of each role.
    """
    table = read_partition_table(view)
    esp, root, root_verity = (
        _only(table, type_guid) for type_guid in (gpt.ESP, gpt.ROOT_X86_64, gpt.ROOT_X86_64_VERITY)
    )
    others = tuple(partition for partition in table.partitions if partition not in {esp, root, root_verity})
    return Disk(view, table, esp, root, root_verity, others)


def read_system_partition(disk: Disk) -> SystemPartition:
    """Sort what is in the EFI system partition.

    Raises MalformedImageError if the volume is broken or has no file EFI/BOOT/BOOTX64.EFI.
    """
    view = disk.esp.view(disk.view)
    volume = open_fat(view)
    uki: FatEntry | None = None
    programs, loader, rest = [], [], []
    for entry in volume.walk():
        path = entry.path.lower()
        if path == UKI_PATH.lower() and not entry.is_directory:
            uki = entry
        elif entry.is_directory:
            continue
        elif path.endswith(".efi"):
            programs.append(entry)
        elif path.startswith(_LOADER_DIRECTORY):
            loader.append(entry)
        else:
            rest.append(entry)
    if uki is None:
        raise view.error(0, f"there is no file {UKI_PATH} in the EFI system partition")
    return SystemPartition(volume, uki, tuple(programs), tuple(loader), tuple(rest))


def replace_uki(image: bytearray | memoryview, uki: bytes | memoryview) -> None:
    """Put ``uki`` in place of the UKI in a writable disk image; nothing else of the image's files changes.

    Raises MalformedImageError for a broken image and InvalidInputError if the partition has no room for it.
    """
    disk = read_disk(BinaryView.of(memoryview(image).toreadonly(), "disk image"))
    esp = memoryview(image)[disk.esp.offset : disk.esp.offset + disk.esp.size]
    replace_file(esp, UKI_PATH, uki)


def _only(table: PartitionTable, type_guid: uuid.UUID) -> Partition:
    found = [partition for partition in table.partitions if partition.type_guid == type_guid]
    if len(found) != 1:
        problem = f"there are {len(found)} partitions of type {gpt.TYPE_NAMES[type_guid]}, exactly one is needed"
        raise MalformedImageError("partition table", None, problem)
    return found[0]
