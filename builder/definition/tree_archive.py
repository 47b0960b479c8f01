"""The rendered tree as one file, which a release carries so that it can be built again without its definition.

It is a tar archive (POSIX pax, uncompressed) whose bytes follow from the tree alone: sorted, without times and owners.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import PurePosixPath
from typing import Final

from builder.definition.render import RenderedFile, RenderedLink, RenderedTree
from builder.errors import InvalidInputError

MAX_ARCHIVE_BYTES: Final = 1 << 30


def pack_tree(tree: RenderedTree) -> bytes:
    """The archive of a tree."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in sorted(tree.entries.items()):
            member = tarfile.TarInfo(str(path))
            if isinstance(entry, RenderedLink):
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.target, 0o777
                archive.addfile(member)
            else:
                member.size, member.mode = len(entry.content), 0o755 if entry.executable else 0o644
                archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def unpack_tree(data: bytes, name: str) -> RenderedTree:
    """The tree in an archive. Raises InvalidInputError for what ``pack_tree`` does not write."""
    entries: dict[PurePosixPath, RenderedFile | RenderedLink] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                entries[path] = _entry(archive, member)
    except (tarfile.TarError, ValueError) as error:
        raise InvalidInputError(f"{name} is no archive of a mkosi tree: {error}") from error
    tree = RenderedTree(dict(sorted(entries.items())))
    # One tree has one archive, so whatever else could hide in a tar archive is refused by this alone.
    if not entries or pack_tree(tree) != data:
        raise InvalidInputError(f"{name} is no archive of a mkosi tree: bedplate would write it differently")
    for path in entries:
        inside = [parent for parent in path.parents if parent in entries]
        if path.is_absolute() or ".." in path.parts or inside:
            raise InvalidInputError(f"{name} is no archive of a mkosi tree: it has an entry {path}")
    return tree


def tree_digest(tree: RenderedTree) -> str:
    """SHA-256 over path, kind and content of everything in the rendered tree."""
    state = hashlib.sha256()
    for path, entry in tree.entries.items():
        if isinstance(entry, RenderedLink):
            row = [str(path), "link", entry.target]
        else:
            row = [str(path), "executable" if entry.executable else "file", hashlib.sha256(entry.content).hexdigest()]
        state.update(json.dumps(row).encode())
    return state.hexdigest()


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo) -> RenderedFile | RenderedLink:
    if member.issym():
        return RenderedLink(member.linkname)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        raise ValueError(f"{member.name} is neither a regular file nor a symbolic link")
    return RenderedFile(file.read(), executable=bool(member.mode & 0o100))
