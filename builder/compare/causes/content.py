"""The cause of a difference of two contents of a file: archives member by member, text by its words, else bytes."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import TYPE_CHECKING, Final, Literal

from builder.compare.causes.cause import Builds, CauseKind, Finding
from builder.compare.causes.text import lines_of, text_cause
from builder.compare.deep import archives
from builder.errors import BedplateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_DEPTH: Final = 4
# A difference in more runs of bytes than this is not a stamp that was put somewhere.
_MAX_RUNS: Final = 64
# Bytes that are equal by chance inside of a value that differs.
_GAP: Final = 4
_BLOCK: Final = 4096
_GZIP: Final = b"\x1f\x8b"
# RFC 1952, 2.3: MTIME, seconds since 1970, little-endian.
_GZIP_TIME: Final = slice(4, 8)
# Without better knowledge a number is a time if it is one of these years' on both sides: 2020 to 2039.
_ANY_TIME: Final = (1577836800.0, 2208988800.0)
_LEAST_RANDOM: Final = 8
_MOST_RANDOM: Final = 128
_LEAST_MOVED: Final = 16
_BYTE_ORDERS: Final[tuple[Literal["little", "big"], ...]] = ("little", "big")
_PRINTABLE: Final = re.compile(rb"[\t\n -~]+")


def content_causes(name: str, old: bytes, new: bytes, builds: Builds, depth: int = 0) -> Iterator[Finding]:
    """Why two contents of the file ``name`` differ; several findings only for an archive."""
    try:
        before, after = archives.members(name, old), archives.members(name, new)
    except BedplateError:
        before = after = None
    if before is not None and after is not None and depth < _MAX_DEPTH:
        yield from _archive(name, (old, before), (new, after), builds, depth)
        return
    one, other = lines_of(old), lines_of(new)
    if one is not None and other is not None:
        yield text_cause(one, other, builds)
    else:
        yield _bytes(old, new, builds)


def digests_of(content: bytes) -> tuple[str, str]:
    """The digests by which other files may name a content: SHA-256, and MD5 as dpkg's lists have it."""
    return hashlib.sha256(content).hexdigest(), hashlib.md5(content, usedforsecurity=False).hexdigest()


def _archive(
    name: str,
    old: tuple[bytes, Mapping[str, bytes]],
    new: tuple[bytes, Mapping[str, bytes]],
    builds: Builds,
    depth: int,
) -> Iterator[Finding]:
    (packed_old, before), (packed_new, after) = old, new
    if before == after:
        yield _packing(packed_old, packed_new, same_order=list(before) == list(after))
        return
    for path in sorted(before.keys() | after.keys()):
        if path not in before or path not in after:
            side = "published" if path in before else "rebuilt"
            yield Finding(kind=CauseKind.UNKNOWN, evidence=f"only the {side} archive has it", member=path)
        elif before[path] != after[path]:
            for found in content_causes(f"{name}/{path}", before[path], after[path], builds, depth + 1):
                inner = f"{path}!{found.member}" if found.member else path
                yield Finding(kind=found.kind, evidence=found.evidence, member=inner)


def _packing(old: bytes, new: bytes, *, same_order: bool) -> Finding:
    """The same members, packed differently."""
    if not same_order:
        return Finding(kind=CauseKind.ORDER, evidence="the same members in another order")
    stamps = [int.from_bytes(side[_GZIP_TIME], "little") for side in (old, new)]
    if old.startswith(_GZIP) and new.startswith(_GZIP) and stamps[0] != stamps[1]:
        return Finding(kind=CauseKind.TIMESTAMP, evidence=f"gzip's header: {stamps[0]} is now {stamps[1]}")
    if len(old) == len(new):
        runs = list(_runs(old, new))
        if runs and all(_is_time(old, new, run, (_ANY_TIME,)) for run in runs):
            return Finding(kind=CauseKind.TIMESTAMP, evidence="the times of the members")
    return Finding(
        kind=CauseKind.TOOL_VERSION, evidence="the same content, packed by another program or in another way"
    )


def _bytes(old: bytes, new: bytes, builds: Builds) -> Finding:
    if len(old) != len(new):
        return _strings(old, new, builds) or Finding(
            kind=CauseKind.UNKNOWN, evidence=f"binary, {len(old)} bytes are now {len(new)}"
        )
    # One more than is looked at, so that a large file is not read to its end for nothing.
    runs = list(itertools.islice(_runs(old, new), _MAX_RUNS + 1))
    first = f"at offset {runs[0][0]:#x}: {old[slice(*runs[0])][:16].hex()} is now {new[slice(*runs[0])][:16].hex()}"
    if len(runs) <= _MAX_RUNS and all(_is_time(old, new, run, builds.times or (_ANY_TIME,)) for run in runs):
        return Finding(kind=CauseKind.TIMESTAMP, evidence=f"a time {first}")
    found = _strings(old, new, builds)
    if found is not None:
        return found
    if _moved(runs) and all(old.count(value) == new.count(value) for value in range(256)):
        return Finding(kind=CauseKind.ORDER, evidence=f"the same bytes in another order, {first}")
    if len(runs) <= _MAX_RUNS and all(_LEAST_RANDOM <= end - start <= _MOST_RANDOM for start, end in runs):
        return Finding(kind=CauseKind.RANDOMNESS, evidence=f"a random value {first}")
    return Finding(kind=CauseKind.UNKNOWN, evidence=f"binary, {first}")


def _moved(runs: list[tuple[int, int]]) -> bool:
    """Whether so much differs that equal numbers of each byte are no accident."""
    return sum(end - start for start, end in runs) >= _LEAST_MOVED


def _runs(old: bytes, new: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each run of bytes that differ; runs with few equal bytes between them are one."""
    start = end = -1
    for offset in _places(old, new):
        if start >= 0 and offset - end > _GAP:
            yield start, end
            start = offset
        elif start < 0:
            start = offset
        end = offset + 1
    if start >= 0:
        yield start, end


def _places(old: bytes, new: bytes) -> Iterator[int]:
    """The offset of every byte that differs, block by block: most of a large file is equal."""
    for block in range(0, len(old), _BLOCK):
        one, other = old[block : block + _BLOCK], new[block : block + _BLOCK]
        if one != other:
            yield from (block + at for at, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1])


def _is_time(old: bytes, new: bytes, run: tuple[int, int], spans: tuple[tuple[float, float], ...]) -> bool:
    """Whether a number of 4 bytes around a run is a time on both sides, in either order of bytes."""
    start, end = run
    size = 4
    for place in range(max(0, end - size), min(start, len(old) - size) + 1):
        for order in _BYTE_ORDERS:
            values = [int.from_bytes(side[place : place + size], order) for side in (old, new)]
            if all(any(first <= value <= last for first, last in spans) for value in values):
                return True
    return False


def _strings(old: bytes, new: bytes, builds: Builds) -> Finding | None:
    """The cause, if all that differs is in the printable strings of the two."""
    before, after = (b"\n".join(_PRINTABLE.findall(side)).decode("ascii") for side in (old, new))
    rest = (_PRINTABLE.sub(b"", side) for side in (old, new))
    if before == after or next(rest) != next(rest):
        return None
    finding = text_cause(before, after, builds)
    return None if finding.kind is CauseKind.UNKNOWN else finding
