"""Door "integrity": sysctls that keep one process from the kernel and from other processes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._kept_units import changes, covered, runs, stopped_by
from policies.effective import about_argument, profiles, required_sysctl, sysctl_settings
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

_SYSCTL: Final = "systemd-sysctl.service"
_PARAMETERS: Final = re.compile(r"/proc/sys(?!/fs/binfmt_misc$)(?:/.*)?")
_MASKS: Final = frozenset({"systemd.mask", "rd.systemd.mask"})


@control(
    "ZOA-721",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="Only root can load BPF programs, and the compiler for them is hardened",
    references=("KSPP kernel.unprivileged_bpf_disabled=1", "KSPP net.core.bpf_jit_harden=2"),
)
def bpf_is_restricted(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.unprivileged_bpf_disabled is 1 or 2 and net.core.bpf_jit_harden is 2 in sysctl.d.

    Why it matters: flaws of the BPF verifier and its compiler gave kernel rights to any user more than once.

    Example: neither is set, and the kernel's default lets users load socket filters of their own.

    Fix: set both in /usr/lib/sysctl.d.

    Known limits: root may still load BPF programs; lockdown=confidentiality would refuse those that read memory.
    """
    yield from required_sysctl(facts, "kernel.unprivileged_bpf_disabled", ("1", "2"), "any user can load BPF programs")
    yield from required_sysctl(facts, "net.core.bpf_jit_harden", ("2",), "constants of BPF programs are not blinded")


@control(
    "ZOA-722",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="Processes cannot trace each other",
    references=("KSPP kernel.yama.ptrace_scope=3", "CIS Debian Linux 12 Benchmark 1.5.2"),
)
def ptrace_is_restricted(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.yama.ptrace_scope is 2 or 3 in sysctl.d.

    Why it matters: who can trace the engine reads prompts and weights out of its memory.

    Example: ptrace_scope is 1, and a child of the engine is its way to the parent's memory.

    Fix: kernel.yama.ptrace_scope = 3 in /usr/lib/sysctl.d.

    Known limits: with 2 a process with CAP_SYS_PTRACE still may; a kernel without Yama ignores it.
    """
    yield from required_sysctl(facts, "kernel.yama.ptrace_scope", ("2", "3"), "processes can trace each other")


@control(
    "ZOA-723",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Only root can handle page faults of the kernel",
    references=("KSPP vm.unprivileged_userfaultfd=0",),
)
def userfaultfd_is_restricted(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: vm.unprivileged_userfaultfd is 0 in sysctl.d.

    Why it matters: who can stop the kernel at a page fault wins races that otherwise cannot be won.

    Example: it is 1, for live migration with QEMU.

    Fix: vm.unprivileged_userfaultfd = 0 in /usr/lib/sysctl.d.

    Known limits: faults of user space can still be handled; /dev/userfaultfd has permissions of its own.
    """
    yield from required_sysctl(facts, "vm.unprivileged_userfaultfd", ("0",), "any user can stop the kernel at a fault")


@control(
    "ZOA-724",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Users cannot watch the kernel with perf",
    references=("KSPP kernel.perf_event_paranoid=3",),
)
def perf_is_restricted(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.perf_event_paranoid is 2 or more in sysctl.d.

    Why it matters: counters and samples of the kernel and other processes show secrets through side channels.

    Example: it is -1, taken over from a guide to profiling.

    Fix: kernel.perf_event_paranoid = 3 in /usr/lib/sysctl.d.

    Known limits: 3 and 4 mean more than 2 only to kernels with the patch of Debian, Ubuntu or Android.
    """
    yield from required_sysctl(facts, "kernel.perf_event_paranoid", ("2", "3", "4"), "users can watch the kernel")


@control(
    "ZOA-725",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Users see no kernel messages and no kernel addresses",
    references=("KSPP kernel.dmesg_restrict=1", "KSPP kernel.kptr_restrict=2", "NIST SP 800-53 SI-11"),
)
def kernel_addresses_are_hidden(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.dmesg_restrict is 1 and kernel.kptr_restrict is 1 or 2 in sysctl.d.

    Why it matters: an address of the kernel defeats the randomization of all others.

    Example: kptr_restrict is not set, and /proc/kallsyms has addresses.

    Fix: set both in /usr/lib/sysctl.d.

    Known limits: services with CAP_SYSLOG still see them.
    """
    yield from required_sysctl(facts, "kernel.dmesg_restrict", ("1",), "any user can read kernel messages")
    yield from required_sysctl(facts, "kernel.kptr_restrict", ("1", "2"), "any user can read kernel addresses")


@control(
    "ZOA-726",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="Address spaces are randomized",
    references=("CIS Debian Linux 12 Benchmark 1.5.1", "NIST SP 800-53 SI-16"),
)
def address_spaces_are_randomized(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.randomize_va_space is 2 in sysctl.d.

    Why it matters: with fixed addresses a flaw of the engine is a program of the attacker.

    Example: it is 0, left from debugging.

    Fix: kernel.randomize_va_space = 2 in /usr/lib/sysctl.d.

    Known limits: programs that are not position independent keep one address.
    """
    yield from required_sysctl(facts, "kernel.randomize_va_space", ("2",), "addresses can be guessed")


@control(
    "ZOA-727",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Links, FIFOs and files in shared directories are protected",
    references=("KSPP fs.protected_symlinks=1", "KSPP fs.protected_hardlinks=1", "KSPP fs.protected_fifos=2"),
)
def links_are_protected(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: fs.protected_symlinks and fs.protected_hardlinks are 1, fs.protected_fifos and
    fs.protected_regular are 1 or 2 in sysctl.d.

    Why it matters: in /tmp one user's service could otherwise lead another's to write where the first wants.

    Example: none is set, because the distribution's file with them was removed.

    Fix: set all four in /usr/lib/sysctl.d.

    Known limits: services with PrivateTmp= are safe without it.
    """
    message = "services can be tricked in shared directories"
    for name in ("symlinks", "hardlinks"):
        yield from required_sysctl(facts, f"fs.protected_{name}", ("1",), message)
    for name in ("fifos", "regular"):
        yield from required_sysctl(facts, f"fs.protected_{name}", ("1", "2"), message)


@control(
    "ZOA-728",
    door=Door.INTEGRITY,
    severity=Severity.LOW,
    title="Users cannot load terminal line disciplines",
    references=("KSPP dev.tty.ldisc_autoload=0",),
)
def line_disciplines_are_not_loaded(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: dev.tty.ldisc_autoload is 0 in sysctl.d.

    Why it matters: old line disciplines are kernel code that nobody uses and that had many flaws; any user could load
    them.

    Example: it is not set, and the kernel's default is 1.

    Fix: dev.tty.ldisc_autoload = 0 in /usr/lib/sysctl.d.

    Known limits: disciplines that are built in are there anyway.
    """
    yield from required_sysctl(facts, "dev.tty.ldisc_autoload", ("0",), "any user can load line disciplines")


@control(
    "ZOA-729",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="Users cannot make user namespaces",
    references=("KSPP user.max_user_namespaces=0",),
)
def no_user_namespaces(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: user.max_user_namespaces is 0 or kernel.unprivileged_userns_clone is 0 in sysctl.d.

    Why it matters: in a user namespace any user has all capabilities and reaches kernel code, such as packet filters
    and mounts, that only root should: most ways from a user to root of the last years began there.

    Example: neither is set, and the kernel's default allows thousands.

    Fix: kernel.unprivileged_userns_clone = 0 (kernels of Debian), or user.max_user_namespaces = 0 if no service has
    PrivateUsers=.

    Known limits: a kernel without Debian's patch has no unprivileged_userns_clone and systemd-sysctl passes over it.
    """
    keys = ("user.max_user_namespaces", "kernel.unprivileged_userns_clone")
    found = {key: sysctl_settings(facts.root, key) for key in keys}
    if any(settings and all(setting.value == "0" for setting in settings) for settings in found.values()):
        return
    origins = [(str(item.origin), f"{item.key} = {item.value}") for settings in found.values() for item in settings]
    message = "is not 0, nor is kernel.unprivileged_userns_clone: any user can make user namespaces"
    evidence = origins or [("/usr/lib/sysctl.d", "not set")]
    yield about_name(facts.root, "user.max_user_namespaces", message, *evidence)


@control(
    "ZOA-730",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="The root's sysctls are set at boot",
    references=("NIST SP 800-53 CM-6",),
)
def sysctls_are_set(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the start of the root brings in systemd-sysctl.service, which runs systemd-sysctl, is not masked,
    neither by a file nor by systemd.mask= on the command line, runs nothing else, says nothing in its file that
    systemd's does not, and nothing in drop-ins, also those for all services, but descriptions and how it is stopped. No
    other unit conflicts with it or has systemctl name it, and nothing is mounted over /proc/sys.

    Why it matters: without it all files in sysctl.d are only text. A sandbox such as ProtectKernelTunables= lets it run
    and set nothing.

    Example: /etc/systemd/system/systemd-sysctl.service is a link to /dev/null.

    Fix: remove the mask or the drop-in; sysinit.target wants the service.

    Known limits: a service that starts later can set other values.
    """
    unit = facts.root.units.get(_SYSCTL)
    if unit is None or unit.pulled_in_by is None:
        place = "no unit file" if unit is None else unit.masked_by or unit.path or "no unit file"
        yield about_name(facts.root, _SYSCTL, "is not started at boot, so sysctl.d is not applied", (place, ""))
    else:
        if [runs(program, "ExecStart", "systemd-sysctl", ()) for program in unit.programs] != [True]:
            programs = ", ".join(" ".join((item.path, *item.arguments)) for item in unit.programs) or "none"
            yield about_name(facts.root, _SYSCTL, "does not run systemd-sysctl alone", (unit.path or _SYSCTL, programs))
        for setting in changes(facts.root, unit):
            value = f"{setting.key}={setting.value}"
            message = "may be left out at boot, or kept from setting sysctls"
            yield about_name(facts.root, f"{_SYSCTL}:{setting.key}", message, (setting.origin, value))
        for other, origin, value in stopped_by(facts.root, _SYSCTL):
            yield about_name(facts.root, f"{_SYSCTL}:{other}", "is stopped or kept from starting", (origin, value))
    yield from covered(facts.root, _PARAMETERS)
    for profile in profiles(facts):
        for argument in profile.command_line.arguments if profile.command_line else ():
            if argument.name in _MASKS and argument.value in {_SYSCTL, "systemd-sysctl"}:
                yield about_argument(profile, argument, "masks the service that sets sysctls")


CONTROLS = (
    bpf_is_restricted, ptrace_is_restricted, userfaultfd_is_restricted, perf_is_restricted,
    kernel_addresses_are_hidden, address_spaces_are_randomized, links_are_protected, line_disciplines_are_not_loaded,
    no_user_namespaces, sysctls_are_set,
)  # fmt: skip
