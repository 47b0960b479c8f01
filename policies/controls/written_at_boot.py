"""Door "injected configuration": what the boot writes into the kernel, and where programs read configuration."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._appliers import foreign_input
from policies.controls._products import exists, words
from policies.controls._read_places import is_read, leads_to_read, replaced, unquoted
from policies.controls._tmpfiles import MAKES_CONTENT, lets_write, source, written
from policies.controls._tools import meddling_tool
from policies.controls._udev import commands_of
from policies.finding import about_name, about_path
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Setting, TmpfilesEntry, Unit
    from policies.finding import Finding

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
# Kernel parameters that name a program which the kernel starts, or make it start one.
_HELPERS: Final = frozenset({
    "kernel.modprobe", "kernel.hotplug", "kernel.poweroff_cmd", "fs.binfmt_misc.register", "fs.ocfs2.nm.hb_ctl_path",
})  # fmt: skip
# Programs that the kernel starts by a path of its own (call_usermodehelper in security/keys/request_key.c, net/bridge,
# fs/nfs/cache_lib.c, fs/nfsd/nfs4recover.c, drivers/block/drbd, drivers/video/fbdev/uvesafb.c, fs/ocfs2/stackglue.c,
# security/tomoyo, drivers/pnp/pnpbios), and that mount(8), umount(8) and fsck(8) start for a type of file systems.
_STARTED_BY_NAME: Final = re.compile(
    r"request-key|bridge-stp|nfs_cache_getent|nfsdcltrack|drbdadm|v86d|ocfs2_hb_ctl|tomoyo-init|pnpbios|hotplug"
    r"|(?:u?mount|fsck)\..+"
)
_HELPER_VALUES: Final = frozenset({None, "", "/sbin/modprobe", "/usr/sbin/modprobe", "/bin/false", "/usr/bin/false"})
# Also what may be one of these: a pattern that begins at the top.
_KERNEL_FILES: Final = re.compile(r"/(?:(?:proc|sys|dev)(?:/.*)?|[^/]*[*?\[{].*)", re.DOTALL)
# What tunes memory, disks, processors and lights there, and what is for every program.
_TUNING: Final = re.compile(
    r"/sys/kernel/mm/(?:transparent_hugepage|ksm|lru_gen)/(?:khugepaged/)?[^/]+|/sys/block/[^/]+/queue/[^/]+"
    r"|/sys/kernel/mm/hugepages/[^/]+/[^/]+|/sys/devices/system/cpu/cpu[0-9]+/cpufreq/[^/]+"
    r"|/sys/class/leds/[^/]+/(?:brightness|trigger)|/dev/(?:shm/.+|fd|std(?:in|out|err)|core)"
)
# What a service may write besides; who may open memory, disks and terminals, other controls judge.
_OPENED: Final = re.compile(
    r"/dev/(?:null|zero|full|console|kmsg|log|u?random|tty.*|pts/.*|hvc.*|fuse|net/tun|kvm|tpmrm[0-9]+|dri/.*|nvidia.*)"
)
# Linux Documentation/filesystems/configfs.rst: who makes a directory makes an object of the kernel.
_CONFIGFS: Final = "/sys/kernel/config/"
# systemd.exec(5): settings by which what a program says goes into a file, or a file is opened for it.
_OUTPUTS: Final = words("StandardOutput StandardError")
_OUTPUT_FILES: Final = words("file append truncate")
_MAKES_FOLDERS: Final = frozenset("dDvqQ")
# systemd.unit(5), "FailureAction=": what starts another root or kernel.
_ACTIONS: Final = ("soft-reboot", "kexec")
_REBOOTS: Final = frozenset({"systemd-soft-reboot.service", "systemd-kexec.service"})
_FOREIGN: Final = "applies what is not among the files of the system"
_MAKES_FILES: Final = MAKES_CONTENT | frozenset("bcp")
# What the host, or a service, fills while the node runs. What is made in /run and /dev counts as that anyway.
_OUTSIDE: Final = ("/sys/", "/proc/", "/dev/", "/run/")
_IN_OUTSIDE: Final = ("/sys/",)
# Links of systemd and distributions that are there for programs which know the older name.
_USUAL_LINKS: Final = frozenset({
    ("/etc/mtab", "/proc/self/mounts"), ("/var/lock", "/run/lock"), ("/var/run", "/run"),
    ("/etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
    ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"),
})  # fmt: skip
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
    parameters=(Parameter("allowed", (), 'Paths of helpers that the image needs, such as "/usr/sbin/fsck.ext4".'),),
)
def no_kernel_helper(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: sysctl.d of root and initrd sets kernel.modprobe, kernel.hotplug, kernel.poweroff_cmd,
    fs.ocfs2.nm.hb_ctl_path and fs.binfmt_misc.register to nothing but modprobe, false or nothing, no options line of
    modprobe.d has a path, as that of a program would be, and no line of tmpfiles.d writes, copies or links
    anything into /proc, /sys or /dev, but how memory, disks and processors are used (/sys/kernel/mm, queue of a disk,
    cpufreq), lights, shared memory and usual links, or makes anything in configfs; no unit has such a file as
    StandardOutput=, StandardError= or OpenFile=, but terminals, /dev/null, and devices such as those of graphics,
    tunnels and the TPM's resource manager. No program has the name of one that the kernel starts by itself, such as
    request-key, bridge-stp and drbdadm, or that mount and fsck start for a file system (mount.TYPE, fsck.TYPE).

    Why it matters: the kernel starts these programs as root, outside of every unit, when a module, a device or a
    crash asks for it. In configfs a directory is a USB gadget with a serial line, a target of netconsole, or an ACPI
    table; what is written into /proc/sys is not in sysctl.d, where controls judge it, and what is
    written to a TPM, to registers of a processor or to the policy of IMA is in no file that is read at all.

    Example: w /sys/kernel/uevent_helper - - - - /usr/lib/helper.

    Fix: remove the line.

    Known limits: a program that writes there itself is not seen; kernel.core_pattern in sysctl.d is the subject of
    ZOA-801. What /usr/sbin/modprobe, poweroff and reboot are, which the kernel starts too, is not asked.
    """
    for area in facts.areas:
        for name, pairs in area.programs.items():
            for file, program in pairs if _STARTED_BY_NAME.fullmatch(name) else ():
                if file.path not in parameters["allowed"]:
                    message = "is what kernel, mount or fsck start by its name"
                    yield about_path(area, file.path, message, f"{program.path}, mode {program.mode:04o}")
        for setting in area.configuration.sysctl:
            names_one = any(matches(setting.key, key, ".") for key in _HELPERS)
            if names_one and setting.value not in _HELPER_VALUES:
                value = f"{setting.key} = {setting.value}"
                yield about_name(area, setting.key, "names a program that the kernel starts", (setting.origin, value))
        for line in area.configuration.modprobe:
            if line.directive == "options" and "/" in line.rest:
                value = f"{line.directive} {line.module} {line.rest}"
                yield about_name(area, str(line.origin), "gives a module a path", (line.origin, value))
        yield from _written_into_kernel(area)


def _written_into_kernel(area: Area) -> Iterator[Finding]:
    for item in area.configuration.tmpfiles:
        kind, path = item.type[:1], item.path
        is_made = kind in _MAKES_FOLDERS and path.startswith(_CONFIGFS)
        is_written = kind in MAKES_CONTENT and any(map(_is_of_kernel, written(area, item)))
        if is_made or is_written:
            value = f"{item.type} {item.path} {item.argument}"
            yield about_name(area, str(item.origin), "writes into the kernel", (item.origin, value))
    for unit in area.systemd.units:
        for output, path in _outputs(area, unit):
            if _is_of_kernel(path) and not _OPENED.fullmatch(path):
                evidence = (output.origin, f"{output.key}={output.value}")
                yield about_name(area, f"{unit.name}:{output.key}", "writes into the kernel", evidence)


def _is_of_kernel(path: str) -> bool:
    return _KERNEL_FILES.fullmatch(path) is not None and _TUNING.fullmatch(path) is None


@control(
    "ZOA-436",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The boot writes no units and no configuration of the system",
    references=_CHANGE_CONTROL,
)
def no_written_units(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no line of tmpfiles.d in root or initrd writes, copies or links anything in the folders of units,
    generators, udev, modules, sysctl, tmpfiles, sysusers, binfmt, bus, polkit, linker and environment configuration,
    or of extensions and credentials, in /run/nextroot or /run/initramfs, also with a directory that it copies, nor lets
    others than root write there; none copies or links what lies in /sys, /proc, /dev or /run to elsewhere, but usual
    links such as /etc/mtab. No unit has such a folder, or one above it, as its own (RuntimeDirectory= and the like),
    writes into one (StandardOutput=file:, OpenFile= and the like), or has something else, or nothing, in its place
    (BindPaths=, TemporaryFileSystem= and the like; for programs of systemd also above it, and as RootDirectory=). No
    unit and no rule of udev gives systemd-tmpfiles, systemd-sysctl, systemd-sysusers and their like files, lines,
    standard input or substitutions of its own, or options that are not known to be harmless; none runs mount, losetup,
    systemd-run and the like, another systemd, or systemctl, udevadm and dmsetup but to start and stop units of the
    image and to ask; systemd-veritysetup opens volumes in units only, by their root hash, and never opens or closes
    root and usr, which the generated units do; none ends in a soft reboot or a kexec (FailureAction= and the like).

    Why it matters: what is made there at boot runs as if it were of the image, and is not in the files that an auditor
    or a control reads.

    Example: L /run/systemd/system/support.service - - - - /usr/share/support/unit.

    Fix: put the file into the image.

    Known limits: copies and links of /etc, /run/systemd and the like as a whole are findings, whatever is in them.
    """
    for area in facts.areas:
        for item in area.configuration.tmpfiles:
            message = _made(area, item)
            if message is not None:
                value = f"{item.type} {item.path} {item.mode} {item.user} {item.group} {item.argument}"
                yield about_name(area, f"{item.origin.path}:{item.path}", message, (item.origin, value))
        for unit in area.systemd.units:
            for setting, message in _changed_by(area, unit):
                evidence = (setting.origin, f"{setting.key}={setting.value}")
                yield about_name(area, f"{unit.name}:{setting.key}", message, evidence)
        yield from _applied(area)
        yield from _meddling(area)


def _made(area: Area, item: TmpfilesEntry) -> str | None:
    """What is wrong with a line of tmpfiles.d; None for nothing."""
    kind, path = item.type[:1], item.path
    is_whole = kind in _MAKES_TREES and _ABOVE_UNITS.fullmatch(path)
    if is_whole or (kind in _MAKES_FILES and any(map(is_read, written(area, item)))):
        return "is made at boot"
    if lets_write(item) and leads_to_read(path):
        return "may be written by others than root"
    return "is made of what the image does not hold" if _is_from_outside(area, item) else None


def _is_from_outside(area: Area, item: TmpfilesEntry) -> bool:
    named = source(item)
    if named is None or (item.path, named) in _USUAL_LINKS:
        return False
    path = area.real(named)
    places = _IN_OUTSIDE if item.path.startswith(("/run/", "/dev/")) else _OUTSIDE
    return path != "/dev/null" and f"{path}/".startswith(places)


def _changed_by(area: Area, unit: Unit) -> Iterator[tuple[Setting, str]]:
    """What settings of a unit put in the place of configuration, each with the message about it."""
    yield from ((setting, "starts another root or kernel") for setting in _restarts(unit))
    yield from ((setting, f"makes {path} the service's own") for setting, path in _owned(unit) if leads_to_read(path))
    yield from ((setting, f"writes {path}") for setting, path in _outputs(area, unit) if is_read(path))
    if unit.masked_by is None:
        yield from ((setting, f"puts something else in the place of {path}") for setting, path in replaced(unit))


def _outputs(area: Area, unit: Unit) -> Iterator[tuple[Setting, str]]:
    """The files that are opened for a service to write into."""
    for setting in unit.settings:
        path = ""
        if setting.key in _OUTPUTS:
            kind, _, named = setting.value.partition(":")
            path = named if kind in _OUTPUT_FILES else ""
        elif setting.key == "OpenFile":
            named, *others = unquoted(setting.value).split(":")
            path = "" if "read-only" in ",".join(others[1:]).split(",") else named
        real = area.real(path) if path else None
        if real is not None:
            yield setting, real


def _applied(area: Area) -> Iterator[Finding]:
    for unit in area.systemd.units:
        for program in unit.programs if exists(unit) else ():
            command = [program.path, *program.arguments]
            word = foreign_input(area, command)
            if word is not None:
                yield about_name(area, unit.name, f"{_FOREIGN}: {word}", (program.origin, " ".join(command)))
    for rule in area.configuration.udev_programs:
        for command in commands_of(area, rule):
            word = foreign_input(area, command, is_udev=True)
            if word is not None:
                yield about_name(area, str(rule.origin), f"{_FOREIGN}: {word}", (rule.origin, rule.rule))


def _meddling(area: Area) -> Iterator[Finding]:
    for unit in area.systemd.units:
        for program in unit.programs if unit.masked_by is None else ():
            command = [program.path, *program.arguments]
            tool = meddling_tool(area, command, unit.name)
            if tool is not None:
                message = f"has {tool} change mounts, devices, units or managers"
                yield about_name(area, f"{unit.name}:{tool}", message, (program.origin, " ".join(command)))
    for rule in area.configuration.udev_programs:
        for command in commands_of(area, rule):
            tool = meddling_tool(area, command)
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
            names = [name for word in unquoted(setting.value).split() for name in word.split(":")[:2]]
            yield from ((setting, normpath(f"{_OWNED[setting.key]}/{name}")) for name in names)


CONTROLS = (no_kernel_helper, no_written_units)
