"""The places from which firmware and boot loaders load: EFI system partitions, XBOOTLDR, and /boot of the root."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError, MalformedImageError
from builder.facts.tree import file_system_tree
from builder.image.detect import open_file_system
from builder.image.fat import open_fat
from policies.facts import Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from builder.facts.tree import FileTree
    from builder.image.binary import BinaryView
    from builder.image.partitions import DiskPartition
    from policies.facts.loaders import Volume

# Kernels and initrds are the largest of them.
_MAX_FILE: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class BootFile:
    """A file that could be loaded; ``path`` is absolute in its volume."""

    volume: Volume
    path: str
    size: int
    read: Callable[[], memoryview]


@dataclass(frozen=True, slots=True)
class BootVolume:
    """A volume with its files, by paths as firmware or GRUB compares them: FAT has no upper and lower case."""

    name: Volume
    files: Mapping[str, BootFile]
    folds: bool
    tree: FileTree | None = None

    def find(self, path: str) -> BootFile | None:
        """The file at a path, with slashes or backslashes; None if there is none."""
        absolute = "/" + path.replace("\\", "/").strip("/") if self.folds else "/" + path.lstrip("/")
        if self.tree is not None:
            node = self.tree.find(absolute)
            return None if node is None or not node.is_file else BootFile(self.name, node.path, node.size, node.read)
        return self.files.get(absolute.lower() if self.folds else absolute)


@dataclass(frozen=True, slots=True)
class Gaps:
    """What could not be read, collected while reading goes on."""

    found: list[Unread] = field(default_factory=list)

    def add(self, place: str, error: BedplateError | str) -> None:
        """Note a part that stays unread."""
        problem = str(error)
        if not any((gap.place, gap.problem) == (place, problem) for gap in self.found):
            self.found.append(Unread(place=place, problem=problem))


def fat_volume(view: BinaryView, name: Volume) -> BootVolume:
    """The files of a FAT partition. Raises MalformedImageError for a broken one."""
    volume = open_fat(view)
    files = {}
    for entry in volume.walk():
        if not entry.is_directory:
            path = f"/{entry.path}".encode("utf-8", "backslashreplace").decode()
            files[path.lower()] = BootFile(name, path, entry.size, lambda entry=entry: volume.content(entry))  # type: ignore[misc]
    return BootVolume(name, files, folds=True)


def root_volume(tree: FileTree) -> BootVolume:
    """What lies in /boot and /efi of a root; GRUB finds any other path of the root, too."""
    files = {
        path: BootFile("root", path, node.size, node.read)
        for path, node in tree.nodes.items()
        if node.is_file and path.startswith(("/boot/", "/efi/"))
    }
    return BootVolume("root", files, folds=False, tree=tree)


def boot_volumes(disk: BinaryView, partitions: tuple[DiskPartition, ...], gaps: Gaps) -> tuple[BootVolume, ...]:
    """The system and XBOOTLDR partitions that can be read."""
    volumes = []
    for partition in partitions:
        name: Volume = "esp" if partition.type == "esp" else "xbootldr"
        try:
            volumes.append(_open(partition.view(disk), name))
        except BedplateError as error:
            gaps.add(f"partition {partition.number} ({partition.type})", error)
    return tuple(volumes)


def content(file: BootFile, gaps: Gaps, limit: int = _MAX_FILE) -> memoryview | None:
    """What a file holds; None, and a gap, if it cannot be read or is larger than what is loaded."""
    try:
        if file.size > limit:
            raise MalformedImageError(file.path, None, f"{file.size} bytes are more than the {limit} that are read")
        return file.read()
    except BedplateError as error:
        gaps.add(f"{file.volume}:{file.path}", error)
        return None


def _open(view: BinaryView, name: Volume) -> BootVolume:
    if name == "esp":
        return fat_volume(view, name)
    try:
        tree = file_system_tree(open_file_system(view))
    except BedplateError:
        return fat_volume(view, name)
    files = {path: BootFile(name, path, node.size, node.read) for path, node in tree.nodes.items() if node.is_file}
    return BootVolume(name, files, folds=False, tree=tree)
