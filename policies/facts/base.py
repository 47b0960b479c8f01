r"""What all facts have in common: frozen, closed structures whose fields say what they hold.

Texts in facts are valid Unicode: bytes of an image that are not UTF-8 appear as ``\xNN``. Paths are absolute and
without symbolic links in their directories, "/" is the root of the area they are in.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

AreaName = Literal["root", "initrd"]
FileType = Literal["file", "directory", "symlink", "char", "block", "fifo", "socket"]


def about(description: str) -> Meta:
    """The sentence that the JSON Schema has for a field."""
    return Meta(description=description)


class Fact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all facts."""


class Origin(Fact, frozen=True, kw_only=True):
    """Where a fact was read: the evidence that findings repeat."""

    path: Annotated[str, about("Path of the file inside its area.")]
    line: Annotated[int | None, about("Line, counted from 1; null where the whole file or its name is meant.")]

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


class Setting(Fact, frozen=True, kw_only=True):
    """An assignment ``key = value`` of an INI-like file of systemd, as it holds after all drop-ins."""

    section: Annotated[str, about("Section name without brackets.")]
    key: Annotated[str, about("Key as it is spelled.")]
    value: Annotated[str, about("Value, continued lines joined; empty only in the resets of a unit.")]
    origin: Annotated[Origin, about("File and line of the assignment.")]
