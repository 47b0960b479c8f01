"""The inventory in the form in which it is compared: read line by line, in the spelling of the file.

``builder.image.inventory_file`` decides whether an inventory is spelled as bedplate does, and verifies it against the
image; this reader is for files of hundreds of thousands of lines, checks types and order, and builds nothing twice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from builder.errors import MalformedImageError
from builder.image.inventory_file import from_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from builder.image.inventory import FileRecord

_MODE = re.compile(r"[0-7]{4}")
_Number = Annotated[int, Meta(ge=0)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One path of the root or the initrd, as in ``inventory.jsonl.zst``: ``mode`` is octal, ``xattrs`` hexadecimal."""

    area: Literal["initrd", "root"]
    path: str
    type: Literal["file", "directory", "symlink", "char", "block", "fifo", "socket"]
    mode: str
    uid: _Number
    gid: _Number
    size: _Number
    mtime: int
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")] | None
    xattrs: dict[str, Annotated[str, Meta(pattern=r"\A(?:[0-9a-f]{2})*\Z")]]
    target: str | None
    device: str | None
    package: str | None
    version: str | None

    @property
    def permissions(self) -> int:
        """The mode as a number."""
        return int(self.mode, 8)


def read_entries(jsonl: bytes) -> tuple[Entry, ...]:
    """The lines of an inventory. Raises MalformedImageError for a line that is none, and for lines out of order."""
    if not jsonl.endswith(b"\n"):
        raise MalformedImageError("inventory", len(jsonl), "the last line has no end, or there is none")
    try:
        entries = msgspec.json.Decoder(Entry).decode_lines(jsonl)
    except (msgspec.DecodeError, RecursionError):
        # Names that are not UTF-8, which msgspec does not read; or a broken inventory, and this says where.
        return entries_of(from_jsonl(jsonl))
    last: tuple[str, str] = ("", "")
    for number, entry in enumerate(entries, 1):
        place = (entry.area, entry.path)
        if place <= last:
            raise MalformedImageError("inventory", None, f"line {number}: {entry.path!r} is out of order, or twice")
        if not entry.path.startswith("/") or _MODE.fullmatch(entry.mode) is None:
            raise MalformedImageError("inventory", None, f"line {number}: {entry.path!r} has the mode {entry.mode!r}")
        if (entry.sha256 is None) is (entry.type == "file"):
            # Two files without a digest would be equal, whatever is in them.
            raise MalformedImageError(
                "inventory", None, f"line {number}: {entry.path!r} is a {entry.type}, and its digest is {entry.sha256}"
            )
        last = place
    return tuple(entries)


def entries_of(records: Iterable[FileRecord]) -> tuple[Entry, ...]:
    """Files that were read from an image, in the same form."""
    return tuple(
        Entry(
            area=record.area,
            path=record.path,
            type=record.type,
            mode=f"{record.mode:04o}",
            uid=record.uid,
            gid=record.gid,
            size=record.size,
            mtime=record.mtime,
            sha256=record.sha256,
            xattrs=dict(record.xattrs),
            target=record.target,
            device=None if record.device is None else f"{record.device[0]}:{record.device[1]}",
            package=record.package,
            version=record.version,
        )
        for record in records
    )
