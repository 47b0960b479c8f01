"""What programs need: the ELF interpreter and libraries of one, the interpreter of a script, the modules of NSS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.closure.edges import File, Library
from builder.errors import InvalidInputError
from builder.facts.syntax import plain_lines
from builder.image.elf import ELF_MAGIC, parse_elf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.closure.edges import Edge
    from builder.facts.tree import FileTree, Node

# Debian's ld.so is built with these (debian/sysdeps of glibc); /lib is a link to usr/lib.
DEFAULT_LIBRARIES: Final = (
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64", "/lib",
)  # fmt: skip
_NSSWITCH: Final = "/etc/nsswitch.conf"
# A blank, a line break and NUL each end the interpreter (Linux fs/binfmt_script.c, next_terminator).
_SHEBANG: Final = re.compile(rb"#![ \t]*([^ \t\n\0]+)")


def is_elf(node: Node) -> bool:
    """Whether a file is an ELF file that is not a relocatable object (a kernel module)."""
    return node.is_file and bytes(node.head()[:4]) == ELF_MAGIC and parse_elf(node.read()) is not None


def program_edges(node: Node) -> Iterator[Edge]:
    """What a file needs to be run or loaded. A file that is no program needs nothing.

    Raises InvalidInputError for an ELF file that is broken: what it loads cannot be told.
    """
    head = bytes(node.head()[:256])
    if head[:4] == ELF_MAGIC:
        yield from _elf_edges(node)
    elif head[:2] == b"#!" and node.mode & 0o111:
        match = _SHEBANG.match(head)
        if match is not None:
            yield File(match[1].decode("utf-8", "surrogateescape"), f"{node.path} is run by it")


def _elf_edges(node: Node) -> Iterator[Edge]:
    elf = parse_elf(node.read())
    if elf is None:
        return
    if elf.problem is not None:
        raise InvalidInputError(f"{node.path} is a broken ELF file, so what it loads cannot be told: {elf.problem}")
    if elf.interpreter is not None:
        yield File(elf.interpreter, f"the ELF interpreter of {node.path}")
    # ld.so(8): DT_RPATH counts only where there is no DT_RUNPATH.
    stated = elf.runpath if elf.runpath is not None else elf.rpath
    origin = node.path.rpartition("/")[0]
    search = tuple(
        re.sub(r"\$(ORIGIN|\{ORIGIN\})", lambda _: origin, part) for part in (stated or "").split(":") if part
    )
    for name in elf.needed:
        yield Library((name,), f"{node.path} is linked to it", search=search)
    for wish in elf.dlopen:
        yield Library(wish.sonames, f"{node.path} loads it when needed", optional=not wish.required, search=search)


def name_service_edges(tree: FileTree) -> Iterator[Edge]:
    """The configuration of name lookups and the modules that it names (nsswitch.conf(5))."""
    yield File(_NSSWITCH, "the C library looks names up by it", optional=True)
    for number, line in plain_lines(tree, _NSSWITCH):
        words = re.sub(r"\[[^]]*\]", " ", line.partition("#")[0].partition(":")[2]).split()
        for word in words:
            # "files" and "dns" are in the C library since glibc 2.34, "db" and the rest fail softly.
            is_built_in = word in {"files", "dns", "db", "compat", "nis"}
            yield Library((f"libnss_{word}.so.2",), f"{_NSSWITCH}:{number} names it", optional=is_built_in)


def library_path(tree: FileTree) -> tuple[str, ...]:
    """Where ld.so looks for a library after what a program states: ld.so.conf.d and the directories built in."""
    directories = []
    for name in tree.names("/etc/ld.so.conf.d"):
        directories += [line for _, line in plain_lines(tree, f"/etc/ld.so.conf.d/{name}") if line.startswith("/")]
    return (*directories, *DEFAULT_LIBRARIES)
