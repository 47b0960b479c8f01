"""Filling a vault: from another vault, from the archive that the lock was made of, or from a snapshot of it.

Nothing that comes over the network is believed: what does not have the lock's digest does not get in.
"""

from __future__ import annotations

import itertools
import os
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, ToolFailedError
from builder.files import open_regular
from builder.vault.download import Downloads, UnreadableError
from builder.vault.store import object_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from builder.definition.lock import LockedPackage
    from builder.vault.store import Vault

_CHUNK: Final = 1 << 20
# What Debian's mirrors are asked to bear; more gains nothing on usual lines.
_CONNECTIONS: Final = 8
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.5
_SHOWN_FAILURES: Final = 5
_HERE: Final = "file:"
_HINT: Final = "name an archive that has them (--mirror, a dated snapshot), a vault (--vault), or update the lock"


@dataclass(frozen=True, slots=True)
class Source:
    """Where files can be had: the URL of an archive, or of a vault (then files are asked for by digest).

    ``states`` are the ids of the archive states whose packages can be here; None means any.
    """

    url: str
    is_vault: bool = False
    states: frozenset[str] | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, where the next moment is no better."""
        return self.url.startswith(_HERE)

    def may_have(self, package: LockedPackage) -> bool:
        """Whether it is worth asking for a package here."""
        return self.states is None or package.archive in self.states

    def location(self, package: LockedPackage) -> str:
        """The URL of a package's file."""
        if self.is_vault:
            return f"{self.url}/{object_path(package.sha256)}"
        # A "+" in a path is itself, but some servers take it for a space; apt quotes it, too.
        return f"{self.url}/{urllib.parse.quote(package.path, safe='/%~')}"


def fetch(
    vault: Vault,
    packages: Sequence[LockedPackage],
    sources: Sequence[Source],
    on_line: Callable[[str], None] | None = None,
) -> int:
    """Bring every package that the vault lacks into it; how many those were.

    For each package the sources are tried in order. Raises ToolFailedError that names what no source has, after all
    others have been fetched, and BedplateError as soon as the vault cannot take a file.
    """
    missing = [package for package in packages if not vault.has(package.sha256)]
    fetch_all(vault, missing, sources, on_line)
    return len(missing)


def fetch_all(
    vault: Vault,
    packages: Sequence[LockedPackage],
    sources: Sequence[Source],
    on_line: Callable[[str], None] | None = None,
    hint: str = _HINT,
) -> None:
    """Bring every package into the vault, also in the place of a file that is there; ``hint`` is for what fails.

    Raises as ``fetch`` does.
    """
    failures: dict[str, list[str]] = {}
    downloads = Downloads()
    pool = ThreadPoolExecutor(_CONNECTIONS)
    try:
        results = pool.map(lambda package: _fetch(vault, package, sources, downloads), packages)
        for number, (package, failure) in enumerate(zip(packages, results, strict=True), 1):
            if failure is not None:
                failures.setdefault(failure, []).append(f"{package.name} {package.version}")
            if on_line is not None:
                on_line(f"fetched {number} of {len(packages)} packages")
    finally:
        # On a full disk or an interrupt the rest is not tried, and what runs is not waited for to its end.
        downloads.stop()
        pool.shutdown(cancel_futures=True)
    if failures:
        count = sum(map(len, failures.values()))
        raise ToolFailedError(f"{count} of {len(packages)} locked packages cannot be had: {_told(failures)}", hint=hint)


def _told(failures: Mapping[str, Sequence[str]]) -> str:
    """Packages by the reason why they cannot be had, the first of each."""
    shown = [f"{_first(names)} ({reason})" for reason, names in itertools.islice(failures.items(), _SHOWN_FAILURES)]
    more = sum(len(names) for names in itertools.islice(failures.values(), _SHOWN_FAILURES, None))
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_FAILURES} more" if len(names) > _SHOWN_FAILURES else ""
    return ", ".join(names[:_SHOWN_FAILURES]) + more


def _fetch(vault: Vault, package: LockedPackage, sources: Sequence[Source], downloads: Downloads) -> str | None:
    """Fetch one package; None, or why no source has it, which is often why no source has others."""
    problems = []
    for source in (source for source in sources if source.may_have(package)):
        problem = _fetch_from(vault, package, source, downloads)
        if problem is None:
            return None
        problems.append(f"{source.url}: {problem}")
    return "; ".join(problems) or "no source is named"


def _fetch_from(vault: Vault, package: LockedPackage, source: Source, downloads: Downloads) -> str | None:
    """Fetch one package from one source, which may have a bad moment; None, or why it did not come."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        if downloads.pause(attempt * _PAUSE_SECONDS):
            return "it was stopped"
        try:
            vault.add(_read(source.location(package), downloads), package.sha256, package.size, package.path)
        except UnreadableError as error:
            problem = str(error)
            if error.is_final:
                break
        except InvalidInputError as error:  # cut short, or not what it should be: by a proxy, say
            problem = str(error)
            if source.is_here:
                break
        else:
            return None
    return problem


def _read(url: str, downloads: Downloads) -> Iterator[bytes]:
    return _read_here(url) if url.startswith(_HERE) else downloads.read(url)


def _read_here(url: str) -> Iterator[bytes]:
    """A file on this machine. Raises InvalidInputError for what is no regular file."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    try:
        # Archives may be made of links; where a link leads must be a file, too.
        with open_regular(Path(os.path.realpath(path))) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        # A file that is not there is not there in a second either.
        raise UnreadableError(getattr(error, "strerror", None) or str(error), is_final=True) from error
