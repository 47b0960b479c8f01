"""Facts of disk, EFI system partition and UKI."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError, MalformedImageError, NotVerifiedError
from builder.facts.syntax import variables
from builder.facts.unit_values import split
from builder.image import verity
from builder.image.pe import certificates, loaded_section, read_pe
from policies.facts import Argument, CommandLine, Disk, EspFile, Partition, Uki, UkiProfile, UkiSection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from builder.facts.roots import Root
    from builder.image import uki as image_uki
    from builder.image.binary import BinaryView
    from builder.image.partitions import DiskLayout, DiskPartition
    from policies.facts.boot import HashTree, PartitionRole

_ROLES: Final[dict[str, PartitionRole]] = {
    "esp": "esp", "root-x86-64": "root", "root-x86-64-verity": "root-verity",
}  # fmt: skip
_QUOTE: Final = ord('"')
# Linux lib/ctype.c: a no-break space in Latin-1, which is also the last byte of letters in UTF-8, is white space.
_LINUX_SPACE: Final = b" \t\n\v\f\r\xa0"
_TAKEN_IN: Final = (".cred", ".sysext.raw", ".confext.raw", ".raw")


def disk(view: BinaryView, layout: DiskLayout, root: Root, root_hash: str | None) -> Disk:
    """The partition table, and whether root, hash tree and root hash belong together."""
    hashes = layout.of_type("root-x86-64-verity")
    return Disk(
        table=layout.kind,
        boot_code=layout.boot_code,
        sector_size=layout.sector_size,
        partitions=tuple(_partition(partition, root.partition) for partition in layout.partitions),
        root_hash=root_hash,
        hash_tree=_hash_tree(view, root.partition, hashes[0] if len(hashes) == 1 else None, root_hash),
        root_file_system=root.file_system,
    )


def command_line(text: str) -> CommandLine:
    """The arguments of a kernel command line as Linux reads them, and those that systemd reads and Linux does not.

    systemd takes single quotes and backslashes away, which Linux leaves as they are (src/basic/proc-cmdline.c,
    ``proc_cmdline_extract_first``).
    """
    linux = list(_arguments(_words(text)))
    systemd = _arguments(split(text, escapes=False)) if "'" in text or "\\" in text else ()
    known = {(name, value) for name, value, _ in linux}
    more = [item for item in systemd if item[:2] not in known]
    return CommandLine(
        text=text,
        arguments=tuple(
            Argument(name=name, value=value, position=position, for_init=for_init)
            for position, (name, value, for_init) in enumerate([*linux, *more])
        ),
    )


def _arguments(words: Iterable[str]) -> Iterator[tuple[str, str | None, bool]]:
    """Name and value of each word, and whether it stands behind "--"."""
    for_init = False
    for word in words:
        name, equals, value = word.replace('"', "").partition("=")
        yield name, value if equals else None, for_init
        for_init = for_init or word == "--"


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


def _partition(partition: DiskPartition, root: DiskPartition | None) -> Partition:
    return Partition(
        number=partition.number,
        role="root" if partition == root else _ROLES.get(partition.type, "other"),
        type=partition.type,
        uuid=partition.uuid,
        label=partition.label,
        offset=partition.offset,
        size=partition.size,
        flags=partition.flags,
    )


def _hash_tree(
    view: BinaryView, root: DiskPartition | None, hashes: DiskPartition | None, root_hash: str | None
) -> HashTree:
    if root is None or hashes is None or root_hash is None:
        return "absent"
    try:
        verity.check(root.view(view), hashes.view(view), bytes.fromhex(root_hash))
    except (NotVerifiedError, MalformedImageError, ValueError):
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


def esp_file(path: str, content: memoryview, *, digests: bool) -> EspFile:
    """A file of the system partition besides the UKI, by its absolute path, with its digest or without."""
    return EspFile(
        path=path,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest() if digests else None,
        role=_role(path.lower(), content),
        command_line=_addon_command_line(content) if path.lower().endswith(".efi") else None,
    )


def _role(path: str, content: memoryview) -> Literal["program", "addon", "credential", "loader", "other"]:
    if path.endswith(".addon.efi"):
        return "addon"
    if path.endswith(".efi") or bytes(content[:2]) == b"MZ":
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
    """Words as Linux splits them (lib/cmdline.c, ``next_arg``): at white space outside double quotes."""
    word, quoted = bytearray(), False
    for byte in text.encode("utf-8", "surrogateescape"):
        quoted ^= byte == _QUOTE
        if byte in _LINUX_SPACE and not quoted:
            if word:
                yield word.decode("utf-8", "backslashreplace")
            word = bytearray()
        else:
            word.append(byte)
    if word:
        yield word.decode("utf-8", "backslashreplace")
