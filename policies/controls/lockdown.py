"""Door "integrity": the kernel protects itself from whoever became root."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.effective import (
    about_argument,
    daemon_settings,
    kernel_arguments,
    profiles,
    refused_arguments,
    required_argument,
    required_sysctl,
)
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts, Mount
    from policies.finding import Finding

_LOCKED: Final = ("integrity", "confidentiality")
# Linux lib/kstrtox.c, kstrtobool, and a bare name.
_YES: Final = (None, "1", "y", "Y", "yes", "t", "T", "true", "on", "On", "ON")
_OFF: Final = frozenset({"0", "n", "no", "off", "false", "f"})
_ON: Final = frozenset({"", "1", "y", "yes", "on", "true", "t"})
_KEXEC_TOOLS: Final = frozenset({"kexec", "kexec-tools", "vmcore-dmesg", "kdump-config", "kdumpctl"})
_HIBERNATING: Final = frozenset(
    {
        "hibernate.target", "hybrid-sleep.target", "suspend-then-hibernate.target", "systemd-hibernate.service",
        "systemd-hybrid-sleep.service", "systemd-suspend-then-hibernate.service", "systemd-hibernate-resume.service",
    }
)  # fmt: skip
_KERNEL_VIEWS: Final = frozenset({"debugfs", "tracefs"})
# systemd src/shared/mount-setup.c and its mount units: where the kernel's other file systems belong, and controls look
# for what is written into them. One mounted elsewhere is the same once more.
_STANDARD_POINTS: Final = {
    "proc": "/proc", "sysfs": "/sys", "devtmpfs": "/dev", "devpts": "/dev/pts", "cgroup2": "/sys/fs/cgroup",
    "securityfs": "/sys/kernel/security", "configfs": "/sys/kernel/config", "bpf": "/sys/fs/bpf",
    "binfmt_misc": "/proc/sys/fs/binfmt_misc", "efivarfs": "/sys/firmware/efi/efivars", "pstore": "/sys/fs/pstore",
    "fusectl": "/sys/fs/fuse/connections", "mqueue": "/dev/mqueue",
}  # fmt: skip
# Of version 1, each controller has its own below this.
_CONTROLLERS: Final = "/sys/fs/cgroup/"
_TYPES: Final = re.compile(r"[\w.-]*")
_MODULE_PLACES: Final = ("extra", "updates", "weak-updates", "dkms", "extramodules", "misc")
# Documentation/admin-guide/kernel-parameters.txt and hw-vuln/.
_MITIGATIONS: Final[dict[str, frozenset[str] | None]] = {
    "mitigations": frozenset({"off"}),
    "nopti": None, "pti": _OFF, "nospectre_v1": None, "nospectre_v2": None, "nospectre_bhb": None,
    "spectre_v2": _OFF, "spectre_v2_user": _OFF, "spectre_bhi": _OFF, "spec_store_bypass_disable": _OFF,
    "nospec_store_bypass_disable": None, "l1tf": frozenset({"off"}), "mds": _OFF, "tsx_async_abort": _OFF,
    "srbds": _OFF, "mmio_stale_data": _OFF, "retbleed": _OFF, "spec_rstack_overflow": _OFF,
    "gather_data_sampling": _OFF, "reg_file_data_sampling": _OFF, "indirect_target_selection": _OFF, "tsa": _OFF,
    "vmscape": _OFF, "ssbd": frozenset({"force-off"}), "kvm.nx_huge_pages": _OFF, "kvm_intel.vmentry_l1d_flush":
    frozenset({"never"}), "kpti": _OFF, "no_entry_flush": None, "no_uaccess_flush": None, "no_stf_barrier": None,
}  # fmt: skip
_WEAKENED: Final[dict[str, frozenset[str] | None]] = {
    "initcall_blacklist": None,
    "nokaslr": None, "nosmep": None, "nosmap": None, "noexec": _OFF, "noexec32": _OFF, "norandmaps": None,
    "rodata": _OFF, "hardened_usercopy": _OFF, "slub_debug": frozenset({"-"}), "init_on_alloc": _OFF,
    "init_on_free": _OFF, "slab_merge": None, "vsyscall": frozenset({"native", "emulate"}),
    "iomem": frozenset({"relaxed"}), "module.sig_enforce": _OFF, "no_hash_pointers": None,
    "hash_pointers": frozenset({"never"}), "nofsgsbase": None, "clearcpuid": None, "unsafe_fsgsbase": _ON,
    "page_alloc.shuffle": _OFF, "randomize_kstack_offset": _OFF,
    "cfi": frozenset({"off", "warn"}), "ibt": _OFF,
    "no_user_shstk": None, "nousershstk": None, "nopku": None,
    "proc_mem.force_override": frozenset({"always"}),
    "msr.allow_writes": _ON,
}  # fmt: skip
_MODULES_OFF: Final[dict[str, frozenset[str] | None]] = {
    "apparmor": _OFF, "selinux": _OFF, "enforcing": frozenset({"0"}), "apparmor.mode": frozenset({"complain"}),
    "security": frozenset({"none", ""}), "ima_appraise": frozenset({"off", "fix", "log"}), "evm": frozenset({"fix"}),
    "ipe.enforce": _OFF,
}  # fmt: skip
_IOMMU_OFF: Final[dict[str, frozenset[str] | None]] = {
    "iommu": frozenset({"off", "pt", "noforce"}), "intel_iommu": frozenset({"off"}),
    "amd_iommu": frozenset({"off"}), "iommu.passthrough": _ON, "iommu.strict": _OFF,
    "efi": frozenset({"no_disable_early_pci_dma"}), "arm_smmu.disable_bypass": _OFF,
}  # fmt: skip


@control(
    "ZOA-712",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="The kernel is locked down",
    references=("NIST SP 800-53 SI-7", "KSPP CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY=y"),
    needs=("uki",),
)
def kernel_is_locked_down(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every profile has lockdown=integrity or lockdown=confidentiality, and a list lsm= names lockdown.

    Why it matters: lockdown refuses /dev/mem, /dev/port, kexec of unsigned kernels, hibernation, raw access to
    registers and ACPI tables: what lets root change the running kernel.

    Example: lsm=apparmor,yama takes lockdown out although lockdown=integrity is there.

    Fix: lockdown=integrity on the command line.

    Known limits: with "integrity" root can still read kernel memory by BPF and perf, which other controls close.
    Whether the kernel was built with lockdown is not known unless its configuration is in the image.
    """
    yield from required_argument(facts, "lockdown", _LOCKED, "root could change the running kernel")
    for profile in profiles(facts):
        for argument in kernel_arguments(profile, "lsm"):
            if "lockdown" not in (argument.value or "").split(","):
                yield about_argument(profile, argument, "takes lockdown out of the security modules")


@control(
    "ZOA-713",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="The kernel loads only modules that are signed",
    references=("NIST SP 800-53 CM-14", "KSPP CONFIG_MODULE_SIG_FORCE=y"),
    needs=("uki",),
)
def modules_are_signed(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every profile has module.sig_enforce=1 and no other value of it, and no module lies in a
    directory for modules that are not of the kernel's own build: extra, updates, dkms and the like.

    Why it matters: a module is kernel code. Whoever can load one of his own owns the machine.

    Example: /usr/lib/modules/6.12.0/updates/dkms/spy.ko.

    Fix: module.sig_enforce=1 on the command line; build modules with the kernel and sign them with its key.

    Known limits: the signatures themselves are not checked here, the kernel does that.
    """
    yield from required_argument(facts, "module.sig_enforce", _YES, "the kernel would load unsigned modules")
    for area in facts.areas:
        for module in area.kernel.modules:
            place = "" if module.path is None else module.path.partition(f"/modules/{module.release}/")[2]
            if module.path is not None and place.split("/")[0] in _MODULE_PLACES:
                yield about_path(area, module.path, "is a module that is not of the kernel's own build")


@control(
    "ZOA-714",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="No other kernel can be started",
    references=("NIST SP 800-53 SI-7(15)", "KSPP kernel.kexec_load_disabled=1"),
)
def no_kexec(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.kexec_load_disabled is 1, and root and initrd have no kexec program and no unit that
    starts one at boot.

    Why it matters: kexec starts a kernel that firmware and TPM never saw, with PCRs that still show the good one.

    Example: /usr/sbin/kexec from the package kexec-tools.

    Fix: kernel.kexec_load_disabled = 1 in sysctl.d; remove kexec-tools.

    Known limits: between start and systemd-sysctl only lockdown and signatures stand in the way.
    """
    yield from required_sysctl(facts, "kernel.kexec_load_disabled", ("1",), "root could start another kernel")
    for area in facts.areas:
        for file in area.files:
            if file.is_executable and file.name in _KEXEC_TOOLS:
                yield about_path(area, file.path, "loads or starts another kernel", f"mode {file.mode:04o}")
        for unit in area.systemd.units:
            if unit.pulled_in_by and unit.name in {"kexec.target", "systemd-kexec.service", "kexec-load.service"}:
                yield about_name(
                    area, unit.name, "is started at boot", (unit.path or "", " > ".join(unit.pulled_in_by))
                )


@control(
    "ZOA-715",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="The machine does not hibernate or resume",
    references=("NIST SP 800-53 SC-28", "KSPP CONFIG_HIBERNATION is not set"),
)
def no_hibernation(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has resume=, resume_offset= or hibernate= other than "no" or "noresume", sleep.conf
    does not allow what is off by default, and the start brings in no unit that hibernates or resumes.

    Why it matters: hibernation writes the whole memory, with prompts, keys and weights, to a disk, and resuming takes
    a kernel and programs from there that nobody measured.

    Example: resume=/dev/vda5 on the command line.

    Fix: remove the argument; nohibernate on the command line.

    Known limits: a hypervisor can write the memory of a machine to a disk without its help.
    """
    names = dict.fromkeys(("resume", "resume_offset", "resumewait", "resumedelay", "rd.resume"))
    yield from refused_arguments(facts, names, "names an image of memory to resume from", also_init=True)
    for profile in profiles(facts):
        for argument in kernel_arguments(profile, "hibernate"):
            if argument.value not in {"no", "noresume"}:
                yield about_argument(profile, argument, "sets hibernation up")
    for area in facts.areas:
        for setting in daemon_settings(area, "sleep.conf", "AllowHibernation"):
            if setting.value.lower() not in _OFF:
                value = f"{setting.key}={setting.value}"
                yield about_name(area, "sleep.conf", "allows hibernation", (setting.origin, value))
        for unit in area.systemd.units:
            if unit.pulled_in_by and unit.name in _HIBERNATING:
                yield about_name(
                    area, unit.name, "is started at boot", (unit.path or "", " > ".join(unit.pulled_in_by))
                )


@control(
    "ZOA-716",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="No view into the kernel is mounted for debugging or a second time",
    references=("NIST SP 800-53 CM-7",),
)
def no_kernel_views(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no mount unit, drop-in or line of fstab, masked ones aside, for debugfs or
    tracefs; none for proc, sysfs, devtmpfs, devpts, cgroup, cgroup2, securityfs, configfs, bpf, binfmt_misc, efivarfs,
    pstore, fusectl or mqueue but where systemd has them; none whose type is a list or has a specifier that is not known
    from the image; and none with the option release_agent=.

    Why it matters: debugfs has no rules about what drivers put there, and tracefs shows what every process does; under
    lockdown=integrity both remain in part. A second /proc is one that no control looks for in tmpfiles.d, and a release
    agent is a program that the kernel starts.

    Example: systemd's own sys-kernel-debug.mount, which sysinit.target wants.

    Fix: remove sys-kernel-debug.mount and sys-kernel-tracing.mount from the image.

    Known limits: root can mount them by hand unless the command line has debugfs=off (see ZOA-731).
    """
    for area in facts.areas:
        for mount in area.configuration.mounts:
            if _is_kernel_view(mount):
                name = mount.unit or f"{mount.origin.path}:{mount.where}"
                value = f"{mount.type} on {mount.where} ({','.join(mount.options) or 'defaults'})"
                yield about_name(area, name, f"mounts {mount.type} on {mount.where}", (mount.origin, value))


@control(
    "ZOA-717",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="No argument turns off mitigations of processor flaws",
    references=("NIST SP 800-53 SC-39", "KSPP mitigations=auto,nosmt"),
)
def mitigations_are_on(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has mitigations=off or an argument that turns off a single one: nopti, nospectre_v2,
    mds=off, retbleed=off and the like.

    Why it matters: on a machine that is shared with others these flaws let a neighbour or a guest read memory.

    Example: mitigations=off, taken over from a benchmark.

    Fix: remove the argument; the kernel's default is what the processor needs.

    Known limits: arguments that the kernel does not know yet are not in the list.
    """
    yield from refused_arguments(facts, _MITIGATIONS, "turns off a mitigation of a flaw of processors")


@control(
    "ZOA-718",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="No argument weakens the kernel's protection of itself",
    references=("NIST SP 800-53 SI-16", "KSPP slab_nomerge", "KSPP init_on_alloc=1", "KSPP hardened_usercopy=1"),
)
def protections_are_on(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has an argument that turns off address randomization, read-only kernel data, SMEP or
    SMAP, checks of copies, initialized memory, hashed pointers, signatures of modules, or that opens /dev/mem, nor
    initcall_blacklist=, which leaves out any part of the kernel.

    Why it matters: each turns a small flaw of the kernel into a way in.

    Example: nokaslr or iomem=relaxed, left from debugging.

    Fix: remove the argument.

    Known limits: arguments that the kernel does not know yet are not in the list.
    """
    yield from refused_arguments(facts, _WEAKENED, "weakens what the kernel does to protect itself")


@control(
    "ZOA-719",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="No argument turns off security modules or appraisal",
    references=("NIST SP 800-53 AC-3(3)",),
)
def security_modules_are_on(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has selinux=0, enforcing=0, apparmor=0, security=none, ima_appraise=off, fix or log,
    or another argument that turns off a security module that the kernel has.

    Why it matters: services of the image may rely on these modules; an appraisal that is "fix" signs what it finds.

    Example: ima_appraise=fix, left from labelling the files.

    Fix: remove the argument.

    Known limits: whether a policy is loaded, and what it allows, is not looked at.
    """
    yield from refused_arguments(facts, _MODULES_OFF, "turns off a security module or its appraisal")


@control(
    "ZOA-720",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="No argument turns off the IOMMU",
    references=("NIST SP 800-53 SC-39", "KSPP iommu.passthrough=0"),
)
def iommu_is_on(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has iommu=off or pt, intel_iommu=off, amd_iommu=off, iommu.passthrough=1 or
    efi=no_disable_early_pci_dma.

    Why it matters: without an IOMMU a device, or firmware on it, reads and writes all memory.

    Example: iommu=pt, taken over from a guide for network cards.

    Fix: remove the argument.

    Known limits: that an IOMMU is there and on is not asked for: most cloud machines have none.
    """
    yield from refused_arguments(facts, _IOMMU_OFF, "lets devices reach memory past the IOMMU")


def _is_kernel_view(mount: Mount) -> bool:
    """Whether a mount is one of debugfs or tracefs, or a second one of what the kernel shows, or makes it a second."""
    kind = mount.type or ""
    if kind in _KERNEL_VIEWS or mount.where.startswith("/sys/kernel/debug") or not _TYPES.fullmatch(kind):
        return True
    is_second = mount.where != _STANDARD_POINTS.get(kind, mount.where)
    is_controller = kind == "cgroup" and not mount.where.startswith(_CONTROLLERS)
    return is_second or is_controller or any("release_agent" in option for option in mount.options)


CONTROLS = (
    kernel_is_locked_down, modules_are_signed, no_kexec, no_hibernation, no_kernel_views, mitigations_are_on,
    protections_are_on, security_modules_are_on, iommu_is_on,
)  # fmt: skip
