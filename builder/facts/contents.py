"""What the contents of a tree's files show, read once: programs, scripts, secrets, and digests if asked for.

A packed file costs most of the time that a check takes. So the first bytes decide what else of a file is looked at:
all of a program, all of a small file that could hold a secret, of larger ones and of what gzip packed as much as there
is time for, nothing more of a kernel module.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.facts.elf import read_elf, read_script
from builder.facts.secrets import find_certain_secrets, find_secrets
from builder.image.elf import ELF_MAGIC, is_relocatable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree, Node
    from policies.facts import Elf, Script, Secret

# Keys and tokens live in small files.
_MAX_SECRET_FILE: Final = 256 << 10
# Of larger ones these are searched whole until so much of a tree was, then only their beginnings; of what gzip packed
# so much of each, until so much of a tree was. The rest would take longer than all else that a check does.
_MAX_LARGE_FILE: Final = 4 << 20
_MAX_LARGE_FILES: Final = 32 << 20
_MAX_UNPACKED: Final = 1 << 20
_MAX_UNPACKED_FILES: Final = 16 << 20
_MAX_MEMBERS: Final = 64
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib.h, inflateInit2: 15 bits, and 16 for a header of gzip
_MAX_PROGRAM: Final = 2 << 30
_MAX_BEGINNING: Final = 256 << 20
_COMPRESSED: Final = (_GZIP, b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh")
_SCRIPT_MAGIC: Final = b"#!"
_MAX_MAGIC: Final = 6


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found, each by path; ``digests`` are SHA-256 in hexadecimal, of all regular files or of none.

    ``unread`` says of files that should have been looked at why they were not.
    """

    elf: list[Elf] = field(default_factory=list)
    scripts: list[Script] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Left:
    """How many bytes of large files, and of what gzip packed, may still be searched in a tree."""

    large: int = _MAX_LARGE_FILES
    unpacked: int = _MAX_UNPACKED_FILES


def read_contents(tree: FileTree, *, digests: bool) -> Contents:
    """The contents of all regular files. Raises MalformedImageError for one that cannot be read."""
    found, left = Contents(), _Left()
    for path in sorted(tree.nodes):
        node = tree.nodes[path]
        if not node.is_file:
            continue
        if node.size:
            _read(node, found, left)
        if digests:
            found.digests[path] = _digest(node)
    return found


def _read(node: Node, found: Contents, left: _Left) -> None:
    pieces = node.pieces()
    first = next(pieces)
    magic = bytes(first[:_MAX_MAGIC])
    if magic.startswith(ELF_MAGIC):
        if not is_relocatable(first):
            _read_program(node, first, pieces, found)
        return
    if magic.startswith(_SCRIPT_MAGIC) and node.mode & 0o111:
        script = read_script(node.path, first)
        found.scripts.extend([] if script is None else [script])
    if magic.startswith(_GZIP):
        content = _unpacked(_whole(first, pieces, min(node.size, _MAX_SECRET_FILE)), min(_MAX_UNPACKED, left.unpacked))
        left.unpacked -= len(content)
        found.secrets.extend(find_certain_secrets(node.path, content))
    elif not magic.startswith(_COMPRESSED):
        if node.size <= _MAX_SECRET_FILE:
            found.secrets.extend(find_secrets(node.path, bytes(_whole(first, pieces, node.size))))
        else:
            found.secrets.extend(find_certain_secrets(node.path, _of_large(node, first, pieces, left)))


def _of_large(node: Node, first: memoryview, rest: Iterator[memoryview], left: _Left) -> memoryview:
    """A file that is not so large, while there is time for it; else its beginning."""
    if node.size > min(_MAX_LARGE_FILE, left.large):
        return _whole(first, rest, _MAX_SECRET_FILE)[:_MAX_SECRET_FILE]
    left.large -= node.size
    return _whole(first, rest, node.size)


def _unpacked(content: memoryview, limit: int) -> bytes:
    """What gzip packed, up to a limit and to where it is broken; of members (RFC 1952, 2.2) the first ones."""
    unpacked, rest = b"", bytes(content)
    for _ in range(_MAX_MEMBERS):
        if not rest.startswith(_GZIP) or len(unpacked) >= limit:
            break
        stream = zlib.decompressobj(_GZIP_WINDOW)
        try:
            unpacked += stream.decompress(rest, limit - len(unpacked))
        except zlib.error:
            break
        rest = stream.unused_data
    return unpacked


def _read_program(node: Node, first: memoryview, rest: Iterator[memoryview], found: Contents) -> None:
    """The facts of an ELF file; of one that is larger than any program, such as one full of holes, its beginning's."""
    problem, size = None, node.size
    if size > _MAX_PROGRAM:
        size = _MAX_BEGINNING
        problem = f"it begins as a program and has {node.size} bytes, more than the {_MAX_PROGRAM} that are read of one"
        found.unread[node.path] = problem
    content = _whole(first, rest, size)
    elf = read_elf(node.path, content, executable=bool(node.mode & 0o111))
    if elf is None:
        return
    is_program = elf.soname is None or elf.interpreter is not None or elf.starts or node.mode & 0o111
    if is_program:  # libraries have the keys in them with which they try themselves out
        found.secrets.extend(find_certain_secrets(node.path, content))
    found.elf.append(elf if problem is None else replace(elf, problem=problem))
    if elf.problem is not None and node.mode & 0o111:
        found.unread.setdefault(node.path, f"it may be executed, and is a broken ELF file: {elf.problem}")


def _whole(first: memoryview, rest: Iterator[memoryview], size: int) -> memoryview:
    """A content, held once: what comes in pieces is copied to its place while it is read."""
    if len(first) >= size:
        return first
    whole = bytearray(size)
    place = 0
    for piece in itertools.chain((first,), rest):
        end = place + len(piece)
        whole[place:end] = piece[: size - place]
        place = end
        if place >= size:
            break
    del whole[place:]
    return memoryview(whole)


def _digest(node: Node) -> str:
    digest = hashlib.sha256()
    for piece in node.pieces():
        digest.update(piece)
    return digest.hexdigest()
