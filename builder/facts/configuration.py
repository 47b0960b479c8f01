"""Configuration that decides what runs, who may do what and what the kernel allows."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.facts.bus import service_folders
from builder.facts.loaded import loaded_paths
from builder.facts.pam import pam
from builder.facts.polkit import polkit_files
from builder.facts.syntax import SPACE, drop_ins, fields, fstab_lines, kmod_lines, ordered
from builder.facts.text import commented, settings, statements
from builder.facts.udev_rules import udev_programs, udev_settings
from builder.facts.unit_values import extract_word, path_of, split
from policies.facts import (
    Configuration,
    DBusService,
    EncryptedVolume,
    ModprobeDirective,
    ModuleLoad,
    Mount,
    Origin,
    PolkitFile,
    SysctlSetting,
    SysusersEntry,
    TmpfilesEntry,
)
from policies.facts.paths import chase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from builder.facts.tree import FileTree
    from policies.facts import Systemd

_TMPFILES_FIELDS: Final = 7
_TMPFILES_SPECIFIER: Final = re.compile("%(.)")
_TMPFILES_DIRECTORIES: Final = {
    "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "T": "/tmp", "V": "/var/tmp", "h": "/root",  # noqa: S108 -- what it means
    "%": "%",
}  # fmt: skip
# What makes a link, or removes what has the name.
_ABOUT_LINKS: Final = frozenset("LrR")
_HAS_SOURCE: Final = frozenset("CL")
_SYSUSERS_FIELDS: Final = 6
_FSTAB_FIELDS: Final = 3
_OCTAL: Final = re.compile(r"\\([0-3][0-7]{2})")
_MODULES: Final = ("/usr/lib/modules", "/lib/modules")
_DEPMOD: Final = ("modules.softdep", "modules.weakdep")
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
        udev_settings=tuple(udev_settings(tree)),
        tmpfiles=_tmpfiles(tree),
        sysusers=tuple(_sysusers(tree)),
        pam=pam(tree),
        dbus_services=tuple(_dbus_services(tree)),
        polkit=tuple(_polkit(tree)),
        mounts=(*_fstab(tree), *_mount_units(tree, systemd)),
        encrypted_volumes=tuple(_crypttab(tree)),
        loaded_paths=loaded_paths(tree),
    )


def _sysctl(tree: FileTree) -> tuple[SysctlSetting, ...]:
    """sysctl.d(5) as systemd-sysctl applies it; /etc/sysctl.conf counts only where a link in sysctl.d leads to it."""
    found: dict[str, SysctlSetting] = {}
    for path in drop_ins(tree, "sysctl.d", ".conf"):
        for origin, text in statements(tree, path, commented):
            key, equals, value = text.partition("=")
            bare = _sysctl_key(key.strip(SPACE).lstrip("-"))
            if not bare or not (equals or key.startswith("-")):
                continue
            before = found.get(bare)
            found[bare] = SysctlSetting(
                key=bare,
                value=" ".join(fields(value)) if equals else None,
                ignore_failure=key.strip(SPACE).startswith("-"),
                origin=origin,
                overridden=() if before is None else (*before.overridden, before.origin),
            )
    return tuple(found[key] for key in sorted(found))


def _sysctl_key(key: str) -> str:
    """The key with dots (systemd src/basic/sysctl-util.c, ``sysctl_normalize``); it is a path below /proc/sys.

    Where a slash comes first, slashes separate and dots are part of names.
    """
    separator = re.search(r"[./]", key)
    path = key if separator is not None and separator[0] == "/" else key.translate(str.maketrans("./", "/."))
    return normpath(f"/{path}").strip("/").translate(str.maketrans("./", "/."))


def _modules_load(tree: FileTree) -> Iterator[ModuleLoad]:
    paths = (*drop_ins(tree, "modules-load.d", ".conf"), "/etc/modules")
    real = dict.fromkeys(node.path for node in map(tree.find, paths) if node is not None)
    for path in real:
        for origin, text in statements(tree, path, commented):
            yield ModuleLoad(name=fields(text)[0], origin=origin)


def _modprobe(tree: FileTree) -> Iterator[ModprobeDirective]:
    # libkmod/libkmod-config.c, ``kmod_config_new``: files of depmod that are read like those of modprobe.d.
    tops = dict.fromkeys(tree.real(path) or path for path in _MODULES)
    found = [f"{top}/{release}/{name}" for top in tops for release in tree.names(top) for name in _DEPMOD]
    for path in (*found, *drop_ins(tree, "modprobe.d", ".conf")):
        for origin, text in statements(tree, path, kmod_lines):
            directive, module, rest = (*text.split(None, 2), "", "")[:3]
            yield ModprobeDirective(directive=directive, module=module, rest=rest, origin=origin)


def _tmpfiles(tree: FileTree) -> tuple[TmpfilesEntry, ...]:
    lines = tuple(_tmpfiles_lines(tree))
    made = {line.path: line.argument for line in lines if line.type[:1] == "L" and line.argument}

    def target(path: str) -> str | None:
        node = tree.nodes.get(path)
        return made.get(path) or (None if node is None else node.target)

    return tuple(
        replace(line, path=chase(line.path, target, last=line.type[:1] not in _ABOUT_LINKS) or line.path)
        for line in lines
    )


def _tmpfiles_lines(tree: FileTree) -> Iterator[TmpfilesEntry]:
    for path in drop_ins(tree, "tmpfiles.d", ".conf"):
        for origin, text in statements(tree, path):
            words = _tmpfiles_words(text)
            kind, target, mode, user, group, age, argument = (*words, *["-"] * 4, "", "", "")[:_TMPFILES_FIELDS]
            yield TmpfilesEntry(
                type=kind,
                path=_tmpfiles_path(target),
                mode=mode,
                user=user,
                group=group,
                age=age or "-",
                argument="" if argument == "-" else _tmpfiles_argument(kind, argument),
                origin=origin,
            )


def _tmpfiles_words(text: str) -> list[str]:
    """The fields of a line (systemd src/tmpfiles/tmpfiles.c, ``parse_line``); the last is the rest of the line."""
    words: list[str] = []
    position = 0
    while len(words) < _TMPFILES_FIELDS - 1:
        word, position = extract_word(text, position)
        if word is None:
            return words
        words.append(word)
    return [*words, text[position:].strip(SPACE)]


def _tmpfiles_argument(kind: str, argument: str) -> str:
    """What a line copies or links, with the directories of its specifiers; other arguments are contents."""
    return _expanded(argument) if kind[:1] in _HAS_SOURCE else argument


def _expanded(text: str) -> str:
    return _TMPFILES_SPECIFIER.sub(lambda match: _TMPFILES_DIRECTORIES.get(match[1], match[0]), text)


def _tmpfiles_path(path: str) -> str:
    """A path with the directories of its specifiers (tmpfiles.d(5)); others stay."""
    whole = _expanded(path)
    plain = normpath(f"/{whole.lstrip('/')}") if whole.startswith("/") else whole
    # tmpfiles.c, ``patch_var_run``
    return f"/run/{plain.removeprefix('/var/run/')}" if plain.startswith("/var/run/") else plain


def _sysusers(tree: FileTree) -> Iterator[SysusersEntry]:
    for path in drop_ins(tree, "sysusers.d", ".conf"):
        for origin, text in statements(tree, path):
            words = ["" if word == "-" else word for word in split(text)]
            kind, name, number, comment, home, shell = (*words, *[""] * _SYSUSERS_FIELDS)[:_SYSUSERS_FIELDS]
            yield SysusersEntry(
                type=kind, name=name, id=number or "-", comment=comment, home=home, shell=shell, origin=origin
            )


def _dbus_services(tree: FileTree) -> Iterator[DBusService]:
    for directory, bus in _BUSES.items():
        roots = [f"{root}/dbus-1/{directory}" for root in _DBUS_ROOTS]
        roots += service_folders(tree) if bus == "system" else ()
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
    found = ((path, kind) for suffix, kind in _POLKIT.items() for path in polkit_files(tree, suffix))
    yield from (PolkitFile(path=path, kind=kind) for path, kind in sorted(found))


def _fstab(tree: FileTree) -> Iterator[Mount]:
    for origin, text in statements(tree, "/etc/fstab", fstab_lines):
        # fstab(5): spaces and the like are written in octal; libmount reads any byte so.
        words = [_OCTAL.sub(lambda match: chr(int(match[1], 8)), word) for word in fields(text)]
        if len(words) < _FSTAB_FIELDS:
            continue
        options = tuple(words[_FSTAB_FIELDS].split(",")) if len(words) > _FSTAB_FIELDS else ()
        where = _mount_point(tree, words[1])
        yield Mount(what=words[0], where=where, type=words[2], options=options, unit=None, origin=origin)


def _mount_point(tree: FileTree, where: str) -> str:
    """The directory that is mounted on (src/fstab-generator/fstab-generator.c, ``parse_fstab_one``).

    It is made absolute and its links are followed; what has no slash is no path.
    """
    return (tree.real(f"/{where}") or where) if "/" in where else where


def _crypttab(tree: FileTree) -> Iterator[EncryptedVolume]:
    for origin, text in statements(tree, "/etc/crypttab"):
        words = fields(text)
        name, source, key, options = (*words, *("", "", "none", "")[len(words) :])[:4]
        yield EncryptedVolume(
            name=name, source=source, key=key, options=tuple(options.split(",")) if options else (), origin=origin
        )


def _mount_units(tree: FileTree, systemd: Systemd) -> Iterator[Mount]:
    for unit in systemd.units:
        if unit.type not in {"mount", "swap"}:
            continue
        values = {setting.key: setting for setting in unit.settings if setting.section.lower() == unit.type}
        if unit.path is None and not values:
            continue
        what, where, kind, options = (
            values[key].value if key in values else None for key in ("What", "Where", "Type", "Options")
        )
        point = where or path_of(unit.name.removesuffix(".mount"))
        yield Mount(
            what=what or "",
            where="none" if unit.type == "swap" else _mount_point(tree, point),
            type="swap" if unit.type == "swap" else kind,
            options=tuple(options.split(",")) if options else (),
            unit=unit.name,
            origin=values["What"].origin if "What" in values else Origin(path=unit.path or unit.drop_ins[0], line=None),
        )
