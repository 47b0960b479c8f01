"""Configuration that decides what runs, who may do what and what the kernel allows."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from builder.facts.pam import pam
from builder.facts.syntax import drop_ins, ordered
from builder.facts.text import settings, statements
from policies.facts import (
    Configuration,
    DBusService,
    ModprobeDirective,
    ModuleLoad,
    Mount,
    Origin,
    PolkitFile,
    SysctlSetting,
    SysusersEntry,
    TmpfilesEntry,
    UdevProgram,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from builder.facts.tree import FileTree
    from policies.facts import Systemd

_UDEV_PROGRAM: Final = re.compile(
    r"(RUN(?:\{(?:program|builtin)\})?|PROGRAM|IMPORT\{program\}|ENV\{SYSTEMD_WANTS\})"
    r'\s*(?:[+:]?=|==)\s*e?"((?:[^"\\]|\\.)*)"'
)
_TMPFILES_FIELDS: Final = 7
_SYSUSERS_FIELDS: Final = 6
_FSTAB_FIELDS: Final = 3
_BUSES: Final[dict[str, Literal["system", "session"]]] = {"system-services": "system", "services": "session"}
_DBUS_ROOTS: Final = ("/etc", "/run", "/usr/local/share", "/usr/share", "/usr/lib")
_POLKIT: Final[dict[str, Literal["rules", "action", "authority"]]] = {
    ".rules": "rules", ".policy": "action", ".pkla": "authority",
}  # fmt: skip


def configuration(tree: FileTree, systemd: Systemd) -> Configuration:
    """The configuration of a tree; mount units come from what is known about systemd."""
    return Configuration(
        sysctl=_sysctl(tree),
        modules_load=tuple(_modules_load(tree)),
        modprobe=tuple(_modprobe(tree)),
        udev_programs=udev_programs(tree),
        tmpfiles=tuple(_tmpfiles(tree)),
        sysusers=tuple(_sysusers(tree)),
        pam=pam(tree),
        dbus_services=tuple(_dbus_services(tree)),
        polkit=tuple(_polkit(tree)),
        mounts=(*_fstab(tree), *_mount_units(systemd)),
    )


def _sysctl(tree: FileTree) -> tuple[SysctlSetting, ...]:
    """sysctl.d(5) as systemd-sysctl applies it; /etc/sysctl.conf counts only where a link in sysctl.d leads to it."""
    found: dict[str, SysctlSetting] = {}
    for path in drop_ins(tree, "sysctl.d", ".conf"):
        for origin, text in statements(tree, path, "#;"):
            key, equals, value = text.partition("=")
            bare = _sysctl_key(key.strip().lstrip("-"))
            if not bare or not (equals or key.startswith("-")):
                continue
            before = found.get(bare)
            found[bare] = SysctlSetting(
                key=bare,
                value=" ".join(value.split()) if equals else None,
                ignore_failure=key.strip().startswith("-"),
                origin=origin,
                overridden=() if before is None else (*before.overridden, before.origin),
            )
    return tuple(found[key] for key in sorted(found))


def _sysctl_key(key: str) -> str:
    """The key with dots: where a slash comes first, slashes separate and dots are part of names."""
    separator = re.search(r"[./]", key)
    return key if separator is None or separator[0] == "." else key.translate(str.maketrans("./", "/."))


def _modules_load(tree: FileTree) -> Iterator[ModuleLoad]:
    paths = (*drop_ins(tree, "modules-load.d", ".conf"), "/etc/modules")
    real = dict.fromkeys(node.path for node in map(tree.find, paths) if node is not None)
    for path in real:
        for origin, text in statements(tree, path, "#;"):
            yield ModuleLoad(name=text.split()[0], origin=origin)


def _modprobe(tree: FileTree) -> Iterator[ModprobeDirective]:
    for path in drop_ins(tree, "modprobe.d", ".conf"):
        for origin, text in statements(tree, path):
            directive, module, rest = (*text.split(None, 2), "", "")[:3]
            yield ModprobeDirective(directive=directive, module=module, rest=rest, origin=origin)


def udev_programs(tree: FileTree) -> tuple[UdevProgram, ...]:
    """The rules of udev that run a program or ask systemd for a unit."""
    return tuple(
        UdevProgram(key=key, command=command, rule=text, origin=origin)
        for path in drop_ins(tree, "udev/rules.d", ".rules")
        for origin, text in statements(tree, path)
        for key, command in _UDEV_PROGRAM.findall(text)
    )


def _tmpfiles(tree: FileTree) -> Iterator[TmpfilesEntry]:
    for path in drop_ins(tree, "tmpfiles.d", ".conf"):
        for origin, text in statements(tree, path):
            words = text.split(None, _TMPFILES_FIELDS - 1)
            kind, target, mode, user, group, age, argument = (*words, *["-"] * 4, "", "", "")[:_TMPFILES_FIELDS]
            yield TmpfilesEntry(
                type=kind,
                path=target,
                mode=mode,
                user=user,
                group=group,
                age=age or "-",
                argument="" if argument == "-" else argument,
                origin=origin,
            )


def _sysusers(tree: FileTree) -> Iterator[SysusersEntry]:
    for path in drop_ins(tree, "sysusers.d", ".conf"):
        for origin, text in statements(tree, path):
            words = ["" if word == "-" else word for word in _words(text)]
            kind, name, number, comment, home, shell = (*words, *[""] * _SYSUSERS_FIELDS)[:_SYSUSERS_FIELDS]
            yield SysusersEntry(
                type=kind, name=name, id=number or "-", comment=comment, home=home, shell=shell, origin=origin
            )


def _dbus_services(tree: FileTree) -> Iterator[DBusService]:
    for directory, bus in _BUSES.items():
        roots = [
            f"{root}/dbus-1/{directory}" for root in ("/etc", "/run", "/usr/local/share", "/usr/share", "/usr/lib")
        ]
        for path in ordered(tree, roots, ".service"):
            values = {item.key: item.value for item in settings(tree, path) if item.section == "D-BUS Service"}
            yield DBusService(
                name=values.get("Name", ""),
                bus=bus,
                exec=values.get("Exec", ""),
                user=values.get("User"),
                systemd_unit=values.get("SystemdService"),
                origin=Origin(path=path, line=None),
            )


def _polkit(tree: FileTree) -> Iterator[PolkitFile]:
    for path in sorted(tree.nodes):
        kind = _POLKIT.get(path[path.rfind(".") :]) if "/polkit-1/" in path else None
        if kind is not None and tree.nodes[path].is_file:
            yield PolkitFile(path=path, kind=kind)


def _fstab(tree: FileTree) -> Iterator[Mount]:
    for origin, text in statements(tree, "/etc/fstab"):
        words = text.split()
        if len(words) < _FSTAB_FIELDS:
            continue
        options = tuple(words[_FSTAB_FIELDS].split(",")) if len(words) > _FSTAB_FIELDS else ()
        yield Mount(what=words[0], where=words[1], type=words[2], options=options, unit=None, origin=origin)


def _mount_units(systemd: Systemd) -> Iterator[Mount]:
    for unit in systemd.units:
        if unit.type not in {"mount", "swap"} or unit.path is None:
            continue
        values = {setting.key: setting for setting in unit.settings if setting.section.lower() == unit.type}
        what, where, kind, options = (
            values[key].value if key in values else None for key in ("What", "Where", "Type", "Options")
        )
        yield Mount(
            what=what or "",
            where="none" if unit.type == "swap" else where or "",
            type="swap" if unit.type == "swap" else kind,
            options=tuple(options.split(",")) if options else (),
            unit=unit.name,
            origin=values["What"].origin if "What" in values else Origin(path=unit.path, line=None),
        )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
