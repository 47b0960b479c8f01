"""Filling a vault: from another vault, from the archive that the lock was made of, or from a snapshot of it.

Nothing that comes over the network is believed: what does not have the lock's digest does not get in.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder import __version__
from builder.errors import InvalidInputError, ToolFailedError
from builder.vault.store import object_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from builder.definition.lock import LockedPackage
    from builder.vault.store import Vault

_CHUNK: Final = 1 << 20
_TIMEOUT_SECONDS: Final = 60.0
# What Debian's mirrors are asked to bear; more gains nothing on usual lines.
_CONNECTIONS: Final = 8
_ATTEMPTS: Final = 3
_SHOWN_FAILURES: Final = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Where files can be had: the URL of an archive, or of a vault (then files are asked for by digest)."""

    url: str
    is_vault: bool = False

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
    others have been fetched.
    """
    missing = [package for package in packages if not vault.has(package.sha256)]
    if not missing:
        return 0
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        failures = []
        for number, failure in enumerate(pool.map(lambda package: _fetch(vault, package, sources), missing), 1):
            if failure is not None:
                failures.append(failure)
            if on_line is not None:
                on_line(f"fetched {number} of {len(missing)} packages")
    if failures:
        more = f"; and {len(failures) - _SHOWN_FAILURES} more" if len(failures) > _SHOWN_FAILURES else ""
        raise ToolFailedError(
            f"{len(failures)} of {len(missing)} locked packages cannot be had: "
            + "; ".join(failures[:_SHOWN_FAILURES])
            + more,
            hint="name an archive that has them (--mirror, a dated snapshot), a vault (--vault), or update the lock",
        )
    return len(missing)


def _fetch(vault: Vault, package: LockedPackage, sources: Sequence[Source]) -> str | None:
    """Fetch one package; None, or why no source has it."""
    problems = []
    for source in sources:
        for _ in range(_ATTEMPTS):
            try:
                vault.add(_read(source.location(package)), package.sha256, package.size, package.path)
            except urllib.error.HTTPError as error:
                problems.append(f"{source.url}: {error.code} {error.reason}")
                break
            except InvalidInputError as error:
                problems.append(f"{source.url}: {error}")
                break
            except (OSError, http.client.HTTPException) as error:
                problem = f"{source.url}: {getattr(error, 'reason', None) or error}"
            else:
                return None
        else:
            problems.append(problem)
    return f"{package.name} {package.version} ({'; '.join(problems) or 'no source is named'})"


def _read(url: str) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": f"bedplate/{__version__}"})  # noqa: S310 -- as above
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 -- http, https or file
        while chunk := response.read(_CHUNK):
            yield chunk
