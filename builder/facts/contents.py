"""What the contents of a tree's files show, read once: programs, scripts, secrets, and digests if asked for.

A packed file costs most of the time that a check takes. So the first bytes decide what else of a file is looked at:
all of a program, all of a small file that could hold a secret, nothing more of a kernel module or a large file.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.facts.elf import read_elf, read_script
from builder.facts.secrets import find_secrets
from builder.image.elf import ELF_MAGIC, is_relocatable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree, Node
    from policies.facts import Elf, Script, Secret

# Keys and tokens live in small files; the bytes of programs and of what is compressed are not searched.
_MAX_SECRET_FILE: Final = 256 << 10
_MAX_PROGRAM: Final = 2 << 30
_MAX_BEGINNING: Final = 256 << 20
_COMPRESSED: Final = (b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh")
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


def read_contents(tree: FileTree, *, digests: bool) -> Contents:
    """The contents of all regular files. Raises MalformedImageError for one that cannot be read."""
    found = Contents()
    for path in sorted(tree.nodes):
        node = tree.nodes[path]
        if not node.is_file:
            continue
        if node.size:
            _read(node, found)
        if digests:
            found.digests[path] = _digest(node)
    return found


def _read(node: Node, found: Contents) -> None:
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
    if node.size <= _MAX_SECRET_FILE and not magic.startswith(_COMPRESSED):
        found.secrets.extend(find_secrets(node.path, bytes(_whole(first, pieces, node.size))))


def _read_program(node: Node, first: memoryview, rest: Iterator[memoryview], found: Contents) -> None:
    """The facts of an ELF file; of one that is larger than any program, such as one full of holes, its beginning's."""
    problem, size = None, node.size
    if size > _MAX_PROGRAM:
        size = _MAX_BEGINNING
        problem = f"it begins as a program and has {node.size} bytes, more than the {_MAX_PROGRAM} that are read of one"
        found.unread[node.path] = problem
    elf = read_elf(node.path, _whole(first, rest, size), executable=bool(node.mode & 0o111))
    if elf is None:
        return
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
