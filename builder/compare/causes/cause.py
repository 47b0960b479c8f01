"""The cause of a difference between two builds, and what is known of the two builds to find it."""

from __future__ import annotations

import enum
from collections.abc import Mapping  # noqa: TC003 -- msgspec reads annotations
from typing import Annotated

from msgspec import Struct

from builder.compare.difference import about


class CauseKind(enum.StrEnum):
    """What got into a file that must depend on the inputs alone."""

    TIMESTAMP = "timestamp"
    ORDER = "order"
    LOCALE = "locale"
    RANDOMNESS = "randomness"
    TOOL_VERSION = "tool version"
    BUILD_PATH = "build path"
    ENVIRONMENT = "environment"
    PERMISSIONS = "permissions"
    CONSEQUENCE = "consequence"
    UNKNOWN = "unknown"


class Cause(Struct, frozen=True, kw_only=True):
    """The cause of one file's difference."""

    kind: Annotated[CauseKind, about("What got into the file.")]
    area: Annotated[str, about('"root" or "initrd"; "disk" for what is outside of both.')]
    path: Annotated[str, about("The file; a member of an archive behind an exclamation mark.")]
    package: Annotated[str | None, about("Package that owns the file.")]
    evidence: Annotated[str, about("What was seen, in words.")]


class Finding(Struct, frozen=True, kw_only=True):
    """What two contents of a file show. ``member`` is the path in an archive, empty for the file itself."""

    kind: CauseKind
    evidence: str
    member: str = ""


class Builds(Struct, frozen=True, kw_only=True):
    """What is known of two builds: the moments in which they ran, and words that only one machine knows.

    ``times`` are seconds since 1970 within which either build may have run, as first and last. ``words`` are values of
    the machine that built anew, such as its host name, by what they are. ``versions`` are pairs of versions of a tool
    that differ between the builds, by the tool's name. ``digests`` are SHA-256 and MD5 digests (hex) of changed files.
    """

    times: tuple[tuple[float, float], ...] = ()
    words: Mapping[str, str] = {}
    versions: Mapping[str, tuple[str, str]] = {}
    digests: frozenset[str] = frozenset()
