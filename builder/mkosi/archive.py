"""Recognise, in what apt prints, that the package archive is at fault and not the image."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from builder.definition.archives import OWN_ORIGIN
from builder.errors import ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from builder.definition.mirror import Mirror

# apt-pkg/acquire-item.cc, apt-pkg/update.cc, methods/connect.cc: how apt says that an archive cannot be used.
_TROUBLE: Final = re.compile(
    r"Could not connect|Unable to connect|Could not resolve|Temporary failure resolving|Connection timed out"
    r"|Failed to fetch|does not have a Release file|is not signed|NO_PUBKEY|Release file .* (expired|not valid yet)"
)


class ArchiveWatch:
    """Listens to a tool's lines and remembers the first one that blames the archive."""

    def __init__(self, then: Callable[[str], None] | None = None) -> None:
        self.trouble: str | None = None
        self._then = then

    def line(self, text: str) -> None:
        """Take one line, and pass it on."""
        if self.trouble is None and _TROUBLE.search(text):
            self.trouble = text.strip()
        if self._then is not None:
            self._then(text)


@contextlib.contextmanager
def blame_archive(watch: ArchiveWatch, *mirrors: Mirror | None) -> Iterator[None]:
    """Turn the failure of a tool into one that names the mirror, if the tool had trouble with it.

    Of several it is the one that the tool's words name, else the first.
    """
    try:
        yield
    except ToolFailedError as error:
        if watch.trouble is None:
            raise
        trouble = watch.trouble
        # Without the scheme, since apt writes "file:/" for "file:///"; the longest, because the place of the security
        # archive may begin as that of the main one.
        named = [mirror for mirror in mirrors if mirror and mirror.url.partition("://")[2] in trouble]
        mirror = max(named, key=lambda mirror: len(mirror.url)) if named else next(iter(mirrors), None)
        place = "mkosi's default archive" if mirror is None else f"{mirror.url} (from {mirror.origin})"
        advice = "name a reachable Debian archive with --mirror or BEDPLATE_MIRROR"
        if mirror is not None and mirror.origin == OWN_ORIGIN:
            advice = "distribution.archives in image.yaml names its mirror and keys"
        if "is expired" in trouble:
            advice = "name a mirror that is up to date; allow_expired in distribution.archives accepts one that is not"
        log = f"; {error.hint}" if error.hint else ""
        raise ToolFailedError(f"packages cannot be had from {place}: {trouble}", hint=f"{advice}{log}") from error
