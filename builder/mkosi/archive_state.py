"""The state of an archive, from its signed Release file (https://wiki.debian.org/DebianRepository/Format)."""

from __future__ import annotations

import datetime as dt
import hashlib
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from builder.definition.lock import ArchiveState
from builder.errors import ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.definition.archives import PackageArchive

MAX_RELEASE_BYTES: Final = 16 << 20


def release_fields(text: str) -> dict[str, str]:
    """The fields of one line in a Release file, by lower-case name."""
    lines = (line.partition(": ") for line in text.splitlines() if line[:1] not in {"", " "})
    return {name.lower(): value.strip() for name, colon, value in lines if colon}


def read_state(
    archive: PackageArchive, content: bytes, fields: Mapping[str, str], signed_by: Iterable[str], now: dt.datetime
) -> ArchiveState:
    """The state that an InRelease file with ``content`` and verified ``fields`` says an archive is in.

    Raises ToolFailedError if it has no date, or if its time is over and the definition does not allow that. apt has
    refused that before; here it is decided what the lock says.
    """
    date, until = (_date(archive, fields, name) for name in ("date", "valid-until"))
    if date is None:
        raise ToolFailedError(f"the Release file of the archive {archive.name} has no date")
    expired = until is not None and until < now
    if expired and not archive.allow_expired:
        raise ToolFailedError(f"the Release file of the archive {archive.name} expired at {_text(until or date)}")
    return ArchiveState(
        name=archive.name,
        suite=archive.suite,
        components=archive.components,
        date=_text(date),
        inrelease=hashlib.sha256(content).hexdigest(),
        signed_by=tuple(sorted(set(signed_by))),
        expired=_text(until) if until is not None and expired else None,
        mirror=archive.fixed_place,
    )


def require_not_older(states: Iterable[ArchiveState], before: Mapping[str, ArchiveState]) -> None:
    """Raise ToolFailedError if an archive is in an older state than it was seen in before.

    Its signature is good for ever, so somebody on the way could show an old state that lacks what was mended since.
    """
    for state in states:
        seen = before.get(state.name)
        if seen is not None and seen.suite == state.suite and state.date < seen.date:
            raise ToolFailedError(
                f"the archive {state.name} is shown as of {state.date}, and the lock is of {seen.date}: "
                "this mirror is behind, or somebody shows an old state",
                hint="name another mirror, or move the lock away if the step back is meant",
            )


def _date(archive: PackageArchive, fields: Mapping[str, str], name: str) -> dt.datetime | None:
    if name not in fields:
        return None
    try:
        return parsedate_to_datetime(fields[name]).astimezone(dt.UTC)
    except ValueError as error:
        raise ToolFailedError(f"the Release file of the archive {archive.name} has an odd {name}: {error}") from error


def _text(time: dt.datetime) -> str:
    return time.isoformat(timespec="seconds").replace("+00:00", "Z")
