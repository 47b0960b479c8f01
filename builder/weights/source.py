"""The files of a model on this machine, before they are packed."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError
from builder.weights.identity import MAX_FILES, FilePath, check_paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,16}\Z")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to pack: its path in the image, where it lies, its size in bytes and the time of its last change in ns."""

    path: str
    source: Path
    size: int
    changed: int


def scan(model: Path) -> tuple[SourceFile, ...]:
    """The files of a model in the order of their paths in the image.

    A single file gets the name ``model`` and keeps its suffix, so that a unit can name it whichever model it is. In a
    directory, links to files are followed, as a download cache has them. Raises InvalidInputError for a name that the
    image cannot have and for anything that is neither file nor directory.
    """
    try:
        if model.is_dir():
            files = sorted(_below(model, model), key=lambda file: file.path)
        else:
            suffix = _SUFFIX.search(model.name)
            files = [_file("model" + (suffix.group() if suffix else ""), model)]
    except OSError as error:
        raise InvalidInputError(f"cannot read the model {error.filename or model}: {error.strerror}") from error
    if not files:
        raise InvalidInputError(f"the model {model} is a directory without files")
    if len(files) > MAX_FILES:
        raise InvalidInputError(f"the model {model} has {len(files)} files, more than {MAX_FILES}")
    try:
        check_paths(file.path for file in files)
    except ValueError as error:
        raise InvalidInputError(f"the model {model}: {error}") from error
    return tuple(files)


def _below(directory: Path, top: Path) -> Iterator[SourceFile]:
    with os.scandir(directory) as found:
        entries = list(found)
    for entry in entries:
        path = directory / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _below(path, top)
        elif entry.is_dir():
            raise InvalidInputError(f"{path} is a link to a directory", hint="pack the directory that it leads to")
        else:
            yield _file(path.relative_to(top).as_posix(), path)


def _file(path: str, source: Path) -> SourceFile:
    status = source.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"{source} is neither a file nor a directory")
    try:
        msgspec.convert(path, FilePath)
    except msgspec.ValidationError:
        raise InvalidInputError(
            f"{path!r} cannot be a path in packed weights",
            hint="letters, digits and ._+- are what names may have, and they begin with a letter, a digit or _",
        ) from None
    return SourceFile(path, source, status.st_size, status.st_mtime_ns)
