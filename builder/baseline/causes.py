"""Why a rebuilt disk image differs from the published one: the cause for each file, found in both images."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from builder.baseline.contents import open_contents
from builder.compare.causes.cause import Builds, Cause, CauseKind, Finding
from builder.compare.causes.content import content_causes, digests_of
from builder.compare.difference import Change
from builder.compare.files import NAME as FILES
from builder.compare.rest import REST_ID
from builder.errors import BedplateError
from builder.files import mapped
from builder.image.binary import BinaryView
from builder.image.disk import read_disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from builder.baseline.contents import Contents
    from builder.compare.difference import Difference, Report
    from builder.image.disk import Disk

# Far more than a person reads; a build that goes wrong everywhere has its cause in the first of them, too.
MAX_FILES: Final = 2_000
MAX_FILE_BYTES: Final = 64 << 20
# EROFS blocks; what is packed in another order is moved by whole ones.
_BLOCK: Final = 4096
# File systems and formats round times to whole or to two seconds.
_ROUNDED: Final = 2.0
_PERMISSIONS: Final = frozenset(("mode", "uid", "gid"))


def find_causes(report: Report, published: Path, rebuilt: Path, builds: Builds) -> tuple[Cause, ...]:
    """The causes of all differences of two disk images that ``report`` compares; never none.

    Where no file differs the cause is outside of the files: the order in which they are packed, or what differs else.
    """
    files = [item for topic in report.topics if topic.name == FILES for item in topic.differences][:MAX_FILES]
    with open_contents(published) as old, open_contents(rebuilt) as new:
        pairs = {item.id: _read(item, old, new) for item in files}
        digests = frozenset(
            digest for pair in pairs.values() if pair for content in pair for digest in digests_of(content)
        )
        known = replace(builds, digests=builds.digests | digests)
        causes = [cause for item in files for cause in _of_file(item, pairs[item.id], known)]
    if causes:
        return tuple(causes)
    with mapped(published, what="disk image") as old_disk, mapped(rebuilt, what="disk image") as new_disk:
        return tuple(_outside(report, old_disk, new_disk, builds))


def known_builds(provenance: Mapping[str, Any], version: str, started: float) -> Builds:
    """What is known of a release's build, by its provenance, and of one on this machine that ``started`` then.

    ``version`` is this bedplate's. What a provenance does not say is not known.
    """
    details = provenance.get("runDetails", {})
    metadata = details.get("metadata", {})
    times = [(started - _ROUNDED, time.time() + _ROUNDED)]
    try:
        first, last = (dt.datetime.fromisoformat(metadata[name]).timestamp() for name in ("startedOn", "finishedOn"))
        times.append((first - _ROUNDED, last + _ROUNDED))
    except (KeyError, TypeError, ValueError):
        times = []
    system = os.uname()
    before = details.get("builder", {}).get("version", {}).get("bedplate", version)
    return Builds(
        times=tuple(times),
        words={
            "host name": system.nodename,
            "kernel's release": system.release,
            "user's name": os.environ.get("USER", ""),
            "user's home": os.environ.get("HOME", ""),
        },
        versions={} if before == version else {"bedplate": (before, version)},
    )


def _read(item: Difference, old: Contents, new: Contents) -> tuple[bytes, bytes] | None:
    """Both contents of a file whose content changed; None if it is not that, or if they are too large."""
    names = {field.name for field in item.fields}
    if item.change is not Change.CONTENT or "sha256" not in names or "type" in names:
        return None
    try:
        pair = (old.read(item.area, item.subject), new.read(item.area, item.subject))
    except BedplateError:
        return None
    return None if max(map(len, pair)) > MAX_FILE_BYTES else pair


def _of_file(item: Difference, pair: tuple[bytes, bytes] | None, builds: Builds) -> Iterator[Cause]:
    findings = content_causes(item.subject, *pair, builds) if pair else [_of_entry(item)]
    for finding in findings:
        yield Cause(
            kind=finding.kind,
            area=item.area or "disk",
            path=f"{item.subject}!{finding.member}" if finding.member else item.subject,
            package=item.package,
            evidence=finding.evidence,
        )


def _of_entry(item: Difference) -> Finding:
    """The cause of what is not in a file's content."""
    fields = {field.name: field for field in item.fields}
    if item.change is Change.ADDED:
        return Finding(kind=CauseKind.UNKNOWN, evidence="only the rebuilt image has it")
    if item.change is Change.REMOVED:
        return Finding(kind=CauseKind.UNKNOWN, evidence="only the published image has it")
    if item.change is Change.TIMESTAMP:
        field = fields["mtime"]
        return Finding(kind=CauseKind.TIMESTAMP, evidence=f"its time of change {field.old} is now {field.new}")
    shown = ", ".join(f"{field.name} {field.old} is now {field.new}" for field in item.fields)
    kind = CauseKind.PERMISSIONS if fields.keys() and fields.keys() <= {*_PERMISSIONS, "mtime"} else CauseKind.UNKNOWN
    return Finding(kind=kind, evidence=shown or "it differs")


def _outside(report: Report, old: memoryview, new: memoryview, builds: Builds) -> Iterator[Cause]:
    """Why disks differ whose files do not. What nothing explains is the work of another bedplate, if there is one."""
    versions = [f"made by {tool} {before}, this is {after}" for tool, (before, after) in builds.versions.items()]
    unexplained = CauseKind.TOOL_VERSION if versions else CauseKind.UNKNOWN
    disks = [read_disk(BinaryView.of(disk, "disk image")) for disk in (old, new)]
    roots = [disk.root_view.data for disk in disks]
    if roots[0] != roots[1]:
        if _blocks(roots[0]) == _blocks(roots[1]):
            yield _of_disk(
                CauseKind.ORDER, "root", "the same blocks in another order: files were packed in another one"
            )
        else:
            yield _of_disk(unexplained, "root", "; ".join(("the same files, packed in another way", *versions)))
        return
    # Where the rest of the disks differs is said below.
    others = [(topic, item) for topic in report.topics for item in topic.differences if item.id != REST_ID]
    for topic, item in others[:MAX_FILES]:
        kind = CauseKind.ORDER if item.change is Change.ORDER else unexplained
        values = f": {item.old} is now {item.new}" if item.old or item.new else ""
        yield _of_disk(kind, item.subject, "; ".join((f"{topic.title}, {item.change.value}{values}", *versions)))
    if not others:
        pairs = zip(old, new, strict=False)
        place = next((at for at, pair in enumerate(pairs) if pair[0] != pair[1]), min(len(old), len(new)))
        evidence = f"nothing that is read; the first byte that differs is at {place:#x}"
        yield _of_disk(unexplained, _part_at(disks[0], place), "; ".join((evidence, *versions)))


def _part_at(disk: Disk, place: int) -> str:
    """The part of a disk in which an offset lies."""
    parts = {"EFI system partition": disk.esp, "root": disk.root, "hash tree": disk.root_verity}
    for name, partition in parts.items():
        if partition.offset <= place < partition.offset + partition.size:
            return name
    return "partition table"


def _blocks(data: memoryview) -> Counter[bytes]:
    return Counter(bytes(data[place : place + _BLOCK]) for place in range(0, len(data), _BLOCK))


def _of_disk(kind: CauseKind, path: str, evidence: str) -> Cause:
    return Cause(kind=kind, area="disk", path=path, package=None, evidence=evidence)
