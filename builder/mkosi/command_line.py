"""Another kernel command line for a finished disk: a new UKI in its place, and nothing else is made again.

mkosi writes the command line into the UKI alone. So a disk whose tree differs in it only has the root, the hash tree
and all other sections of the UKI that mkosi would make; ukify puts the sections together as it does for mkosi, and the
UKI takes the old one's place in the system partition. A test compares the disk with one that mkosi made.
"""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, ToolFailedError
from builder.files import mapped, read_bytes
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, read_system_partition, replace_uki
from builder.image.erofs import open_erofs
from builder.image.uki import read_uki
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.image.uki import Uki
    from builder.mkosi.toolchain import Toolchain

_SETTING: Final = re.compile(rb"^KernelCommandLine=.*\n(?:[ \t#].*\n|\n(?=[ \t]))*", re.MULTILINE)
# mkosi 25.3 puts the root hash before all arguments (mkosi/__init__.py, finalize_cmdline).
_ROOT_HASH: Final = re.compile(r"roothash=[0-9a-f]{64}(?= )")
_STUB: Final = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
# ukify's option by section, for those that it reads from files (mkosi/__init__.py, build_uki and run_ukify).
_OPTIONS: Final = {
    ".osrel": "--os-release=@{}",
    ".linux": "--linux={}",
    ".ucode": "--microcode={}",
    ".initrd": "--initrd={}",
    ".cmdline": "--cmdline=@{}",
}
# Is there if the image has microcode.
_MICROCODE: Final = ".ucode"
_RELEASE: Final = ".uname"
# ukify makes it itself.
_SBAT: Final = ".sbat"
_TIMEOUT: Final = 120.0
_MAX_UKI_BYTES: Final = 1 << 30


def split_command_line(config: bytes) -> tuple[bytes, bytes]:
    """The setting KernelCommandLine= of a mkosi.conf with its lines, and the file without it.

    Nothing is told of the setting's meaning: if there are several, all of them are one value.
    """
    return b"".join(_SETTING.findall(config)), _SETTING.sub(b"", config)


def replace_command_line(toolchain: Toolchain, disk: Path, arguments: Sequence[str], folder: Path) -> None:
    """Give the disk image a UKI with other kernel arguments. ``folder`` is empty, and stays full of sections.

    Raises InvalidInputError if the UKI is not one that mkosi makes of a base's tree, ToolFailedError if ukify fails.
    """
    with mapped(disk, what="disk image") as view:
        parts = read_disk(BinaryView.of(view, "disk image"))
        uki = read_uki(read_system_partition(parts).uki_content())
        stub = folder / "stub"
        stub.write_bytes(open_erofs(parts.root_view).read_file(_STUB))
        options = _sections(uki, arguments, folder)
        del uki, parts  # they hold views of the mapping
    output = folder / "uki.efi"
    # fmt: off
    run(
        toolchain.command(
            ("python3", "/usr/bin/ukify", "build", *options, "--efi-arch", "x64", "--stub", str(stub), "--output",
             str(output)),
            writable=[folder],
        ),
        timeout=_TIMEOUT,
    )
    # fmt: on
    made = read_bytes(output, what="UKI", limit=_MAX_UKI_BYTES)
    if (read_uki(made).content(".cmdline") or b"") != read_bytes(folder / ".cmdline", what="arguments", limit=1 << 20):
        raise ToolFailedError("ukify made a UKI with another command line than it was given")
    with disk.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        with memoryview(mapping) as writable:
            replace_uki(writable, made)
        mapping.flush()


def _sections(uki: Uki, arguments: Sequence[str], folder: Path) -> list[str]:
    """Write the sections as files; ukify's options for them."""
    found = {section.name: bytes(section.content) for section in uki.sections()}
    if len(uki.profiles) != 1 or found.keys() - {_MICROCODE} != {*_OPTIONS.keys() - {_MICROCODE}, _RELEASE, _SBAT}:
        raise InvalidInputError(f"the UKI has the sections {', '.join(found)}, which are not those of this mkosi")
    root_hash = _ROOT_HASH.match(uki.kernel_command_line() or "")
    if root_hash is None:
        raise InvalidInputError("the command line of the UKI does not begin with the root hash")
    # The stub expects a NUL behind it; mkosi writes one.
    found[".cmdline"] = " ".join((root_hash[0], *arguments)).encode() + b"\0"
    options = [f"--uname={uki.kernel_release()}"]
    for name, option in _OPTIONS.items():
        if name in found:
            path = folder / name
            path.write_bytes(found[name])
            options.append(option.format(path))
    return options
