"""What a finished disk image holds, read from its bytes, with the check that its parts belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import MalformedImageError
from builder.facts.boot import command_line as read_command_line
from builder.image.binary import BinaryView
from builder.image.disk import UKI_PATH, read_disk, read_system_partition
from builder.image.erofs import open_erofs
from builder.image.inventory import inventory
from builder.image.inventory_file import to_jsonl
from builder.image.uki import read_uki
from builder.image.verity import check, partition_uuids
from builder.release.predict import read_uki_initrd

if TYPE_CHECKING:
    from builder.image.initrd import Initrd
    from builder.image.uki import Uki

_ROOT_HASH: Final = "roothash"
_ROOT_HASH_HEX_DIGITS: Final = 64


@dataclass(frozen=True, slots=True)
class ImageContents:
    """A disk image whose root, hash tree and UKI belong together. The views are parts of the disk's own bytes."""

    uki_file: memoryview
    uki: Uki
    initrd: Initrd
    root: BinaryView
    root_verity: BinaryView
    root_hash: bytes

    def inventory(self) -> bytes:
        """The inventory of root and initrd in JSON Lines, which a release holds compressed."""
        return to_jsonl(inventory(open_erofs(self.root), self.initrd))


def read_contents(image: memoryview) -> ImageContents:
    """Read a disk image and recompute the hash tree of its root.

    Raises MalformedImageError if a structure is broken, if the disk holds more than ESP, root and hash tree or the ESP
    more than the UKI, or if command line and partition UUIDs name another root hash; NotVerifiedError with every block
    that disagrees with the hash tree.
    """
    disk = read_disk(BinaryView.of(image, "disk image"))
    esp = read_system_partition(disk)
    # Firmware, the stub and systemd take in what else lies there: boot programs, addons, credentials, partitions.
    _refuse_more("partition table", f"partition {', '.join(str(other.number) for other in disk.others)}", disk.others)
    others = (*esp.other_programs, *esp.loader_files, *esp.other_files)
    _refuse_more("ESP", ", ".join(sorted(entry.path for entry in others)), others)
    uki_file = esp.uki_content()
    uki = read_uki(uki_file)
    root_hash = check(disk.root_view, disk.root_verity_view, stated_root_hash(uki.kernel_command_line())).root_hash
    for partition, expected in zip((disk.root, disk.root_verity), partition_uuids(root_hash), strict=True):
        if partition.unique_guid != expected:
            problem = f"its UUID is {partition.unique_guid}, the root hash asks for {expected}"
            raise MalformedImageError(f"partition {partition.number}", None, problem)
    return ImageContents(uki_file, uki, read_uki_initrd(uki), disk.root_view, disk.root_verity_view, root_hash)


def _refuse_more(structure: str, names: str, others: tuple[object, ...]) -> None:
    if others:
        raise MalformedImageError(structure, None, f"it holds {names} besides what belongs to {UKI_PATH}")


def stated_root_hash(command_line: str | None) -> bytes:
    """The root hash that a kernel command line names. Raises MalformedImageError unless it names exactly one.

    Counted is what any reader of the line sees, so that no second one hides in quotes.
    """
    values = [argument.value or "" for argument in read_command_line(command_line or "").all(_ROOT_HASH)]
    if len(values) != 1:
        raise MalformedImageError("UKI section .cmdline", None, f"it has {len(values)} roothash= arguments, expected 1")
    try:
        root_hash = bytes.fromhex(values[0])
    except ValueError:
        root_hash = b""
    if len(values[0]) != _ROOT_HASH_HEX_DIGITS or not root_hash:
        raise MalformedImageError("UKI section .cmdline", None, f"roothash={values[0]} is not a SHA-256 in hexadecimal")
    return root_hash
