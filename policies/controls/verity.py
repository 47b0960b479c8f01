"""Door "integrity": the root is what was measured, and stays so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._read_places import unquoted
from policies.effective import (
    about_argument,
    about_profile,
    about_started,
    kernel_arguments,
    profiles,
    refused_arguments,
)
from policies.finding import Evidence, Finding, about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Origin

_NO: Final = frozenset({"0", "no", "n", "false", "f", "off"})
# systemd-veritysetup-generator(8) and systemd-volatile-root.service(8); "root" and "rw" of the kernel and of systemd;
# Linux Documentation/admin-guide/device-mapper/dm-init.rst; dracut.cmdline(7), live-boot(7) and overlayroot.
_OTHER_ROOT: Final = dict.fromkeys(
    (
        "root", "rootfstype", "rootflags", "rw", "rd.systemd.volatile", "systemd.volatile", "usrhash", "mount.usr",
        "mount.usrfstype", "mount.usrflags", "systemd.verity_root_data", "systemd.verity_root_hash",
        "systemd.verity_usr_data", "systemd.verity_usr_hash", "systemd.verity_usr_options", "nfsroot", "root_hash",
        "systemd.mount_extra", "rd.systemd.mount_extra", "rd.systemd.pull", "systemd.pull", "dm_mod.create", "noinitrd",
        "overlayroot", "rd.overlay", "rd.overlayfs", "rd.live.image", "rd.live.overlay", "rd.live.ram", "boot",
    )
)  # fmt: skip
_NO_VERITY: Final = dict.fromkeys(("systemd.verity", "rd.systemd.verity"), _NO)
_STOPS: Final = frozenset({"panic-on-corruption", "restart-on-corruption"})
# veritysetup(8): what makes dm-verity pass over a corrupt block, or read one once only.
_LETS_PASS: Final = frozenset({"ignore-corruption", "ignore-zero-blocks", "check-at-most-once"})
_READ_ONLY: Final = frozenset({"erofs", "squashfs"})
_TABLES: Final = ("/etc/veritytab", "/etc/integritytab")
_VOLATILE: Final = "systemd-volatile-root.service"
# What decides of a unit, such as those of systemd-fstab-generator(8) and systemd-veritysetup-generator(8).
_DECIDES: Final = re.compile(r"Exec.+|What|Where|Type|Options|Root.+")


@control(
    "ZOA-701",
    door=Door.INTEGRITY,
    severity=Severity.CRITICAL,
    title="The root has a dm-verity hash tree that matches it",
    references=("NIST SP 800-53 SI-7", "NIST SP 800-53 SI-7(1)"),
    needs=("disk",),
)
def verity_matches(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the hash tree computed again over the root partition is the one in the verity partition, and its
    root hash is the one that the UKI's command line names.

    Why it matters: without it whoever writes to the disk changes what the node runs, and no measurement shows it.

    Example: the root was edited after the build, or the command line has no roothash=.

    Fix: build the root with Verity=data and a Verity=hash partition, and the UKI after it.

    Known limits: dm-verity in the running kernel is trusted to check what it reads.
    """
    if facts.disk is None or facts.disk.hash_tree == "matches":
        return
    problem = "has no" if facts.disk.hash_tree == "absent" else "does not match its"
    value = f"hash tree {facts.disk.hash_tree}, root hash {facts.disk.root_hash}"
    evidence = Evidence(source="disk", path="root and root-verity partitions", value=value)
    yield Finding(subject="disk:root", message=f"{problem} dm-verity hash tree", evidence=(evidence,))


@control(
    "ZOA-702",
    door=Door.INTEGRITY,
    severity=Severity.CRITICAL,
    title="Every profile of the UKI names the root hash of this disk, once",
    references=("NIST SP 800-53 SI-7",),
    needs=("uki", "disk"),
)
def root_hash_is_measured(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the command line of each profile has exactly one roothash= and it is the one that the hash tree
    was checked against.

    Why it matters: a second profile or a second argument may start another root, or one without verity.

    Example: profile 1, meant for debugging, has root=/dev/vda2 and no roothash=.

    Fix: give every profile the same roothash=, or have one profile only.

    Known limits: arguments that a host adds from outside are not in the image; PCR 12 shows them.
    """
    expected = None if facts.disk is None else facts.disk.root_hash
    for profile in profiles(facts):
        found = kernel_arguments(profile, "roothash")
        if not found:
            yield about_profile(profile, "roothash", "is not there: this profile starts a root without verity")
        for argument in found:
            if (argument.value or "").lower() != (expected or "").lower() or not argument.value:
                yield about_argument(profile, argument, "is not the root hash of the disk's root")
        if len(found) > 1:
            yield about_profile(profile, "roothash", f"is there {len(found)} times")


@control(
    "ZOA-703",
    door=Door.INTEGRITY,
    severity=Severity.CRITICAL,
    title="Nothing turns verity off or puts another root in its place",
    references=("NIST SP 800-53 SI-7",),
)
def no_other_root(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has root=, rw, rootflags=, usrhash=, systemd.verity=no, systemd.volatile=,
    systemd.mount-extra= or another argument that takes a root, /usr or mount from elsewhere or lays something writable
    over it, and neither root nor initrd has a veritytab or an integritytab, starts systemd-volatile-root.service or
    has a unit, started or not, or a rule of udev that asks for it (OnFailure= and the like, words of commands),
    or has a drop-in that says what a unit without a file runs or mounts, as generators make units.

    Why it matters: systemd asks these before or besides roothash=, so the root that was checked is not the one that
    runs.

    Example: systemd.volatile=overlay lays a writable tmpfs over the root, from which programs can be replaced; or
    What=/dev/vdb in sysroot.mount.d of the initrd.

    Fix: remove the argument, the file or the drop-in; roothash= and the partition types are all that is needed.

    Known limits: units that mount over the root are looked at by the control on mounts.
    """
    yield from refused_arguments(facts, _OTHER_ROOT, "takes or changes the root besides verity", also_init=True)
    yield from refused_arguments(facts, _NO_VERITY, "turns verity off", also_init=True)
    for area in facts.areas:
        for path in _TABLES:
            if path in area.by_path:
                yield about_path(area, path, "sets up devices besides the root's")
        for unit in area.systemd.units:
            if unit.name == _VOLATILE and unit.pulled_in_by is not None:
                yield about_started(area, unit, "lays a tmpfs over the root")
            for setting in unit.settings if unit.path is None else ():
                if _DECIDES.fullmatch(setting.key):
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    message = "changes what the boot makes without a unit file"
                    yield about_name(area, f"{unit.name}:{setting.key}", message, evidence)
        for subject, evidence_asking in _asking(area):
            yield about_name(area, subject, "asks for a tmpfs over the root", evidence_asking)


def _asking(area: Area) -> Iterator[tuple[str, tuple[Origin, str]]]:
    """What asks for a tmpfs over the root: any dependency of a unit, also on failure, any word of a command, and udev.

    Each once, by the name of the unit or the place of the rule, with what stands there.
    """
    units = area.systemd.units
    names = {_VOLATILE, *(name for unit in units if unit.name == _VOLATILE for name in unit.aliases)}
    stems = [name.removesuffix(".service") for name in names]
    found: dict[str, tuple[Origin, str]] = {}
    for unit in units:
        if unit.name == _VOLATILE:
            continue
        for edge in unit.edges:
            if edge.unit in names:
                found[unit.name] = (edge.origin, f"{edge.kind}={edge.unit}")
        for program in unit.programs:
            command = " ".join((program.path, *program.arguments))
            if any(stem in command for stem in stems):
                found[unit.name] = (program.origin, f"{program.setting}={command}")
    rules = [(rule.origin, rule.command) for rule in area.configuration.udev_programs]
    rules += [(item.origin, item.value) for item in area.configuration.udev_settings]
    found |= {str(rule[0]): rule for rule in rules if any(stem in unquoted(rule[1]) for stem in stems)}
    yield from found.items()


@control(
    "ZOA-704",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="A corrupt block of the root stops the machine",
    references=("NIST SP 800-53 SI-7(5)", "NIST SP 800-53 SC-24"),
    needs=("uki",),
)
def corruption_stops(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: systemd.verity_root_options= of every profile has panic-on-corruption or restart-on-corruption,
    and nothing that lets corrupt blocks pass.

    Why it matters: dm-verity's own default is an input/output error, which programs may take for something else and
    carry on in a state that nobody measured.

    Example: systemd.verity_root_options=ignore-corruption, or no such argument.

    Fix: systemd.verity_root_options=panic-on-corruption on the command line.

    Known limits: what the firmware does after a panic is not known here.
    """
    for profile in profiles(facts):
        found = kernel_arguments(profile, "systemd.verity_root_options")
        if not found:
            message = "is not there, so a corrupt block is only an input/output error"
            yield about_profile(profile, "systemd.verity_root_options", message)
        for argument in found:
            options = set((argument.value or "").split(","))
            if not options & _STOPS:
                yield about_argument(profile, argument, "does not stop the machine at a corrupt block")
            elif options & _LETS_PASS:
                yield about_argument(profile, argument, "lets corrupt blocks pass")


@control(
    "ZOA-705",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="The root's file system cannot be written, and its partitions are marked so",
    references=("NIST SP 800-53 CM-5(6)", "NIST SP 800-53 SI-7"),
    needs=("disk",),
)
def root_is_read_only(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the root's type is EROFS or squashfs, which have no code to write, and the partitions of root and
    hash tree have the flag "read-only" and not "growfs".

    Why it matters: a type that can be written replays journals and is mounted read-write by mistake; with "growfs"
    systemd enlarges it at boot.

    Example: the root is ext4, mounted read-only by an option.

    Fix: Format=erofs and ReadOnly=yes in the partition's definition.

    Known limits: says nothing about what is mounted over the root.
    """
    if facts.disk is None:
        return
    kind = facts.disk.root_file_system
    if kind not in _READ_ONLY:
        evidence = Evidence(source="disk", path="root partition", value=kind)
        yield Finding(
            subject="disk:root", message=f"has a file system that can be written: {kind}", evidence=(evidence,)
        )
    for partition in facts.disk.partitions:
        if partition.role not in {"root", "root-verity"}:
            continue
        evidence = Evidence(source="disk", path=f"partition {partition.number}", value=", ".join(partition.flags))
        if "read-only" not in partition.flags:
            message = "does not have the flag read-only"
            yield Finding(subject=f"disk:{partition.type}:read-only", message=message, evidence=(evidence,))
        if "growfs" in partition.flags:
            message = "has the flag growfs, so that systemd enlarges it"
            yield Finding(subject=f"disk:{partition.type}:growfs", message=message, evidence=(evidence,))


@control(
    "ZOA-706",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="The disk holds the EFI system partition, the root and its hash tree, and nothing else",
    references=("NIST SP 800-53 SC-28",),
    parameters=(Parameter("allowed", (), 'Labels of other partitions that may be there, such as "state".'),),
    needs=("disk",),
)
def no_other_partition(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no partition has another role, whatever its type, unless the parameter "allowed" has its label;
    and there is one root and one hash tree only.

    Why it matters: systemd finds swap, /var, /home, /srv and extension partitions by their type, and a second root may
    be taken for the first. What is written there outlives the node and can be read without it.

    Example: a swap partition made by the cloud's image converter.

    Fix: remove the partition from mkosi.repart.

    Known limits: other disks of the machine are not in the image.
    """
    if facts.disk is None:
        return
    seen: set[str] = set()
    for partition in facts.disk.partitions:
        is_second = partition.role in seen
        if (partition.role == "other" or is_second) and partition.label not in parameters["allowed"]:
            value = f"type {partition.type}, label {partition.label}"
            evidence = Evidence(source="disk", path=f"partition {partition.number}", value=value)
            message = "is there a second time" if is_second and partition.role != "other" else "is none that is needed"
            yield Finding(subject=f"disk:{partition.number}:{partition.type}", message=message, evidence=(evidence,))
        seen.add(partition.role)


CONTROLS = (
    verity_matches, root_hash_is_measured, no_other_root, corruption_stops, root_is_read_only, no_other_partition,
)  # fmt: skip
