"""Door "consoles": shells of emergency, rescue and debugging, terminals that units read, and Ctrl-Alt-Del."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._arguments import arguments, is_on
from policies.controls._products import about_unit, exists, find_generators, program_name, words
from policies.controls.terminals import LOGIN_CONTENT, LOGINS
from policies.finding import Evidence, about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Program, Setting, Unit
    from policies.finding import Finding

_RESTARTING: Final = words("reboot poweroff halt shutdown systemd-shutdown")
_RESTARTING_VERBS: Final = words("reboot poweroff halt exit")
# systemd.exec(5), OpenFile=: a path first; serial, virtual and hypervisor consoles.
# Devices at which nobody sits, such as the verified one of the weights; whatever else is in /dev may be a terminal or a
# keyboard.
_NO_TERMINAL: Final = re.compile(r"/dev/(?:null|zero|u?random|tpm(?:rm)?[0-9]|mapper/weights)")
_TERMINAL_INPUTS: Final = words("tty tty-force tty-fail")
_PULLING: Final = words("Wants Requires BindsTo Upholds")


@control(
    "ZOA-206",
    door=Door.CONSOLES,
    severity=Severity.MEDIUM,
    title="Ctrl-Alt-Del starts nothing",
    references=("DISA STIG RHEL-08-040170",),
)
def no_ctrl_alt_del_target(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: ctrl-alt-del.target, which the kernel asks PID 1 for, is masked or absent in root and initrd;
    by default it is an alias of reboot.target.

    Why it matters: whoever has a keyboard, or a console of a virtual machine, stops the service, or starts what the
    target was changed to.

    Example: /usr/lib/systemd/system/ctrl-alt-del.target is a link to reboot.target in the initrd.

    Fix: make /etc/systemd/system/ctrl-alt-del.target a link to /dev/null in root and initrd.

    Known limits: a power button or a hypervisor can still stop the machine.
    """
    for area in facts.areas:
        unit = area.units.get("ctrl-alt-del.target")
        if unit is not None and exists(unit):
            value = f"is {unit.name}"
            yield about_name(area, "ctrl-alt-del.target", "is started by Ctrl-Alt-Del", (unit.path or "", value))


@control(
    "ZOA-207",
    door=Door.CONSOLES,
    severity=Severity.LOW,
    title="Pressing Ctrl-Alt-Del seven times does nothing",
    references=("DISA STIG RHEL-08-040172",),
)
def no_ctrl_alt_del_burst(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd have systemd, system.conf or a drop-in of it sets
    CtrlAltDelBurstAction=none; reboot-force is what holds without it.

    Why it matters: seven times within two seconds reboots at once, without stopping services or syncing disks,
    although ctrl-alt-del.target is masked.

    Example: the initrd has no system.conf.

    Fix: add CtrlAltDelBurstAction=none to a file in /usr/lib/systemd/system.conf.d of root and initrd.

    Known limits: none known.
    """
    for area in facts.areas:
        manager = area.find("/usr/lib/systemd/systemd")
        if manager is None or not manager.is_executable:
            continue
        action = _manager_setting(area, "CtrlAltDelBurstAction")
        if action is None or action.value != "none":
            evidence = ("system.conf", "not set") if action is None else (action.origin, action.value)
            yield about_name(area, "system.conf:CtrlAltDelBurstAction", "is not none", evidence)


@control(
    "ZOA-212",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="No generator obeys debug and run arguments",
    references=("NIST SP 800-53 CM-7",),
)
def no_debug_generator(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: systemd-debug-generator and systemd-run-generator are absent or masked in root and initrd.

    Why it matters: they turn systemd.debug_shell, systemd.break, systemd.wants, systemd.mask and systemd.run of the
    command line, and credentials that add units and drop-ins, into units. Without them an argument that gets in does
    nothing.

    Example: systemd-debug-generator is in the initrd.

    Fix: remove them, or mask them with links to /dev/null in /etc/systemd/system-generators.

    Known limits: systemd.unit= and init= need no generator; ZOA-218 and ZOA-220 look at these.
    """
    yield from find_generators(
        facts, ("systemd-debug-generator", "systemd-run-generator"), "obeys debug and run arguments"
    )


@control(
    "ZOA-213",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="There is no debug shell",
    references=("DISA STIG RHEL-08-040180", "NIST SP 800-53 CM-7"),
)
def no_debug_shell(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: neither root nor initrd has a unit that is not masked with the name or alias debug-shell or
    breakpoint-*, the stops that systemd.break= asks for.

    Why it matters: debug-shell.service is a root shell on the ninth terminal, without a password and early in the
    boot; one link enables it.

    Example: debug-shell.service is in the root, wanted by sysinit.target.

    Fix: remove or mask it in root and initrd.

    Known limits: the same shell under another name is found by ZOA-215.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            names = (unit.name, *unit.aliases)
            if exists(unit) and any(name.startswith(("debug-shell", "breakpoint-")) for name in names):
                yield about_unit(area, unit, "is a shell for debugging")


@control(
    "ZOA-214",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="Emergency and rescue mode give no shell",
    references=("DISA STIG RHEL-08-010151", "DISA STIG RHEL-08-010152", "NIST SP 800-53 AC-3"),
)
def no_emergency_shell(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: in root and initrd, the services that emergency.target and rescue.target bring in, and
    emergency.service and rescue.service themselves, execute nothing but what restarts or stops the machine; units
    that every start brings in are left out. Masked and absent ones are good.

    Why it matters: a unit that fails (OnFailure=emergency.target of local-fs.target and initrd.target), an argument
    or a key leads there, and whoever can make a disk disappear can make a unit fail.

    Example: emergency.service of the package executes systemd-sulogin-shell emergency.

    Fix: put units of these names that execute systemctl --force reboot into /etc/systemd/system of root and initrd.

    Known limits: what other units start on failure is looked at by ZOA-215, if it uses a terminal.
    """
    for area in facts.areas:
        for unit in _emergency_units(area):
            if exists(unit) and not all(_restarts(program) for program in unit.programs):
                sources = [
                    Evidence(source=area.name, path=str(edge.origin), value=f"{edge.kind}={edge.unit} of {other.name}")
                    for other in area.systemd.units
                    for edge in other.edges
                    if edge.unit in {"emergency.target", "rescue.target", unit.name} and edge.kind != "default"
                ]
                yield about_unit(area, unit, "does something else than to restart or stop the machine", *sources)


@control(
    "ZOA-215",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="No unit takes input from a terminal",
    references=("NIST SP 800-53 AC-3",),
)
def no_terminal_input(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit of root or initrd that is not masked has StandardInput=tty, tty-force or tty-fail,
    takes its input from a device in /dev, or executes a login program (getty, login, sulogin, su) by name or content;
    whatever it is called and whatever brings it in; nothing opens a terminal for a service (OpenFile=,
    ListenSpecial=). systemd-firstboot is left to ZOA-216.

    Why it matters: a shell needs a terminal to be of use. This finds debug and emergency shells under any name, also
    those that only OnFailure=, a udev rule or D-Bus starts.

    Example: support.service in the initrd has ExecStart=/bin/sh, StandardInput=tty and TTYPath=/dev/hvc0.

    Fix: remove or mask the unit.

    Known limits: a program that opens a terminal itself is not seen.
    """
    for area in facts.areas:
        hidden = {elf.path for elf in area.elf if LOGIN_CONTENT.intersection(elf.identities)}
        for unit in area.systemd.units:
            opened = [item for item in unit.listens if item.family == "special" and _is_terminal(area, item.address)]
            if opened:
                terminal = Evidence(source=area.name, path=str(opened[0].origin), value=opened[0].address)
                yield about_unit(area, unit, "opens a terminal for a service", terminal)
            if _is_firstboot(unit):
                continue
            setting = _terminal_input(area, unit)
            programs = unit.programs if unit.type == "service" else ()
            files = [area.find(program.path) for program in programs]
            is_login = any(program_name(program) in LOGINS for program in programs)
            is_hidden = any(file.path in hidden for file in files if file is not None)
            if setting is not None or is_login or is_hidden:
                evidence = (
                    [Evidence(source=area.name, path=str(setting.origin), value=setting.value)] if setting else []
                )
                yield about_unit(area, unit, "asks somebody at a terminal", *evidence)


@control(
    "ZOA-216",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="The first boot asks nobody",
    references=("NIST SP 800-53 AC-3",),
)
def no_firstboot(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: systemd-firstboot.service, systemd-homed-firstboot.service, and initial-setup are absent or
    masked in root and initrd; the first is good too if systemd.firstboot=no is on the command line of all profiles.

    Why it matters: on a first boot they ask at the console for root's password and for users to be made.

    Example: systemd-firstboot.service is wanted by sysinit.target, and /etc/machine-id is empty.

    Fix: mask the units in root and initrd.

    Known limits: none known.
    """
    profiles = facts.uki.profiles if facts.uki is not None else ()
    lines = [profile.command_line.all("systemd.firstboot") if profile.command_line else () for profile in profiles]
    asked = [placed for placed in arguments(facts) if placed.name == "systemd.firstboot"]
    is_off = bool(lines) and all(lines) and not any(is_on(placed.value) for placed in asked)
    for area in facts.areas:
        for unit in area.systemd.units:
            if exists(unit) and _is_firstboot(unit) and not (is_off and unit.name == "systemd-firstboot.service"):
                yield about_unit(area, unit, "asks for passwords or users on the first boot")


def _manager_setting(area: Area, key: str) -> Setting | None:
    files = [item for item in area.systemd.configuration if item.name == "system.conf"]
    held = [item for file in files for item in file.settings if (item.section, item.key) == ("Manager", key)]
    return held[-1] if held else None


def _emergency_units(area: Area) -> list[Unit]:
    """emergency.service, rescue.service, and services that their targets alone bring in, over whatever other units."""
    names: tuple[str, ...] = ("emergency.service", "emergency.target", "rescue.service", "rescue.target")
    found = fresh = {name: area.units[name] for name in names if name in area.units}
    for _ in area.units:  # no way over units is longer
        pulled = [edge.unit for unit in fresh.values() for edge in unit.edges if edge.kind in _PULLING]
        others = {name: area.units[name] for name in pulled if name in area.units and name not in found}
        fresh = {name: unit for name, unit in others.items() if unit.pulled_in_by is None}
        found = found | fresh
    return [found[name] for name in sorted(found) if found[name].type == "service"]


def _restarts(program: Program) -> bool:
    if program_name(program) == "systemctl":
        verbs = [argument for argument in program.arguments if not argument.startswith("-")]
        return bool(verbs) and _RESTARTING_VERBS.issuperset(verbs)
    return program_name(program) in _RESTARTING


def _is_firstboot(unit: Unit) -> bool:
    return unit.name.startswith(("systemd-firstboot.", "systemd-homed-firstboot.", "initial-setup"))


def _is_terminal(area: Area, path: str) -> bool:
    """Whether a path, links followed, may be one of a terminal; so may one that only the running node knows."""
    real = area.real(_linked_at_boot(area, path)) or ""
    is_device = real.startswith("/dev/") and not _NO_TERMINAL.fullmatch(real)
    return is_device or "%" in path.replace("%%", "")


def _linked_at_boot(area: Area, path: str) -> str:
    """Where a path leads by a link that a line of tmpfiles.d makes."""
    for line in area.configuration.tmpfiles:
        if line.type[:1] == "L" and f"{path}/".startswith(f"{line.path}/"):
            folder = "" if line.argument.startswith("/") else f"{line.path.rpartition('/')[0]}/"
            return folder + line.argument + path.removeprefix(line.path)
    return path


def _terminal_input(area: Area, unit: Unit) -> Setting | None:
    for item in (item for item in unit.settings if item.key == "OpenFile"):
        if _is_terminal(area, item.value.strip("\"'").partition(":")[0]):
            return item
    inputs = [item for item in unit.settings if item.key == "StandardInput"]
    value = inputs[-1].value if inputs else ""
    is_file = value.startswith("file:") and _is_terminal(area, value.removeprefix("file:"))
    return inputs[-1] if value in _TERMINAL_INPUTS or is_file else None


CONTROLS = (
    no_ctrl_alt_del_target,
    no_ctrl_alt_del_burst,
    no_debug_generator,
    no_debug_shell,
    no_emergency_shell,
    no_terminal_input,
    no_firstboot,
)
