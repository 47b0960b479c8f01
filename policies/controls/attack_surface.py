"""Door "integrity": parts of the kernel that a node does not use and that had many flaws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.effective import required_argument, required_sysctl
from policies.finding import Evidence, Finding, about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, KernelModule

_PROTOCOLS: Final = frozenset(
    {
        "dccp", "sctp", "rds", "tipc", "n_hdlc", "x25", "ax25", "netrom", "rose", "decnet", "econet", "af_802154",
        "ipx", "appletalk", "psnap", "p8023", "p8022", "can", "atm", "nfc", "phonet", "caif", "l2tp_core", "af_key",
        "kcm", "smc", "qrtr", "hsr", "batman_adv", "slip", "ppp_generic", "n_gsm",
    }
)  # fmt: skip
_FILE_SYSTEMS: Final = frozenset(
    {
        "cramfs", "freevxfs", "jffs2", "hfs", "hfsplus", "udf", "affs", "befs", "bfs", "efs", "hpfs", "minix", "nilfs2",
        "ntfs", "ntfs3", "ocfs2", "omfs", "qnx4", "qnx6", "romfs", "sysv", "ufs", "vxfs", "reiserfs", "jfs", "gfs2",
        "ksmbd", "cifs", "orangefs", "coda", "afs", "ceph", "9p", "exfat", "isofs", "zonefs", "adfs",
    }
)  # fmt: skip
_BUSES: Final = frozenset(
    {
        "firewire_core", "firewire_ohci", "firewire_sbp2", "thunderbolt", "usb_storage", "uas", "bluetooth", "pcmcia",
        "floppy", "vivid", "joydev", "parport", "ppdev", "usbip_core", "usbip_host", "vhci_hcd", "dummy_hcd",
    }
)  # fmt: skip
_REFUSES: Final = ("/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true")
# What the arguments and sysctls of the other controls rely on; without the option they do nothing.
_CONFIGURED: Final = (
    "CONFIG_SECURITY_LOCKDOWN_LSM", "CONFIG_SECURITY_LOCKDOWN_LSM_EARLY", "CONFIG_SECURITY_YAMA", "CONFIG_MODULE_SIG",
    "CONFIG_STRICT_KERNEL_RWX", "CONFIG_STRICT_MODULE_RWX", "CONFIG_STACKPROTECTOR_STRONG", "CONFIG_RANDOMIZE_BASE",
    "CONFIG_SECCOMP_FILTER", "CONFIG_HARDENED_USERCOPY", "CONFIG_SLAB_FREELIST_RANDOM",
    "CONFIG_SLAB_FREELIST_HARDENED", "CONFIG_VMAP_STACK", "CONFIG_STRICT_DEVMEM",
)  # fmt: skip
_UNCONFIGURED: Final = (
    "CONFIG_DEVKMEM", "CONFIG_ACPI_CUSTOM_METHOD", "CONFIG_COMPAT_BRK",
    "CONFIG_LEGACY_TIOCSTI", "CONFIG_KGDB", "CONFIG_PROC_VMCORE", "CONFIG_MODULE_FORCE_LOAD",
)  # fmt: skip
_KEEPS: Final = (Parameter("allowed", (), "Modules that the image needs."),)


@control(
    "ZOA-731",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="debugfs is off",
    references=("NIST SP 800-53 CM-7",),
    needs=("uki",),
)
def debugfs_is_off(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every profile has debugfs=off or debugfs=no-mount.

    Why it matters: without a unit that mounts it root still could; with "off" the kernel does not have it.

    Example: the argument is not there.

    Fix: debugfs=off on the command line.

    Known limits: "no-mount" still lets the kernel use it inside.
    """
    yield from required_argument(facts, "debugfs", ("off", "no-mount"), "root can mount debugfs")


@control(
    "ZOA-732",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Memory is cleared before it is given out",
    references=("KSPP init_on_alloc=1",),
    needs=("uki",),
)
def memory_is_cleared(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every profile has init_on_alloc=1.

    Why it matters: what the kernel did not clear holds what the last owner had, such as a prompt.

    Example: init_on_alloc=0, for speed.

    Fix: init_on_alloc=1 on the command line.

    Known limits: freed memory keeps its content until then; init_on_free=1 would clear it at a higher price.
    """
    yield from required_argument(facts, "init_on_alloc", ("1", "on", "y"), "memory is given out as it was left")


@control(
    "ZOA-733",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Kernel caches are not merged and there is no vsyscall page",
    references=("KSPP slab_nomerge", "KSPP vsyscall=none"),
    needs=("uki",),
)
def caches_are_separate(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every profile has slab_nomerge and vsyscall=none.

    Why it matters: in merged caches an overflow of one kind of object reaches others; the vsyscall page is code at a
    fixed address.

    Example: neither is there.

    Fix: slab_nomerge vsyscall=none on the command line.

    Known limits: vsyscall= means something on x86-64 only.
    """
    yield from required_argument(facts, "slab_nomerge", (None, ""), "kernel objects of different kinds share caches")
    yield from required_argument(facts, "vsyscall", ("none",), "there is code at a fixed address")


@control(
    "ZOA-734",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="io_uring is off",
    references=("NIST SP 800-53 CM-7",),
)
def io_uring_is_off(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.io_uring_disabled is 2 in sysctl.d, or 1, which leaves it to root and one group.

    Why it matters: io_uring had more flaws than most parts of the kernel, and system call filters do not see what it
    does.

    Example: the sysctl is not set.

    Fix: kernel.io_uring_disabled = 2 in /usr/lib/sysctl.d, if the engine does not use it.

    Known limits: kernels older than 6.6 do not have the sysctl.
    """
    yield from required_sysctl(facts, "kernel.io_uring_disabled", ("1", "2"), "any user can use io_uring")


@control(
    "ZOA-735",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Rare network protocols are not there",
    references=("CIS Debian Linux 12 Benchmark 3.2", "NIST SP 800-53 CM-7"),
    parameters=_KEEPS,
)
def no_rare_protocols(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no loadable module of dccp, sctp, rds, tipc, x25, ax25, can, atm and other
    protocols that a node does not speak, unless modprobe.d installs false or true in its place.

    Why it matters: a socket() call of any user loads the module, and these are code that few looked at.

    Example: rds.ko in /usr/lib/modules.

    Fix: remove the module, or `install rds /bin/false` in modprobe.d; "blacklist" does not keep a name from loading.

    Known limits: protocols that are built in cannot be removed and are not found.
    """
    yield from _present(facts, _PROTOCOLS - set(parameters["allowed"]), "is a protocol that a node does not speak")


@control(
    "ZOA-736",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Rare file systems are not there",
    references=("CIS Debian Linux 12 Benchmark 1.1.1", "NIST SP 800-53 CM-7"),
    parameters=_KEEPS,
)
def no_rare_file_systems(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no loadable module of cramfs, hfs, jffs2, udf, ntfs, 9p, cifs and other file
    systems that a node does not mount, unless modprobe.d installs false or true in its place.

    Why it matters: a crafted disk is input for code that few looked at.

    Example: hfsplus.ko in /usr/lib/modules.

    Fix: remove the module, or `install hfsplus /bin/false` in modprobe.d.

    Known limits: file systems that are built in cannot be removed and are not found.
    """
    yield from _present(facts, _FILE_SYSTEMS - set(parameters["allowed"]), "is a file system that a node does not use")


@control(
    "ZOA-737",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Buses to the outside are not there",
    references=("CIS Debian Linux 12 Benchmark 1.1.1.9", "NIST SP 800-53 SC-41"),
    parameters=_KEEPS,
)
def no_outside_buses(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no loadable module for FireWire, Thunderbolt, USB storage, USB over IP,
    Bluetooth, PCMCIA, floppies or parallel ports, unless modprobe.d installs false or true in its place.

    Why it matters: somebody at the machine, or its hypervisor, plugs something in, and FireWire reads all memory.

    Example: usb-storage.ko in /usr/lib/modules.

    Fix: remove the module, or `install usb_storage /bin/false` in modprobe.d.

    Known limits: drivers that are built in cannot be removed and are not found.
    """
    yield from _present(facts, _BUSES - set(parameters["allowed"]), "is a driver for what is plugged in from outside")


@control(
    "ZOA-738",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="The kernel is built with what its arguments rely on",
    references=("KSPP CONFIG_HARDENED_USERCOPY=y",),
)
def kernel_is_configured(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd has the kernel's configuration, lockdown, Yama, signatures of modules,
    read-only kernel memory, stack protection, randomization, seccomp and hardened caches are built in, and /dev/kmem,
    custom ACPI methods, TIOCSTI, kgdb and the forced loading of modules are not.

    Why it matters: an argument for what the kernel does not have is passed over without a word.

    Example: lockdown=integrity with a kernel that has no CONFIG_SECURITY_LOCKDOWN_LSM.

    Fix: take a kernel that is built with them.

    Known limits: most images do not have the configuration, and then nothing is checked.
    """
    for area in facts.areas:
        values = area.kernel.configuration
        path = area.kernel.configuration_path
        if values is None or path is None:
            continue
        for name in _CONFIGURED:
            if values.get(name) != "y":
                yield about_name(area, name, "is not built in", (path, f"{name}={values.get(name, 'n')}"))
        for name in _UNCONFIGURED:
            if values.get(name, "n") != "n":
                yield about_name(area, name, "is built in", (path, f"{name}={values[name]}"))


def _present(facts: Facts, names: frozenset[str], message: str) -> Iterator[Finding]:
    for area in facts.areas:
        refused = {
            line.module.replace("-", "_")
            for line in area.configuration.modprobe
            if line.directive == "install" and "/modprobe.d/" in line.origin.path and _refuses(line.rest)
        }
        for module in area.kernel.modules:
            if module.path is not None and module.name in names and module.name not in refused:
                yield _about(area, module, message)


def _refuses(command: str) -> bool:
    return "".join(command.split()[:1]) in _REFUSES


def _about(area: Area, module: KernelModule, message: str) -> Finding:
    """A finding about a module by its name: the path has the kernel's release, which changes with every update."""
    evidence = Evidence(source=area.name, path=module.path or "", value=module.release)
    return Finding(subject=f"{area.name}:{module.name}", message=message, evidence=(evidence,))


CONTROLS = (
    debugfs_is_off, memory_is_cleared, caches_are_separate, io_uring_is_off, no_rare_protocols, no_rare_file_systems,
    no_outside_buses, kernel_is_configured,
)  # fmt: skip
