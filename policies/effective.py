"""What holds in the end: kernel arguments of every profile, sysctls with their globs, settings of daemons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.finding import Evidence, Finding, about_name
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from policies.facts import Area, Argument, BootEntry, Facts, Setting, SysctlSetting, UkiProfile, Unit


def profiles(facts: Facts) -> tuple[UkiProfile, ...]:
    """The profiles of the UKI; none for a directory tree."""
    return () if facts.uki is None else facts.uki.profiles


def kernel_arguments(profile: UkiProfile, name: str) -> tuple[Argument, ...]:
    """The arguments of a name that the kernel looks at, in order; what stands after "--" is for init only."""
    found = profile.command_line.all(name) if profile.command_line else ()
    return tuple(argument for argument in found if not argument.for_init)


def about_argument(profile: UkiProfile, argument: Argument, message: str) -> Finding:
    """A finding about an argument that is there."""
    path = f".cmdline of profile {profile.number}, argument {argument.position}"
    evidence = Evidence(source="uki", path=path, value=str(argument))
    return Finding(subject=f"uki:{profile.number}:{argument}", message=message, evidence=(evidence,))


def about_profile(profile: UkiProfile, name: str, message: str, section: str = ".cmdline") -> Finding:
    """A finding about something that a profile lacks: ``name`` is an argument or a section."""
    text = profile.command_line.text if profile.command_line and section == ".cmdline" else ""
    evidence = Evidence(source="uki", path=f"{section} of profile {profile.number}", value=text)
    return Finding(subject=f"uki:{profile.number}:{name}", message=message, evidence=(evidence,))


def required_argument(facts: Facts, name: str, accepted: Collection[str | None], message: str) -> Iterator[Finding]:
    """Findings for each profile that lacks an argument, and for each value besides the accepted ones.

    Every occurrence must be good: which of two the kernel takes depends on the argument.
    """
    for profile in profiles(facts):
        found = kernel_arguments(profile, name)
        if not found:
            yield about_profile(profile, name, f"is not on the kernel command line: {message}")
        for argument in found:
            if argument.value not in accepted:
                yield about_argument(profile, argument, f"is not the value that is needed: {message}")


def refused_arguments(
    facts: Facts, refused: Mapping[str, frozenset[str] | None], message: str, *, also_init: bool = False
) -> Iterator[Finding]:
    """Findings for arguments with a refused value; a value may be a list with commas. None refuses every value.

    Names are spelled with "_", values in lower case; "" stands for an argument without a value. systemd reads the
    whole command line, so what is about systemd is refused after "--" too (``also_init``).
    """
    for profile in profiles(facts):
        for argument in profile.command_line.arguments if profile.command_line else ():
            name = argument.name.replace("-", "_")
            if name not in refused or (argument.for_init and not also_init):
                continue
            if _is_refused(argument, refused[name]):
                yield about_argument(profile, argument, message)
    for entry in facts.boot.entries:
        for argument in entry.command_line.arguments if entry.command_line else ():
            name = argument.name.replace("-", "_")
            if name in refused and (also_init or not argument.for_init) and _is_refused(argument, refused[name]):
                subject, evidence = f"{entry_subject(entry)}:{argument}", entry_evidence(entry, str(argument))
                yield Finding(subject=subject, message=message, evidence=(evidence,))


def _is_refused(argument: Argument, values: frozenset[str] | None) -> bool:
    return values is None or bool(values & set((argument.value or "").lower().split(",")))


def entry_subject(entry: BootEntry) -> str:
    """How findings call a boot entry: the line may move from build to build, the title does not."""
    return f"{entry.volume}:{entry.origin.path}" + (f":{entry.title}" if entry.kind != "loader-entry" else "")


def entry_evidence(entry: BootEntry, value: str) -> Evidence:
    """The file, and the line of a grub.cfg, with a value that stands there."""
    return Evidence(source=entry.volume, path=str(entry.origin), value=value)


def sysctl_settings(area: Area, key: str) -> tuple[SysctlSetting, ...]:
    """What sysctl.d leaves of a key: the assignment to the key itself, else those of all globs that match it.

    systemd-sysctl applies globs to keys that have no assignment of their own (sysctl.d(5)); "-key" excludes one. Of
    several globs, which it applies last is not known here: all must be good.
    """
    settings = area.configuration.sysctl
    own = tuple(setting for setting in settings if setting.key == key)
    globs = tuple(setting for setting in settings if matches(setting.key, key, "."))
    return tuple(setting for setting in own or globs if setting.value is not None)


def required_sysctl(facts: Facts, key: str, accepted: Collection[str], message: str) -> Iterator[Finding]:
    """A finding if the root's sysctl.d does not set a key, or to a value besides the accepted ones.

    The initrd's settings do not count: the root's come later and hold while there is something to protect.
    """
    found = sysctl_settings(facts.root, key)
    if not found:
        yield about_name(facts.root, key, f"is set nowhere in sysctl.d: {message}", ("/usr/lib/sysctl.d", "not set"))
    for setting in found:
        if setting.value not in accepted:
            value = f"{setting.key} = {setting.value}"
            yield about_name(facts.root, key, f"is {setting.value}: {message}", (setting.origin, value))


def daemon_settings(area: Area, name: str, key: str) -> tuple[Setting, ...]:
    """The assignments of a key in a configuration file of systemd and its drop-ins, in order; the last one holds."""
    return tuple(
        setting
        for configuration in area.systemd.configuration
        if configuration.name == name and configuration.directory == "systemd"
        for setting in configuration.settings
        if setting.key == key
    )


def about_started(area: Area, unit: Unit, message: str) -> Finding:
    """A finding about a unit that the start brings in, with the chain that does."""
    return about_name(area, unit.name, message, (unit.path or unit.name, " > ".join(unit.pulled_in_by or ())))
