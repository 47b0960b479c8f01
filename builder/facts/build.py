"""The facts document of a disk image, a file system image or a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.facts import boot
from builder.facts.area import area
from builder.facts.tree import FileTree, directory_tree, file_system_tree, initrd_tree
from builder.image import gpt
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.disk import UKI_PATH
from builder.image.fat import open_fat
from builder.image.initrd import read_initrd
from builder.image.uki import read_uki
from policies.facts import Facts, ImageIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from policies.facts import Disk, EspFile, Uki


def facts_of_image(image: memoryview) -> Facts:
    """The facts of a disk image with a UKI and a root on any file system that is read, whoever built it.

    Nothing of it has to be good, controls say what is not; but all of it must be readable. Raises MalformedImageError
    for a broken structure, InvalidInputError where there is not one ESP or not one root, or where the root is of a
    file system that is not read.
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
    file_system = open_file_system(root.view(view).named("root partition"))
    hash_tree = hashes[0] if len(hashes) == 1 else None
    disk = boot.disk(view, table, root, hash_tree, _root_hash(uki), file_system.name.lower())
    return _facts(file_system_tree(file_system), initrd, uki=uki, disk=disk, esp=boot.esp_files(volume, uki.path))


def facts_of_file_system(image: memoryview) -> Facts:
    """The facts of an image of one file system, without partitions, that is or could become a root.

    Raises MalformedImageError for a broken structure, InvalidInputError for a file system that is not read.
    """
    return facts_of_files(file_system_tree(open_file_system(BinaryView.of(image, "image"))))


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
