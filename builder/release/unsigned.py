"""Reading an unsigned build back: its disk image, and what it was made from, as its record says."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from builder.definition.tree_archive import MAX_ARCHIVE_BYTES, tree_digest, unpack_tree
from builder.errors import InvalidInputError
from builder.files import read_bytes, sha256_file
from builder.release.layout import BUILD_RECORD, LOCK, TREE, Names
from builder.release.record import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from builder.release.record import BuildRecord


def find_unsigned(path: Path) -> tuple[Path, BuildRecord]:
    """The unsigned build at ``path``, with its disk image checked against the record.

    Raises InvalidInputError if it is none or if the disk image is not the one that was built.
    """
    record = load_record(path)
    disk = path / Names(record.stem).disk
    if not disk.is_file():
        raise InvalidInputError(f"{path} has a build record but no {disk.name}")
    if sha256_file(disk) != record.disk:
        raise InvalidInputError(
            f"{disk} is not the image that was built: its digest differs from {BUILD_RECORD}", hint="build it again"
        )
    return disk, record


def read_sources(unsigned: Path, record: BuildRecord) -> dict[str, bytes]:
    """What the build was made from, by file name: lock and tree; nothing for one without a lock.

    Raises InvalidInputError if a file is missing or is not the one of the record.
    """
    if record.lock is None:
        return {}
    lock = read_bytes(unsigned / LOCK, what="lock of the build", limit=MAX_ARCHIVE_BYTES)
    tree = read_bytes(unsigned / TREE, what="mkosi tree of the build", limit=MAX_ARCHIVE_BYTES)
    for name, found, recorded in (
        (LOCK, hashlib.sha256(lock).hexdigest(), record.lock),
        (TREE, tree_digest(unpack_tree(tree, TREE)), record.tree),
    ):
        if found != recorded:
            raise InvalidInputError(
                f"{unsigned / name} is not what was built from: its digest differs from {BUILD_RECORD}",
                hint="build it again",
            )
    return {LOCK: lock, TREE: tree}
