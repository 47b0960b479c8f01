"""The partitions of any disk: those of a GPT, else those of an MBR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from builder.errors import MalformedImageError
from builder.image import gpt, mbr

if TYPE_CHECKING:
    from builder.image.binary import BinaryView

TableKind = Literal["gpt", "hybrid", "mbr", "none"]
# UEFI 2.10 table 5-7, and the partition types' own bits of UAPI.2 "Partition Flags".
_FLAGS: Final = {
    0: "required", 1: "no-block-io", 2: "legacy-boot", 59: "growfs", 60: "read-only", 63: "no-auto",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DiskPartition:
    """One partition; ``type`` is systemd's name of it or what the MBR's type byte means, ``uuid`` "" in an MBR."""

    number: int
    type: str
    uuid: str
    label: str
    flags: tuple[str, ...]
    offset: int
    size: int

    def view(self, disk: BinaryView) -> BinaryView:
        """The partition's bytes."""
        return disk.view(self.offset, self.size, f"partition {self.number} ({self.type})")


@dataclass(frozen=True, slots=True)
class DiskLayout:
    """The table of a disk. ``problem`` says why there is none, or in a hybrid one what the MBR has that it must not."""

    kind: TableKind
    sector_size: int
    partitions: tuple[DiskPartition, ...]
    boot_code: bool
    problem: MalformedImageError | None = None

    def of_type(self, *types: str) -> tuple[DiskPartition, ...]:
        """The partitions of some types, by number."""
        return tuple(partition for partition in self.partitions if partition.type in types)


def read_layout(disk: BinaryView) -> DiskLayout:
    """The partitions of a disk. A table that cannot be read is none, with the problem: this never raises."""
    boot_code = mbr.has_boot_code(disk)
    sector_size = next((size for size in gpt.SECTOR_SIZES if _has_gpt(disk, size)), None)
    try:
        if sector_size is not None:
            table = gpt.read_gpt(disk, sector_size)
            found = tuple(of_gpt(partition) for partition in table.partitions)
            problem = _mbr_problem(disk, sector_size)
            return DiskLayout("hybrid" if problem else "gpt", sector_size, found, boot_code, problem)
        if mbr.has_mbr(disk):
            return DiskLayout("mbr", mbr.SECTOR, tuple(_of_mbr(item) for item in mbr.read_mbr(disk)), boot_code)
        problem = MalformedImageError("disk image", None, "there is neither a GPT nor an MBR")
    except MalformedImageError as error:
        problem = error
    return DiskLayout("none", sector_size or mbr.SECTOR, (), boot_code, problem)


def _has_gpt(disk: BinaryView, sector: int) -> bool:
    return len(disk) >= sector * 2 and disk.slice(sector, len(gpt.SIGNATURE)) == gpt.SIGNATURE


def _mbr_problem(disk: BinaryView, sector_size: int) -> MalformedImageError | None:
    try:
        gpt.check_protective_mbr(disk, sector_size)
    except MalformedImageError as error:
        return error
    return None


def of_gpt(partition: gpt.Partition) -> DiskPartition:
    """An entry of a GPT, with the names of its flags."""
    bits = [bit for bit in range(64) if partition.attributes >> bit & 1]
    return DiskPartition(
        number=partition.number,
        type="bios-boot" if partition.type_guid == gpt.BIOS_BOOT else partition.type_name,
        uuid=str(partition.unique_guid),
        label=partition.name,
        flags=tuple(_FLAGS.get(bit, f"bit-{bit}") for bit in bits),
        offset=partition.offset,
        size=partition.size,
    )


def _of_mbr(partition: mbr.MbrPartition) -> DiskPartition:
    flags = ("legacy-boot",) if partition.active else ()
    return DiskPartition(partition.number, partition.type_name, "", "", flags, partition.offset, partition.size)
