"""Telling of a full file system: what was being written, where, on which file system, and what to do.

The system says "No space left on device", and seldom of which file; a tool says it somewhere in its output.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError, ToolFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

# No space (or no inode), no quota, and a file that is larger than it may be there.
NO_SPACE: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# What tools print, which all run with LANG=C.UTF-8.
_TOOLS_WORDS: Final = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


@contextlib.contextmanager
def telling_full_disk(what: str, *directories: Path, hint: str) -> Iterator[None]:
    """The block writes ``what`` into ``directories``, of which each may still be missing.

    Raises BedplateError that names them and their file systems if one is full: where the system says so, and where a
    tool failed and printed it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise BedplateError(_sentence(what, directories, error.strerror or str(error)), hint=hint) from error
    except ToolFailedError as error:
        words = next((words for words in _TOOLS_WORDS if words in str(error)), None)
        if words is None:
            raise
        more = "" if error.hint is None else f"; {error.hint}"
        raise ToolFailedError(_sentence(what, directories, words), hint=f"{hint}{more}") from error


@contextlib.contextmanager
def telling_for(target: Path, partial: Path) -> Iterator[None]:
    """The block writes what becomes ``target`` into ``partial``, a name that nobody gave and that is gone afterwards.

    Raises BedplateError that names ``target`` if the file system is full; an error that names another place is raised
    as it is.
    """
    try:
        yield
    except OSError as error:
        elsewhere = error.filename is not None and not Path(os.fsdecode(error.filename)).is_relative_to(partial)
        if error.errno not in NO_SPACE or elsewhere:
            raise
        words = f"cannot write {target} (file system {file_system_of(target)}): {error.strerror}"
        hint = "free some space there, or name a directory on another file system"
        raise BedplateError(words, hint=hint) from error


def file_system_of(path: Path) -> Path:
    """Where the file system of a path is mounted that may still be missing."""
    place = Path(os.path.realpath(path))
    while not os.path.ismount(place):
        place = place.parent
    return place


def _sentence(what: str, directories: tuple[Path, ...], words: str) -> str:
    places = dict.fromkeys(f"{directory} (file system {file_system_of(directory)})" for directory in directories)
    return f"cannot write {what} to {' or '.join(places)}: {words}"
