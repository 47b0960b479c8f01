"""Directories that a process holds while it lives, so that the next one can tell what a killed one left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def held_directory(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty directory in ``parent`` that goes away, unless the block renames it.

    It is locked meanwhile, and the kernel drops the lock when we die. What killed processes left there under the same
    prefix goes first.
    """
    remove_abandoned(parent, prefix)
    directory, holder = _make(parent, prefix)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(holder)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Delete the directories of this user in ``parent`` whose names start with ``prefix`` and that nobody holds."""
    for directory in parent.glob(f"{prefix}*"):
        # Another process may be deleting it, too.
        with contextlib.suppress(OSError):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(descriptor)


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new directory, and the descriptor that it is locked by."""
    while True:
        directory = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        # Before it is locked it looks abandoned: if another process took it away, the next one is tried.
        with contextlib.suppress(FileNotFoundError):
            holder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(holder, fcntl.LOCK_EX)
                directory.lstat()
            except BaseException:
                os.close(holder)
                raise
            return directory, holder
