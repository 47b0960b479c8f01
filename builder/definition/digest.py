"""One digest over files and directories, the same on every machine that has the same content."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.files import sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def tree_digest(parts: Mapping[str, Path]) -> str:
    """The lower-case hexadecimal SHA-256 over the listing of ``parts``, each a file or a directory under a name.

    The listing has one line for each file and symbolic link, sorted by escaped path: ``<kind> <digest> <path>`` with
    kind ``f`` (file), ``x`` (executable by its owner) or ``l`` (link, digest of its target), the SHA-256 of the
    content, and the path escaped as Python's ``ascii()`` does it, so that a line break in a name cannot pass for a
    second line. It holds what git keeps of a file; owners, times and empty directories are not in it.
    Raises InvalidInputError for a file that cannot be read or is neither file, directory nor link.
    """
    entries = sorted(entry for name, path in parts.items() for entry in _listing(path, name))
    return hashlib.sha256("".join(line for _, line in entries).encode()).hexdigest()


def _listing(path: Path, name: str) -> Iterator[tuple[str, str]]:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield _entry("l", hashlib.sha256(os.fsencode(path.readlink())).hexdigest(), name)
        elif stat.S_ISREG(mode):
            yield _entry("x" if mode & stat.S_IXUSR else "f", sha256_file(path), name)
        elif stat.S_ISDIR(mode):
            for child in path.iterdir():
                yield from _listing(child, f"{name}/{child.name}")
        else:
            raise InvalidInputError(f"{path} is neither a file, a directory nor a symbolic link")
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}") from error


def _entry(kind: str, digest: str, name: str) -> tuple[str, str]:
    escaped = ascii(name)
    return escaped, f"{kind} {digest} {escaped}\n"
