"""The facts document of a disk image, a file system image or a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.facts import boot
from builder.facts.area import area
from builder.facts.boot_volumes import Gaps, boot_volumes, root_volume
from builder.facts.roots import find_root
from builder.facts.start import Start, read_start
from builder.facts.tree import FileTree, directory_tree, file_system_tree
from builder.image import mbr
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.partitions import read_layout
from policies.facts import Boot, Facts, ImageIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from policies.facts import Disk, Uki


def facts_of_image(image: memoryview, *, digests: bool = True) -> Facts:
    """The facts of a disk image, whoever built it and however it boots.

    To hash all files takes a third of the time, so who needs no digests of files may do without them.

    Nothing of it has to be good, controls say what is not, and what cannot be read is among the facts. Raises
    InvalidInputError for what has no partition table.
    """
    view = BinaryView.of(image, "disk image")
    layout = read_layout(view)
    if layout.kind == "none" and not mbr.has_mbr(view):
        raise InvalidInputError(f"this is no disk image: {str(layout.problem).removeprefix('disk image: ')}")
    gaps = Gaps()
    if layout.problem is not None:
        gaps.add("partition table", layout.problem)
    root = find_root(view, layout, gaps)
    volumes = (*boot_volumes(view, layout.of_type("esp", "xbootldr"), gaps), root_volume(root.tree))
    start = read_start(volumes, gaps, digests=digests)
    disk = boot.disk(view, layout, root, None if start.uki is None else _root_hash(start.uki))
    return _facts(root.tree, start, disk, gaps, digests=digests)


def facts_of_file_system(image: memoryview, *, digests: bool = True) -> Facts:
    """The facts of an image of one file system, without partitions, that is or could become a root.

    Raises MalformedImageError for a broken structure, InvalidInputError for a file system that is not read.
    """
    return facts_of_files(file_system_tree(open_file_system(BinaryView.of(image, "image"))), digests=digests)


def facts_of_tree(directory: Path, *, digests: bool = True) -> Facts:
    """The facts of a directory that is, or could become, a root. Raises OSError for what cannot be read."""
    return facts_of_files(directory_tree(directory), digests=digests)


def facts_of_files(root: FileTree, initrd: FileTree | None = None, *, digests: bool = True) -> Facts:
    """The facts of trees without a disk around them."""
    boot_facts = Boot(programs=(), entries=(), menus=())
    start = Start(None, boot_facts, (), () if initrd is None else (initrd,))
    return _facts(root, start, None, Gaps(), digests=digests)


def _facts(root: FileTree, start: Start, disk: Disk | None, gaps: Gaps, *, digests: bool) -> Facts:
    root_area = area(root, "root", gaps, digests=digests)
    initrds = tuple(area(initrd, "initrd", gaps, digests=digests) for initrd in start.initrds)
    release = root_area.os_release if start.uki is None else start.uki.profiles[0].os_release
    return Facts(
        schema="bedplate.facts.v1",
        kind="tree" if disk is None else "image",
        identity=ImageIdentity(
            name=release.get("IMAGE_ID"), version=release.get("IMAGE_VERSION"), profile=release.get("VARIANT_ID")
        ),
        disk=disk,
        esp_files=start.esp_files,
        uki=start.uki,
        boot=start.boot,
        root=root_area,
        initrd=initrds[0] if initrds else None,
        other_initrds=initrds[1:],
        unread=tuple(gaps.found),
    )


def _root_hash(uki: Uki) -> str | None:
    line = uki.profiles[0].command_line
    values = [] if line is None else [argument.value for argument in line.all("roothash")]
    return values[-1] if values else None
