"""Symbolic links inside an image, followed as the kernel would if the image were the root directory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Linux include/linux/namei.h, MAXSYMLINKS.
_MAX_LINKS: Final = 40
_ROOTS: Final = frozenset({"root", "cwd"})
_PROCESS: Final = re.compile(r"proc/(?:self|thread-self|[0-9]+)(?:/task/[0-9]+)?")


def chase(path: str, target_of: Callable[[str], str | None], *, last: bool = True) -> str | None:
    """The path without symbolic links that ``path`` leads to; nothing says that there is a file.

    A process finds the root by its own names in /proc too, such as /proc/self/root (proc_pid_root(5)), and PID 1 and
    what it starts by that of their working directory.

    ``target_of`` gives the target of a path that is a link, else None. With ``last`` false the last part may remain a
    link. None for a relative path and for more than 40 links in a row.
    """
    if not path.startswith("/"):
        return None
    pending = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    found: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del found[-1:]
            continue
        if part in _ROOTS and _PROCESS.fullmatch("/".join(found)):
            found = []
            continue
        target = target_of("/" + "/".join((*found, part))) if pending or last else None
        if target is None:
            found.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        if target.startswith("/"):
            found = []
        pending.extend(item for item in reversed(target.split("/")) if item not in {"", "."})
    return "/" + "/".join(found)
