"""Symbolic links inside an image, followed as the kernel would if the image were the root directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# Linux include/linux/namei.h, MAXSYMLINKS.
_MAX_LINKS: Final = 40


def chase(path: str, target_of: Callable[[str], str | None], *, last: bool = True) -> str | None:
    """The path without symbolic links that ``path`` leads to; nothing says that there is a file.

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
