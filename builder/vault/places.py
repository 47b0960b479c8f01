"""Where the packages of a lock can be had: at mirrors of its archives, and in snapshots of the day of the lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.definition.archives import is_security, place_of
from builder.vault.fetch import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.definition.lock import ArchiveState, ImageLock
    from builder.definition.mirror import Mirror


def archive_sources(lock: ImageLock, mirror: Mirror | None, snapshot: str | None) -> list[Source]:
    """The places in the order in which to ask: mirrors first; ``snapshot`` is the root of an archive of snapshots.

    Where an archive is that nobody named, and that is not beside ``mirror``, its packages have no place.
    """
    return [*_mirrors(lock, mirror), *(_snapshots(lock, snapshot.rstrip("/")) if snapshot else ())]


def _mirrors(lock: ImageLock, mirror: Mirror | None) -> Iterator[Source]:
    for name, state in lock.current.items():
        place = mirror if name == lock.main.name else place_of(state.suite, state.mirror, mirror)
        if place is not None:
            yield Source(place.url, states=frozenset(other.id for other in lock.archives if other.name == name))


def _snapshots(lock: ImageLock, root: str) -> Iterator[Source]:
    """Debian's archives as its archive of snapshots lays them out; between two snapshots it gives the earlier."""
    for state in lock.archives:
        if state.mirror is None:
            yield Source(f"{root}/archive/{_folder(state)}/{_stamp(state)}", states=frozenset([state.id]))


def _folder(state: ArchiveState) -> str:
    return "debian-security" if is_security(state.suite) else "debian"


def _stamp(state: ArchiveState) -> str:
    return state.date.replace("-", "").replace(":", "")
