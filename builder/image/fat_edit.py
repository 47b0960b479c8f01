"""Put another content into a file of a FAT volume, in place: how a signed UKI goes back into the system partition.

The result depends on nothing but the volume and the content: the file keeps its directory entry with its times and
as much of its chain as it needs, further clusters are the lowest free ones, what becomes free is zeroed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.image.binary import BinaryView
from builder.image.fat import FatVolume, open_fat
from builder.image.fat_layout import FAT12, FAT16, FatLayout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MAX_FILE_SIZE = 0xFFFFFFFF
_INFO_LEAD_SIGNATURE = 0x41615252
_INFO_STRUCT_SIGNATURE = 0x61417272
_INFO_FREE_COUNT = 488
_INFO_NEXT_FREE = 492
_INFO_UNKNOWN = 0xFFFFFFFF


def replace_file(volume: bytearray | memoryview, path: str, content: bytes | memoryview) -> None:
    """Make ``content`` what is in the file ``path`` of the writable ``volume``.

    Raises InvalidInputError if there is no such file or not enough room, and MalformedImageError if the volume is
    broken, clusters that two files share included. After an error the volume is as it was.
    """
    fat = open_fat(BinaryView.of(memoryview(volume).toreadonly(), "FAT volume"))
    layout, entry = fat.layout, fat.find(path)
    if entry.is_directory:
        raise InvalidInputError(f"{path} in the FAT volume is a directory")
    used = _used_clusters(fat)
    old = fat.chain(entry)
    new = _choose_clusters(layout, path, len(content), old, used)
    surplus = old[len(new) :]

    links = dict(zip(new, (*new[1:], layout.end_of_chain), strict=False)) | dict.fromkeys(surplus, 0)
    free_count = layout.cluster_count - len(used) + len(old) - len(new)
    info = None if layout.info_offset is None else _checked_info(layout, layout.info_offset)
    target = memoryview(volume).cast("B")
    _write_links(target, layout, links)
    _write_content(target, layout, new, content)
    for offset, length in layout.runs(surplus):
        target[offset : offset + length] = bytes(length)
    first = new[0] if new else 0
    if layout.bits not in {FAT12, FAT16}:
        struct.pack_into("<H", target, entry.entry_offset + 20, first >> 16)
    struct.pack_into("<HI", target, entry.entry_offset + 26, first & 0xFFFF, len(content))
    if info is not None and info.u32(_INFO_FREE_COUNT) != _INFO_UNKNOWN:
        struct.pack_into("<I", target, info.base + _INFO_FREE_COUNT, free_count)
    # mtools leaves there the last cluster that it allocated: the one of the file, if it wrote the volume. With the new
    # file's the volume is as if mtools had written that.
    if info is not None and old and new and info.u32(_INFO_NEXT_FREE) == old[-1]:
        struct.pack_into("<I", target, info.base + _INFO_NEXT_FREE, new[-1])


def _used_clusters(fat: FatVolume) -> set[int]:
    """All clusters of files and directories, each in one chain only, and those that are marked used without a file."""
    layout = fat.layout
    used: set[int] = set()
    chains = [layout.chain(layout.root_cluster)] if layout.root_cluster else []
    chains += [fat.chain(entry) for entry in fat.walk()]
    for chain in chains:
        for cluster in chain:
            if cluster in used:
                problem = f"cluster {cluster} belongs to two files"
                raise layout.view.named("FAT").error(layout.table_offsets[0] + layout.entry_offset(cluster), problem)
            used.add(cluster)
    # Lost chains and bad clusters are nobody's, but not free either.
    used.update(cluster for cluster in layout.clusters if layout.table[cluster])
    return used


def _choose_clusters(layout: FatLayout, path: str, size: int, old: tuple[int, ...], used: set[int]) -> tuple[int, ...]:
    needed = -(-size // layout.cluster_size)
    missing = needed - len(old)
    if missing <= 0:
        return old[:needed]
    free = [cluster for cluster in layout.clusters if cluster not in used]
    if missing > len(free) or size > _MAX_FILE_SIZE:
        room = min((len(old) + len(free)) * layout.cluster_size, _MAX_FILE_SIZE)
        raise InvalidInputError(
            f"{path} of {size} bytes does not fit into the FAT volume, which has room for {room} bytes of it",
            hint="make the EFI system partition larger",
        )
    return (*old, *free[:missing])


def _checked_info(layout: FatLayout, offset: int) -> BinaryView:
    info = BinaryView(layout.view.slice(offset, 512), "FAT32 FSInfo", offset)
    if (info.u32(0), info.u32(484)) != (_INFO_LEAD_SIGNATURE, _INFO_STRUCT_SIGNATURE):
        raise info.error(0, "the signatures are wrong")
    return info


def _write_links(target: memoryview, layout: FatLayout, links: Mapping[int, int]) -> None:
    for table in layout.table_offsets:
        for cluster, link in links.items():
            offset = table + layout.entry_offset(cluster)
            if layout.bits == FAT16:
                struct.pack_into("<H", target, offset, link)
            elif layout.bits == FAT12:
                (word,) = struct.unpack_from("<H", target, offset)
                word = (word & 0x000F) | link << 4 if cluster & 1 else (word & 0xF000) | link
                struct.pack_into("<H", target, offset, word)
            else:  # the upper four bits of a FAT32 entry are reserved and must be kept
                (word,) = struct.unpack_from("<I", target, offset)
                struct.pack_into("<I", target, offset, (word & 0xF0000000) | link)


def _write_content(target: memoryview, layout: FatLayout, chain: Iterable[int], content: bytes | memoryview) -> None:
    source = memoryview(content).cast("B")
    done = 0
    for offset, length in layout.runs(tuple(chain)):
        part = source[done : done + length]
        target[offset : offset + len(part)] = part
        target[offset + len(part) : offset + length] = bytes(length - len(part))
        done += length
