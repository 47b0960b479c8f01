"""Units of systemd that have to do their work as systemd has them: what else they say, and what stops them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.controls._products import words
from policies.controls._udev import commands_of
from policies.finding import about_name
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.facts import Area, Origin, Program, Setting, Unit
    from policies.finding import Finding

# What systemd's files of these units say (units/systemd-pcrphase*.service.in, units/systemd-sysctl.service.in).
_AS_SYSTEMD: Final = {
    "DefaultDependencies": "no", "Conflicts": r"(?:shutdown\.target|initrd-switch-root\.target| )*", "After": ".*",
    "Before": ".*", "ConditionSecurity": "measured-(?:uki|os)", "ConditionPathIsReadWrite": "/proc/sys/net/",
    "Type": "oneshot", "RemainAfterExit": "yes", "ExecStart": ".*", "ExecStop": ".*", "TimeoutSec": "90s",
    "ImportCredential": r"sysctl\.\*",
}  # fmt: skip
# What says nothing about whether and how a unit runs, in drop-ins, too.
_HARMLESS: Final = words("Description Documentation SyslogIdentifier TimeoutStopSec TimeoutStopFailureMode")
_IN_INITRD: Final = "/etc/initrd-release"
_PLACES: Final = ("/usr/lib/systemd/", "/lib/systemd/")
# systemd.unit(5): by which one unit stops another, or keeps it from being started.
_STOPPING: Final = words("Conflicts PropagatesStopTo")


def changes(area: Area, unit: Unit) -> Iterator[Setting]:
    """What a unit says that systemd's own does not, and what a drop-in says or takes back; one setting of each name."""
    found = {}
    condition = _IN_INITRD if area.name == "initrd" else f"!{_IN_INITRD}"
    for item in (*unit.settings, *unit.resets):
        is_own = item.origin.path not in unit.drop_ins and (
            re.fullmatch(_AS_SYSTEMD.get(item.key, "(?!)"), item.value) is not None
            or (item.key == "ConditionPathExists" and item.value == condition)
        )
        if not is_own and item.key not in _HARMLESS and item.section != "Install":
            found[item.key] = item
    yield from found.values()


def runs(program: Program, setting: str, name: str, arguments: Sequence[str]) -> bool:
    """Whether a unit runs just this program of systemd there, with these arguments, and fails if it does."""
    return (program.setting, program.prefixes, tuple(program.arguments)) == (setting, "", tuple(arguments)) and (
        program.path in {f"{place}{name}" for place in _PLACES}
    )


def covered(area: Area, places: re.Pattern[str]) -> Iterator[Finding]:
    """Findings about mounts over places that such units need, once each."""
    for mount in area.configuration.mounts:
        if places.fullmatch(mount.where):
            name = mount.unit or f"{mount.origin.path}:{mount.where}"
            yield about_name(area, name, f"covers {mount.where}, which systemd needs", (mount.origin, mount.what))


def stopped_by(area: Area, name: str) -> Iterator[tuple[str, Origin, str]]:
    """What else stops a unit, or keeps it from being started: who does, each once, and where it says so."""
    yield from {item[0]: item for item in _stopping(area, name)}.values()


def _stopping(area: Area, name: str) -> Iterator[tuple[str, Origin, str]]:
    for unit in area.systemd.units:
        for setting in unit.settings:
            if setting.key in _STOPPING and name in setting.value.split():
                yield unit.name, setting.origin, f"{setting.key}={setting.value}"
        for program in unit.programs:
            command = [program.path, *program.arguments]
            if _names(command, name):
                yield unit.name, program.origin, " ".join(command)
    for rule in area.configuration.udev_programs:
        for command in commands_of(area, rule):
            if _names(command, name):
                yield str(rule.origin), rule.origin, rule.command


def _names(command: Sequence[str], name: str) -> bool:
    """Whether a command has systemctl, which reads patterns and adds .service, name a unit."""
    is_asked = any(word.rpartition("/")[2] == "systemctl" for word in command)
    return is_asked and any(matches(word, name, "/") or matches(f"{word}.service", name, "/") for word in command)
