"""Door "injected configuration": what udev and modprobe run and read when devices and modules turn up."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._products import words
from policies.controls._udev import RUNNING, VARIABLE, commands_of, words_of
from policies.controls._writable import given_to_run, is_writable
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, UdevProgram
    from policies.finding import Finding

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
# Where a program without a slash at the beginning is looked for.
_UDEV_PROGRAMS: Final = "/usr/lib/udev"
# udev(7), "String substitutions", that stand for what a variable, a device or a program says, or for a device.
_SUBSTITUTED: Final = re.compile(
    r"\$(?:env|attr|sys|result|devnode|tempnode|links?|driver|id|parent|devpath|root)|%[EscNLdbPprS]"
)
_MAY_BE_SUBSTITUTED: Final = re.compile(r"[$%]")
# udev(7), IMPORT: by the name of a variable, or a pattern of names.
_VARIABLE_IMPORTS: Final = frozenset({"IMPORT{cmdline}", "IMPORT{parent}", "IMPORT{db}"})
# Programs that udev and dmsetup bring along: what they print is known.
_IMPORTERS: Final = frozenset(
    {"ata_id", "cdrom_id", "dmi_memory_id", "dmsetup", "fido_id", "mtd_probe", "scsi_id", "v4l_id"}
)
# What else rules of systemd, LVM and mdadm run; what they are told, ZOA-436 judges.
_KNOWN: Final = _IMPORTERS | words("iocost loginctl mdadm systemctl systemd-sysctl udevadm")
_KNOWN_PLACES: Final = words("/usr/lib/udev /lib/udev /usr/lib/systemd /lib/systemd /usr/bin /usr/sbin /bin /sbin")
# What a rule of systemd runs if it is set, which nothing does but another rule.
_UNSET: Final = "REMOVE_CMD"
_NO_COMMAND: Final = frozenset({"/bin/true", "/usr/bin/true", "/bin/false", "/usr/bin/false", "true", "false"})


@control(
    "ZOA-425",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="udev and modprobe run and read nothing in a writable place, and modprobe runs nothing at all",
    references=_CHANGE_CONTROL,
    parameters=(Parameter("allowed", (), "Paths of programs that rules of udev run besides those of systemd."),),
)
def no_injected_device_program(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: programs of udev rules in root and initrd, what env, ld.so and the like are given to run in
    them, and files whose variables they import do not lie in a writable place, nor what rules or such files put
    into a variable by which they are named; nothing else decides what is run: no attribute of a device, no result of
    a program, no argument of the kernel, and no variable but one that the same rule sets and that rules set to
    nothing but texts without substitutions and import from nowhere. The programs are those that rules of systemd, LVM
    and mdadm run, in the directories for programs, links followed; install and remove lines of modprobe.d run nothing
    but true and false.

    Why it matters: devices and modules turn up whenever somebody outside attaches one; these run as root then, without
    a unit and its sandbox.

    Example: install dccp /var/lib/x.

    Fix: remove the rule; to forbid a module, use install MODULE /bin/false.

    Known limits: commands that a shell line of a rule calls in turn are not seen, nor what the hardware database
    puts into variables that rules set, too, or into REMOVE_CMD and SYSTEMD_WANTS. Programs of udev and dmsetup go
    by name and directory, and are believed to print their own variables.
    """
    for area in facts.areas:
        for rule in area.configuration.udev_programs:
            problems = [f"makes udev run or read {path}" for path in _run_by(area, rule) if is_writable(area, path)][:1]
            source = _decided_by(area, rule)
            if source is not None:
                problems.append(f"makes udev run what {source} says")
            for problem in problems:
                yield about_name(area, str(rule.origin), problem, (rule.origin, rule.rule))
            for path in () if problems else dict.fromkeys(_unknown(area, rule)):
                if path not in parameters["allowed"]:
                    message = "makes udev run a program that is not of systemd"
                    yield about_name(area, f"{rule.origin}:{path}", message, (rule.origin, rule.rule))
        for line in area.configuration.modprobe:
            if line.directive in {"install", "remove"} and line.rest.strip() not in _NO_COMMAND:
                value = f"{line.directive} {line.module} {line.rest}"
                yield about_name(area, str(line.origin), "makes modprobe run a command", (line.origin, value))


def _run_by(area: Area, rule: UdevProgram) -> Iterator[str]:
    """The paths that a rule of udev runs or reads, also those that it gives to a program to run."""
    for command in commands_of(area, rule, (*RUNNING, "IMPORT{file}")):
        path = command[0] if command[0].startswith("/") else f"{_UDEV_PROGRAMS}/{command[0]}"
        yield path
        yield from given_to_run(area, path, command[1:])


def _unknown(area: Area, rule: UdevProgram) -> Iterator[str]:
    """The programs that a rule of udev runs and that no rule of systemd or LVM does."""
    for command in commands_of(area, rule):
        path = command[0] if command[0].startswith("/") else f"{_UDEV_PROGRAMS}/{command[0]}"
        place, _, name = (area.real(path) or "").rpartition("/")
        if name not in _KNOWN or place not in _KNOWN_PLACES:
            yield path


def _decided_by(area: Area, rule: UdevProgram) -> str | None:
    """What decides which program a rule runs, where neither rules nor files that they import do; None if they do."""
    if rule.key not in {*RUNNING, "IMPORT{file}"}:
        return None
    words = words_of(rule.command)
    program = "".join(words[:1])
    variable = VARIABLE.match(program)
    rest = program[variable.end() :] if variable else program
    if _is_substituted(rest):
        return program
    for word in given_to_run(area, program, words[1:]):
        if _is_substituted(word):
            return word
    return None if variable is None else _sets(area, rule, variable[1])


def _sets(area: Area, rule: UdevProgram, name: str) -> str | None:
    """What else than the image may set a variable by which a rule names a program; None if nothing does.

    Devices come with variables of their own, so the rule that runs it has to set it.
    """
    for other in area.configuration.udev_programs:
        program = other.command.partition(" ")[0].strip("'").rpartition("/")[2]
        is_named = other.key in _VARIABLE_IMPORTS and fnmatchcase(name, other.command)
        if is_named or (other.key == "IMPORT{program}" and program not in _IMPORTERS):
            return f"{other.key}={other.command}"
    own = [item for item in area.configuration.udev_settings if item.key == f"ENV{{{name}}}"]
    for item in own:
        if _MAY_BE_SUBSTITUTED.search(item.value.replace("$$", "").replace("%%", "")):
            return f"{item.key}={item.value}"
    return None if name == _UNSET or any(item.rule == rule.rule for item in own) else f"$env{{{name}}}"


def _is_substituted(text: str) -> bool:
    return _SUBSTITUTED.search(text.replace("$$", "").replace("%%", "")) is not None


CONTROLS = (no_injected_device_program,)
