"""Two contents of one file: which comparator fits them, and what it finds.

A comparator is a function of both contents that gives properties by name, or None if the contents are not its kind.
What no comparator knows is compared as text, and what is no text is said to be binary and to need diffoscope, which
``builder.baseline`` runs: incomplete, never equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.compare.deep import archives, certificates, elf, keyed, pe
from builder.compare.deep.lines import unified
from builder.compare.difference import Change, Difference, node_id
from builder.compare.parts import changed_fields, presence
from builder.errors import BedplateError
from signing.errors import SigningError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# A file in an archive in a compressed file in an archive: deeper than that nothing real is.
MAX_DEPTH: Final = 4
MAX_CHILDREN: Final = 2_000
# What a reason ends with where another program knows kinds of files that no comparator here does.
NEEDS_DIFFOSCOPE: Final = "needs diffoscope"


@dataclass(frozen=True, slots=True)
class Inside:
    """What differs inside, and why it is not all, if it is not."""

    children: tuple[Difference, ...]
    incomplete: str | None = None


def look_inside(place: str, name: str, old: bytes, new: bytes, depth: int = 0) -> Inside:
    """The difference of two contents of the file ``name``; ``place`` is the id of the node that they belong to."""
    if old == new:
        return Inside(())
    try:
        found = _members(place, name, old, new, depth) or _properties(place, name, old, new)
    except (BedplateError, SigningError) as error:
        return Inside((), str(error))
    return found or _text(place, old, new)


def _members(place: str, name: str, old: bytes, new: bytes, depth: int) -> Inside | None:
    """Archives member by member, compressed files by their content."""
    before, after = archives.members(name, old), archives.members(name, new)
    if before is None or after is None:
        return None
    if depth == MAX_DEPTH:
        return Inside((), f"archives in archives are looked into {MAX_DEPTH} times")
    if list(before) != list(after) and before == after:
        child = Difference(id=f"{place}/=order", kind="order", subject="order of the members", change=Change.ORDER)
        return Inside((child,))
    children = tuple(_member(place, path, before.get(path), after.get(path), depth) for path in _changed(before, after))
    if not children:
        change = Change.METADATA
        children = (Difference(id=f"{place}/=packing", kind="packing", subject="packing of the same", change=change),)
    return _bounded(children)


def _changed(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[str]:
    return [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]


def _member(place: str, path: str, old: bytes | None, new: bytes | None, depth: int) -> Difference:
    here = node_id(place, path)
    inside = Inside(())
    if old is not None and new is not None:
        inside = look_inside(here, path, old, new, depth + 1)
    return Difference(
        id=here,
        kind="member",
        subject=path,
        change=presence(old, new),
        children=inside.children,
        incomplete=inside.incomplete,
    )


def _properties(place: str, name: str, old: bytes, new: bytes) -> Inside | None:
    readers: tuple[tuple[str, Callable[[str, bytes], Mapping[str, str] | None]], ...] = (
        ("ELF", elf.properties),
        ("PE", pe.properties),
        ("certificate field", certificates.properties),
        ("key", keyed.properties),
    )
    for kind, reader in readers:
        before, after = reader(name, old), reader(name, new)
        if before is not None and after is not None:
            children = tuple(_fields(place, kind, before, after))
            return _bounded(children) if children else None
    return None


def _fields(place: str, kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for field in changed_fields(old, new):
        yield Difference(
            id=node_id(place, field.name),
            kind=kind,
            subject=field.name,
            change=presence(field.old, field.new),
            old=field.old,
            new=field.new,
        )


def _text(place: str, old: bytes, new: bytes) -> Inside:
    try:
        found, whole = unified(old, new)
    except UnicodeDecodeError:
        return Inside((), f"both are binary, {len(old)} and {len(new)} bytes: {NEEDS_DIFFOSCOPE}")
    child = Difference(id=f"{place}/=text", kind="text", subject=found, change=Change.CONTENT)
    return Inside((child,), None if whole else "there is more than is shown")


def _bounded(children: tuple[Difference, ...]) -> Inside:
    if len(children) <= MAX_CHILDREN:
        return Inside(children)
    return Inside(children[:MAX_CHILDREN], f"{len(children) - MAX_CHILDREN} more differences are not listed")
