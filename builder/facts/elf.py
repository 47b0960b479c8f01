"""ELF files and scripts of a tree: what starts them, what they load, and what they are."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final

from builder.facts.identities import identities
from builder.image.elf import ELF_MAGIC, parse_elf
from policies.facts import Elf, Script

if TYPE_CHECKING:
    from builder.facts.tree import FileTree

_SHEBANG: Final = re.compile(rb"#![ \t]*([^ \t\n]+)[ \t]*([^\n]*)")
_SHEBANG_SIZE: Final = 256  # Linux include/uapi/linux/binfmts.h, BINPRM_BUF_SIZE


def programs(tree: FileTree) -> tuple[tuple[Elf, ...], tuple[Script, ...]]:
    """The ELF files and the executable scripts of a tree, by path. Kernel modules and objects are left out."""
    found_elf: list[Elf] = []
    found_scripts: list[Script] = []
    for path in sorted(tree.nodes):
        node = tree.nodes[path]
        if not node.is_file or not node.size or ".ko" in path[-7:]:
            continue
        magic = bytes(node.head()[:4])
        if magic == ELF_MAGIC:
            elf = read_elf(path, node.read())
            found_elf += [] if elf is None else [elf]
        elif magic[:2] == b"#!" and stat.S_IMODE(node.mode) & 0o111:
            found_scripts += _script(path, node.read())
    return tuple(found_elf), tuple(found_scripts)


def read_elf(path: str, content: memoryview) -> Elf | None:
    """The facts of an ELF file, None for a relocatable object. What breaks the format becomes the field ``problem``."""
    elf = parse_elf(content)
    if elf is None:
        return None
    is_library = elf.soname is not None and elf.interpreter is None
    return Elf(
        path=path,
        machine=elf.machine,
        type=elf.type,
        interpreter=elf.interpreter,
        soname=elf.soname,
        needed=elf.needed,
        rpath=elf.rpath,
        runpath=elf.runpath,
        build_id=elf.build_id,
        dlopen=tuple(name for item in elf.dlopen for name in item.sonames),
        identities=() if is_library else identities(content),
        packaged_as=elf.packaged_as,
        problem=elf.problem,
    )


def _script(path: str, content: memoryview) -> list[Script]:
    match = _SHEBANG.match(bytes(content[:_SHEBANG_SIZE]))
    if match is None:
        return []
    interpreter, argument = (part.decode("utf-8", "backslashreplace").strip() for part in match.groups())
    return [Script(path=path, interpreter=interpreter, argument=argument or None)]
