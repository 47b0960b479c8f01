"""Facts of disk, EFI system partition and UKI."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError, NotVerifiedError
from builder.facts.syntax import variables
from builder.image import gpt, verity
from builder.image.pe import certificates, loaded_section, read_pe
from policies.facts import Argument, CommandLine, Disk, EspFile, Partition, Uki, UkiProfile, UkiSection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from builder.image import uki as image_uki
    from builder.image.binary import BinaryView
    from builder.image.fat import FatEntry, FatVolume
    from policies.facts.boot import HashTree, PartitionRole

_ROLES: Final[dict[object, PartitionRole]] = {
    gpt.ESP: "esp", gpt.ROOT_X86_64: "root", gpt.ROOT_X86_64_VERITY: "root-verity",
}  # fmt: skip
# UEFI 2.10 table 5-7, and the partition types' own bits of UAPI.2 "Partition Flags".
_FLAGS: Final = {
    0: "required", 1: "no-block-io", 2: "legacy-boot", 59: "growfs", 60: "read-only", 63: "no-auto",
}  # fmt: skip
_TAKEN_IN: Final = (".cred", ".sysext.raw", ".confext.raw", ".raw")


def disk(
    view: BinaryView,
    table: gpt.PartitionTable,
    root: gpt.Partition,
    hashes: gpt.Partition | None,
    root_hash: str | None,
    root_file_system: str,
) -> Disk:
    """The partition table, and whether root, hash tree and root hash belong together."""
    return Disk(
        sector_size=table.sector_size,
        partitions=tuple(_partition(partition) for partition in table.partitions),
        root_hash=root_hash,
        hash_tree=_hash_tree(view, root, hashes, root_hash),
        root_file_system=root_file_system,
    )


def command_line(text: str) -> CommandLine:
    """Split a kernel command line as Linux does (lib/cmdline.c, ``next_arg``): white space, double quotes, "="."""
    arguments: list[Argument] = []
    for_init = False
    for position, word in enumerate(_words(text)):
        bare = word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word
        name, equals, value = bare.partition("=")
        arguments.append(
            Argument(
                name=name.replace('"', ""),
                value=value.replace('"', "") if equals else None,
                position=position,
                for_init=for_init,
            )
        )
        for_init = for_init or word == "--"
    return CommandLine(text=text, arguments=tuple(arguments))


def uki(image: image_uki.Uki, path: str, content: memoryview) -> Uki:
    """The UKI at ``path`` of the EFI system partition."""
    return Uki(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        stub_release=image.stub.release,
        stub_version=image.stub.version,
        signed=bool(certificates(content)),
        profiles=tuple(_profile(image, number) for number in range(len(image.profiles))),
    )


def esp_files(volume: FatVolume, uki_path: str) -> tuple[EspFile, ...]:
    """The files besides the UKI, by path."""
    entries = (entry for entry in volume.walk() if not entry.is_directory and f"/{entry.path}" != uki_path)
    return tuple(sorted((_esp_file(volume, entry) for entry in entries), key=lambda file: file.path))


def _partition(partition: gpt.Partition) -> Partition:
    bits = [bit for bit in range(64) if partition.attributes >> bit & 1]
    return Partition(
        number=partition.number,
        role=_ROLES.get(partition.type_guid, "other"),
        type=partition.type_name,
        uuid=str(partition.unique_guid),
        label=partition.name,
        offset=partition.offset,
        size=partition.size,
        flags=tuple(_FLAGS.get(bit, f"bit-{bit}") for bit in bits),
    )


def _hash_tree(view: BinaryView, root: gpt.Partition, hashes: gpt.Partition | None, root_hash: str | None) -> HashTree:
    if hashes is None or root_hash is None:
        return "absent"
    try:
        verity.check(root.view(view), hashes.view(view), bytes.fromhex(root_hash))
    except (NotVerifiedError, ValueError):
        return "differs"
    return "matches"


def _profile(image: image_uki.Uki, number: int) -> UkiProfile:
    text = image.kernel_command_line(number)
    return UkiProfile(
        number=number,
        id=variables(image.text(".profile", number) or "").get("ID"),
        sections=tuple(
            UkiSection(name=section.name, size=len(section.content), sha256=hashlib.sha256(section.content).hexdigest())
            for section in image.sections(number)
        ),
        command_line=None if text is None else command_line(text),
        os_release=variables(image.os_release(number) or ""),
        kernel_release=image.kernel_release(number),
    )


def _esp_file(volume: FatVolume, entry: FatEntry) -> EspFile:
    content = volume.content(entry)
    path = f"/{entry.path}"
    return EspFile(
        path=path,
        size=entry.size,
        sha256=hashlib.sha256(content).hexdigest(),
        role=_role(path.lower()),
        command_line=_addon_command_line(content),
    )


def _role(path: str) -> Literal["program", "addon", "credential", "loader", "other"]:
    if path.endswith(".addon.efi"):
        return "addon"
    if path.endswith(".efi"):
        return "program"
    if path.endswith(_TAKEN_IN):
        return "credential"
    return "loader" if path.startswith("/loader/") else "other"


def _addon_command_line(content: memoryview) -> CommandLine | None:
    """The .cmdline of a PE file; a broken one has none that firmware would start."""
    try:
        sections = [section for section in read_pe(content).sections if section.name == ".cmdline"]
        texts = [bytes(loaded_section(content, section)).partition(b"\0")[0] for section in sections]
    except BedplateError:
        return None
    return command_line(b" ".join(texts).decode("utf-8", "backslashreplace")) if texts else None


def _words(text: str) -> Iterator[str]:
    word, quoted = "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character.isspace() and not quoted:
            if word:
                yield word
            word = ""
        else:
            word += character
    if word:
        yield word
