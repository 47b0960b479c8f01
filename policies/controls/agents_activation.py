"""Door "agents": what starts programs that no unit of the image names: the bus, generators, managers of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._products import about_unit, is_program, words
from policies.controls._tmpfiles import written
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

BUSES: Final = words("dbus-daemon dbus-broker dbus-broker-launch")
_LINGER: Final = "/var/lib/systemd/linger/"
KNOWN_BUS_NAMES: Final = (
    "org.freedesktop.hostname1", "org.freedesktop.locale1", "org.freedesktop.login1", "org.freedesktop.network1",
    "org.freedesktop.resolve1", "org.freedesktop.systemd1", "org.freedesktop.timedate1", "org.freedesktop.timesync1",
)  # fmt: skip
_KNOWN_GENERATORS: Final = (
    "systemd-bless-boot-generator", "systemd-cryptsetup-generator", "systemd-fstab-generator",
    "systemd-gpt-auto-generator", "systemd-hibernate-resume-generator", "systemd-integritysetup-generator",
    "systemd-rc-local-generator", "systemd-system-update-generator", "systemd-sysv-generator",
    "systemd-tpm2-generator", "systemd-veritysetup-generator",
)  # fmt: skip


@control(
    "ZOA-324",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="A message on the bus starts only known services",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", KNOWN_BUS_NAMES, "Bus names that may be activated."),),
)
def known_bus_services(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd have a message bus (dbus-daemon or dbus-broker), each name of the system
    and session bus that a message activates is in the parameter "allowed", unless the unit that it starts is masked.

    Why it matters: an activatable service is a program that anybody on the bus starts, often as root, although no
    unit is enabled; packagekit, polkit and machine managers come that way.

    Example: org.example.Support.service in /usr/share/dbus-1/system-services has Exec=/usr/bin/support and User=root.

    Fix: remove the file, mask the unit, or list the name.

    Known limits: what a known service lets callers do is not looked at; a bus program under another name is not
    recognised.
    """
    for area in facts.areas:
        if not any(file.name in BUSES and is_program(area, file) for file in area.files):
            continue
        for service in area.configuration.dbus_services:
            unit = area.units.get(service.systemd_unit or "")
            is_masked = unit is not None and unit.masked_by is not None
            if service.name not in parameters["allowed"] and not is_masked:
                value = f"Exec={service.exec} User={service.user or ''} SystemdService={service.systemd_unit or ''}"
                subject = f"{service.bus}-bus:{service.name or service.origin.path}"
                yield about_name(area, subject, "is started by a message on the bus", (service.origin, value))


@control(
    "ZOA-325",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="No manager of a user's units is started",
    references=("NIST SP 800-53 CM-7",),
)
def no_user_manager(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the start of root and initrd brings in no user@ or capsule@ service, no unit starts one when it
    fails or succeeds (OnFailure=, OnSuccess=), and nobody lingers: no
    file in /var/lib/systemd/linger, and no line of tmpfiles.d that makes one.

    Why it matters: a user's manager runs units from a home directory or /run, which is writable and was not measured.

    Example: tmpfiles.d has "f /var/lib/systemd/linger/service".

    Fix: remove the link or the line; run services by the system's manager with User=.

    Known limits: a login starts a user's manager too; that nobody can log in is other controls' subject.
    """
    for area in facts.areas:
        named = {edge.unit for unit in area.systemd.units for edge in unit.edges}
        for unit in area.systemd.units:
            is_started = unit.pulled_in_by is not None or unit.name in named
            if unit.name.startswith(("user@", "capsule@")) and unit.type == "service" and is_started:
                yield about_unit(area, unit, "is started at boot or by what a unit does")
        for file in area.reached:
            if file.path.startswith(_LINGER):
                yield about_path(area, file.path, "starts a user's manager at boot", f"mode {file.mode:04o}")
        for entry in area.configuration.tmpfiles:
            if any(path.startswith(_LINGER) for path in written(area, entry)):
                value = f"{entry.type} {entry.path}"
                yield about_name(area, str(entry.origin), "starts a user's manager at boot", (entry.origin, value))


@control(
    "ZOA-326",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="No script of the old init system is started",
    references=("NIST SP 800-53 CM-7",),
)
def no_init_script(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where systemd-sysv-generator is not masked, root and initrd have no executable file in
    /etc/init.d, unless a unit of that name stands for it or masks it; where systemd-rc-local-generator is not masked,
    /etc/rc.local is not executable.

    Why it matters: the generators make services of scripts, which lists of units do not show.

    Example: /etc/rc.local is executable and starts a shell on a port.

    Fix: remove the scripts, or mask the generators.

    Known limits: whether a link in /etc/rc?.d enables the script is not looked at.
    """
    for area in facts.areas:
        running = {generator.name for generator in area.systemd.generators if not generator.masked}
        for file in area.reached:
            folder, _, name = file.path.rpartition("/")
            is_script = folder == "/etc/init.d" and f"{name.removesuffix('.sh')}.service" not in area.units
            is_old = is_script and "systemd-sysv-generator" in running
            is_local = file.path == "/etc/rc.local" and "systemd-rc-local-generator" in running
            if (is_old or is_local) and is_program(area, file):
                yield about_path(area, file.path, "becomes a service at boot", f"mode {file.mode:04o}")


@control(
    "ZOA-327",
    door=Door.AGENTS,
    severity=Severity.CRITICAL,
    title="No unit merges extension images under another name",
    references=("NIST SP 800-53 CM-7",),
)
def no_hidden_extensions(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit of root or initrd that is not masked executes systemd-sysext, systemd-confext,
    systemd-dissect, portablectl, importctl or systemd-pull, whatever the unit is called.

    Why it matters: one line in any service merges or downloads files that nobody measured, as ZOA-320 says of the
    units that systemd brings along.

    Example: metrics.service has ExecStartPre=systemd-sysext merge.

    Fix: remove the line.

    Known limits: a program that calls these is not seen.
    """
    mergers = words("systemd-sysext systemd-confext systemd-dissect portablectl importctl systemd-pull")
    for area in facts.areas:
        for unit in area.systemd.units:
            is_stock = unit.name.startswith(("systemd-sysext", "systemd-confext"))
            names = {program.path.rpartition("/")[2] for program in unit.programs}
            if not is_stock and names & mergers:
                yield about_unit(area, unit, "merges or fetches images")


@control(
    "ZOA-329",
    door=Door.AGENTS,
    severity=Severity.HIGH,
    title="Only known generators write units at boot",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", _KNOWN_GENERATORS, "Names of generators of the system manager."),),
)
def known_generators(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: each generator of the system manager that is not masked is in the parameter "allowed", in root
    and initrd.

    Why it matters: a generator writes any unit it likes before anything else runs, from whatever it reads, such as a
    command line, a disk or a metadata service.

    Example: /etc/systemd/system-generators/support writes a service with a shell.

    Fix: remove or mask the generator, or list its name.

    Known limits: looks at names; generators of users' managers and of environments are left out.
    """
    for area in facts.areas:
        for generator in area.systemd.generators:
            is_known = generator.name in parameters["allowed"]
            if generator.manager == "system" and not generator.masked and not is_known:
                yield about_path(area, generator.path, "is a generator that is not known", "runs at boot")


CONTROLS = (known_bus_services, no_user_manager, no_init_script, no_hidden_extensions, known_generators)
