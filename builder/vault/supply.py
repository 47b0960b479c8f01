"""What a locked build takes its packages from: the lock says which, the vault has them, and sources fill the vault."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.definition.distribution import ENGINE_ARCHIVE
from builder.definition.lock import ENGINE_PART, encode_lock
from builder.full_disk import telling_full_disk
from builder.vault.archive import write_archive
from builder.vault.fetch import fetch

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from builder.definition.lock import ImageLock
    from builder.vault.fetch import Source
    from builder.vault.store import Vault


_HINT: Final = "free some space there, or name a directory on another file system (--output, BEDPLATE_CACHE)"


@dataclass(frozen=True, slots=True)
class Supply:
    """A lock, a vault, and where to fetch what the vault lacks; with an empty ``sources`` no network is used."""

    lock: ImageLock
    vault: Vault
    sources: Sequence[Source]

    @property
    def lock_digest(self) -> str:
        """The SHA-256 (hex) of the lock's bytes."""
        return hashlib.sha256(encode_lock(self.lock)).hexdigest()

    def digest(self, part: str) -> str:
        """SHA-256 (hex) over the packages of a part: equal if and only if the same files are installed from."""
        rows = "".join(f"{package.name} {package.sha256}\n" for package in sorted(self.lock.of(part)))
        return hashlib.sha256(rows.encode()).hexdigest()

    def write_archive(
        self, directory: Path, *parts: str, date: dt.datetime, on_line: Callable[[str], None] | None = None
    ) -> None:
        """Make ``directory`` and in it an archive of the packages of some parts, fetching what the vault lacks.

        Raises InvalidInputError for files that are not what the lock says, and ToolFailedError for such as cannot be
        had.
        """
        packages = self.lock.of(*parts)
        suite = self.lock.current[ENGINE_ARCHIVE].suite if parts == (ENGINE_PART,) else self.lock.main.suite
        # Nothing is collected between the fetching of a file and its copy in the archive.
        with telling_full_disk("the local archive of packages", directory, hint=_HINT), self.vault.locked(on_line):
            directory.mkdir()
            fetch(self.vault, packages, self.sources, on_line)
            write_archive(self.vault, packages, directory, suite=suite, date=date)
