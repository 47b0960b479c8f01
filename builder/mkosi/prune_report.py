"""What pruning did to root and initrd, as its program (``builder.closure``) left it in mkosi's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, ToolFailedError
from builder.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

_MAX_REPORT_BYTES: Final = 16 << 20


class Size(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``bytes`` of regular files; ``files`` are all but directories; ``programs`` are ELF files that can be started.

    ``set_id`` counts files that take rights from their owner or group, ``sockets`` the addresses in socket units.
    """

    bytes: int
    files: int
    programs: int
    set_id: int
    sockets: int


class DroppedPackage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a package went away."""

    package: str
    files: int
    bytes: int


class PruneReport(msgspec.Struct, frozen=True):
    """One area before and after; ``dropped`` are the packages that lost most, of ``dropped_packages`` in all."""

    before: Size
    after: Size
    dropped: tuple[DroppedPackage, ...]
    dropped_packages: int


def read_prune_reports(output: Path) -> dict[str, PruneReport]:
    """The reports of "root", "initrd" and "engine" in mkosi's output directory; empty if nothing was pruned.

    Raises ToolFailedError for a report that is none, and if there is one and not the other.
    """
    found = {}
    for area in ("root", "initrd", "engine"):
        path = output / f"prune-{area}.json"
        if not path.exists():
            continue
        try:
            data = read_bytes(path, what="prune report", limit=_MAX_REPORT_BYTES)
            found[area] = msgspec.json.decode(data, type=PruneReport)
        except (InvalidInputError, ValueError, RecursionError) as error:
            raise ToolFailedError(f"pruning left no usable report {path.name}: {error}") from error
    if ("root" in found) != ("initrd" in found):
        pruned = "root" if "root" in found else "initrd"
        raise ToolFailedError(f"only the {pruned} was pruned: mkosi's finalize script ran for one image")
    return found


def summary_lines(reports: dict[str, PruneReport]) -> list[str]:
    """One line for each area, for a person."""
    return [
        f"{area}: {_change(report, 'files')} files, {report.before.bytes / 1e6:.1f} -> {report.after.bytes / 1e6:.1f} "
        f"MB, {_change(report, 'programs')} programs, {_change(report, 'set_id')} set-id files, "
        f"{_change(report, 'sockets')} socket addresses"
        for area, report in reports.items()
    ]


def _change(report: PruneReport, field: str) -> str:
    return f"{getattr(report.before, field)} -> {getattr(report.after, field)}"
