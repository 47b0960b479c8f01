"""Changed files by the package that they belong to: the first steps of the chains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Unknown
from builder.compare.difference import Change, Link, node_id
from builder.compare.files import NAME as FILES
from builder.compare.identity import IDENTITY
from builder.compare.packages import NAME as PACKAGES
from builder.compare.packages import package_id
from builder.compare.parts import pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Difference

_GROUPS: Final = "changed-files"
_OS_RELEASE: Final = ("/etc/os-release", "/usr/lib/os-release", "/etc/initrd-release", "/usr/lib/initrd-release")
_NAMED: Final = 3
_DATABASE: Final = "/var/lib/dpkg/"
_UNOWNED, _IDENTITY, _DPKG = "=unowned", "=os-release", "=dpkg"


class FileLinks:
    """The changed files of both areas in groups that have one cause each.

    A file that no package owns belongs to the package that owns a changed file of the same content: the modules that an
    initrd has are copies of the root's. What os-release says changes with the image's identity, and dpkg's database
    with the packages that it lists.
    """

    def __init__(self, old: Baseline, new: Baseline, differences: Mapping[str, tuple[Difference, ...]]) -> None:
        self.known = not isinstance(old.files, Unknown | Outside) and not isinstance(new.files, Unknown | Outside)
        self._differences = differences
        self._packages = {item.id: item for item in differences[PACKAGES]}
        self._owners = {
            digest: item.package for item in differences[FILES] if item.package is not None for digest in _digests(item)
        }
        self._groups: dict[tuple[str, str], list[Difference]] = {}
        for item in differences[FILES]:
            self._groups.setdefault((item.area or "", self._owner(item)), []).append(item)
        both = pair(old.uki, new.uki)
        self.kernel_releases = (both[0].kernel, both[1].kernel) if isinstance(both, tuple) else ()

    def links(self) -> Iterator[Link]:
        """Packages, then the groups of files that they explain."""
        for (area, owner), group in sorted(self._groups.items()):
            causes = tuple(self._causes(area, owner))
            yield from causes
            yield Link(
                id=_group_id(area, owner),
                kind="files",
                subject=_subject(area, owner, [item.subject for item in group], explained=bool(causes)),
                because=tuple(cause.id for cause in causes),
                count=len(group),
            )

    def of_area(self, area: str) -> tuple[str, ...]:
        """The ids of the groups of an area."""
        return tuple(_group_id(*key) for key in sorted(self._groups) if key[0] == area)

    def copied_to(self, section: Difference) -> Iterator[str]:
        """The ids of the groups with a changed file that is, on both sides, what the section is."""
        for key, group in self._groups.items():
            if any((item.old, item.new) == (section.old, section.new) for item in group if item.new and item.old):
                yield _group_id(*key)

    def package_link(self, difference: Difference) -> Link:
        """The link of a package that changed."""
        words = {
            Change.ADDED: f"{difference.subject} {difference.new} (added)",
            Change.REMOVED: f"{difference.subject} {difference.old} (removed)",
        }.get(difference.change, f"{difference.subject} {difference.old} -> {difference.new}")
        return Link(id=difference.id, kind="package", subject=words, because=())

    def _owner(self, item: Difference) -> str:
        if item.subject in _OS_RELEASE and self._differences[IDENTITY]:
            return _IDENTITY
        if item.subject.startswith(_DATABASE) and self._of(item.area or ""):
            return _DPKG
        copied = (self._owners.get(digest) for digest in _digests(item))
        return item.package or next((owner for owner in copied if owner), _UNOWNED)

    def _causes(self, area: str, owner: str) -> Iterator[Link]:
        if owner == _IDENTITY:
            for item in self._differences[IDENTITY]:
                words = f"{item.subject} {item.old} -> {item.new}"
                yield Link(id=item.id, kind="definition", subject=words, because=())
        elif owner == _DPKG:
            yield from map(self.package_link, self._of(area))
        elif owner != _UNOWNED:
            other = "root" if area == "initrd" else "initrd"
            ids = (package_id(PACKAGES, area, owner), package_id(PACKAGES, other, owner))
            found = next((self._packages[item] for item in ids if item in self._packages), None)
            if found is not None:
                yield self.package_link(found)

    def _of(self, area: str) -> tuple[Difference, ...]:
        return tuple(item for item in self._packages.values() if item.area == area)


def _group_id(area: str, owner: str) -> str:
    return node_id(_GROUPS, area, owner)


def _digests(item: Difference) -> Iterator[str]:
    """The contents on both sides of a file that changed, came or went; summaries end with theirs."""
    for value in (item.new, item.old):
        if value is not None:
            yield value.rpartition(" ")[2]


def _subject(area: str, owner: str, names: Sequence[str], *, explained: bool) -> str:
    place = "in the initrd" if area == "initrd" else "in root"
    files = "1 file" if len(names) == 1 else f"{len(names)} files"
    if owner == _UNOWNED:
        # Of a package its name and version tell what changed, of these only their own names do.
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"{files} {place} that no package owns ({', '.join(names[:_NAMED])}{more})"
    if owner == _DPKG:
        return f"{files} {place} of dpkg's database"
    if owner == _IDENTITY:
        return f"{files} {place} that name the image"
    return f"{files} {place} of {owner}" if explained else f"{files} {place} of {owner}, whose version is the same"
