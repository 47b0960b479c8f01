"""The store of a vault: files named by their SHA-256, written whole or not at all, and checked on every read.

What a directory of strangers holds under such a name may be anything; only regular files are opened.

``DIRECTORY/sha256/ab/abcd…`` holds the file with that digest. A web server or a bucket that serves the directory is a
vault to read from, and so is a directory on a read-only file system.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError, InvalidInputError
from builder.files import PARTIAL_PREFIX, copy_hashed, locked_directory, new_file, open_regular, remove_partial
from builder.full_disk import NO_SPACE, file_system_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

_CHUNK: Final = 1 << 20
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Examined:
    """A file of the store that was read; ``problem`` tells that it is not what its name says."""

    sha256: str
    size: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault on disk; ``directory`` is absolute, and is made when the first file comes in."""

    directory: Path

    @contextlib.contextmanager
    def locked(self, on_line: Callable[[str], None] | None = None) -> Iterator[None]:
        """Nobody else fills or collects the vault meanwhile; what a killed process left half is removed.

        ``on_line`` is told when another process has to be waited for.

        Raises InvalidInputError if there is something else than a directory.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise InvalidInputError(
                f"{self.directory} can be no vault: {error.strerror}", hint="name a directory (--vault)"
            ) from error
        waiting = None if on_line is None else functools.partial(on_line, "another process uses the vault: waiting")
        with locked_directory(self.directory, waiting):
            for directory in (self.directory / "sha256").glob("??"):
                # What cannot be removed, in a vault on a read-only disk, is never read.
                with contextlib.suppress(OSError):
                    remove_partial(directory)
            yield

    def require_there(self) -> None:
        """Raise InvalidInputError if there is no such directory: the name is mistyped, or nothing came in yet."""
        if not self.directory.is_dir():
            raise InvalidInputError(
                f"there is no vault {self.directory}", hint="name its directory (--vault); `bedplate build` fills one"
            )

    def place(self, sha256: str) -> Path:
        """Where the file with a digest is, or would be."""
        return self.directory / object_path(sha256)

    def has(self, sha256: str) -> bool:
        """Whether there is a regular file of that name; what is in it is known when it is read."""
        place = self.place(sha256)
        return place.is_file() and not place.is_symlink()

    def add(self, chunks: Iterable[bytes], sha256: str, size: int, what: str) -> None:
        """Take in a file. Raises InvalidInputError, and keeps nothing, if it is not the one with that digest and size.

        A file that is longer than ``size`` is not read to its end. Raises BedplateError if the vault cannot take it,
        such as for lack of space; so ``chunks`` must not raise OSError.
        """
        try:
            self._add(chunks, sha256, size, what)
        except OSError as error:
            place = f" (file system {file_system_of(self.directory)})" if error.errno in NO_SPACE else ""
            raise BedplateError(
                f"the vault {self.directory} cannot take {what}: {error.strerror}{place}",
                hint="what it has is whole; free some space or name another directory (--vault)",
            ) from error

    def _add(self, chunks: Iterable[bytes], sha256: str, size: int, what: str) -> None:
        state, length = hashlib.sha256(), 0
        self.place(sha256).parent.mkdir(parents=True, exist_ok=True)
        if not self.has(sha256):
            # A file that is written goes through links and into a FIFO; nothing leads out of a vault.
            self.place(sha256).unlink(missing_ok=True)
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
        """Put a checked copy of a file at ``target``, where there is none.

        It is no link: what is used must not change after the check, whoever may write to the vault.

        Raises InvalidInputError if it is not there, or is not what its name says; then it is removed from the vault, so
        that it is fetched again.
        """
        place = self.place(sha256)
        if not self.has(sha256):
            raise InvalidInputError(f"{what} is not in the vault {self.directory}", hint="it is fetched when needed")
        found = copy_hashed(place, target)
        if found != sha256:
            target.unlink()
            raise InvalidInputError(
                f"{what} in the vault {self.directory} was changed: its SHA-256 is {found}, expected {sha256}",
                hint=self._discard(place),
            )

    @staticmethod
    def _discard(place: Path) -> str:
        """Remove a file that is not what it should be; what that means for the user."""
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            return f"use another vault: it cannot be removed ({error.strerror})"
        return "it was removed; the next run that may fetch brings it again, and so does `bedplate vault import`"

    def digests(self) -> Iterator[str]:
        """The digests under which something is there, sorted."""
        for path in sorted((self.directory / "sha256").glob("??/*")):
            if _DIGEST.fullmatch(path.name) and path == self.place(path.name):
                yield path.name

    def strangers(self) -> Iterator[Path]:
        """What lies among the files and is no file of the vault, nor one that is being written; sorted."""
        known = {self.place(sha256) for sha256 in self.digests()}
        for path in sorted((self.directory / "sha256").rglob("*")):
            is_folder = path.is_dir() and path.parent.name == "sha256"
            if path not in known and not is_folder and not path.name.startswith(PARTIAL_PREFIX):
                yield path

    def examine(self, sha256: str) -> Examined | None:
        """What is there under a digest, read to its end; None if nothing is."""
        place = self.place(sha256)
        try:
            with open_regular(place) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
        except FileNotFoundError:
            return None
        except InvalidInputError as error:
            return Examined(sha256, 0, str(error))
        return Examined(sha256, size, None if found == sha256 else f"{place} has SHA-256 {found}")

    def collect(self, keep: Collection[str]) -> tuple[int, int]:
        """Delete all files but those to keep; the number of files deleted, and their bytes.

        Raises InvalidInputError, and deletes nothing, if a directory stands where a file should.
        """
        paths = [self.place(sha256) for sha256 in self.digests() if sha256 not in keep]
        for path in paths:
            if path.is_dir() and not path.is_symlink():
                raise InvalidInputError(
                    f"{path} is a directory, expected a regular file", hint="look what is in it, and remove it"
                )
        size = 0
        for path in paths:
            size += path.lstat().st_size
            path.unlink()
        return len(paths), size


def object_path(sha256: str) -> str:
    """The path of a file relative to its vault."""
    return f"sha256/{sha256[:2]}/{sha256}"
