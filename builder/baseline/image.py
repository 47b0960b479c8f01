"""What a comparison needs of a disk image, read from its bytes: somebody's image, or that of a release."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder.compare.baseline import Baseline, BesideUki, PackedFile, Partition, Source, Unknown
from builder.compare.enrolled import signature_certificates
from builder.compare.entries import entries_of
from builder.errors import BedplateError, InvalidInputError, MalformedImageError
from builder.facts.area import service_manager
from builder.facts.kernel import kernel
from builder.facts.roots import BELOW
from builder.facts.syntax import variables
from builder.facts.tree import file_system_tree, initrd_tree
from builder.image import gpt
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.disk import UKI_PATH
from builder.image.fat import FatVolume, open_fat
from builder.image.initrd import Initrd, read_initrd
from builder.image.inventory import file_system_inventory
from builder.image.partitions import of_gpt
from builder.image.pe import certificates, loaded_section, read_pe
from builder.image.uki import PAYLOAD_SECTIONS, UNMEASURED_SECTIONS, Uki, read_uki
from builder.measurement.configuration import (
    BootConfiguration,
    Companions,
    EspFile,
    SecureBoot,
    SecureBootMode,
)
from builder.measurement.predict import predict
from builder.measurement.report import reference_values
from builder.release.predict import boots_separator, systemd_release
from builder.release.statements import ImageIdentity, ReferenceValues, UkiIdentity
from signing.errors import SigningError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from builder.compare.baseline import Certificate, Part
    from builder.facts.tree import FileTree
    from builder.image.filesystem import FileSystem
    from builder.image.partitions import DiskPartition
    from policies.facts import AreaName, Kernel, Unit

# Read file by file, and the hash tree that follows from the root: what it says is in the root hash.
_READ: Final = frozenset({gpt.ESP, gpt.ROOT_X86_64, gpt.ROOT_X86_64_VERITY})
_DIRECTORIES = {
    "addons": "loader/addons/",
    "credentials": "loader/credentials/",
    "extensions": "loader/extensions/",
    "extra": f"{UKI_PATH.lower()}.extra.d/",
}


@dataclass(frozen=True, slots=True)
class OpenImage:
    """A disk image whose structures were found; nothing is hashed yet."""

    view: BinaryView
    table: gpt.PartitionTable
    volume: FatVolume
    uki_file: memoryview
    uki: Uki
    initrd: Initrd
    root: FileSystem

    def trees(self) -> Mapping[AreaName, FileTree]:
        """Root and initrd as file trees; an image without an initrd has none."""
        trees: dict[AreaName, FileTree] = {"root": file_system_tree(self.root)}
        if self.initrd.files:
            trees["initrd"] = initrd_tree(self.initrd)
        return trees


@dataclass(frozen=True, slots=True)
class UkiParts:
    """Parts of a baseline that the UKI's file tells."""

    stub: Mapping[str, str]
    uki_signature: Part[tuple[Certificate, ...]]
    packing: tuple[PackedFile, ...]


@dataclass(frozen=True, slots=True)
class DiskParts:
    """Parts of a baseline that only the disk tells."""

    partitions: tuple[Partition, ...]
    esp_files: tuple[BesideUki, ...]
    systemd: Mapping[str, tuple[Unit, ...]]
    kernels: Mapping[str, Kernel]


def open_image(image: memoryview) -> OpenImage:
    """Find everything in a disk image with a UKI where firmware looks for it, whoever built it.

    Raises MalformedImageError for a broken structure, InvalidInputError where there is not one ESP and one root.
    """
    view = BinaryView.of(image, "disk image")
    table = gpt.read_partition_table(view)
    volume = open_fat(_only(table, gpt.ESP, "EFI system").view(view))
    uki_file = volume.content(volume.find(UKI_PATH))
    uki = read_uki(uki_file)
    root = open_file_system(_only(table, gpt.ROOT_X86_64, "root").view(view).named("root partition"))
    return OpenImage(view, table, volume, uki_file, uki, _initrd(uki), root)


def identity_of(os_release: str) -> ImageIdentity:
    """What an image calls itself in its os-release; what that does not say is empty."""
    names = variables(os_release)
    return ImageIdentity(
        name=names.get("IMAGE_ID", ""),
        version=names.get("IMAGE_VERSION", ""),
        architecture="x86-64",
        profile=names.get("VARIANT_ID", ""),
    )


def image_baseline(image: memoryview, place: str) -> Baseline:
    """Everything that a disk image tells by itself. PCR values are those of a machine without Secure Boot keys."""
    opened = open_image(image)
    uki, disk = read_uki_parts(opened.uki_file, opened.initrd), read_disk_parts(opened)
    command_line = opened.uki.kernel_command_line() or ""
    gap = _mounted_below(opened.table)
    return Baseline(
        source=Source("disk image", place),
        identity=identity_of(opened.uki.os_release() or ""),
        uki=UkiIdentity(
            stub=opened.uki.stub.version,
            kernel=opened.uki.kernel_release() or "",
            command_line=command_line,
            root_hash=_root_hash(command_line),
        ),
        measured=_measured(opened),
        files=gap or entries_of(file_system_inventory(opened.root, opened.initrd)),
        artifacts={"uki": hashlib.sha256(opened.uki_file).hexdigest()},
        stub=uki.stub,
        uki_signature=uki.uki_signature,
        packing=uki.packing,
        partitions=disk.partitions,
        esp_files=disk.esp_files,
        systemd=gap or disk.systemd,
        kernels=gap or disk.kernels,
    )


def _mounted_below(table: gpt.PartitionTable) -> Unknown | None:
    """Why the tree of the root that runs is not known: it is made of more than one partition."""
    below = next((item for item in table.partitions if item.type_name in BELOW), None)
    return None if below is None else Unknown(f"partition {below.number} ({below.type_name}) is mounted below its root")


def read_uki_parts(file: memoryview, initrd: Initrd) -> UkiParts:
    """Digests of the sections that no stub measures, certificates of the signature, how the initrd is packed."""
    stub: dict[str, hashlib._Hash] = {}
    for section in read_pe(file).sections:
        if section.name not in PAYLOAD_SECTIONS - UNMEASURED_SECTIONS:
            # There can be several of a name, one for each profile.
            stub.setdefault(section.name, hashlib.sha256()).update(loaded_section(file, section))
    return UkiParts(
        stub={name: state.hexdigest() for name, state in stub.items()},
        uki_signature=_signature(file),
        packing=tuple(
            PackedFile(entry.path, run, segment.compression)
            for run, segment in enumerate(initrd.segments)
            for entry in segment.entries
        ),
    )


def read_uki_file(file: memoryview) -> UkiParts:
    """The same of a UKI by itself. Raises MalformedImageError."""
    return read_uki_parts(file, _initrd(read_uki(file)))


def read_disk_parts(image: OpenImage) -> DiskParts:
    """Partitions, files beside the UKI, units and kernels."""
    trees = image.trees()
    return DiskParts(
        partitions=tuple(_partition(partition, image.view) for partition in image.table.partitions),
        esp_files=tuple(beside_uki(image.volume)),
        systemd={name: service_manager(tree, name).units for name, tree in trees.items()},
        kernels={name: kernel(tree) for name, tree in trees.items()},
    )


def _partition(partition: gpt.Partition, disk: BinaryView) -> Partition:
    """An entry of the table; what lies in a partition of which nothing is read is told by its digest."""
    unread = partition.type_guid not in _READ
    content = hashlib.sha256(partition.view(disk).data).hexdigest() if unread else None
    return described(of_gpt(partition), content)


def described(partition: DiskPartition, content: str | None) -> Partition:
    """An entry of any table in the words in which it is compared."""
    return Partition(
        number=partition.number,
        type=partition.type,
        uuid=partition.uuid,
        label=partition.label,
        offset=partition.offset,
        size=partition.size,
        flags=" ".join(partition.flags),
        content=content,
    )


def beside_uki(volume: FatVolume, uki: str | None = UKI_PATH) -> Iterator[BesideUki]:
    """The files of an EFI system partition but the UKI, by path."""
    for entry in sorted(volume.walk(), key=lambda entry: entry.path):
        path = entry.path.lower()
        if entry.is_directory or (uki is not None and path == uki.lower()):
            continue
        content = volume.content(entry)
        role: Literal["program", "addon", "companion", "other"] = "other"
        if path.endswith(".efi"):
            role = "addon" if path.endswith(".addon.efi") else "program"
        elif path.endswith((".cred", ".raw")):
            role = "companion"
        line = _addon_command_line(content) if role == "addon" else None
        yield BesideUki(f"/{entry.path}", role, hashlib.sha256(content).hexdigest(), line)


def _addon_command_line(content: memoryview) -> str | None:
    """The command line that an addon adds; one that firmware would not start adds none."""
    try:
        sections = [section for section in read_pe(content).sections if section.name == ".cmdline"]
        texts = [bytes(loaded_section(content, section)).partition(b"\0")[0] for section in sections]
    except MalformedImageError:
        return None
    return b" ".join(texts).decode("utf-8", "backslashreplace") if texts else None


def _only(table: gpt.PartitionTable, type_guid: object, name: str) -> gpt.Partition:
    found = [partition for partition in table.partitions if partition.type_guid == type_guid]
    if len(found) != 1:
        raise InvalidInputError(f"the disk has {len(found)} {name} partitions for x86-64, exactly one can be compared")
    return found[0]


def _initrd(uki: Uki) -> Initrd:
    content = uki.initrd()
    return Initrd((), ()) if content is None else read_initrd(BinaryView.of(content, "initrd of the UKI"))


def _root_hash(command_line: str) -> str:
    values = [word.removeprefix("roothash=") for word in command_line.split() if word.startswith("roothash=")]
    return values[-1] if values else ""


def _measured(image: OpenImage) -> Part[Mapping[str, ReferenceValues]]:
    paths = [f"/{entry.path}" for entry in image.initrd.files]
    try:
        configuration = BootConfiguration(
            SecureBoot(SecureBootMode.DISABLED),
            systemd_release(paths),
            os_separator=boots_separator(paths),
            companions=_companions(image.volume),
        )
        prediction = predict(image.uki_file, configuration)
    except InvalidInputError as error:
        return Unknown(f"its boot cannot be predicted: {error}")
    return {SecureBootMode.DISABLED.value: msgspec.convert(reference_values(prediction), ReferenceValues)}


def _companions(volume: FatVolume) -> Companions:
    """The files that the stub takes in: those with the suffixes that it looks for, straight in its directories."""
    found: dict[str, list[EspFile]] = {name: [] for name in _DIRECTORIES}
    suffixes = {"addons": (".addon.efi",), "credentials": (".cred",), "extensions": (".raw",)}
    for entry in volume.walk():
        for name, directory in _DIRECTORIES.items():
            rest = entry.path[len(directory) :]
            wanted = suffixes.get(name, (".addon.efi", ".cred", ".raw"))
            is_direct = entry.path.lower().startswith(directory) and "/" not in rest
            if is_direct and not entry.is_directory and rest.lower().endswith(wanted):
                found[name].append(EspFile(rest, volume.content(entry)))
    return Companions(**{name: tuple(files) for name, files in found.items()})


def _signature(file: memoryview) -> Part[tuple[Certificate, ...]]:
    try:
        return signature_certificates(certificates(file))
    except (SigningError, BedplateError) as error:
        return Unknown(f"the UKI's signature cannot be read: {error}")
