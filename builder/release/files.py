"""The files of a release against the statements' subjects: all of them, unchanged, and nothing else."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import read_bytes
from builder.release.layout import MAX_STATEMENTS_BYTES, STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.release.statements import Subject


@dataclass(frozen=True, slots=True)
class Listing:
    """The regular files and the directories below a release directory, by relative path."""

    files: frozenset[str]
    directories: frozenset[str]


def list_files(directory: Path) -> Listing:
    """What is in a release directory, without opening any of it.

    Raises NotVerifiedError that names everything that is neither a regular file nor a directory: a FIFO or a device
    could hold a reader for ever, a symbolic link could show each reader another file.
    """
    files, directories, problems = set(), set(), []

    def unreadable(error: OSError) -> None:
        problems.append(f"{Path(error.filename).relative_to(directory)}: cannot be listed: {error.strerror}")

    for root, folders, names in os.walk(directory, onerror=unreadable):
        for name in (*folders, *names):
            path = Path(root, name)
            relative = str(path.relative_to(directory))
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                files.add(relative)
            elif stat.S_ISDIR(mode):
                directories.add(relative)
            else:
                problems.append(f"{relative}: not a regular file")
    if problems:
        raise NotVerifiedError(f"{directory} holds what no release does", tuple(sorted(problems)))
    return Listing(frozenset(files), frozenset(directories))


def check_files(
    directory: Path, listing: Listing, subjects: Sequence[Subject], bundles: Mapping[str, frozenset[bytes]]
) -> Iterator[str]:
    """Every problem: a file that is not signed for, is missing or has another digest, a bundle of something else.

    Bundles repeat the signatures for other tools, so they may be missing.
    """
    signed = {subject.name for subject in subjects}
    for name in sorted(listing.files - signed - {STATEMENTS} - set(bundles)):
        yield f"{name}: no statement knows this file"
    for name in sorted(listing.directories - _parents(signed)):
        yield f"{name}: no statement knows this directory"
    for name in sorted(set(bundles) & listing.files):
        yield from _check_bundle(directory / name, bundles[name])
    for subject in subjects:
        if subject.name in listing.files:
            yield from _check_digest(directory / subject.name, subject)
        else:
            yield f"{subject.name}: missing"


def _parents(names: set[str]) -> set[str]:
    return {str(parent) for name in names for parent in PurePosixPath(name).parents}


def _check_bundle(path: Path, expected: frozenset[bytes]) -> Iterator[str]:
    try:
        if read_bytes(path, what="bundle", limit=MAX_STATEMENTS_BYTES) not in expected:
            yield f"{path.name}: it is not the bundle of the statement in {STATEMENTS}"
    except InvalidInputError as error:
        yield f"{path.name}: {error}"


def _check_digest(path: Path, subject: Subject) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        yield f"{subject.name}: cannot be read: {error.strerror}"
        return
    if subject.digest.keys() != {"sha256"}:
        yield f"{subject.name}: the statement has digests by {sorted(subject.digest)}, expected sha256 alone"
    elif subject.digest["sha256"] != found:
        yield f"{subject.name}: SHA-256 is {found}, signed was {subject.digest['sha256']}"
