"""Door "injected configuration": what the boot writes into the kernel, and where programs read configuration."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._appliers import foreign_input
from policies.controls._products import exists
from policies.controls._tmpfiles import MAKES_CONTENT, lets_write, written
from policies.controls._tools import meddling_tool
from policies.controls._udev import commands_of
from policies.finding import about_name
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Setting, Unit
    from policies.finding import Finding

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
# Kernel parameters that name a program which the kernel starts, or make it start one.
_HELPERS: Final = frozenset({"kernel.modprobe", "kernel.hotplug", "kernel.poweroff_cmd", "fs.binfmt_misc.register"})
_HELPER_VALUES: Final = frozenset({None, "", "/sbin/modprobe", "/usr/sbin/modprobe", "/bin/false", "/usr/bin/false"})
_KERNEL_FILES: Final = re.compile(
    r"/proc/sys/.+|/proc/sysrq-trigger|/sys/kernel/(?:uevent_helper|security/lockdown|config/.+)"
    r"|/sys/fs/cgroup/.*release_agent|/sys/power/.+|/sys/firmware/.+|/sys/module/.+|/sys/kernel/(?:debug|tracing)/.+"
)
# Linux Documentation/filesystems/configfs.rst: who makes a directory makes an object of the kernel.
_CONFIGFS: Final = "/sys/kernel/config/"
# systemd.exec(5): settings by which what a program says goes into a file, or a file is opened for it.
_OUTPUTS: Final = frozenset({"StandardOutput", "StandardError", "OpenFile"})
_OUTPUT_FILE: Final = re.compile(r"^(?:file|append|truncate):|(?<=[^:]):.*$")
_MAKES_FOLDERS: Final = frozenset("dDvqQ")
_ROOTS: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib", "/usr/share", "/usr/local/share")
_FOLDERS: Final = (
    "systemd/system", "systemd/user", "systemd/network", "udev/rules.d", "modprobe.d", "modules-load.d", "sysctl.d",
    "tmpfiles.d", "sysusers.d", "binfmt.d", "environment.d", "credstore", "credstore.encrypted", "extensions",
    "confexts", "portables", "NetworkManager", "dbus-1", "polkit-1", "ld.so.conf.d",
)  # fmt: skip
_READ: Final = re.compile(
    rf"(?:{'|'.join(_ROOTS)})/(?:{'|'.join(map(re.escape, _FOLDERS))}|systemd/(?:system|user)[.-][a-z.-]+"
    r"|systemd/[a-z]+\.conf(?:\.d)?)(?:/.*)?"
    r"|/etc/(?:environment|fstab|crypttab|veritytab|integritytab|ld\.so\.(?:preload|conf|cache)|rc\.local|init\.d/.+)"
)
# systemd-soft-reboot.service(8), bootup(7), loginctl(1), systemd-sysext(8), portablectl(1).
_TAKEN: Final = (
    "/run/nextroot", "/run/initramfs", "/var/lib/systemd/linger", "/var/lib/extensions", "/var/lib/confexts",
    "/var/lib/portables",
)  # fmt: skip
_PLACES: Final = (*(f"{root}/{folder}" for root in _ROOTS for folder in _FOLDERS), *_TAKEN)
# systemd.unit(5), "FailureAction=": what starts another root or kernel.
_ACTIONS: Final = ("soft-reboot", "kexec")
_REBOOTS: Final = frozenset({"systemd-soft-reboot.service", "systemd-kexec.service"})
_FOREIGN: Final = "applies what is not among the files of the system"
_MAKES_TREES: Final = frozenset("CL")
_ABOVE_UNITS: Final = re.compile(r"/(?:etc|run|usr|usr/local/lib|usr/lib|lib)?(?:/(?:systemd|udev))?")
# systemd.exec(5), "RuntimeDirectory=, ...": which a service owns.
_OWNED: Final = {
    "RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log", "ConfigurationDirectory": "/etc",
}  # fmt: skip


@control(
    "ZOA-435",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="Nothing tells the kernel which programs to start",
    references=_CHANGE_CONTROL,
)
def no_kernel_helper(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: sysctl.d of root and initrd sets kernel.modprobe, kernel.hotplug, kernel.poweroff_cmd and
    fs.binfmt_misc.register to nothing but modprobe, false or nothing, and no line of tmpfiles.d writes kernel
    parameters below /proc/sys, or such files of /sys, nor those of modules, tracing, sysrq, lockdown, power, ACPI
    tables and variables of UEFI, or makes anything in configfs; no unit has such a file as StandardOutput=,
    StandardError= or OpenFile=.

    Why it matters: the kernel starts these programs as root, outside of every unit, when a module, a device or a
    crash asks for it. In configfs a directory is a USB gadget with a serial line, a target of netconsole, or an ACPI
    table; what is written into /proc/sys is not in sysctl.d, where controls judge it.

    Example: w /sys/kernel/uevent_helper - - - - /usr/lib/helper.

    Fix: remove the line.

    Known limits: a program that writes there itself is not seen; kernel.core_pattern in sysctl.d is the subject of
    ZOA-801.
    """
    for area in facts.areas:
        for setting in area.configuration.sysctl:
            names_one = any(matches(setting.key, key, ".") for key in _HELPERS)
            if names_one and setting.value not in _HELPER_VALUES:
                value = f"{setting.key} = {setting.value}"
                yield about_name(area, setting.key, "names a program that the kernel starts", (setting.origin, value))
        for item in area.configuration.tmpfiles:
            kind, path = item.type[:1], item.path
            is_glob = path.startswith(("/proc/", "/sys/")) and any(letter in path for letter in "*?[")
            is_made = kind in _MAKES_FOLDERS and path.startswith(_CONFIGFS)
            is_written = kind in MAKES_CONTENT and (is_glob or any(map(_KERNEL_FILES.fullmatch, written(area, item))))
            if is_made or is_written:
                value = f"{item.type} {item.path} {item.argument}"
                yield about_name(area, str(item.origin), "writes into the kernel", (item.origin, value))
        for unit in area.systemd.units:
            for output in unit.settings:
                path = normpath(_OUTPUT_FILE.sub("", output.value)) if output.key in _OUTPUTS else ""
                if _KERNEL_FILES.fullmatch(path):
                    evidence = (output.origin, f"{output.key}={output.value}")
                    yield about_name(area, f"{unit.name}:{output.key}", "writes into the kernel", evidence)


@control(
    "ZOA-436",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The boot writes no units and no configuration of the system",
    references=_CHANGE_CONTROL,
)
def no_written_units(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no line of tmpfiles.d in root or initrd writes, copies or links anything in the folders of units,
    generators, udev rules, module, sysctl, tmpfiles, sysusers, binfmt, bus, polkit, linker and environment
    configuration, or of extensions and credentials, in /run/nextroot or /run/initramfs, nor lets others than root write
    there, also with a directory that it copies. No unit has such a folder, or one above it, as its own
    (RuntimeDirectory= and the like). No unit and no rule of udev gives systemd-tmpfiles, systemd-sysctl,
    systemd-sysusers and their like files, lines, standard input or substitutions of its own, or options that are not
    known to be harmless; none runs mount, losetup, systemd-run and the like, another systemd, or systemctl, udevadm and
    dmsetup but to start and stop units of the image and to ask; none ends in a soft reboot or a kexec (FailureAction=
    and the like).

    Why it matters: what is made there at boot runs as if it were of the image, and is not in the files that an auditor
    or a control reads.

    Example: L /run/systemd/system/support.service - - - - /usr/share/support/unit.

    Fix: put the file into the image.

    Known limits: copies and links of /etc, /run/systemd and the like as a whole are findings, whatever is in them.
    """
    for area in facts.areas:
        for item in area.configuration.tmpfiles:
            kind, path = item.type[:1], item.path
            is_whole = kind in _MAKES_TREES and _ABOVE_UNITS.fullmatch(path)
            is_made = kind in MAKES_CONTENT and any(map(_is_read, written(area, item)))
            if is_whole or is_made or (lets_write(item) and _leads_to_read(path)):
                value = f"{item.type} {item.path} {item.mode} {item.user} {item.group} {item.argument}"
                message = "is made at boot" if is_whole or is_made else "may be written by others than root"
                yield about_name(area, f"{item.origin.path}:{item.path}", message, (item.origin, value))
        for unit in area.systemd.units:
            for setting in _restarts(unit):
                evidence = (setting.origin, f"{setting.key}={setting.value}")
                yield about_name(area, f"{unit.name}:{setting.key}", "starts another root or kernel", evidence)
            for setting, path in _owned(unit):
                if _leads_to_read(path):
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    yield about_name(area, f"{unit.name}:{setting.key}", f"makes {path} the service's own", evidence)
        yield from _applied(area)
        yield from _meddling(area)


def _applied(area: Area) -> Iterator[Finding]:
    for unit in area.systemd.units:
        for program in unit.programs if exists(unit) else ():
            command = (program.path, *program.arguments)
            word = foreign_input(area, command)
            if word is not None:
                yield about_name(area, unit.name, f"{_FOREIGN}: {word}", (program.origin, " ".join(command)))
    for rule in area.configuration.udev_programs:
        for words in commands_of(area, rule):
            word = foreign_input(area, words, is_udev=True)
            if word is not None:
                yield about_name(area, str(rule.origin), f"{_FOREIGN}: {word}", (rule.origin, rule.rule))


def _meddling(area: Area) -> Iterator[Finding]:
    for unit in area.systemd.units:
        for program in unit.programs if unit.masked_by is None else ():
            command = (program.path, *program.arguments)
            tool = meddling_tool(area, command, unit.name)
            if tool is not None:
                message = f"has {tool} change mounts, devices, units or managers"
                yield about_name(area, f"{unit.name}:{tool}", message, (program.origin, " ".join(command)))
    for rule in area.configuration.udev_programs:
        for words in commands_of(area, rule):
            tool = meddling_tool(area, words)
            if tool is not None:
                message = f"has {tool} change mounts, devices, units or managers"
                yield about_name(area, f"{rule.origin}:{tool}", message, (rule.origin, rule.rule))


def _restarts(unit: Unit) -> Iterator[Setting]:
    """What makes the end of a unit start another root or kernel, but in the units that are there for it."""
    if unit.name not in _REBOOTS or unit.pulled_in_by is not None:
        yield from (item for item in unit.settings if item.key.endswith("Action") and item.value.startswith(_ACTIONS))


def _owned(unit: Unit) -> Iterator[tuple[Setting, str]]:
    """The directories that a unit is given, and the links to them."""
    for setting in unit.settings:
        if setting.key in _OWNED:
            names = [name for word in setting.value.split() for name in word.split(":")[:2]]
            yield from ((setting, normpath(f"{_OWNED[setting.key]}/{name}")) for name in names)


def _is_read(path: str) -> bool:
    return _READ.fullmatch(path) is not None or f"{path}/".startswith(tuple(f"{place}/" for place in _TAKEN))


def _leads_to_read(path: str) -> bool:
    """Whether a path, or a pattern, means a place that is read, something below it, or a directory above it."""
    return _is_read(path) or any(
        place.startswith(f"{path.rstrip('/')}/") or matches(path, place, "/") for place in _PLACES
    )


CONTROLS = (no_kernel_helper, no_written_units)
