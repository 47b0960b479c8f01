"""Door "leaks": memory that ends up on a disk, in firmware or somewhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.effective import (
    about_started,
    daemon_settings,
    kernel_arguments,
    profiles,
    refused_arguments,
    required_sysctl,
    sysctl_settings,
)
from policies.finding import Evidence, Finding, about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts

_NOWHERE: Final = frozenset({"|/bin/false", "|/usr/bin/false", "|/bin/true", "|/usr/bin/true"})
_DUMPERS: Final = frozenset({"systemd-coredump", "apport", "abrt-hook-ccpp", "abrtd", "corekeeper", "minidumpd"})
_YES: Final = frozenset({None, "1", "y", "Y", "on"})
_NO_CORE: Final = frozenset({"0", "0:0"})
_CRASH_ARGUMENTS: Final = dict.fromkeys(("crashkernel", "fadump", "elfcorehdr", "kdump"))
_CRASH_TOOLS: Final = frozenset(
    {"kdump-config", "kdumpctl", "kdump-tools", "makedumpfile", "mkdumprd", "vmcore-dmesg", "crash", "kdump"}
)
_PSTORE_MODULES: Final = frozenset({"efi_pstore", "ramoops", "pstore_blk", "pstore_zone", "mtdoops"})
_PSTORE_ARGUMENTS: Final[dict[str, frozenset[str] | None]] = {
    "efi_pstore.pstore_disable": frozenset({"0", "n", "no", "off"}), "pstore.backend": None, "pstore_backend": None,
    "printk.always_kmsg_dump": frozenset({"", "1", "y", "on"}), "ramoops.mem_address": None, "ramoops.mem_size": None,
    "pstore_blk.blkdev": None, "mtdoops.mtddev": None,
}  # fmt: skip
_SWAP_PROGRAMS: Final = frozenset({"zramswap", "dphys-swapfile", "swapspace"})
_SWAP_GENERATORS: Final = frozenset({"zram-generator", "systemd-zram-generator"})


@control(
    "ZOA-801",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="No program takes core dumps",
    references=("CIS Debian Linux 12 Benchmark 1.5.3", "NIST SP 800-53 SC-28"),
)
def no_core_dump_handler(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.core_pattern in root and initrd is no pipe, but to true or false, and no absolute path;
    and neither has systemd-coredump, apport, abrt or the like.

    Why it matters: a core dump of the engine holds prompts and weights. A pipe gets it whatever the limit of the
    process is, and runs as root.

    Example: kernel.core_pattern = |/usr/lib/systemd/systemd-coredump %P %u, from package systemd-coredump.

    Fix: remove the package; kernel.core_pattern = core or |/bin/false.

    Known limits: a limit of 1 or more writes to the working directory of the process, see ZOA-802.
    """
    for area in facts.areas:
        for setting in sysctl_settings(area, "kernel.core_pattern"):
            value = setting.value or ""
            if value.startswith(("|", "/", "@")) and value not in _NOWHERE:
                message = f"hands core dumps to {value.split()[0]}"
                yield about_name(area, "kernel.core_pattern", message, (setting.origin, f"{setting.key} = {value}"))
        for file in area.files:
            if file.is_executable and file.name in _DUMPERS:
                yield about_path(area, file.path, "takes core dumps", f"mode {file.mode:04o}")
    arguments = {"sysctl.kernel.core_pattern": None, "sysctl.kernel/core_pattern": None}
    yield from refused_arguments(facts, arguments, "says where core dumps go")


@control(
    "ZOA-802",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="No service can dump core",
    references=("CIS Debian Linux 12 Benchmark 1.5.3",),
)
def no_core_limit(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the last DefaultLimitCORE= of the root's system.conf and its drop-ins is 0, hard limit included,
    and no unit of the root has another LimitCORE=.

    Why it matters: a service may raise its soft limit up to the hard one, and dump what it has in memory.

    Example: Debian's 10-coredump-debian.conf sets 0:infinity, and comes after 10-bedplate.conf.

    Fix: DefaultLimitCORE=0 in a drop-in that comes last, such as 99-bedplate.conf.

    Known limits: a process with CAP_SYS_RESOURCE can raise the hard limit; pam_limits is not looked at.
    """
    held = daemon_settings(facts.root, "system.conf", "DefaultLimitCORE")
    if not held:
        message = "has no DefaultLimitCORE=0, so services may dump core"
        yield about_name(facts.root, "system.conf", message, ("/etc/systemd/system.conf", "not set"))
    elif held[-1].value not in _NO_CORE:
        value = f"DefaultLimitCORE={held[-1].value}"
        yield about_name(facts.root, "system.conf", "lets services dump core", (held[-1].origin, value))
    for unit in facts.root.systemd.units:
        limits = [setting for setting in unit.settings if setting.key == "LimitCORE"]
        if limits and limits[-1].value not in _NO_CORE and unit.masked_by is None:
            value = f"LimitCORE={limits[-1].value}"
            yield about_name(facts.root, unit.name, "may dump core", (limits[-1].origin, value))


@control(
    "ZOA-803",
    door=Door.LEAKS,
    severity=Severity.MEDIUM,
    title="Programs that gained rights do not dump core",
    references=("CIS Debian Linux 12 Benchmark 1.5.3", "KSPP fs.suid_dumpable=0"),
)
def no_privileged_dumps(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: fs.suid_dumpable is 0 in sysctl.d.

    Why it matters: such a dump holds what its user may not read.

    Example: systemd-coredump's own sysctl file sets it to 2.

    Fix: fs.suid_dumpable = 0 in /usr/lib/sysctl.d.

    Known limits: none known.
    """
    yield from required_sysctl(facts, "fs.suid_dumpable", ("0",), "programs that gained rights dump core")


@control(
    "ZOA-804",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="There is no swap",
    references=("NIST SP 800-53 SC-28",),
)
def no_swap(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no swap unit that is not masked, no swap in fstab, no partition for swap, no zram generator or
    zram configuration, no zswap, and no systemd.swap-extra= on the command line.

    Why it matters: swap holds memory, with prompts and keys, on a disk; compressed swap keeps copies that nobody
    clears.

    Example: /dev/disk/by-label/swap none swap sw, in fstab.

    Fix: remove it; a node that has too little memory should fail.

    Known limits: a hypervisor may swap the memory of its guests.
    """
    for area in facts.areas:
        for mount in area.configuration.mounts:
            if mount.type == "swap":
                name = mount.unit or f"{mount.origin.path}:{mount.what}"
                yield about_name(area, name, f"swaps to {mount.what}", (mount.origin, mount.what))
        yield from _swap_makers(area)
    for partition in facts.disk.partitions if facts.disk else ():
        if partition.type == "swap":
            evidence = Evidence(source="disk", path=f"partition {partition.number}", value=partition.label)
            yield Finding(subject=f"disk:{partition.number}:swap", message="is for swap", evidence=(evidence,))
    names = {"systemd.swap_extra": None, "zswap.enabled": frozenset({"1", "y", "yes", "on", ""})}
    yield from refused_arguments(facts, names, "sets swap up", also_init=True)


@control(
    "ZOA-805",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="No crash kernel takes the memory of a panic",
    references=("NIST SP 800-53 SC-28",),
)
def no_crash_kernel(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has crashkernel=, fadump= or the like; root and initrd have no program of kdump, and
    the start brings in no unit of that name.

    Why it matters: a crash kernel writes the whole memory to a disk or over the network.

    Example: crashkernel=256M, taken over from a distribution's default.

    Fix: remove the argument and the package kdump-tools.

    Known limits: a hypervisor can dump the memory of a guest without its help.
    """
    yield from refused_arguments(facts, _CRASH_ARGUMENTS, "makes room for a kernel that dumps memory")
    for area in facts.areas:
        for file in area.files:
            if file.is_executable and file.name in _CRASH_TOOLS:
                yield about_path(area, file.path, "takes dumps of the kernel", f"mode {file.mode:04o}")
        for unit in area.systemd.units:
            if unit.pulled_in_by and unit.name.startswith(("kdump", "fadump")):
                yield about_started(area, unit, "takes dumps of the kernel")


@control(
    "ZOA-806",
    door=Door.LEAKS,
    severity=Severity.MEDIUM,
    title="Kernel messages are not kept over a restart",
    references=("NIST SP 800-53 SC-28", "NIST SP 800-53 SI-11"),
    needs=("uki",),
)
def no_persistent_messages(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the start does not bring in systemd-pstore; efi_pstore, ramoops and the like, where they are
    modules of root or initrd, are turned off or not loaded by name; and no argument turns a store on.

    Why it matters: at a panic the kernel writes its messages to UEFI variables or reserved memory, which the host reads
    and the next boot gets.

    Example: systemd-pstore.service, which loads efi_pstore at each boot.

    Fix: remove systemd-pstore.service and the module efi-pstore, or efi_pstore.pstore_disable=1 on the command line.

    Known limits: stores that are built into the kernel, such as ACPI ERST, are not seen.
    """
    switches = [kernel_arguments(profile, "efi_pstore.pstore_disable") for profile in profiles(facts)]
    is_off = all(found and found[-1].value in _YES for found in switches)
    for area in facts.areas:
        for unit in area.systemd.units:
            if unit.pulled_in_by and unit.name == "systemd-pstore.service":
                yield about_started(area, unit, "keeps what a panic left, and loads the stores")
        for module in area.kernel.modules:
            if module.name == "efi_pstore" and module.path is not None and not is_off:
                message = "writes messages of a panic to UEFI variables once udev loads it"
                yield about_path(area, module.path, message, "no efi_pstore.pstore_disable=1")
        for load in area.configuration.modules_load:
            if load.name.replace("-", "_") in _PSTORE_MODULES:
                yield about_name(area, load.name, "is loaded at boot and keeps messages", (load.origin, load.name))
    yield from refused_arguments(facts, _PSTORE_ARGUMENTS, "keeps messages of the kernel over a restart")


def _swap_makers(area: Area) -> Iterator[Finding]:
    for generator in area.systemd.generators:
        if generator.name in _SWAP_GENERATORS and not generator.masked:
            yield about_path(area, generator.path, "makes swap at boot")
    for file in area.files:
        if file.is_executable and file.name in _SWAP_PROGRAMS and "-generators/" not in file.path:
            yield about_path(area, file.path, "makes swap", f"mode {file.mode:04o}")
    for load in area.configuration.modules_load:
        if load.name == "zram":
            yield about_name(area, "zram", "is loaded at boot", (load.origin, load.name))


CONTROLS = (
    no_core_dump_handler, no_core_limit, no_privileged_dumps, no_swap, no_crash_kernel, no_persistent_messages,
)  # fmt: skip
