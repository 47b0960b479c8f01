"""What lines of tmpfiles.d(5) write, and whom they let write."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.facts import Area, TmpfilesEntry

# What writes a file, copies one or makes a link.
MAKES_CONTENT: Final = frozenset("fFwCL")
_MAKES_TREES: Final = frozenset("CL")
_SETS_ACCESS: Final = frozenset("aA")
_FACTORY: Final = "/usr/share/factory"
_ROOT: Final = frozenset({"-", "root", "0"})
_OCTAL: Final = re.compile(r"[~:]*([0-7]+)")
# acl(5), "ACL TEXT FORMS"; an entry without a name is about owner or group.
_ACCESS: Final = re.compile(r"(?:d(?:efault)?:)?(?:(?:u(?:ser)?|g(?:roup)?):[^:]+|o(?:ther)?:):([-rwxX0-7]+)")
_WRITE: Final = frozenset("w2367")


def written(area: Area, item: TmpfilesEntry) -> Iterator[str]:
    """The path of a line, and the paths of all that comes along with a directory that it copies or links."""
    yield item.path
    named = source(item)
    real = None if named is None else area.real(named)
    if real is not None:
        yield from (item.path + file.path.removeprefix(real.rstrip("/")) for file in area.below(real))


def source(item: TmpfilesEntry) -> str | None:
    """What a line copies or links; None if it does neither."""
    if item.type[:1] not in _MAKES_TREES:
        return None
    named = item.argument or _FACTORY + item.path
    return normpath(named if named.startswith("/") else f"{item.path.rpartition('/')[0]}/{named}")


def mode(item: TmpfilesEntry) -> int:
    """The mode of a line; 0 where it sets none."""
    match = _OCTAL.fullmatch(item.mode)
    return int(match[1], 8) if match else 0


def owners(item: TmpfilesEntry) -> tuple[str, str]:
    """The user and the group of a line; empty for root, and where it sets none."""
    user, group = (name.lstrip(":") for name in (item.user, item.group))
    return ("" if user in _ROOT else user), ("" if group in _ROOT else group)


def granted(item: TmpfilesEntry) -> str:
    """What access control lists of a line give to others than owner and group, all letters of it."""
    entries = item.argument.split(",") if item.type[:1] in _SETS_ACCESS else ()
    return "".join(match[1] for match in map(_ACCESS.fullmatch, map(str.strip, entries)) if match)


def lets_write(item: TmpfilesEntry) -> bool:
    """Whether a line lets others than root write: by mode and owner, or by an access control list."""
    user, group = owners(item)
    bits = mode(item)
    return bool(user or (group and bits & 0o020) or bits & 0o002 or not _WRITE.isdisjoint(granted(item)))
