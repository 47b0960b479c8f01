"""Door "consoles": what turns a screen, a keyboard or a serial line into a console or a debugger of the kernel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._arguments import about_argument, arguments
from policies.effective import sysctl_settings
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Origin
    from policies.finding import Finding

_EARLY: Final = frozenset({"earlycon", "earlyprintk", "keep_bootcon", "ttyprintk", "xdbc"})
_DEBUGGER_MODULES: Final = frozenset({"kgdboc", "kgdbts", "kgdbdbgp"})
_MODULE_ARGUMENTS: Final = frozenset({"modules_load", "rd.modules_load", "rd.driver.pre", "rd.driver.post"})
# Directives of modprobe.d(5) by which another module, or a device, loads those that stand behind it.
_LEADS: Final = frozenset({"alias", "softdep", "weakdep"})
_BETWEEN_WORDS: Final = re.compile(r"[\s'\";]+")
_SYSRQ: Final = "kernel.sysrq"


@control(
    "ZOA-201",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="The kernel command line names no console",
    references=("NIST SP 800-53 AC-3",),
    needs=("uki",),
)
def no_console_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has a console= argument of any kind (tty, ttyS, ttyAMA, hvc,
    netcon, uart), but console=null and an empty one, which turn consoles off.

    Why it matters: systemd-getty-generator starts a login on the kernel's consoles, emergency shells open there, and
    what the kernel and services print may hold data of users. IPMI's serial over LAN and a cloud's serial console are
    such a device, which people elsewhere reach.

    Example: console=ttyS0,115200n8 in the .cmdline section.

    Fix: remove the argument from kernel.command_line in the definition.

    Known limits: a kernel without console= still uses the first virtual terminal, or what an ACPI SPCR table or a
    device tree names on some platforms.
    """
    for placed in arguments(facts):
        if placed.name == "console" and placed.value not in {"", "null"}:
            yield about_argument(placed, "makes a device a console of the kernel")


@control(
    "ZOA-202",
    door=Door.CONSOLES,
    severity=Severity.MEDIUM,
    title="The kernel command line names no early console",
    references=("NIST SP 800-53 AC-3",),
    needs=("uki",),
)
def no_early_console(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has earlycon, earlyprintk, keep_bootcon or ttyprintk.

    Why it matters: early consoles print before the others are there, and with keep_bootcon for ever; what they print
    leaves the machine over a serial line, a USB debug port or EFI.

    Example: earlycon=uart8250,io,0x3f8 in the .cmdline section.

    Fix: remove the argument from the definition.

    Known limits: early consoles only print. A kernel that was built with a command line of its own is not seen here.
    """
    for placed in arguments(facts):
        if placed.name in _EARLY:
            yield about_argument(placed, "makes an early console")


@control(
    "ZOA-203",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="The kernel's debuggers kgdb and kdb are not set up",
    references=("NIST SP 800-53 AC-3", "NIST SP 800-53 CM-7"),
)
def no_kernel_debugger(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no argument begins with kgdb, ekgdb or kdb; root and initrd neither load kgdboc, kgdbts or
    kgdbdbgp (modules-load.d, options, aliases and dependencies in modprobe.d and modules.softdep, words of units and
    of rules of udev, modules_load=) nor write to /sys/module/kgdboc by tmpfiles.d.

    Why it matters: at a kernel debugger all memory can be read and changed, verity and lockdown included, over a
    serial line and without a password.

    Example: kgdboc=ttyS0,115200 in the .cmdline section, or a modprobe.d file with options kgdboc kgdboc=ttyS0.

    Fix: remove the argument or the line.

    Known limits: whether the kernel was built with CONFIG_KGDB is not looked at; without a device it has no way in.
    """
    for placed in arguments(facts):
        if placed.name.startswith(("kgdb", "ekgdb", "kdb")) or _asks_module(placed.name, placed.value, "kgdb"):
            yield about_argument(placed, "sets up a debugger of the kernel")
    for area in facts.areas:
        for origin, value in _requests(area, _DEBUGGER_MODULES):
            yield about_name(area, str(origin), "sets up a debugger of the kernel", (origin, value))
        for entry in area.configuration.tmpfiles:
            if entry.path.startswith("/sys/module/kgdb"):
                value = f"{entry.type} {entry.path} {entry.argument}"
                yield about_name(area, str(entry.origin), "sets up a debugger of the kernel", (entry.origin, value))


@control(
    "ZOA-204",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="The kernel does not log to the network",
    references=("NIST SP 800-53 SC-7",),
)
def no_netconsole(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no argument is netconsole= or one of its module's; root and initrd do not load the module
    netconsole (modules-load.d, options, aliases and dependencies in modprobe.d and modules.softdep, words of units and
    of rules of udev, modules_load=) and make no target of it in configfs by tmpfiles.d.

    Why it matters: netconsole sends all that the kernel and services print to another machine, unencrypted.

    Example: netconsole=6665@10.0.0.2/eth0,6666@10.0.0.1/ in the .cmdline section.

    Fix: remove the argument or the line.

    Known limits: a program that configures netconsole at run time is not seen, nor is a copy of the module by another
    name.
    """
    for placed in arguments(facts):
        if placed.name.partition(".")[0] == "netconsole" or _asks_module(placed.name, placed.value, "netconsole"):
            yield about_argument(placed, "sends what the kernel prints to the network")
    for area in facts.areas:
        for origin, value in _requests(area, frozenset({"netconsole"})):
            yield about_name(area, str(origin), "sends what the kernel prints to the network", (origin, value))
        for entry in area.configuration.tmpfiles:
            if entry.path.startswith("/sys/kernel/config/netconsole"):
                value = f"{entry.type} {entry.path}"
                yield about_name(area, str(entry.origin), "makes a target of netconsole", (entry.origin, value))


@control(
    "ZOA-205",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="Magic SysRq keys do nothing",
    references=("NIST SP 800-53 AC-3",),
)
def no_sysrq(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: kernel.sysrq is 0 while the initrd runs and while the root runs: by sysctl.kernel.sysrq=0 on
    the command line, by sysctl.d of the area, patterns of keys included, or, for the root, of the initrd before it;
    what the kernel was built with counts where nothing sets it. No argument is sysrq_always_enabled, and tmpfiles.d
    writes neither to /proc/sys/kernel/sysrq nor to /proc/sysrq-trigger. A kernel without CONFIG_MAGIC_SYSRQ is good.

    Why it matters: whoever has a keyboard or a serial line, also the host of a virtual machine, can make a kernel
    with SysRq dump its memory's state, kill processes, reboot or enter a debugger.

    Example: systemd's 50-default.conf sets 16, and nothing after it sets 0.

    Fix: add kernel.sysrq = 0 to a file of sysctl.d that comes last, in the initrd and in the root.

    Known limits: takes for granted that systemd-sysctl runs where files of sysctl.d are; the kernel's own default
    holds until the command line is read.
    """
    for placed in arguments(facts):
        if placed.name == "sysrq_always_enabled":
            yield about_argument(placed, "turns SysRq on for good")
    configuration = facts.root.kernel.configuration
    if configuration is not None and "CONFIG_MAGIC_SYSRQ" not in configuration:
        return
    value, origin = (
        (configuration or {}).get("CONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE", "1"),
        "the kernel's default, 1 where its configuration is unknown",
    )
    # Where several say something, the one that is not zero counts.
    said = [placed for placed in arguments(facts) if placed.name.replace("/", ".") == f"sysctl.{_SYSRQ}"]
    for placed in sorted(said, key=lambda placed: not _is_zero(placed.value or "")):
        value, origin = placed.value or "", f"command line: {placed.argument}"
    for area in reversed(facts.areas):
        for setting in sorted(sysctl_settings(area, _SYSRQ), key=lambda setting: not _is_zero(setting.value or "")):
            value, origin = setting.value or "", str(setting.origin)
        if not _is_zero(value):
            yield about_name(area, _SYSRQ, f"is {value or 'empty'}, not 0", (origin, value))
        yield from _sysrq_writes(area)


def _sysrq_writes(area: Area) -> Iterator[Finding]:
    for entry in area.configuration.tmpfiles:
        is_switch = entry.path == "/proc/sys/kernel/sysrq" and not _is_zero(entry.argument)
        if is_switch or entry.path == "/proc/sysrq-trigger":
            line = f"{entry.type} {entry.path} {entry.argument}"
            yield about_name(area, str(entry.origin), "uses SysRq", (entry.origin, line))


def _is_zero(value: str) -> bool:
    return bool(value) and value.removeprefix("0x").strip("0") == ""


def _asks_module(name: str, value: str | None, module: str) -> bool:
    return name in _MODULE_ARGUMENTS and any(item.startswith(module) for item in (value or "").split(","))


def _requests(area: Area, modules: frozenset[str]) -> Iterator[tuple[Origin, str]]:
    """The lines that load or configure one of the modules."""
    for load in area.configuration.modules_load:
        if load.name.replace("-", "_") in modules:
            yield load.origin, load.name
    for line in area.configuration.modprobe:
        named = [line.module] if line.directive == "options" else line.rest.split() if line.directive in _LEADS else []
        if any(name.replace("-", "_") in modules for name in named):
            yield line.origin, f"{line.directive} {line.module} {line.rest}"
    yield from (found for found in _commands(area) if _names(found[1], modules))


def _commands(area: Area) -> Iterator[tuple[Origin, str]]:
    """What units and udev run, and what rules of udev put into variables and attributes."""
    for unit in area.systemd.units:
        for program in unit.programs if unit.masked_by is None else ():
            yield program.origin, " ".join(program.arguments)
    yield from ((rule.origin, rule.command) for rule in area.configuration.udev_programs)
    yield from ((item.origin, item.value) for item in area.configuration.udev_settings)


def _names(command: str, modules: frozenset[str]) -> bool:
    """Whether a word of a command is a module's name, or its file."""
    words = (word.rpartition("/")[2].partition(".ko")[0] for word in _BETWEEN_WORDS.split(command))
    return any(word in modules for word in words)


CONTROLS = (no_console_argument, no_early_console, no_kernel_debugger, no_netconsole, no_sysrq)
