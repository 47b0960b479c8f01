"""Files of root and initrd: a merge of two sorted inventories."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Difference, Field, node_id, text
from builder.compare.parts import not_compared, pair, presence, topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from builder.compare.entries import Entry

NAME: Final = "files"
_TITLE: Final = "Files"
CONTENT_FIELDS: Final = ("type", "sha256", "size", "target", "device")
_METADATA: Final = ("mode", "uid", "gid", "package")
_SET_UID, _SET_GID = 0o4000, 0o2000
CAPABILITY: Final = "security.capability"


def compare_files(old: Baseline, new: Baseline) -> Topic:
    """Every path that differs, by area and path."""
    both = pair(old.files, new.files)
    if not isinstance(both, tuple):
        return not_compared(NAME, _TITLE, both)
    return topic(NAME, _TITLE, (_difference(one, other) for one, other in merge(*both)))


def merge(old: tuple[Entry, ...], new: tuple[Entry, ...]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """The pairs of entries that differ, or stand alone, in the order of area and path.

    The version of the owning package does not count: where it is all that differs, the package tells.
    """
    left, right = iter(old), iter(new)
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        place = _order(one, other)
        if place < 0:
            yield one, None
        elif place > 0:
            yield None, other
        elif one is not None and other is not None and one != other and _differ(one, other):
            yield one, other
        if place <= 0:
            one = next(left, None)
        if place >= 0:
            other = next(right, None)


def file_id(entry: Entry) -> str:
    """The id of the difference of a path."""
    return node_id(NAME, entry.area, entry.path)


def _order(one: Entry | None, other: Entry | None) -> int:
    if one is None or other is None:
        return 1 if one is None else -1
    left, right = (one.area, one.path), (other.area, other.path)
    return (left > right) - (left < right)


def _differ(one: Entry, other: Entry) -> bool:
    names = (*CONTENT_FIELDS, *_METADATA, "mtime", "xattrs")
    return any(getattr(one, name) != getattr(other, name) for name in names)


def _difference(old: Entry | None, new: Entry | None) -> Difference:
    entry = new or old
    if entry is None:
        raise ValueError("a difference has a side")
    fields = () if old is None or new is None else tuple(_fields(old, new))
    return Difference(
        id=file_id(entry),
        kind="file",
        subject=text(entry.path),
        change=presence(old, new, _classify({field.name for field in fields})),
        old=_side(old, whole=new is None),
        new=_side(new, whole=old is None),
        area=entry.area,
        package=entry.package or (old.package if old is not None else None),
        notes=tuple(_notes(old, new)),
        fields=fields,
    )


def _side(entry: Entry | None, *, whole: bool) -> str | None:
    """The digest or the target of a file that is on both sides, a summary of one that is on one."""
    if entry is None:
        return None
    return summary(entry) if whole else entry.sha256 or (None if entry.target is None else text(entry.target))


def summary(entry: Entry) -> str:
    """A file in a line: type, mode, owner, size and digest or target."""
    what = entry.sha256 or entry.target or entry.device
    parts = (entry.type, entry.mode, f"{entry.uid}:{entry.gid}", f"{entry.size} bytes" if entry.sha256 else None, what)
    return " ".join(text(part) for part in parts if part)


def _fields(old: Entry, new: Entry) -> Iterator[Field]:
    for name in (*CONTENT_FIELDS, *_METADATA, "mtime"):
        left, right = getattr(old, name), getattr(new, name)
        if left != right:
            yield Field(name=name, old=_shown(left), new=_shown(right))
    for name in sorted(old.xattrs.keys() | new.xattrs.keys()):
        if old.xattrs.get(name) != new.xattrs.get(name):
            yield Field(name=text(name), old=_xattr(name, old), new=_xattr(name, new))


def _shown(value: object) -> str | None:
    return None if value is None else text(str(value))


def _xattr(name: str, entry: Entry) -> str | None:
    value = entry.xattrs.get(name)
    return capabilities(value) if name == CAPABILITY and value is not None else value


def capabilities(value: str) -> str:
    """The permitted and inheritable sets of a security.capability attribute (struct vfs_cap_data), as hexadecimal."""
    sets = _capability_sets(bytes.fromhex(value))
    if sets is None:
        return value
    permitted, inheritable, is_effective = sets
    return f"permitted {permitted:#x}, inheritable {inheritable:#x}{', effective' if is_effective else ''}"


def _capability_sets(data: bytes) -> tuple[int, int, bool] | None:
    """Permitted and inheritable capabilities, and whether they are effective; None for what is no such attribute."""
    if len(data) not in {12, 20, 24}:
        return None
    words = struct.unpack_from(f"<{(len(data) - 4) // 4}I", data, 4)
    permitted, inheritable = words[0], words[1]
    if len(data) > 12:  # noqa: PLR2004 -- version 2 and 3 have two pairs of words
        permitted, inheritable = permitted | words[2] << 32, inheritable | words[3] << 32
    return permitted, inheritable, bool(data[0] & 1)


def _classify(names: set[str]) -> Change:
    if names & set(CONTENT_FIELDS):
        return Change.CONTENT
    return Change.TIMESTAMP if names == {"mtime"} else Change.METADATA


def _notes(old: Entry | None, new: Entry | None) -> Iterator[str]:
    before, after = _powers(old), _powers(new)
    yield from (f"gains {power}" for power, held in after.items() if held - before[power])
    yield from (f"loses {power}" for power, held in before.items() if held - after[power])


def _powers(entry: Entry | None) -> dict[str, frozenset[str]]:
    """What of a file gives rights to whoever runs it, or is a device: of each, whose rights or which.

    A set-uid file that goes from one owner to another gains, and so does one with other capabilities than before.
    """
    held: dict[str, Iterable[str]] = {"set-uid": (), "set-gid": (), "file capabilities": (), "a device node": ()}
    if entry is not None:
        if entry.type == "file" and entry.permissions & _SET_UID:
            held["set-uid"] = (str(entry.uid),)
        if entry.type == "file" and entry.permissions & _SET_GID:
            held["set-gid"] = (str(entry.gid),)
        if CAPABILITY in entry.xattrs:
            held["file capabilities"] = _capability_bits(entry.xattrs[CAPABILITY])
        if entry.device is not None:
            held["a device node"] = (f"{entry.type} {entry.device}",)
    return {power: frozenset(whose) for power, whose in held.items()}


def _capability_bits(value: str) -> Iterator[str]:
    """The attribute as single rights; for the root of which user namespace (version 3) is one of them."""
    data = bytes.fromhex(value)
    sets = _capability_sets(data)
    if sets is None:
        yield value
        return
    permitted, inheritable, is_effective = sets
    owner = data[20:].hex()
    yield f"of {owner}"
    for name, bits in (("permitted", permitted), ("inheritable", inheritable)):
        yield from (f"{name} {bit}" for bit in range(64) if bits >> bit & 1)
    if is_effective:
        yield "effective"
