"""Programs of a tree: what starts them, what they load, and what they are."""

from __future__ import annotations

import re
from typing import Final

from builder.facts.identities import identities
from builder.image.elf import parse_elf
from policies.facts import Elf, Script

# A blank, a line break and NUL each end the interpreter (Linux fs/binfmt_script.c, next_terminator).
_SHEBANG: Final = re.compile(rb"#![ \t]*([^ \t\n\0]+)[ \t]*([^\n\0]*)")
_SHEBANG_SIZE: Final = 256  # Linux include/uapi/linux/binfmts.h, BINPRM_BUF_SIZE


def read_elf(path: str, content: memoryview, *, executable: bool = False) -> Elf | None:
    """The facts of an ELF file, None for a relocatable object. What breaks the format becomes the field ``problem``.

    A library is not asked what program it is, unless it could be run: it is ``executable``, or broken, or has an entry
    point, to which the dynamic linker jumps if it is given the file. Linkers leave that out of libraries.
    """
    elf = parse_elf(content)
    if elf is None:
        return None
    can_run = elf.interpreter is not None or elf.starts or executable or elf.problem is not None
    is_library = elf.soname is not None and not can_run
    return Elf(
        path=path,
        machine=elf.machine,
        type=elf.type,
        interpreter=elf.interpreter,
        soname=elf.soname,
        starts=elf.starts,
        needed=elf.needed,
        also_loaded=elf.also_loaded,
        rpath=elf.rpath,
        runpath=elf.runpath,
        build_id=elf.build_id,
        dlopen=tuple(name for item in elf.dlopen for name in item.sonames),
        identities=() if is_library else identities(content),
        packaged_as=elf.packaged_as,
        problem=elf.problem,
    )


def read_script(path: str, content: memoryview) -> Script | None:
    """The facts of a script by how it begins; None if that names no interpreter."""
    match = _SHEBANG.match(bytes(content[:_SHEBANG_SIZE]))
    if match is None:
        return None
    interpreter, argument = (part.decode("utf-8", "backslashreplace").strip() for part in match.groups())
    return Script(path=path, interpreter=interpreter, argument=argument or None)
