"""Door "measured boot": firmware starts the UKI and nothing else can be started, and nothing of the image is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.effective import about_started, entry_evidence, entry_subject
from policies.finding import Evidence, Finding, about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import BootProgram, Facts, Program

_NAMES: Final = {"grub": "GRUB", "shim": "shim", "systemd-boot": "systemd-boot", "unknown": "a program of unknown kind"}
# Started by something else, or judged by the controls of UKIs and addons.
_NO_LOADERS: Final = frozenset({"linux", "addon", "systemd-stub"})
_ENTRY_KINDS: Final = {
    "uki": "is another UKI, or another profile of one, that can be booted",
    "loader-entry": "boots a kernel and an initrd that are in no UKI",
    "grub": "boots, through GRUB, a kernel and an initrd that are in no UKI",
}
_READING: Final = frozenset({"status", "list"})
_POLICY_VERBS: Final = frozenset({"make-policy", "remove-policy"})
_BOOT_WRITERS: Final = frozenset({
    "systemd-bless-boot", "kernel-install", "ukify", "efibootmgr", "mokutil", "grub-install",
    "grub-editenv", "grub-reboot", "grub-set-default", "update-grub", "fwupd", "fwupdmgr",
})  # fmt: skip
_LOADERS: Final = {"systemd-boot": "systemd-boot", "grub": "GRUB"}


@control(
    "ZOA-405",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.CRITICAL,
    title="No boot loader has an editor or a shell",
    references=("CIS Debian Linux 12 Benchmark 1.4.1", "DISA STIG UBTU-20-010009", "NIST SP 800-53 AC-3"),
    needs=("disk",),
)
def no_boot_loader_editor(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: systemd-boot has `editor no`, and every configuration of GRUB names superusers.

    Why it matters: whoever reaches the console, a serial one too, adds init=/bin/sh to the command line, or starts
    another kernel from GRUB's shell.

    Example: systemd-boot without loader.conf: the editor is on by default.

    Fix: start the UKI without a boot loader; else `editor no` in loader.conf, or superusers and a password in grub.cfg.

    Known limits: a GRUB configuration is not run, so superusers that are set under a condition count as set.
    """
    for menu in facts.boot.menus:
        if menu.editor:
            value = f"timeout {menu.timeout}" if menu.timeout is not None else "no timeout stated"
            evidence = Evidence(source=menu.volume, path=menu.path, value=value)
            message = f"lets {_LOADERS[menu.loader]} change command lines, or start something else, at the console"
            yield Finding(subject=f"{menu.volume}:{menu.path}", message=message, evidence=(evidence,))


@control(
    "ZOA-916",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="Firmware starts the UKI itself, through no boot loader",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("disk",),
)
def no_boot_loader(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no program in a boot partition is a boot loader, or of a kind that is not known: systemd-boot,
    GRUB, shim with its key manager, and whatever does not say what it is.

    Why it matters: what a boot loader loads depends on its configuration, on variables and on who stands at the
    console. PCR 4, 8, 9 and 12 then hold what it did, and not what was predicted.

    Example: /EFI/BOOT/BOOTX64.EFI is shim, which starts GRUB, which runs a grub.cfg that nobody signed.

    Fix: Bootloader=uki, and nothing else in the partition.

    Known limits: a program is known by what it says of itself. One that calls itself a kernel is found by ZOA-901.
    """
    for program in facts.boot.programs:
        if program.product not in _NO_LOADERS:
            name = _NAMES.get(program.product, program.product)
            yield _about_program(program, f"is {name}: what it loads is not measured as predicted")


@control(
    "ZOA-917",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="Nothing but the UKI is offered for booting",
    references=("NIST SP 800-53 SI-7(9)", "NIST SP 800-53 CM-7(5)"),
    needs=("disk",),
)
def no_other_boot_entry(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: there is no second UKI, no entry in loader/entries and no command in a grub.cfg that loads a
    kernel, in the system partition, XBOOTLDR or /boot of the root.

    Why it matters: each is another way to start the machine, with another command line and initrd. Kernel, initrd and
    command line outside a UKI have no signature in common, so any of them can be exchanged.

    Example: /loader/entries/rescue.conf with systemd.unit=rescue.target.

    Fix: put kernel, initrd and command line into one UKI, and remove the entries.

    Known limits: a GRUB configuration is not run: entries are found whatever condition stands around them, and what a
    script puts together from variables is shown with the variables.
    """
    for entry in facts.boot.entries:
        evidence = entry_evidence(entry, " ".join((entry.kernel, *entry.initrds)))
        yield Finding(subject=entry_subject(entry), message=_ENTRY_KINDS[entry.kind], evidence=(evidence,))


@control(
    "ZOA-918",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="Every program in a boot partition is signed",
    references=("NIST SP 800-53 CM-14", "NIST SP 800-53 SI-7(15)"),
    needs=("disk",),
)
def programs_are_signed(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: each PE file besides the UKI has an Authenticode signature, whatever its name ends in.

    Why it matters: with Secure Boot on an unsigned program is dead weight that waits for it to be off; with Secure Boot
    off it is one more thing to start.

    Example: an EFI shell left over from a test.

    Fix: remove the program.

    Known limits: who signed is not looked at; the UKI's own signature is a matter of ZOA-902.
    """
    for program in facts.boot.programs:
        if not program.signed:
            yield _about_program(program, "has no signature")


@control(
    "ZOA-919",
    door=Door.MEASURED_BOOT,
    severity=Severity.CRITICAL,
    title="All of the image could be read",
    references=("NIST SP 800-53 CM-8",),
)
def all_was_read(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: partition table, root, boot partitions, boot entries and their initrds could be read, and there
    is only one root; no program of root or initrd is too large to be looked at, and no executable one is broken; there
    is no file in /run, /tmp, /dev, /proc and /sys, over which the start mounts other file systems (directories, and
    device nodes and links in /dev, are right); nothing that systemd passes over, such as a directory, a dangling link
    or a link that is no alias, stands before a unit or other configuration of the same name; links to directories lead
    to no more paths than can be looked at.

    Why it matters: a door in a part that nobody looked at is open all the same.

    Example: a root in LUKS, an initrd in a format that is not known, a second root for updates.

    Fix: remove what is covered or passed over; open what is closed with its key, or unpack it, and check that.

    Known limits: partitions of other types are not opened; ZOA-706 finds them.
    """
    for gap in facts.unread:
        evidence = Evidence(source="disk", path=gap.place, value=gap.problem)
        yield Finding(subject=f"unread:{gap.place}", message=f"was not looked at: {gap.problem}", evidence=(evidence,))
    for area in facts.areas:
        if area.unreached is not None:
            yield about_name(area, "links", f"were not all followed: {area.unreached}", ("/", area.unreached))


@control(
    "ZOA-920",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The disk boots by UEFI only",
    references=("NIST SP 800-147B", "NIST SP 800-53 SI-7(9)"),
    needs=("disk",),
)
def no_bios_boot(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the partition table is a GPT with a protective MBR, without code in the first sector, and no
    partition is for BIOS boot loaders or has the flag "legacy-boot".

    Why it matters: a boot by BIOS knows neither Secure Boot nor the measurements that were predicted. With a hybrid MBR
    a BIOS sees other partitions than UEFI does.

    Example: a cloud image with GRUB for both.

    Fix: BiosBootloader=none, and no BIOS boot partition.

    Known limits: whether the machine's firmware can boot by BIOS at all is not known here.
    """
    disk = facts.disk
    if disk is None:
        return
    if disk.table != "gpt":
        yield _about_disk("partition table", f"is no plain GPT: {disk.table}", disk.table)
    if disk.boot_code:
        yield _about_disk("boot code", "is in the first sector, where BIOS runs it", "first 440 bytes")
    for partition in disk.partitions:
        if partition.type == "bios-boot" or "legacy-boot" in partition.flags:
            value = f"type {partition.type}, flags {', '.join(partition.flags) or 'none'}"
            yield _about_disk(f"{partition.number}:{partition.type}", "is for booting by BIOS", value)


@control(
    "ZOA-921",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="Nothing that runs at boot changes what boots next",
    references=("NIST SP 800-53 SI-7(9)", "NIST SP 800-53 CM-5"),
)
def nothing_changes_the_next_boot(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit that the start brings in, in root or initrd, runs a program that writes boot partitions,
    boot variables of the firmware or the TPM's policy: bootctl, `systemd-pcrlock make-policy`, systemd-bless-boot,
    kernel-install, ukify, efibootmgr, mokutil, grub-install, grub-editenv, grub-reboot, grub-set-default, update-grub,
    fwupd.

    Why it matters: the next boot is then another one than what was signed and predicted, and a disk that the node
    writes to is one that keeps what an attacker put there.

    Example: systemd-boot-update.service, which Debian enables: it copies the root's boot loader to the EFI system
    partition.

    Fix: disable or remove the unit.

    Known limits: programs by other names, and scripts that run these, are not known; `bootctl` only reads with some
    verbs, and is a finding with all but `status` and `list`.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            if unit.pulled_in_by is not None and any(_changes_boot(program) for program in unit.programs):
                yield about_started(area, unit, "changes what boots next")


def _changes_boot(program: Program) -> bool:
    name = program.path.rpartition("/")[2]
    if name == "bootctl":
        return not set(program.arguments) & _READING
    if name == "systemd-pcrlock":
        return bool(set(program.arguments) & _POLICY_VERBS)
    return name in _BOOT_WRITERS


def _about_program(program: BootProgram, message: str) -> Finding:
    value = f"{program.product} {program.version or ''}".strip()
    evidence = Evidence(source=program.volume, path=program.path, value=value)
    return Finding(subject=f"{program.volume}:{program.path}", message=message, evidence=(evidence,))


def _about_disk(name: str, message: str, value: str) -> Finding:
    evidence = Evidence(source="disk", path=name, value=value)
    return Finding(subject=f"disk:{name}", message=message, evidence=(evidence,))


CONTROLS = (
    no_boot_loader_editor, no_boot_loader, no_other_boot_entry, programs_are_signed, all_was_read, no_bios_boot,
    nothing_changes_the_next_boot,
)  # fmt: skip
