"""Door "consoles": login prompts, and whatever else asks somebody for a password at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._products import (
    Product,
    about_unit,
    exists,
    find_generators,
    find_product,
    program_name,
    words,
)
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

GETTYS: Final = words("agetty getty mingetty mgetty fgetty fbgetty ngetty uugetty vgetty qingy kmscon")
LOGINS: Final = GETTYS | words("login sulogin systemd-sulogin-shell systemd-debug-shell su")
LOGIN_CONTENT: Final = words("agetty sulogin")
_LOGIN_PROGRAMS: Final = Product(
    what="a program that asks for a login at a terminal",
    programs=(LOGINS - {"su"}) | words("gdm gdm3 lightdm sddm greetd ly xdm lxdm"),
    identities=LOGIN_CONTENT,
    packages=words("mingetty mgetty fgetty fbgetty ngetty kmscon qingy gdm3 gdm lightdm sddm greetd ly xdm lxdm"),
)
_PLYMOUTH: Final = Product(
    what="Plymouth, which shows a picture and takes passwords while the machine starts",
    programs=words("plymouthd plymouth plymouthd-drm-escrow"),
    packages=words("plymouth"),
    units=words("plymouth-start plymouth plymouth-log plymouth-read-write"),
)
_PULLING: Final = words("Wants Requires BindsTo Upholds")


@control(
    "ZOA-208",
    door=Door.CONSOLES,
    severity=Severity.CRITICAL,
    title="There is no unit of a login prompt",
    references=("NIST SP 800-53 AC-3", "NIST SP 800-53 CM-7"),
)
def no_getty_unit(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no service of root or initrd that is not masked has getty, autovt or kmscon in its name or an
    alias (getty@, serial-getty@, console-getty, container-getty@, autovt@), or executes a getty program, whether or
    not the start brings it in.

    Why it matters: generators, logind and later events instance these templates, so that one which is only there is
    enough for a prompt on a screen, a serial line or a container's console.

    Example: metrics.service executes /sbin/agetty ttyS0.

    Fix: remove the units and agetty, or mask them in root and initrd.

    Known limits: a getty of one's own under another name is found only by what it takes its input from, in ZOA-215.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            names = (unit.name, *unit.aliases)
            is_named = any(word in name for name in names for word in ("getty", "autovt", "kmscon"))
            is_getty = is_named or any(program_name(program) in GETTYS for program in unit.programs)
            if unit.type == "service" and exists(unit) and is_getty:
                yield about_unit(area, unit, "is a login prompt")


@control(
    "ZOA-209",
    door=Door.CONSOLES,
    severity=Severity.MEDIUM,
    title="getty.target brings in nothing",
    references=("NIST SP 800-53 CM-7",),
)
def empty_getty_target(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: getty.target, where it is there and not masked, wants or requires no unit, but masked ones, in
    root and initrd.

    Why it matters: it is what multi-user.target starts for all prompts; a link in getty.target.wants is enough.

    Example: /etc/systemd/system/getty.target.wants/getty@tty1.service, which the package systemd makes.

    Fix: remove the links, or mask getty.target.

    Known limits: a unit that is named and has no file is found too, because a generator may make it.
    """
    for area in facts.areas:
        target = area.units.get("getty.target")
        for edge in target.edges if target is not None else ():
            other = area.units.get(edge.unit)
            if edge.kind in _PULLING and (other is None or other.masked_by is None):
                evidence = (edge.origin, f"{edge.kind}={edge.unit}")
                yield about_name(area, f"getty.target:{edge.unit}", "is started for a terminal", evidence)


@control(
    "ZOA-210",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="There is no program for logins at a terminal",
    references=("NIST SP 800-53 AC-3", "NIST SP 800-53 CM-7"),
)
def no_login_program(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no getty, login, sulogin, systemd-sulogin-shell or display manager, by
    name of file or link, by content (agetty and sulogin of util-linux, BusyBox with sulogin) or by package.

    Why it matters: without them no unit, generator or debug switch can make a prompt out of a terminal.

    Example: /usr/sbin/sulogin is in the initrd.

    Fix: remove the files from the image; agetty, sulogin and login are of no use on a node that nobody logs into.

    Known limits: shells are the programs' door.
    """
    yield from find_product(facts, _LOGIN_PROGRAMS)


@control(
    "ZOA-211",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="No generator makes login prompts",
    references=("NIST SP 800-53 CM-7",),
)
def no_getty_generator(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no generator of root or initrd with getty in its name is there without being masked.

    Why it matters: systemd-getty-generator makes a prompt on each console of the kernel, on hypervisors' consoles
    (hvc, xvc, hvsi, sclp) and in containers, and on what the credential getty.ttys.serial names.

    Example: /usr/lib/systemd/system-generators/systemd-getty-generator is executable in the root.

    Fix: remove it, or mask it with a link to /dev/null in /etc/systemd/system-generators.

    Known limits: looks at names; unknown generators are found by ZOA-329.
    """
    yield from find_generators(facts, ("getty",), "makes login prompts at boot")


@control(
    "ZOA-223",
    door=Door.CONSOLES,
    severity=Severity.MEDIUM,
    title="Nobody is asked for passwords at a console",
    references=("NIST SP 800-53 AC-3",),
)
def no_password_agent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: units that execute systemd-tty-ask-password-agent with --console, or have the name of systemd's
    password agents for the console and Plymouth, are absent or masked in root and initrd.

    Why it matters: a password agent lets whoever sits at the console answer for a disk or a key, and so bring in a
    disk of theirs that unlocks with a password of theirs. A node that nobody runs has nobody to ask.

    Example: systemd-ask-password-console.path is wanted by sysinit.target in root and initrd.

    Fix: mask systemd-ask-password-console.path and .service in root and initrd.

    Known limits: systemd-ask-password-wall, which only tells logged-in users, is no finding.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            is_named = unit.name.startswith(("systemd-ask-password-console.", "systemd-ask-password-plymouth."))
            is_agent = any(
                program_name(program) == "systemd-tty-ask-password-agent"
                and any(argument.startswith("--console") for argument in program.arguments)
                for program in unit.programs
            )
            if exists(unit) and (is_named or is_agent):
                yield about_unit(area, unit, "asks for passwords at a console")


@control(
    "ZOA-224",
    door=Door.CONSOLES,
    severity=Severity.LOW,
    title="There is no Plymouth",
    references=("NIST SP 800-53 CM-7",),
)
def no_plymouth(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Plymouth: program, package or unit.

    Why it matters: Plymouth reads the keyboard, takes passwords for disks, and shows messages of the boot.

    Example: /usr/sbin/plymouthd is in the initrd.

    Fix: remove the package.

    Known limits: looks at names.
    """
    yield from find_product(facts, _PLYMOUTH)


@control(
    "ZOA-225",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="logind starts nothing on virtual terminals",
    references=("NIST SP 800-53 CM-7",),
)
def no_automatic_terminal(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd have systemd-logind, autovt@.service is masked or absent, or logind.conf
    sets NAutoVTs and ReserveVT to 0; 6 holds without it.

    Why it matters: when somebody switches to a virtual terminal, logind starts autovt@ on it, which nothing enables
    and the start does not bring in.

    Example: autovt@.service is a link to getty@.service, and logind.conf has no NAutoVTs=.

    Fix: remove autovt@.service, and set NAutoVTs=0 and ReserveVT=0.

    Known limits: none known.
    """
    for area in facts.areas:
        logind = area.find("/usr/lib/systemd/systemd-logind")
        unit = area.units.get("autovt@.service")
        if logind is None or unit is None or not exists(unit):
            continue
        held = [item for file in area.systemd.configuration if file.name == "logind.conf" for item in file.settings]
        last = {item.key: item.value for item in held if item.section == "Login"}
        if last.get("NAutoVTs") != "0" or last.get("ReserveVT") != "0":
            yield about_name(area, "autovt@.service", "is started by logind", (unit.path or "", f"is {unit.name}"))


CONTROLS = (
    no_getty_unit,
    empty_getty_target,
    no_login_program,
    no_getty_generator,
    no_password_agent,
    no_plymouth,
    no_automatic_terminal,
)
