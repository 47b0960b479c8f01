"""Door "injected configuration": values that only the boot spells out, so that no control reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._products import words
from policies.controls._udev import commands_of
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Origin
    from policies.finding import Finding

_LETTER: Final = re.compile(r"%([A-Za-z])")
# systemd.unit(5), "Specifiers": machine and boot id are 32 hexadecimal digits, which are the name of nothing else.
_DIGITS: Final = words("m b")
# The instances of a template are units of their own.
_OF_INSTANCES: Final = words("i I f")
# What is only shown, what only decides whether a unit is started at all, and what only `systemctl enable` reads.
_SHOWN: Final = re.compile(r"Description|Documentation|(?:Condition|Assert)\w+|SyslogIdentifier|LogExtraFields")
_INSTALL: Final = "Install"
# systemd-system.conf(5), "Specifiers".
_MANAGERS: Final = words("system.conf user.conf")
_WANTS: Final = "ENV{SYSTEMD_WANTS}"
# udev(7), "String substitutions"; systemctl(1), which takes patterns, and systemd.service(5).
_SUBSTITUTION: Final = re.compile(r"[$%]")
_PATTERN: Final = re.compile(r"[$*?\[]")
_PATTERN_OF_UDEV: Final = re.compile(r"[$%*?\[]")
# tmpfiles.d(5): of other types the argument is content, or the name of a credential with it.
_CONTENT: Final = frozenset("fFw")
_CREDENTIAL: Final = "^"


@control(
    "ZOA-440",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="Units, udev, tmpfiles.d and sysusers.d say what they mean before the boot",
    references=("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7"),
)
def no_unknown_specifier(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no setting of a unit in root or initrd that is not masked, no setting of system.conf or
    user.conf, no path, owner, target or credential of a line of tmpfiles.d and no name, number or shell of a line of
    sysusers.d has a specifier whose value comes from os-release (%A, %B, %M, %o, %w, %W), from the host name, the
    kernel or elsewhere. Right are those that say the same on every node, or follow from the name of the unit; the
    machine and boot id (%m, %b), which are numbers; those of the instance in a template (%i, %I, %f), as each instance
    is looked at; and any in texts, conditions and [Install]. No rule of udev has a substitution in the name of a unit
    that it wants (SYSTEMD_WANTS) or has systemctl start, and no command of systemctl a pattern or a variable that is
    not known, but behind the "@" of a template.

    Why it matters: where a word of a path or a name is missing, controls look for something else than what runs: with
    BUILD_ID=system in os-release, /run/systemd/%B is where PID 1 looks for units.

    Example: Environment=LD_%B=/usr/lib/helper.so, and BUILD_ID=PRELOAD in os-release.

    Fix: write the value out.

    Known limits: contents that tmpfiles.d writes are not looked at; %% before a letter in a path of tmpfiles.d counts
    as a specifier.
    """
    for area in facts.areas:
        for name, value, origin in (*_in_units(area), *_in_lines(area), *_asked_for(area)):
            yield about_name(area, name, "is spelled out at boot only", (origin, value))


def _in_units(area: Area) -> Iterator[tuple[str, str, Origin]]:
    """What has specifiers that are not known, of units and managers: name with the specifier, value and place."""
    for unit in area.systemd.units:
        right = _DIGITS | _OF_INSTANCES if unit.template else _DIGITS
        for setting in unit.settings:
            if setting.section != _INSTALL and not _SHOWN.fullmatch(setting.key):
                for letter in _letters(setting.value, right):
                    yield f"{unit.name}:{setting.key}:%{letter}", f"{setting.key}={setting.value}", setting.origin
    for configuration in area.systemd.configuration:
        for setting in configuration.settings if configuration.name in _MANAGERS else ():
            for letter in _letters(setting.value, _DIGITS):
                name = f"{configuration.name}:{setting.key}:%{letter}"
                yield name, f"{setting.key}={setting.value}", setting.origin


def _in_lines(area: Area) -> Iterator[tuple[str, str, Origin]]:
    """The same of lines of tmpfiles.d and sysusers.d."""
    for line in area.configuration.tmpfiles:
        is_content = line.type[:1] in _CONTENT and _CREDENTIAL not in line.type
        argument = "" if is_content else line.argument
        for letter in _letters(f"{line.path} {line.user} {line.group} {argument}", _DIGITS):
            yield f"{line.origin}:%{letter}", f"{line.type} {line.path} {line.argument}", line.origin
    for entry in area.configuration.sysusers:
        for letter in _letters(f"{entry.name} {entry.id} {entry.shell}", _DIGITS):
            yield f"{entry.origin}:%{letter}", f"{entry.type} {entry.name} {entry.id} {entry.shell}", entry.origin


def _asked_for(area: Area) -> Iterator[tuple[str, str, Origin]]:
    """The same of units that rules of udev and commands of systemctl ask for, but for the instance of a template."""
    for item in area.configuration.udev_settings:
        for word in item.value.split() if item.key == _WANTS else ():
            if _SUBSTITUTION.search(word.partition("@")[0]):
                yield f"{item.origin}:{word}", f"{item.key}={item.value}", item.origin
    for unit in area.systemd.units:
        for program in unit.programs:
            command = [program.path, *program.arguments]
            if _is_asked(area, command, _PATTERN):
                yield f"{unit.name}:{program.setting}:systemctl", " ".join(command), program.origin
    for rule in area.configuration.udev_programs:
        for command in commands_of(area, rule):
            if _is_asked(area, command, _PATTERN_OF_UDEV):
                yield f"{rule.origin}:systemctl", rule.rule, rule.origin


def _is_asked(area: Area, command: list[str], pattern: re.Pattern[str]) -> bool:
    """Whether a command is one of systemctl, by its name or where it leads to, and has such a word."""
    program, *arguments = command
    names = {path.rpartition("/")[2] for path in (program, area.real(program) or "")}
    return "systemctl" in names and any(pattern.search(word.partition("@")[0]) for word in arguments)


def _letters(value: str, right: frozenset[str]) -> list[str]:
    """The specifiers of a value but those that are right."""
    return sorted(set(_LETTER.findall(value.replace("%%", ""))) - right)


CONTROLS = (no_unknown_specifier,)
