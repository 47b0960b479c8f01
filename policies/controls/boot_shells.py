"""Door "consoles": words on the kernel command line, and settings of PID 1, that end in a shell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._arguments import about_argument, arguments, is_on
from policies.controls._products import exists
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

# kernel-command-line(7), dracut.cmdline(7), initramfs-tools(7).
_SHELLS: Final = frozenset(
    {
        "systemd.debug_shell", "rd.systemd.debug_shell", "systemd.default_debug_tty", "rd.systemd.default_debug_tty",
        "systemd.break", "rd.systemd.break", "rd.break", "rdbreak", "rd.shell", "rdshell", "break", "rd.cmdline",
    }
)  # fmt: skip
# Runlevels as systemd and sysvinit read them (src/basic/runlevel, systemd(1)).
_SINGLE_USER: Final = frozenset(
    {"rescue", "emergency", "single", "s", "S", "1", "_s", "_b", "rd.rescue", "rd.emergency"}
)
# ZOA-217 has the first two; the third only says that options follow.
_OTHER_OPTIONS: Final = frozenset({"-s", "-b", "--"})
_UNITS: Final = frozenset(
    {"systemd.unit", "rd.systemd.unit", "systemd.wants", "rd.systemd.wants", "systemd.mask", "rd.systemd.mask"}
)
# Runlevels, which PID 1 takes for targets (kernel-command-line(7)).
_RUNLEVELS: Final = frozenset({"2", "3", "4", "5"})
_INIT: Final = frozenset({"/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd"})
_FORCE: Final = "SYSTEMD_SULOGIN_FORCE"


@control(
    "ZOA-217",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="The kernel command line asks for no shell",
    references=("DISA STIG RHEL-08-040180", "NIST SP 800-53 AC-3"),
    needs=("uki",),
)
def no_shell_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has an argument that opens a shell or single-user mode:
    systemd.debug_shell, systemd.break, rd.break, rd.shell, rd.cmdline, break of initramfs-tools, and the words
    rescue, emergency, single, s, S, 1, -s and -b, but where the argument is off.

    Why it matters: each of them stops the start at a root shell on the console.

    Example: systemd.debug_shell=ttyS0 opens a root shell on the serial line without a password.

    Fix: remove the argument from the definition.

    Known limits: arguments that only an unknown init understands are not known here.
    """
    for placed in arguments(facts):
        if placed.name in _SINGLE_USER | _SHELLS and is_on(placed.value):
            yield about_argument(placed, "asks for a shell or for single-user mode")


@control(
    "ZOA-218",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="The kernel command line changes no units",
    references=("NIST SP 800-53 CM-6",),
    parameters=(Parameter("allowed", (), 'Whole arguments, such as "systemd.unit=multi-user.target".'),),
    needs=("uki",),
)
def no_unit_argument(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has systemd.unit, systemd.wants or systemd.mask, nor these
    with rd. before them, nor a runlevel (2 to 5), nor an option of PID 1 itself such as --unit=, but those in the
    parameter "allowed".

    Why it matters: they start another target (rescue.target, storage-target-mode.target, which gives the disks to the
    network), add a unit such as debug-shell.service, or take away one that protects.

    Example: rd.systemd.unit=storage-target-mode.target in a second profile of the UKI.

    Fix: set the default target and enable or mask units in the image instead.

    Known limits: does not judge what the named unit does.
    """
    for placed in arguments(facts):
        # The kernel hands what begins with a dash, and all that stands after "--", to PID 1 as its command line.
        is_option = placed.argument.name.startswith("-") and placed.argument.name not in _OTHER_OPTIONS
        changes = placed.name in _UNITS or (placed.name in _RUNLEVELS and placed.value is None) or is_option
        if changes and str(placed.argument) not in parameters["allowed"]:
            yield about_argument(placed, "changes which units are started")


@control(
    "ZOA-219",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="The kernel command line runs no command",
    references=("NIST SP 800-53 CM-7",),
    needs=("uki",),
)
def no_run_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has systemd.run or another argument of
    systemd-run-generator(8), nor one with rd. before it.

    Why it matters: systemd.run= is a command line that root executes at boot.

    Example: systemd.run="/bin/sh -c 'nc -l 4444 -e /bin/sh'".

    Fix: remove the argument; make a unit of what must run.

    Known limits: none known.
    """
    for placed in arguments(facts):
        if placed.name.removeprefix("rd.").startswith("systemd.run"):
            yield about_argument(placed, "runs a command at boot")


@control(
    "ZOA-220",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="PID 1 is systemd",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("programs", ("/usr/lib/systemd/systemd",), "Programs that may be PID 1."),),
)
def init_is_systemd(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: init= is absent or names systemd, rdinit= is absent or /init, in all profiles and addons; /init
    of the initrd and /sbin/init of the root, where there are such, lead to a program of the parameter "programs".

    Why it matters: init=/bin/sh makes a root shell of the machine. The scripts of initramfs-tools and dracut, which
    are /init where it is not systemd, open a shell when a disk is missing.

    Example: init=/bin/bash in an addon in the EFI system partition.

    Fix: remove the argument; build the initrd with systemd as its /init.

    Known limits: the program's path is looked at; what it is comes from the signed image.
    """
    for placed in arguments(facts):
        is_other_init = placed.name == "init" and placed.value not in _INIT
        if is_other_init or (placed.name == "rdinit" and placed.value != "/init"):
            yield about_argument(placed, "makes another program PID 1")
    for area in facts.areas:
        path = "/sbin/init" if area is facts.root else "/init"
        init = area.find(path)
        if init is not None and init.path not in parameters["programs"]:
            yield about_path(area, path, "is no program that may be PID 1", f"leads to {init.path}")


@control(
    "ZOA-221",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="Nothing opens emergency shells without a password",
    references=("DISA STIG RHEL-08-010151", "DISA STIG RHEL-08-010152", "NIST SP 800-53 AC-3"),
)
def no_forced_sulogin(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: SYSTEMD_SULOGIN_FORCE is nowhere: not on the command line, where unknown words become PID 1's
    environment, not in systemd.setenv=, not in a setting of a unit or of systemd's configuration in root or initrd.

    Why it matters: with it, rescue and emergency mode open a root shell although root's account is locked.

    Example: rescue.service.d/override.conf has Environment=SYSTEMD_SULOGIN_FORCE=1.

    Fix: remove the assignment.

    Known limits: files that EnvironmentFile= reads are not looked at; a value that turns it off is found as well.
    """
    for placed in arguments(facts):
        if _FORCE in str(placed.argument):
            yield about_argument(placed, "opens emergency shells without a password")
    for area in facts.areas:
        for unit in area.systemd.units:
            for setting in unit.settings:
                if _FORCE in setting.value and exists(unit):
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    yield about_name(area, unit.name, "opens emergency shells without a password", evidence)
        for configuration in area.systemd.configuration:
            for setting in configuration.settings:
                if _FORCE in setting.value:
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    yield about_name(area, configuration.name, "opens emergency shells without a password", evidence)


@control(
    "ZOA-222",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="PID 1 opens no shell and asks nobody",
    references=("NIST SP 800-53 AC-3",),
)
def no_crash_shell(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: neither systemd.crash_shell nor systemd.confirm_spawn is on the command line of a profile or an
    addon, and CrashShell= and ConfirmSpawn= are not in system.conf of root or initrd, but to turn them off.

    Why it matters: with the first, systemd gives a root shell on the console when it crashes; with the second, it
    asks at the console whether to start each service.

    Example: systemd.crash_shell without a value in the .cmdline section.

    Fix: remove the argument or the setting.

    Known limits: none known.
    """
    for placed in arguments(facts):
        if placed.name in {"systemd.crash_shell", "systemd.confirm_spawn"} and is_on(placed.value):
            yield about_argument(placed, "makes PID 1 open a shell or ask at the console")
    for area in facts.areas:
        for configuration in area.systemd.configuration:
            held = {setting.key: setting for setting in configuration.settings if setting.section == "Manager"}
            for key in ("CrashShell", "ConfirmSpawn"):
                if configuration.name == "system.conf" and key in held and is_on(held[key].value):
                    message = "makes PID 1 open a shell or ask at the console"
                    yield about_name(area, f"system.conf:{key}", message, (held[key].origin, held[key].value))


CONTROLS = (
    no_shell_argument,
    no_unit_argument,
    no_run_argument,
    init_is_systemd,
    no_forced_sulogin,
    no_crash_shell,
)
