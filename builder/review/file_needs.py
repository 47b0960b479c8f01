"""What differences of files and units need of the rules."""

from __future__ import annotations

import functools
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change
from builder.compare.files import CONTENT_FIELDS
from builder.compare.systemd import LISTENS, SANDBOXING
from builder.review.globs import literal, matches
from builder.review.rules import FileChange, Power, UnitChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.compare.difference import Difference
    from builder.review.needs import Fragment
    from builder.review.rules import Rules

_STARTED: Final = ("state", "started by")
_NOTES: Final = {
    "is started": UnitChange.STARTED,
    "is no longer started": UnitChange.STOPPED,
    "listening socket": UnitChange.LISTENING,
}
_SOCKET: Final = ".socket"
# What a package brings by being another version. Mode, owner and attributes seldom change with one, so a rule says it.
_OF_PACKAGES: Final = frozenset({FileChange.ADDED, FileChange.REMOVED, FileChange.CONTENT, FileChange.TIMESTAMP})
# What a build makes of a kernel's package beside its files: a copy of the kernel, and the index of its modules.
_OF_KERNEL: Final = re.compile(r"/usr/lib/modules/(?P<release>[^/]+)/(vmlinuz|modules\.[^/]+)")
_NO_COPY: Final = frozenset({"mtime", "package"})
_ROOT: Final = "root"
# As ``builder.compare.files`` sums it up: mode, owner and group.
_PLAIN_DIRECTORY: Final = "directory 0755 0:0"


class Files:
    """Files, of which some belong to packages that may change.

    ``allowed`` are area and name of these packages, ``differences`` all files that differ.
    """

    def __init__(self, allowed: frozenset[tuple[str, str]], differences: tuple[Difference, ...]) -> None:
        self._allowed = allowed
        self._files = differences
        self._in_root: Mapping[str, Difference] = {item.subject: item for item in differences if item.area == _ROOT}

    def __call__(self, rules: Rules, item: Difference) -> Iterator[Fragment]:
        """What the rules lack for a file: that it changes, and that it gains power."""
        missing = file_changes(item)
        if rules.package_files and self._is_packaged(item):
            missing -= _OF_PACKAGES
            if not _fields_of_metadata(item) - {"package"}:
                missing -= {FileChange.METADATA}
        for rule in rules.files:
            if item.area in rule.areas and matches(rule.paths, item.subject):
                missing -= set(rule.changes)
        if missing:
            words = [change.value for change in FileChange if change in missing]
            yield {"files": [{"paths": [literal(item.subject)], "changes": words, "areas": [item.area]}]}
        gained = {Power(note.removeprefix("gains ")) for note in item.notes if note.startswith("gains ")}
        for power in gained:
            if not any(
                power in rule.gains and item.area in rule.areas and matches(rule.paths, item.subject)
                for rule in rules.privileges
            ):
                yield {"privileges": [{"paths": [literal(item.subject)], "gains": [power.value], "areas": [item.area]}]}

    def _is_packaged(self, item: Difference) -> bool:
        """Whether it is a file or link of a package whose change is allowed, or a directory that such a file needs."""
        return self._is_of_package(item) or self._is_directory_of_package(item)

    def _is_of_package(self, item: Difference) -> bool:
        """Whether all packages that own it, before and after, may change.

        An initrd has files that its own packages do not own: copies of the root's, at the same path.
        """
        owners = {item.package}.union(*({field.old, field.new} for field in item.fields if field.name == "package"))
        if owners != {None}:
            return all((item.area or "", owner or "") in self._allowed for owner in owners)
        if kernel := _OF_KERNEL.fullmatch(item.subject):
            return (_ROOT, f"linux-image-{kernel['release']}") in self._allowed
        original = self._in_root.get(item.subject)
        if item.area == _ROOT or original is None or original.package is None:
            return False
        return (_ROOT, original.package) in self._allowed and _what(original) == _what(item)

    def _is_directory_of_package(self, item: Difference) -> bool:
        """No package owns a directory. A plain one came, or went, with the files in it that did."""
        summary = {Change.ADDED: item.new, Change.REMOVED: item.old}.get(item.change)
        if summary != _PLAIN_DIRECTORY:
            return False
        return (item.area, item.change, item.subject) in self._needed_directories

    @functools.cached_property
    def _needed_directories(self) -> frozenset[tuple[str | None, Change, str]]:
        return frozenset(
            (item.area, item.change, directory)
            for item in self._files
            if item.change in {Change.ADDED, Change.REMOVED} and self._is_of_package(item)
            for directory in map(str, PurePosixPath(item.subject).parents)
        )


def _what(item: Difference) -> tuple[object, ...]:
    """What happened to a file, but for its time and its owner: a copy has the mode of its original, too."""
    fields = frozenset((field.name, field.old, field.new) for field in item.fields if field.name not in _NO_COPY)
    return item.change in {Change.ADDED, Change.REMOVED}, item.old, item.new, fields


def file_changes(item: Difference) -> frozenset[FileChange]:
    """All that happens to a file: a new content comes with a new time, but not with a new mode."""
    if item.change in {Change.ADDED, Change.REMOVED}:
        return frozenset({FileChange(item.change.value)})
    names = {field.name for field in item.fields}
    found = set()
    if names & set(CONTENT_FIELDS):
        found.add(FileChange.CONTENT)
    if _fields_of_metadata(item):
        found.add(FileChange.METADATA)
    return frozenset(found or {FileChange.TIMESTAMP})


def _fields_of_metadata(item: Difference) -> set[str]:
    return {field.name for field in item.fields} - set(CONTENT_FIELDS) - {"mtime"}


def units(rules: Rules, item: Difference) -> Iterator[Fragment]:
    """What the rules lack for a unit."""
    missing = unit_changes(item)
    for rule in rules.units:
        if item.area in rule.areas and matches(rule.names, item.subject):
            missing -= set(rule.changes)
    if missing:
        words = [change.value for change in UnitChange if change in missing]
        yield {"units": [{"names": [literal(item.subject)], "changes": words, "areas": [item.area]}]}


def unit_changes(item: Difference) -> frozenset[UnitChange]:
    """All that happens to a unit. A socket that is started, or listens elsewhere, listens; one that goes does not."""
    found = {word for note, word in _NOTES.items() if note in item.notes}
    if item.change is Change.REMOVED:
        return frozenset({UnitChange.REMOVED} | found & {UnitChange.STOPPED})
    if UnitChange.STARTED in found and item.subject.endswith(_SOCKET):
        found.add(UnitChange.LISTENING)
    if item.change is Change.ADDED:
        return frozenset(found | {UnitChange.ADDED})
    for field in item.fields:
        key = field.name.partition(".")[2]
        if SANDBOXING.fullmatch(key):
            found.add(UnitChange.SANDBOXING)
        elif key.startswith("Exec"):
            found.add(UnitChange.PROGRAMS)
        elif not LISTENS.fullmatch(key) and not (field.name in _STARTED and found & set(_NOTES.values())):
            found.add(UnitChange.SETTINGS)
    return frozenset(found)
