"""The facts document of a disk image or a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.facts import boot
from builder.facts.area import area
from builder.facts.tree import FileTree, directory_tree, erofs_tree, initrd_tree
from builder.image import gpt
from builder.image.binary import BinaryView
from builder.image.disk import UKI_PATH
from builder.image.erofs import open_erofs
from builder.image.fat import open_fat
from builder.image.initrd import read_initrd
from builder.image.uki import read_uki
from policies.facts import Facts, ImageIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from policies.facts import Disk, EspFile, Uki


def facts_of_image(image: memoryview) -> Facts:
    """The facts of a disk image with a UKI and a root on EROFS, whoever built it.

    Nothing of it has to be good, controls say what is not; but all of it must be readable. Raises MalformedImageError
    for a broken structure, InvalidInputError where there is not one ESP or not one root, or the root is no EROFS.
    """
    view = BinaryView.of(image, "disk image")
    table = gpt.read_partition_table(view)
    esp, root = (_only(table, type_guid) for type_guid in (gpt.ESP, gpt.ROOT_X86_64))
    hashes = [partition for partition in table.partitions if partition.type_guid == gpt.ROOT_X86_64_VERITY]
    volume = open_fat(esp.view(view))
    entry = volume.find(UKI_PATH)
    content = volume.content(entry)
    image_uki = read_uki(content)
    uki = boot.uki(image_uki, f"/{entry.path}", content)
    section = image_uki.content(".initrd")
    initrd = None if section is None else initrd_tree(read_initrd(BinaryView.of(section, "UKI section .initrd")))
    disk = boot.disk(view, table, root, hashes[0] if len(hashes) == 1 else None, _root_hash(uki))
    return _facts(
        erofs_tree(open_erofs(root.view(view))), initrd, uki=uki, disk=disk, esp=boot.esp_files(volume, uki.path)
    )


def facts_of_tree(directory: Path) -> Facts:
    """The facts of a directory that is, or could become, a root. Raises OSError for what cannot be read."""
    return facts_of_files(directory_tree(directory))


def facts_of_files(root: FileTree, initrd: FileTree | None = None) -> Facts:
    """The facts of trees without a disk around them."""
    return _facts(root, initrd)


def _facts(
    root: FileTree,
    initrd: FileTree | None,
    *,
    uki: Uki | None = None,
    disk: Disk | None = None,
    esp: tuple[EspFile, ...] = (),
) -> Facts:
    root_area = area(root, "root")
    release = root_area.os_release if uki is None else uki.profiles[0].os_release
    return Facts(
        schema="bedplate.facts.v1",
        kind="tree" if disk is None else "image",
        identity=ImageIdentity(
            name=release.get("IMAGE_ID"), version=release.get("IMAGE_VERSION"), profile=release.get("VARIANT_ID")
        ),
        disk=disk,
        esp_files=esp,
        uki=uki,
        root=root_area,
        initrd=None if initrd is None else area(initrd, "initrd"),
    )


def _only(table: gpt.PartitionTable, type_guid: object) -> gpt.Partition:
    found = [partition for partition in table.partitions if partition.type_guid == type_guid]
    if len(found) != 1:
        name = "esp" if type_guid == gpt.ESP else "root-x86-64"
        raise InvalidInputError(f"the disk has {len(found)} partitions of type {name}, exactly one is needed")
    return found[0]


def _root_hash(uki: Uki) -> str | None:
    line = uki.profiles[0].command_line
    values = [] if line is None else [argument.value for argument in line.all("roothash")]
    return values[-1] if values else None
