"""Which paths of an inventory programs come to that look into some directories: also what links lead to.

Units, generators and modules are found by name. What a name means can lie anywhere: a link in the directory, or one on
the way to it, leads out of it, to a file or to a directory of more names.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

    from builder.compare.entries import Entry

# Linux follows as many links to one file (include/linux/namei.h, MAXSYMLINKS).
_MAX_LINKS: Final = 40
_LEAST_STEPS: Final = 10_000


class EndlessError(Exception):
    """Links lead in a circle, or so far that it makes no difference."""


@dataclass(frozen=True, slots=True)
class Place:
    """Names that count: those below ``tops``, or these themselves, that match ``names`` from the beginning to the end.

    They are the names by which a program asks, before links.
    """

    tops: tuple[str, ...]
    names: re.Pattern[str]


def reached(entries: Iterable[Entry], place: Place) -> frozenset[tuple[str, str]]:
    """Area and path of all that the names of ``place`` lead to, with every link on the way.

    A path that is not there is among them too, if a link leads to it. Raises EndlessError.
    """
    areas: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        areas[entry.area].append(entry)
    return frozenset((area, path) for area, of_area in areas.items() for path in _Tree(of_area).reach(place))


class _Tree:
    """The names of one area, and where its links lead."""

    def __init__(self, entries: list[Entry]) -> None:
        self._links: dict[str, str] = {}
        self._names: defaultdict[str, list[str]] = defaultdict(list)
        known = {""}
        for entry in entries:
            path = entry.path
            while path not in known:  # a directory counts by its name alone, listed or not
                known.add(path)
                parent, _, name = path.rpartition("/")
                self._names[parent].append(name)
                path = parent
            if entry.target is not None:
                self._links[entry.path] = entry.target
        self._most_steps = _LEAST_STEPS + 4 * len(entries)

    def reach(self, place: Place) -> Iterator[str]:
        """The paths that count, some more than once."""
        # A name as a program asks for it, and the directory that it is in, with the links that led there.
        pending = [(top, *self._follow("", top.strip("/").split("/"), ())) for top in place.tops]
        steps = 0
        while pending:
            asked, path, links = pending.pop()
            steps += 1
            if steps > self._most_steps:
                raise EndlessError
            if place.names.fullmatch(asked):
                yield path
                yield from links
            pending += [(f"{asked}/{name}", *self._follow(path, [name], links)) for name in self._names.get(path, ())]

    def _follow(self, directory: str, names: list[str], links: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Where ``names`` lead from ``directory``, one after the other, and the links so far."""
        path, left = directory, names[::-1]
        while left:
            name = left.pop()
            if name == "..":
                path = path.rpartition("/")[0]
            elif name not in {"", "."}:
                path = f"{path}/{name}"
            target = self._links.get(path)
            if target is not None:
                links = (*links, path)
                if len(links) > _MAX_LINKS:
                    raise EndlessError
                path = "" if target.startswith("/") else path.rpartition("/")[0]
                left += target.split("/")[::-1]
        return path, links
