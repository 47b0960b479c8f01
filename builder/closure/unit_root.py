"""The root that a unit sees: RootDirectory=, and what is mounted into it from outside (systemd.exec(5))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.facts.syntax import Assignment

_BINDS: Final = frozenset({"BindPaths", "BindReadOnlyPaths"})


@dataclass(frozen=True, slots=True)
class UnitRoot:
    """A unit's root. ``path`` is None for the image's own; ``binds`` are (place inside, place outside)."""

    path: str | None
    binds: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, held: Sequence[Assignment]) -> UnitRoot:
        """The root that the assignments of a unit, in order, make; an empty one takes back those before it."""
        path: str | None = None
        binds: dict[str, list[tuple[str, str]]] = {key: [] for key in _BINDS}
        for item in held:
            if item.key == "RootDirectory":
                path = item.value.rstrip("/") or None
            elif item.key in _BINDS:
                binds[item.key] = [*binds[item.key], *map(_bind, item.value.split())] if item.value else []
        return cls(path, tuple(bind for found in binds.values() for bind in found))

    def outside(self, path: str) -> str:
        """Where in the image an absolute path of the unit is: below its root, or where it is bound from."""
        for inside, source in sorted(self.binds, key=lambda bind: len(bind[0]), reverse=True):
            if path == inside or path.startswith(f"{inside}/"):
                return source + path[len(inside) :]
        return path if self.path is None else self.path + path


def _bind(word: str) -> tuple[str, str]:
    """``SOURCE[:DESTINATION[:OPTIONS]]``, with a "-" before what may be missing."""
    source, _, rest = word.removeprefix("-").partition(":")
    return rest.partition(":")[0] or source, source
