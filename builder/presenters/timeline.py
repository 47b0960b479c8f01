"""A history of releases as one HTML page: a picture of sizes and moved PCRs, and what changed in each release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.compare.chains import join
from builder.measurement.pcr import HOLDS
from policies.presenters.document import document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.history.log import Cause, Log, Release

PAGE: Final = Path(__file__).parent / "page"
_COLUMN: Final = 56
_ROW: Final = 26
_BARS: Final = 110
_LEFT: Final = 120
_TOP: Final = 24
_NAMED: Final = 3
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column: where it stands, how high it is, and what it is for the style sheet."""

    y: float
    height: float
    area: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A PCR in a release: "moved", "unmoved", "unknown", or "first" where nothing stands before."""

    y: int
    pcr: int
    state: str


@dataclass(frozen=True, slots=True)
class Column:
    """A release in the picture."""

    x: int
    anchor: str
    version: str
    size: str
    verified: bool
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """The releases of one image and architecture, and their picture."""

    title: str
    releases: tuple[tuple[str, Release], ...]
    columns: tuple[Column, ...]
    pcrs: tuple[tuple[int, int], ...]
    width: int
    height: int


def timeline(log: Log) -> bytes:
    """The history as an HTML document in UTF-8. Two histories that are the same make the same bytes."""
    groups: dict[str, list[Release]] = {}
    for release in log.releases:
        if release.image is not None:
            groups.setdefault(f"{release.image.name} {release.image.architecture}", []).append(release)
    values = {
        "log": log,
        "failed": [release for release in log.releases if release.problems],
        "unsigned": [release for release in log.releases if not release.verified_by and not release.problems],
        "series": [_series(number, title, releases) for number, (title, releases) in enumerate(groups.items())],
        "bar_base": _TOP + _BARS,
        "column": _COLUMN,
        "left": _LEFT,
        "holds": HOLDS,
        "size_words": size_words,
        "cause_words": cause_words,
        "grown": grown,
        "join": join,
    }
    return document("log", values, PAGE)


def size_words(count: int) -> str:
    """A number of bytes in decimal units."""
    size = float(count)
    for unit in _UNITS:
        if size < _THOUSAND or unit == _UNITS[-1]:
            break
        size /= _THOUSAND
    return f"{size:.0f} {unit}" if unit == _UNITS[0] else f"{size:.1f} {unit}"


def cause_words(cause: Cause) -> str:
    """The causes in a line, the first of many."""
    named = "; ".join(cause.subjects[:_NAMED])
    more = len(cause.subjects) - _NAMED
    return f"{named}; and {more} more" if more > 0 else named


def grown(release: Release, before: Release | None, area: str, what: str) -> str:
    """How much a number of an area grew since the release before, with its sign; empty for none."""
    if before is None or area not in before.sizes:
        return ""
    new, old = (getattr(side.sizes[area], what) for side in (release, before))
    if new is None or old is None or new == old:
        return ""
    sign = "+" if new > old else "-"
    return f"{sign}{size_words(abs(new - old)) if what == 'bytes' else abs(new - old)}"


def total(release: Release) -> int:
    """The bytes of all file systems."""
    return sum(size.bytes for size in release.sizes.values())


def _series(number: int, title: str, releases: Sequence[Release]) -> Series:
    steps = [release.since for release in releases if release.since is not None]
    pcrs = sorted({pcr for step in steps for pcr in (*step.moved, *step.unmoved, *step.not_compared)})
    rows = {pcr: _TOP + _BARS + 34 + index * _ROW for index, pcr in enumerate(pcrs)}
    largest = max((total(release) for release in releases), default=0) or 1
    named = [(f"r{number}-{index}", release) for index, release in enumerate(releases)]
    return Series(
        title=title,
        releases=tuple(named),
        columns=tuple(_column(index, anchor, release, rows, largest) for index, (anchor, release) in enumerate(named)),
        pcrs=tuple(rows.items()),
        width=_LEFT + _COLUMN * len(releases) + 10,
        height=_TOP + _BARS + 34 + _ROW * len(pcrs),
    )


def _column(index: int, anchor: str, release: Release, rows: dict[int, int], largest: int) -> Column:
    bars: list[Bar] = []
    base = float(_TOP + _BARS)
    for area, size in release.sizes.items():
        height = round(_BARS * size.bytes / largest, 2)
        base = round(base - height, 2)
        bars.append(Bar(base, height, area))
    return Column(
        x=_LEFT + index * _COLUMN,
        anchor=anchor,
        version="" if release.image is None else release.image.version,
        size=size_words(total(release)),
        verified=bool(release.verified_by),
        bars=tuple(bars),
        marks=tuple(Mark(y, pcr, _state(release, pcr)) for pcr, y in rows.items()),
    )


def _state(release: Release, pcr: int) -> str:
    step = release.since
    if step is None:
        return "first"
    if pcr in step.moved:
        return "moved"
    return "unmoved" if pcr in step.unmoved else "unknown"
