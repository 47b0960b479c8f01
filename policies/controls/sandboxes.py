"""Door "integrity": what services may do besides their work, and what takes their limits back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._products import words
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Setting, Unit
    from policies.finding import Finding

_REFERENCES: Final = ("NIST SP 800-53 AC-6", "NIST SP 800-53 SC-39")
# systemd src/basic/parse-util.c, ``parse_boolean``, in lower case.
_YES: Final = frozenset({"1", "yes", "y", "true", "t", "on"})
# systemd.exec(5): what each service states, and by which values.
_LIMITS: Final = {
    "NoNewPrivileges": _YES, "PrivateDevices": _YES, "PrivateNetwork": _YES, "ProtectSystem": frozenset({"strict"}),
    "ProtectHome": _YES | {"read-only", "tmpfs"}, "ProtectProc": frozenset({"noaccess", "invisible", "ptraceable"}),
    "ProtectKernelTunables": _YES, "ProtectKernelModules": _YES, "ProtectKernelLogs": _YES, "ProtectClock": _YES,
    "ProtectHostname": _YES | {"private"}, "ProtectControlGroups": _YES | {"private", "strict"},
    "RestrictNamespaces": _YES, "RestrictSUIDSGID": _YES, "LockPersonality": _YES, "MemoryDenyWriteExecute": _YES,
    "SystemCallArchitectures": frozenset({"native"}),
}  # fmt: skip
# A specifier that stands for nothing leaves no user, which is root.
_ROOT: Final = frozenset({"root", "0", ""})
_FAMILIES: Final = frozenset({"AF_UNIX", "none"})
# systemd src/shared/seccomp-util.c, ``syscall_filter_sets``: what is in @system-service, and what only gives up rights.
_CALLS: Final = words(
    "@system-service @aio @basic-io @chown @default @file-system @io-event @ipc @memlock @network-io @process "
    "@resources @setuid @signal @sync @timer @sandbox @pkey"
)
# Single system calls of the other groups; those that no group has are not so dangerous as to be in one.
_DANGEROUS_CALLS: Final = words(
    "mount umount umount2 mount_setattr move_mount fsopen fsmount fsconfig open_tree pivot_root chroot setns unshare "
    "ptrace process_vm_readv process_vm_writev pidfd_getfd perf_event_open bpf userfaultfd io_uring_setup init_module "
    "finit_module delete_module kexec_load kexec_file_load iopl ioperm reboot swapon open_by_handle_at add_key "
    "request_key keyctl syslog acct personality"
)
# Settings that stand beside the limits and undo them, whatever their value.
_UNDOING: Final = words(
    "AmbientCapabilities NetworkNamespacePath JoinsNamespaceOf PAMName PermissionsStartOnly SecureBits"
)
# Of a drop-in: what may only be taken away from, and what may only be added to.
_GRANTS: Final = words(
    "AmbientCapabilities CapabilityBoundingSet RestrictAddressFamilies SystemCallFilter SupplementaryGroups "
    "DeviceAllow IPAddressAllow NetworkNamespacePath JoinsNamespaceOf"
)
_DENIALS: Final = words(
    "SystemCallFilter RestrictAddressFamilies RootDirectory InaccessiblePaths NoExecPaths ReadOnlyPaths IPAddressDeny "
    "User DynamicUser"
)
_PATHS: Final = words("/usr/bin /usr/sbin /bin /sbin /usr/lib/systemd /lib/systemd")
_OF_SYSTEMD: Final = re.compile(
    r"systemctl|udevadm|journalctl|networkctl|kmod|modprobe"
    r"|systemd(?!-(?:run|cat|inhibit|notify|nspawn|vmspawn|socket-activate|stdio-bridge|executor)$)(?:-[a-z0-9-]+)?"
)
# What decides which file is at the path of a program, or where a name without a path is looked for (systemd.exec(5)).
_OTHER_PROGRAMS: Final = words(
    "RootDirectory RootImage RootMStack BindPaths BindReadOnlyPaths ExecSearchPath MountImages ExtensionImages "
    "ExtensionDirectories"
)
# Debian's udevd runs programs of other architectures.
_OF_DEBIAN: Final = ("systemd-udevd.service:SystemCallArchitectures",)
_ENGINE: Final = "/usr/lib/bedplate/engine"


@control(
    "ZOA-744",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="Services that are not systemd's run in a sandbox",
    references=_REFERENCES,
    parameters=(
        Parameter("allowed", (), 'Limits that a unit need not have, as "UNIT:SETTING", such as "a.service:User".'),
    ),
)
def services_are_confined(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: each unit of root and initrd that is not masked and runs a program that is not systemd's own or
    modprobe, or one that need not be it because the unit has RootDirectory=, RootImage=, RootMStack=, BindPaths=,
    BindReadOnlyPaths=, ExecSearchPath=, MountImages=, ExtensionImages= or ExtensionDirectories=, drop-ins included,
    runs as a user that is not root (DynamicUser= or User=); states NoNewPrivileges=,
    PrivateDevices=, PrivateNetwork=, ProtectSystem=strict, ProtectHome=, ProtectProc=, ProtectKernelTunables=,
    ProtectKernelModules=, ProtectKernelLogs=, ProtectClock=, ProtectHostname=, ProtectControlGroups=,
    RestrictNamespaces=, RestrictSUIDSGID=, LockPersonality=, MemoryDenyWriteExecute=, SystemCallArchitectures=native;
    permits no address families but AF_UNIX and, by a list of what is permitted, no system calls but those of
    @system-service; and has no command with the prefix "+" or "!", no AmbientCapabilities=, NetworkNamespacePath=,
    JoinsNamespaceOf=, PAMName=, PermissionsStartOnly= or SecureBits=.

    Why it matters: what a service reads comes from outside, and whoever gets hold of it is held by its sandbox alone.
    The connections that it needs come as sockets of the manager, which no sandbox closes.

    Example: engine.service.d/debug.conf with an empty SystemCallFilter=, User=root and PrivateNetwork=no.

    Fix: state the limits in the unit, remove the drop-in, or list what the service cannot work with in the pack.

    Known limits: programs of systemd go by name and directory, those of a unit with another root or with binds never;
    how far ReadWritePaths=, DeviceAllow= and BindPaths=
    open the sandbox is not judged.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            if not _has_other_programs(unit) and all(_is_of_systemd(program.path) for program in unit.programs):
                continue
            for key, value, place in _lacks(unit):
                if f"{unit.name}:{key}" not in parameters["allowed"]:
                    evidence = (place, f"{key}={value}" if value else f"{key}= is not set")
                    yield about_name(area, f"{unit.name}:{key}", "leaves its sandbox open", evidence)


@control(
    "ZOA-745",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="What runs from a tree with a root of its own sees nothing else",
    references=_REFERENCES,
)
def trees_are_entered_as_roots(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd hold /usr/lib/bedplate/engine, a unit that is not masked has it as its
    RootDirectory=; no program of a unit and no word of its command lies in there or in another tree that a unit has as
    its RootDirectory=; and no unit has RootDirectoryStartOnly=.

    Why it matters: the engine answers to everybody. In its own root it finds the model and what it is linked to;
    outside it finds the programs, units and devices of the node.

    Example: engine.service.d/debug.conf with an empty RootDirectory= and another ExecStart=.

    Fix: RootDirectory=/usr/lib/bedplate/engine in the unit, and paths as they are in there.

    Known limits: what BindPaths= brings into the tree is not judged.
    """
    for area in facts.areas:
        roots = [_last(unit, "RootDirectory") for unit in area.systemd.units]
        trees = {setting.value.rstrip("/") for setting in roots if setting is not None} - {""}
        if area.below(_ENGINE) and _ENGINE not in trees:
            yield about_path(area, _ENGINE, "is no unit's root directory")
        for unit in area.systemd.units:
            for program in unit.programs:
                for word in (program.path, *program.arguments):
                    if any(_names(area, word, tree) for tree in {*trees, _ENGINE}):
                        evidence = (program.origin, f"{program.setting}={word}")
                        yield about_name(area, f"{unit.name}:{word}", "is started outside of its root", evidence)
            only = _last(unit, "RootDirectoryStartOnly")
            if only is not None and only.value.lower() in _YES:
                evidence_only = (only.origin, f"{only.key}={only.value}")
                yield about_name(area, f"{unit.name}:{only.key}", "starts others outside of its root", evidence_only)


@control(
    "ZOA-746",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="No drop-in takes back a limit of a unit",
    references=_REFERENCES,
    parameters=(Parameter("allowed", _OF_DEBIAN, 'Settings that drop-ins may change, as "UNIT:SETTING".'),),
)
def no_limit_is_taken_back(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no drop-in of a unit in root or initrd, systemd's own units included, turns off NoNewPrivileges=
    or one of the other limits of ZOA-744, makes it run as root, empties SystemCallFilter=, RestrictAddressFamilies=,
    RootDirectory=, InaccessiblePaths=, NoExecPaths=, ReadOnlyPaths=, IPAddressDeny=, User= or DynamicUser=, or adds to
    CapabilityBoundingSet=, AmbientCapabilities=, SystemCallFilter=, RestrictAddressFamilies=, SupplementaryGroups=,
    DeviceAllow=, IPAddressAllow=, NetworkNamespacePath= or JoinsNamespaceOf=.

    Why it matters: the unit file reads as if the service were confined, and a file beside it says that it is not.

    Example: systemd-networkd.service.d/wide.conf with User=root and CapabilityBoundingSet=CAP_SYS_ADMIN.

    Fix: remove the drop-in, or write the whole unit in /etc/systemd/system, where ZOA-744 looks at it.

    Known limits: a unit of systemd's name that replaces systemd's own is looked at by ZOA-744 only if its program is
    not systemd's.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            for setting in (*unit.settings, *unit.resets):
                if (
                    setting.origin.path in unit.drop_ins
                    and _takes_back(setting)
                    and f"{unit.name}:{setting.key}" not in parameters["allowed"]
                ):
                    subject = f"{unit.name}:{setting.key}={setting.value}"
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    yield about_name(area, subject, "takes back a limit of the unit", evidence)


def _names(area: Area, word: str, tree: str) -> bool:
    """Whether a word of a command has a path in a tree in it, or is one that leads there."""
    return f"{tree}/" in word or f"{area.real(word)}/".startswith(f"{tree}/")


def _has_other_programs(unit: Unit) -> bool:
    """Whether a unit runs something, and a path in it need not lead to what the image has there."""
    return bool(unit.programs) and any(setting.key in _OTHER_PROGRAMS for setting in unit.settings)


def _is_of_systemd(program: str) -> bool:
    folder, _, name = program.rpartition("/")
    return folder in {"", *_PATHS} and _OF_SYSTEMD.fullmatch(name) is not None


def _lacks(unit: Unit) -> Iterator[tuple[str, str, str]]:
    """Setting, value and place of what a unit lacks of its sandbox, each setting once."""
    for key, values in _LIMITS.items():
        held = _last(unit, key)
        if held is None or not _meets(held.value, values):
            yield key, *_said(unit, held)
    dynamic, user = _last(unit, "DynamicUser"), _last(unit, "User")
    is_dynamic = dynamic is not None and _meets(dynamic.value, _YES)
    if (user is None and not is_dynamic) or (user is not None and _is_root(user.value)):
        yield "User", *_said(unit, user)
    families = _permitted(unit, "RestrictAddressFamilies")
    if families is None or not _FAMILIES.issuperset(families):
        yield "RestrictAddressFamilies", *_said(unit, _last(unit, "RestrictAddressFamilies"))
    calls = _permitted(unit, "SystemCallFilter")
    if calls is None or any(_is_dangerous(call.partition(":")[0]) for call in calls):
        yield "SystemCallFilter", *_said(unit, _last(unit, "SystemCallFilter"))
    for key in sorted(_UNDOING):
        undoing = _last(unit, key)
        if undoing is not None:
            yield key, *_said(unit, undoing)
    for program in unit.programs:
        if not {"+", "!"}.isdisjoint(program.prefixes):
            yield program.setting, f"{program.prefixes}{program.path}", str(program.origin)


def _said(unit: Unit, setting: Setting | None) -> tuple[str, str]:
    """Value and place of a setting; of one that is not there the unit's."""
    return (setting.value, str(setting.origin)) if setting is not None else ("", str(unit.path))


def _is_dangerous(call: str) -> bool:
    return call not in _CALLS if call.startswith("@") else call in _DANGEROUS_CALLS


def _meets(value: str, accepted: frozenset[str]) -> bool:
    """Whether a value is accepted; of booleans alone systemd does not mind the case."""
    return value in accepted or value.lower() in accepted & _YES


def _is_root(user: str) -> bool:
    """Whether a user is root, or one that only the instance tells."""
    return user in _ROOT or "%" in user


def _held(unit: Unit, key: str) -> list[Setting]:
    """The assignments of a key where systemd takes it: in the section of the unit's type."""
    section = "Unit" if key == "JoinsNamespaceOf" else unit.type.capitalize()
    return [setting for setting in unit.settings if (setting.section, setting.key) == (section, key)]


def _last(unit: Unit, key: str) -> Setting | None:
    found = _held(unit, key)
    return found[-1] if found else None


def _permitted(unit: Unit, key: str) -> set[str] | None:
    """What a list permits; None if there is none or it is one of what is denied, which the first assignment decides."""
    held = [setting.value for setting in _held(unit, key)]
    if not held or held[0].startswith("~"):
        return None
    found: set[str] = set()
    for value in held:
        named = value.removeprefix("~").split()
        found = found.difference(named) if value.startswith("~") else found.union(named)
    return found


def _takes_back(setting: Setting) -> bool:
    key, value = setting.key, setting.value
    if not value:
        return key in _LIMITS or key in _DENIALS
    match key:
        case "User":
            return _is_root(value)
        case "DynamicUser":
            return not _meets(value, _YES)
        case "RootDirectory":
            return True
    return not _meets(value, _LIMITS[key]) if key in _LIMITS else key in _GRANTS and not value.startswith("~")


CONTROLS = (services_are_confined, trees_are_entered_as_roots, no_limit_is_taken_back)
