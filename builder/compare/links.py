"""From what changed to the PCRs: every step is found in the data of both sides, none is guessed.

package -> its files -> root hash -> argument -> command line -> UKI -> event -> PCR, and the other ways into a PCR. A
step that changed and for which nothing is found that explains it says so (``Link.explained``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Unknown
from builder.compare.command_line import NAME as COMMAND_LINE
from builder.compare.command_line import ROOT_HASH
from builder.compare.difference import Change, Difference, Link, Verdict, node_id
from builder.compare.disk import ESP
from builder.compare.event_links import event_causes
from builder.compare.file_links import FileLinks
from builder.compare.identity import IDENTITY
from builder.compare.measured import NAME as MEASUREMENTS
from builder.compare.measured import pcr_id
from builder.compare.packages import NAME as PACKAGES
from builder.compare.packages import TOOLCHAIN
from builder.compare.parts import pair
from builder.compare.uki import NAME as UKI
from builder.compare.uki import PACKING, PACKING_ID, SIGNATURE, STUB_ID, section_id
from builder.compare.variables import NAME as VARIABLES
from builder.compare.variables import variable_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from builder.compare.measured import Measured

ROOT_HASH_ID: Final = "root-hash"
UKI_ID: Final = node_id(UKI, "image")
_DIGEST: Final = 8
_STUB_PACKAGE: Final = "systemd-boot-efi"


class Changes:
    """The differences by topic, and the links that were made so far."""

    def __init__(self, topics: Sequence[Topic]) -> None:
        self.by_topic = {topic.name: topic.differences for topic in topics}
        self.incomplete = {topic.name for topic in topics if topic.incomplete}
        self.links: dict[str, Link] = {}

    def add(self, link: Link) -> str:
        """Keep a link; the same one again is no other."""
        self.links.setdefault(link.id, link)
        return link.id

    def there(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Those that are links, each once."""
        return tuple(dict.fromkeys(item for item in ids if item in self.links))


def links(old: Baseline, new: Baseline, topics: Sequence[Topic], measured: Measured) -> tuple[Link, ...]:
    """All links, causes before what they caused."""
    changes = Changes(topics)
    files = FileLinks(old, new, changes.by_topic)
    for link in (*_identity(changes), *files.links()):
        changes.add(link)
    _root_hash(old, new, changes, files)
    _arguments(changes)
    _uki(changes, files)
    _surroundings(changes)
    stub = _release(old, new)
    for event in measured.events:
        causes = changes.there(event_causes(event, changes.by_topic, stub))
        what = event.either
        changes.add(
            Link(
                id=event.id,
                kind="event",
                subject=f"PCR {event.pcr} event {event.index}: {what.description} ({what.source})",
                because=causes,
                explained=bool(causes),
            )
        )
    for moved in measured.pcrs:
        if moved.verdict is Verdict.DIFFERS:
            changes.add(
                Link(
                    id=pcr_id(moved.mode, moved.pcr),
                    kind="PCR",
                    subject=f"PCR {moved.pcr}, Secure Boot {moved.mode}",
                    because=moved.events,
                    explained=bool(moved.events),
                )
            )
    return _used(changes.links)


def _identity(changes: Changes) -> Iterable[Link]:
    for difference in changes.by_topic[IDENTITY]:
        words = f"{difference.subject} {difference.old} -> {difference.new}"
        yield Link(id=difference.id, kind="definition", subject=words, because=())


def _root_hash(old: Baseline, new: Baseline, changes: Changes, files: FileLinks) -> None:
    both = pair(old.uki, new.uki)
    if isinstance(both, tuple) and both[0].root_hash != both[1].root_hash:
        because = changes.there(files.of_area("root"))
        subject = "the root hash"
        if not because:
            subject += ", though every file is the same" if files.known else ", and the files were not compared"
        changes.add(Link(id=ROOT_HASH_ID, kind="root hash", subject=subject, because=because, explained=bool(because)))


def _arguments(changes: Changes) -> None:
    for difference in changes.by_topic[COMMAND_LINE]:
        is_root_hash = difference.subject == ROOT_HASH
        changes.add(
            Link(
                id=difference.id,
                kind="argument",
                subject=_argument_words(difference),
                because=changes.there([ROOT_HASH_ID] if is_root_hash else ()),
            )
        )


def _argument_words(difference: Difference) -> str:
    match difference.change:
        case Change.ADDED:
            return f"the argument {difference.new} was added"
        case Change.REMOVED:
            return f"the argument {difference.old} was removed"
        case Change.CONTENT:
            return f"the argument {difference.old} became {difference.new}"
    return f"the {difference.subject} changed"


def _uki(changes: Changes, files: FileLinks) -> None:
    differences = {difference.id: difference for difference in changes.by_topic[UKI]}
    if stub := differences.get(STUB_ID):
        packages = [
            item.id
            for name in (PACKAGES, TOOLCHAIN)
            for item in changes.by_topic[name]
            if item.subject == _STUB_PACKAGE and (item.old, item.new) == (stub.old, stub.new)
        ]
        for item in packages:
            changes.add(Link(id=item, kind="package", subject=f"{_STUB_PACKAGE} {stub.old} -> {stub.new}", because=()))
        words = f"systemd-stub {stub.old} -> {stub.new}"
        changes.add(Link(id=STUB_ID, kind="stub", subject=words, because=changes.there(packages)))
    sections = [item for item in differences.values() if item.kind == "section"]
    # .uname and .sbat follow from .linux, so they come last.
    for section in sorted(sections, key=lambda item: item.subject in {".uname", ".sbat"}):
        because = _section_causes(section, changes, files)
        changes.add(
            Link(
                id=section.id,
                kind="section",
                subject=f"section {section.subject}",
                because=because,
                explained=bool(because),
            )
        )
    because = changes.there([STUB_ID, *(section.id for section in sections)])
    changes.add(Link(id=UKI_ID, kind="UKI", subject="the UKI", because=because, explained=bool(because)))


def _section_causes(section: Difference, changes: Changes, files: FileLinks) -> tuple[str, ...]:
    """Why a section changed: what it is made of, or the file whose copy it is."""
    match section.subject:
        case ".cmdline":
            candidates = [difference.id for difference in changes.by_topic[COMMAND_LINE]]
        case ".initrd":
            candidates = list(changes.there(files.of_area("initrd"))) or _packing(changes, files)
        case ".linux":
            candidates = _kernel_packages(changes, files) or list(files.copied_to(section))
        case ".osrel":
            candidates = [difference.id for difference in changes.by_topic[IDENTITY]]
            candidates = candidates or list(files.copied_to(section))
        case ".uname":
            candidates = [section_id(".linux")]
        case ".sbat":  # ukify merges those of the stub and of the kernel
            candidates = [STUB_ID, section_id(".linux")]
        case _:
            candidates = list(files.copied_to(section))
    return changes.there(candidates)


def _packing(changes: Changes, files: FileLinks) -> list[str]:
    """The order of the initrd's files: seen, or all that is left where every file is known to be the same."""
    seen = changes.by_topic[PACKING]
    if not files.known or (not seen and PACKING not in changes.incomplete):
        return []
    words = " and ".join(item.subject for item in seen) or "order or packing of the files"
    return [changes.add(Link(id=PACKING_ID, kind="setting", subject=f"{words} in the initrd", because=()))]


def _kernel_packages(changes: Changes, files: FileLinks) -> list[str]:
    """Changed packages whose name holds the release that the kernel calls itself, on either side."""
    return [
        changes.add(files.package_link(difference))
        for difference in changes.by_topic[PACKAGES]
        if any(release and release in difference.subject for release in files.kernel_releases)
    ]


def _surroundings(changes: Changes) -> None:
    """What can move a PCR from outside the UKI."""
    for difference in changes.by_topic[ESP]:
        words = f"{difference.subject} beside the UKI"
        changes.add(Link(id=difference.id, kind="ESP file", subject=words, because=()))
    entries: dict[str, list[str]] = {}
    for difference in changes.by_topic[VARIABLES]:
        change = {Change.ADDED: " was added", Change.REMOVED: " was removed"}.get(difference.change, " changed")
        words = f"{_with_digest(difference)}{change}"
        entry = Link(id=difference.id, kind="signature", subject=words, because=())
        entries.setdefault(variable_of(difference), []).append(changes.add(entry))
    for variable, ids in entries.items():
        words = f"variable {variable}"
        changes.add(Link(id=node_id(VARIABLES, variable), kind="variable", subject=words, because=tuple(ids)))
    for difference in changes.by_topic[SIGNATURE]:
        if difference.kind == "certificate":
            verb = "no longer signed" if difference.change is Change.REMOVED else "signed"
            words = f"the UKI is {verb} with {_with_digest(difference)}"
            changes.add(Link(id=difference.id, kind="signature", subject=words, because=()))
    for difference in changes.by_topic[MEASUREMENTS]:
        if difference.kind == "setting":
            words = f"{difference.subject}: {difference.old} -> {difference.new}"
            changes.add(Link(id=difference.id, kind="setting", subject=words, because=()))


def _with_digest(difference: Difference) -> str:
    """A certificate by its name and the start of its SHA-256: a new key often has the old one's name."""
    digest = difference.new or difference.old
    return f"{difference.subject} ({digest[:_DIGEST]})" if digest else difference.subject


def _release(old: Baseline, new: Baseline) -> int:
    """The release of the newer stub of the two, 0 if it is not known."""
    sides = (side.uki for side in (old, new))
    texts = [side.stub for side in sides if not isinstance(side, Unknown | Outside)]
    digits = [text.partition(".")[0].partition("~")[0].partition("-")[0] for text in texts]
    return max((int(text) for text in digits if text.isdecimal()), default=0)


def _used(found: dict[str, Link]) -> tuple[Link, ...]:
    """The links from which a PCR, or nothing but themselves, follows: a UKI that did not change is no step."""
    leads: set[str] = set()
    for link in reversed(found.values()):
        if link.kind == "PCR" or link.id in leads:
            leads |= {link.id, *link.because}
    return tuple(link for link in found.values() if link.id in leads)
