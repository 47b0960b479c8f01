"""Door "integrity": what is mounted, and what could be written or executed there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._mounts import held_options, is_in_memory
from policies.effective import about_profile, about_started, kernel_arguments, profiles
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Mount, Program, Unit
    from policies.finding import Finding

_SAFE: Final = ("nosuid", "nodev", "noexec")
_ATTACH_WORDS: Final = 6
_ROOT_HASH: Final = re.compile(r"[0-9a-f]{64}")
_ON_CORRUPTION: Final = frozenset({"panic-on-corruption", "restart-on-corruption"})
# A block that was right once is not looked at again; one that is wrong is passed on.
_TOLERANT: Final = frozenset({"ignore-corruption", "check-at-most-once"})
# With these mount(2) takes the source for a block device; to others it is a name, which whoever shares it chooses.
_OF_BLOCKS: Final = frozenset({None, "auto", "erofs", "squashfs", "ext4", "xfs", "btrfs", "iso9660", "vfat"})
_READ_ONLY: Final = frozenset({"erofs", "squashfs", "iso9660", "cramfs"})
_NO: Final = frozenset({"0", "no", "n", "false", "f", "off"})
_MAKES_OR_GROWS: Final = ("x-systemd.makefs", "x-systemd.growfs", "x-systemd.pcrfs")
_ENLARGE: Final = ("systemd-repart.service", "systemd-growfs-root.service", "systemd-growfs@.service")
_MAKERS: Final = frozenset({"systemd-repart", "systemd-growfs", "systemd-makefs"})


@control(
    "ZOA-707",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="What is mounted is read-only, or nosuid, nodev and noexec",
    references=("NIST SP 800-53 CM-7(5)", "CIS Debian Linux 12 Benchmark 1.1.2"),
)
def safe_mount_options(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every mount unit that is not masked and every line of fstab, in root and initrd, has the option
    "ro" or all of nosuid, nodev and noexec, and no later option takes them back, also not one with a value, such as
    exec=recursive. They do not count with a value of their own (ro=vfs), nor where an option of the mount has a quote,
    a backslash or a specifier that is not known from the image.

    Why it matters: in a directory that can be written and executed an intruder keeps programs that were never
    measured; nodev and nosuid keep away devices and rights.

    Example: systemd's own tmp.mount leaves noexec out.

    Fix: a drop-in for the unit with Options=..., or remove the unit if nothing needs the mount.

    Known limits: what PID 1 mounts itself (/run, /dev, /dev/shm) and mounts made by programs are not in any file; /run
    is nosuid and nodev, but not noexec. The initrd's own root is a tmpfs that can be written until the switch.
    """
    for area in facts.areas:
        for mount in area.configuration.mounts:
            if mount.type == "swap":
                continue
            missing = [option for option in _SAFE if option not in held_options(mount)]
            if missing and _is_writable(mount):
                message = f"is mounted for writing without {', '.join(missing)}"
                yield about_mount(area, mount, message)


@control(
    "ZOA-708",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="Nothing that outlives the machine is mounted for writing, unless it is encrypted",
    references=("NIST SP 800-53 SC-28", "NIST SP 800-53 SC-28(1)"),
    parameters=(
        Parameter("encrypted", (), 'Sources that are encrypted or on another machine, such as "/dev/mapper/state".'),
    ),
)
def no_persistent_storage(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every mount unit that is not masked and every line of fstab that is not read-only has a type that
    lives in memory, unless the parameter "encrypted" names its source. A type that is left open is taken for a disk's.

    Why it matters: what a node writes to a disk can be read by whoever gets the disk, and what it reads there on the
    next boot was not measured.

    Example: fstab has LABEL=data /var ext4 defaults.

    Fix: use a tmpfs, or a volume whose key is sealed to the measured boot, named in the pack.

    Known limits: that a source is encrypted is the pack's word; bind mounts and overlays are taken for disks.
    """
    for area in facts.areas:
        for mount in area.configuration.mounts:
            if is_in_memory(mount) or mount.type == "swap" or mount.what in parameters["encrypted"]:
                continue
            if _is_writable(mount):
                yield about_mount(area, mount, f"is mounted for writing from {mount.what}, which outlives the machine")


@control(
    "ZOA-740",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="What is mounted from a disk is read through a hash tree whose root hash the image holds",
    references=("NIST SP 800-53 SI-7(1)", "NIST SP 800-53 SI-7(5)"),
    parameters=(Parameter("unverified", (), 'Sources that need no hash tree, such as "/dev/mapper/state".'),),
)
def data_is_verified(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the source of every mount unit that is not masked and of every line of fstab whose type does not
    live in memory is /dev/mapper/NAME, its type is open or one of those that read a block device (erofs, squashfs,
    ext4, xfs, btrfs, iso9660, vfat), and a unit of the same area opens NAME with `systemd-veritysetup attach`, a
    SHA-256 root hash that is written out, and panic-on-corruption or restart-on-corruption. Or the parameter
    "unverified" names the source.

    Why it matters: a disk beside the root is not measured with it. Weights that an operator exchanged answer as the
    operator likes, and a file system that nobody checked is what the kernel parses.

    Example: run-weights.mount has What=/dev/vdb.

    Fix: `weights` in image.yaml, or a unit as it makes; see docs/guides/weights.md.

    Known limits: what programs mount themselves is in no file. Bind mounts of whatever type and overlays are taken for
    disks.
    """
    for area in facts.areas:
        verified = {f"/dev/mapper/{name}" for name in verified_volumes(area)}
        for mount in area.configuration.mounts:
            is_verified = mount.what in verified and mount.type in _OF_BLOCKS
            if is_in_memory(mount) or mount.type == "swap" or is_verified or mount.what in parameters["unverified"]:
                continue
            yield about_mount(area, mount, f"is mounted from {mount.what}, which no root hash in the image vouches for")


def verified_volumes(area: Area) -> Iterator[str]:
    """The volumes that units open: `attach VOLUME DATA HASHES ROOTHASH OPTIONS` (systemd-veritysetup@.service(8))."""
    for unit in area.systemd.units:
        for program in unit.programs:
            words = program.arguments
            if (
                program.setting == "ExecStart"
                and program.path.rpartition("/")[2] == "systemd-veritysetup"
                and len(words) == _ATTACH_WORDS
                and words[0] == "attach"
                and _ROOT_HASH.fullmatch(words[4])
                and not _ON_CORRUPTION.isdisjoint(words[5].split(","))
                and _TOLERANT.isdisjoint(words[5].split(","))
            ):
                yield words[1]


@control(
    "ZOA-709",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="systemd does not look for partitions to mount on its own",
    references=("NIST SP 800-53 CM-7",),
    needs=("uki",),
)
def no_automatic_partitions(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: if root or initrd has systemd-gpt-auto-generator, every profile has systemd.gpt_auto=no, and no
    other value.

    Why it matters: the generator mounts or swaps on whatever partition of the boot disk has the right type: someone who
    can add a partition to the disk gives the node a /var, a /home, a /srv or swap.

    Example: the generator is in the root and the command line does not mention it.

    Fix: systemd.gpt_auto=no on the command line, or remove the generator.

    Known limits: none known.
    """
    has_generator = [
        generator
        for area in facts.areas
        for generator in area.systemd.generators
        if generator.name == "systemd-gpt-auto-generator" and not generator.masked
    ]
    if not has_generator:
        return
    for profile in profiles(facts):
        names = ("systemd.gpt_auto", "rd.systemd.gpt_auto")
        found = [argument for name in names for argument in kernel_arguments(profile, name)]
        if not found or any((argument.value or "yes").lower() not in _NO for argument in found):
            message = f"is not off, so {has_generator[0].path} takes what partitions it finds"
            yield about_profile(profile, "systemd.gpt_auto", message)


@control(
    "ZOA-710",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="Nothing makes or enlarges partitions and file systems at boot",
    references=("NIST SP 800-53 SC-28",),
)
def nothing_is_partitioned(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no definitions in repart.d, the start does not bring in systemd-repart or
    systemd-growfs, no other unit runs them or systemd-makefs, whether it is started or not, and no mount has
    x-systemd.makefs, x-systemd.growfs or x-systemd.pcrfs.

    Why it matters: a partition that is made at boot is storage that outlives the node, and an attacker who prepared the
    disk decides what is in it.

    Example: /usr/lib/repart.d/50-var.conf with Type=var.

    Fix: remove the definitions, the options and the units.

    Known limits: programs that write to block devices themselves are not known.
    """
    for area in facts.areas:
        for file in area.reached:
            if "/repart.d/" in file.path and file.name.endswith(".conf") and file.type in {"file", "symlink"}:
                yield about_path(area, file.path, "defines a partition that systemd-repart would make")
        for unit in area.systemd.units:
            template = f"{unit.name.partition('@')[0]}@.service" if unit.instance else unit.name
            if template in _ENLARGE:
                if unit.pulled_in_by:
                    yield about_started(area, unit, "is started at boot")
            else:
                for name, program in _makers(area, unit):
                    evidence = (program.origin, " ".join((program.path, *program.arguments)))
                    yield about_name(area, f"{unit.name}:{name}", "makes or enlarges what is on a disk", evidence)
        for mount in area.configuration.mounts:
            if set(mount.options) & set(_MAKES_OR_GROWS):
                yield about_mount(area, mount, "makes or enlarges a file system at boot")


@control(
    "ZOA-711",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="Only root owns and writes the files of the image",
    references=("NIST SP 800-53 CM-5(6)", "CIS Debian Linux 12 Benchmark 7.1.11"),
)
def only_root_writes(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: in root and initrd no file, directory or device can be written by its group or by others, but
    directories that are sticky, and everything in /etc, /usr, /boot and /opt belongs to root.

    Why it matters: verity keeps the root as it is, but the initrd is copied to memory that can be written, and
    copies of files keep their mode.

    Example: /etc/ld.so.preload with mode 0666 in the initrd.

    Fix: chmod and chown in the finalize script.

    Known limits: access control lists are not looked at.
    """
    for area in facts.areas:
        for file in area.files:
            if file.type == "symlink":
                continue
            is_sticky = file.type == "directory" and file.mode & 0o1000
            if file.mode & 0o022 and not is_sticky:
                yield about_path(area, file.path, "can be written by more than its owner", f"mode {file.mode:04o}")
            elif file.uid != 0 and file.path.startswith(("/etc/", "/usr/", "/boot/", "/opt/")):
                yield about_path(area, file.path, "does not belong to root", f"owner {file.uid}")


def _makers(area: Area, unit: Unit) -> Iterator[tuple[str, Program]]:
    """Programs of a unit that are, run or lead to one which makes or enlarges partitions and file systems."""
    for program in unit.programs:
        for word in (program.path, *program.arguments):
            name = (area.real(word) or word).rpartition("/")[2]
            if name in _MAKERS:
                yield name, program


def _is_writable(mount: Mount) -> bool:
    return mount.type not in _READ_ONLY and "ro" not in held_options(mount)


def about_mount(area: Area, mount: Mount, message: str) -> Finding:
    """A finding about a mount, by its unit or its line of fstab."""
    name = mount.unit or f"{mount.origin.path}:{mount.where}"
    value = f"{mount.what} on {mount.where} type {mount.type or '?'} ({','.join(mount.options) or 'defaults'})"
    return about_name(area, name, message, (mount.origin, value))


CONTROLS = (
    safe_mount_options, no_persistent_storage, data_is_verified, no_automatic_partitions, nothing_is_partitioned,
    only_root_writes,
)  # fmt: skip
