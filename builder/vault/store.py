"""The store of a vault: files named by their SHA-256, written whole or not at all, and checked on every read.

``DIRECTORY/sha256/ab/abcd…`` holds the file with that digest. A web server or a bucket that serves the directory is a
vault to read from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.files import new_file, sha256_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

_DIGEST_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of the store that is not what its name says."""

    path: Path
    found: str


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault on disk; ``directory`` is absolute, and is made when the first file comes in."""

    directory: Path

    def place(self, sha256: str) -> Path:
        """Where the file with a digest is, or would be."""
        return self.directory / object_path(sha256)

    def has(self, sha256: str) -> bool:
        """Whether there is a file of that name; what is in it is known when it is read."""
        return self.place(sha256).is_file()

    def add(self, chunks: Iterable[bytes], sha256: str, size: int, what: str) -> None:
        """Take in a file. Raises InvalidInputError, and keeps nothing, if it is not the one with that digest and size.

        A file that is longer than ``size`` is not read to its end.
        """
        state, length = hashlib.sha256(), 0
        self.place(sha256).parent.mkdir(parents=True, exist_ok=True)
        with new_file(self.place(sha256)) as file:
            for chunk in chunks:
                length += len(chunk)
                if length > size:
                    break
                state.update(chunk)
                file.write(chunk)
            found = state.hexdigest()
            if length != size or found != sha256:
                problem = f"is longer than {size} bytes" if length > size else f"has {length} bytes, SHA-256 {found}"
                raise InvalidInputError(f"{what} {problem}; the lock names {size} bytes, SHA-256 {sha256}")

    def take(self, sha256: str, target: Path, what: str) -> None:
        """Put a checked copy of a file at ``target``, as a hard link where that is possible.

        Raises InvalidInputError if it is not there, or is not what its name says; then it is removed from the vault,
        so that it is fetched again.
        """
        place = self.place(sha256)
        if not place.is_file():
            raise InvalidInputError(f"{what} is not in the vault {self.directory}", hint="it is fetched when needed")
        try:
            os.link(place, target)
        except OSError:
            shutil.copyfile(place, target)
        found = sha256_file(target)
        if found != sha256:
            target.unlink()
            place.unlink(missing_ok=True)
            raise InvalidInputError(
                f"{what} in the vault {self.directory} was changed: its SHA-256 is {found}, expected {sha256}",
                hint="it was removed; the next run fetches it again",
            )

    def digests(self) -> Iterator[str]:
        """The digests of all files, sorted."""
        for path in sorted((self.directory / "sha256").glob("??/*")):
            if len(path.name) == _DIGEST_LENGTH and path.name.startswith(path.parent.name):
                yield path.name

    def verify(self) -> Iterator[Damage]:
        """Every file that is not what its name says."""
        for sha256 in self.digests():
            found = sha256_file(self.place(sha256))
            if found != sha256:
                yield Damage(self.place(sha256), found)

    def collect(self, keep: Collection[str]) -> tuple[int, int]:
        """Delete all files but those to keep; the number of files deleted, and their bytes."""
        files = size = 0
        for sha256 in self.digests():
            if sha256 not in keep:
                path = self.place(sha256)
                size += path.stat().st_size
                files += 1
                path.unlink()
        return files, size


def object_path(sha256: str) -> str:
    """The path of a file relative to its vault."""
    return f"sha256/{sha256[:2]}/{sha256}"
