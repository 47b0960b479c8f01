"""Door "measured boot": the phases of the boot are measured, so that secrets are bound to them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._kept_units import changes, covered, runs, stopped_by
from policies.effective import about_argument, profiles, refused_arguments
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from policies.control import Parameters
    from policies.facts import Area, Facts, Unit
    from policies.finding import Finding

_EXTEND: Final = "systemd-pcrextend"
# What each measures when it starts and stops.
_IN_INITRD: Final = {"systemd-pcrphase-initrd.service": ("enter-initrd", "leave-initrd")}
_IN_ROOT: Final = {
    "systemd-pcrphase-sysinit.service": ("sysinit", "final"), "systemd-pcrphase.service": ("ready", "shutdown"),
}  # fmt: skip
# By which systemd finds a TPM and talks to it.
_OF_TPM: Final = re.compile(r"/sys/(?:class|devices|bus)(?:/.*)?|/dev/tpm.*")
_MASKS: Final = frozenset({"systemd.mask", "rd.systemd.mask"})
# src/shared/tpm2-util.c, dlopen_tpm2, and the transport that it loads for a device.
_LIBRARIES: Final = ("libtss2-esys.so.0", "libtss2-rc.so.0", "libtss2-mu.so.0", "libtss2-tcti-device.so.0")
_LIBRARY_PLACES: Final = ("/usr/lib64/", "/usr/lib/", "/lib64/", "/lib/")
_HIDES: Final[dict[str, frozenset[str] | None]] = {
    "efi": frozenset({"noruntime"}), "noefi": None, "acpi": frozenset({"off"}), "tpm_tis.force": None,
    "systemd.tpm2_measured_uki": None, "systemd.tpm2_measured_os": None, "systemd.tpm2_wait": None,
}  # fmt: skip
_BLOCKS: Final = ("module_blacklist", "modprobe.blacklist", "rd.driver.blacklist", "initcall_blacklist")
_KEEP_OUT: Final = frozenset({"blacklist", "install", "remove"})
_MODULES: Final = ("efivarfs", "tpm", "tpm_tis", "tpm_crb", "tpm_tis_core", "dm_verity", "dm_mod")


@control(
    "ZOA-911",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The initrd measures its phases",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("uki", "initrd"),
)
def initrd_measures_phases(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the initrd's start brings in systemd-pcrphase-initrd.service, which runs systemd-pcrextend with
    --graceful, enter-initrd and leave-initrd and nothing else, and says nothing in its file that systemd's does not,
    and nothing in drop-ins but descriptions and how it is stopped; the program is there; the command line does not
    mask it; and no other unit conflicts with it or has systemctl name it, nor is anything mounted over /sys/class or
    the TPM's nodes.

    Why it matters: a secret for the initrd must not be readable after it. PCR 11 shows the phase only if the initrd
    says when it begins and ends.

    Example: mkosi was told to build the initrd without systemd-pcrextend.

    Fix: remove the mask, keep /usr/lib/systemd/systemd-pcrextend in the initrd.

    Known limits: at boot the service also asks whether the stub measured and a TPM is there. What isolates another
    target is not looked at here.
    """
    if facts.initrd is not None:
        yield from _phases(facts, facts.initrd, _IN_INITRD)


@control(
    "ZOA-912",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The root measures its phases",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("uki",),
)
def root_measures_phases(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the root's start brings in systemd-pcrphase-sysinit.service and systemd-pcrphase.service, which
    run systemd-pcrextend with --graceful and their own words and nothing else, and say nothing in their files that
    systemd's do not, and nothing in drop-ins but descriptions and how they are stopped; the program is there; the
    command line does not mask them; and no other unit conflicts with them or has systemctl name them, nor is anything
    mounted over /sys/class or the TPM's nodes.

    Why it matters: the reference values say that a node reached "ready"; without these it never does, and a secret
    that is bound to an earlier phase stays readable.

    Example: a preset or a pruning step removed systemd-pcrphase.service.

    Fix: remove the mask, keep /usr/lib/systemd/systemd-pcrextend in the root.

    Known limits: at boot the services also ask whether the stub measured and a TPM is there. What isolates another
    target is not looked at here.
    """
    yield from _phases(facts, facts.root, _IN_ROOT)


@control(
    "ZOA-913",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="Root and initrd have the libraries with which systemd talks to the TPM",
    references=("NIST SP 800-53 SI-7(9)",),
)
def tpm_libraries_are_there(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: libtss2-esys, -rc, -mu and -tcti-device, under the names that systemd loads, in a directory for
    libraries of root and initrd, as ELF files.

    Why it matters: systemd loads them at run time, so no package has to bring them; without them systemd-pcrextend
    fails and nothing is measured.

    Example: the initrd has libtss2-esys.so.0.0.1, and pruning took the link libtss2-esys.so.0.

    Fix: add the packages libtss2-esys, -rc, -mu and -tcti-device, and keep their links.

    Known limits: whether the libraries' versions fit systemd is not looked at.
    """
    for area in facts.areas:
        elf = {item.path for item in area.elf if item.problem is None}
        named = [file for file in area.files if file.name in _LIBRARIES and file.path.startswith(_LIBRARY_PLACES)]
        targets = {file.name: area.find(file.path) for file in named}
        found = {name for name, target in targets.items() if target is not None and target.path in elf}
        for name in _LIBRARIES:
            if name not in found:
                message = "is not there, so systemd cannot measure to the TPM"
                yield about_name(area, name, message, ("/usr/lib", "no such library"))


@control(
    "ZOA-914",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="The initrd can read EFI variables",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("initrd",),
)
def efi_variables_are_readable(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: efivarfs is among the initrd's modules or built into its kernel, and no modprobe.d file of the
    initrd blacklists or replaces it.

    Why it matters: systemd reads from an EFI variable that the stub measured; if it cannot, it skips the phases
    without an error.

    Example: an initrd with a short list of modules on a kernel that has efivarfs as a module.

    Fix: include efivarfs in the initrd's modules.

    Known limits: none known.
    """
    initrd = facts.initrd
    if initrd is None:
        return
    if not any(module.name == "efivarfs" for module in initrd.kernel.modules):
        message = "is neither a module of the initrd nor built in, so systemd does not measure phases"
        yield about_name(initrd, "efivarfs", message, ("/usr/lib/modules", ", ".join(initrd.kernel.releases)))
    for line in initrd.configuration.modprobe:
        if line.directive in {"blacklist", "install"} and line.module == "efivarfs":
            value = f"{line.directive} {line.module}"
            yield about_name(initrd, f"efivarfs:{line.directive}", "keeps efivarfs out", (line.origin, value))


@control(
    "ZOA-915",
    door=Door.MEASURED_BOOT,
    severity=Severity.HIGH,
    title="No argument hides the TPM, EFI variables or verity from the kernel",
    references=("NIST SP 800-53 SI-7(9)",),
    needs=("uki",),
)
def nothing_is_hidden(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has efi=noruntime, noefi, acpi=off, systemd.tpm2_* or tpm_tis.force, nor a blacklist
    of modules or initcalls that names efivarfs, the TPM's drivers or dm-verity; no line of modprobe.d in root or initrd
    blacklists these, puts a command in their place, or turns the TPM's integrity check off.

    Why it matters: what systemd does not find it does not measure, and it goes on without an error.

    Example: module_blacklist=tpm_crb, left from a machine whose TPM was slow.

    Fix: remove the argument or the line.

    Known limits: drivers for other TPMs are not in the list.
    """
    yield from refused_arguments(facts, _HIDES, "hides the TPM or EFI variables", also_init=True)
    for profile in profiles(facts):
        for name in _BLOCKS:
            for argument in profile.command_line.all(name) if profile.command_line else ():
                words = (argument.value or "").replace("-", "_").split(",")
                if any(word.removeprefix("init_") in _MODULES for word in words):
                    yield about_argument(profile, argument, "keeps a driver out that measuring or verity needs")
    for area in facts.areas:
        for line in area.configuration.modprobe:
            names_one = any(fnmatchcase(name, line.module.replace("-", "_")) for name in _MODULES)
            if names_one and (line.directive in _KEEP_OUT or "disable_pcr_integrity" in line.rest):
                value = f"{line.directive} {line.module} {line.rest}"
                message = "keeps a driver or a check out that measuring or verity needs"
                yield about_name(area, str(line.origin), message, (line.origin, value))


def _phases(facts: Facts, area: Area, names: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    for name, words in names.items():
        unit = area.units.get(name)
        if unit is None or unit.pulled_in_by is None:
            place = "no unit file" if unit is None else unit.masked_by or unit.path or "no unit file"
            yield about_name(area, name, "is not started, so its phase is not measured", (place, ""))
        else:
            yield from _measures(area, unit, words)
    yield from covered(area, _OF_TPM)
    for profile in profiles(facts):
        for argument in profile.command_line.arguments if profile.command_line else ():
            stem = argument.value or ""
            masked = stem if "." in stem else f"{stem}.service"
            if argument.name in _MASKS and masked in names:
                yield about_argument(profile, argument, "masks the measurement of a phase")


def _measures(area: Area, unit: Unit, words: tuple[str, str]) -> Iterator[Finding]:
    """What keeps a unit that is started from measuring these words at start and stop."""
    asked = [(setting, ("--graceful", word)) for setting, word in zip(("ExecStart", "ExecStop"), words, strict=True)]
    if len(unit.programs) != len(asked) or not all(
        runs(program, setting, _EXTEND, arguments)
        for program, (setting, arguments) in zip(unit.programs, asked, strict=True)
    ):
        programs = ", ".join(f"{program.setting}={program.path}" for program in unit.programs) or "none"
        message = f"does not run {_EXTEND} at start and stop, as systemd's does"
        yield about_name(area, unit.name, message, (unit.path or unit.name, programs))
    for path in dict.fromkeys(program.path for program in unit.programs):
        file = area.find(path)
        if file is None or not file.is_executable:
            yield about_name(area, f"{unit.name}:{path}", "is not there or cannot be executed", (path, ""))
    for setting in changes(area, unit):
        value = f"{setting.key}={setting.value}"
        message = "may be left out at boot, or kept from measuring"
        yield about_name(area, f"{unit.name}:{setting.key}", message, (setting.origin, value))
    for other, origin, value in stopped_by(area, unit.name):
        yield about_name(area, f"{unit.name}:{other}", "is stopped or kept from starting", (origin, value))


CONTROLS = (
    initrd_measures_phases, root_measures_phases, tpm_libraries_are_there, efi_variables_are_readable,
    nothing_is_hidden,
)  # fmt: skip
