"""Facts about configuration files that decide what runs, who may do what and what the kernel allows."""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.base import Fact, Origin, about


class SysctlSetting(Fact, frozen=True, kw_only=True):
    """A kernel parameter as sysctl.d(5) leaves it: files by name over all directories, the last assignment holds."""

    key: Annotated[str, about("With dots: kernel.sysrq; may have globs.")]
    value: Annotated[str | None, about('Null for "-key", which only takes the key out of what globs match.')]
    ignore_failure: Annotated[bool, about('It has a "-" in front: systemd-sysctl does not fail if it cannot be set.')]
    origin: Annotated[Origin, about("File and line that hold.")]
    overridden: Annotated[tuple[Origin, ...], about("Earlier assignments of the same key.")]


class ModuleLoad(Fact, frozen=True, kw_only=True):
    """A module that modules-load.d(5) or /etc/modules loads at boot."""

    name: Annotated[str, about("As it is spelled.")]
    origin: Annotated[Origin, about("File and line.")]


class ModprobeDirective(Fact, frozen=True, kw_only=True):
    """A line of modprobe.d(5), or of what depmod found in modules, which is read the same way."""

    directive: Annotated[str, about("alias, blacklist, install, options, remove or softdep.")]
    module: Annotated[str, about("Module or wildcard that it is about.")]
    rest: Annotated[str, about("What follows: the command of install, the parameters of options.")]
    origin: Annotated[Origin, about("File and line.")]


class UdevProgram(Fact, frozen=True, kw_only=True):
    """A udev rule that runs a program or reads variables: RUN, PROGRAM, IMPORT{program} and others (udev(7))."""

    key: Annotated[
        str,
        about("As it is spelled: RUN, RUN{builtin}, PROGRAM, IMPORT{program}, IMPORT{file}, IMPORT{parent}."),
    ]
    command: Annotated[str, about("Value, substitutions not made.")]
    rule: Annotated[str, about("The whole rule, continued lines joined.")]
    origin: Annotated[Origin, about("File and first line.")]


class UdevSetting(Fact, frozen=True, kw_only=True):
    """What a udev rule writes into the kernel, SYSCTL{} or ATTR{}, into a variable, ENV{}, or on a node (udev(7)).

    A variable may also be set by a file that a rule imports. Names of a device are SYMLINK and NAME.
    """

    key: Annotated[str, about("As it is spelled: SYSCTL{kernel.sysrq}, ATTR{power/control}, ENV{NAME}, MODE, SYMLINK.")]
    value: Annotated[str, about("Value, substitutions not made.")]
    rule: Annotated[str, about("The whole rule, continued lines joined.")]
    origin: Annotated[Origin, about("File and first line.")]


class TmpfilesEntry(Fact, frozen=True, kw_only=True):
    """A line of tmpfiles.d(5)."""

    type: Annotated[str, about('Type and modifiers: "d", "f+^", "L!".')]
    path: Annotated[str, about("Path that it makes, known specifiers expanded, links of image and lines followed.")]
    mode: Annotated[str, about('Octal, or "-".')]
    user: Annotated[str, about('Owner, or "-".')]
    group: Annotated[str, about('Group, or "-".')]
    age: Annotated[str, about('Age, or "-".')]
    argument: Annotated[str, about("Content, link target, credential name; may be empty.")]
    origin: Annotated[Origin, about("File and line.")]


class SysusersEntry(Fact, frozen=True, kw_only=True):
    """A line of sysusers.d(5)."""

    type: Annotated[str, about('"u", "u!", "g", "m" or "r".')]
    name: Annotated[str, about("User or group.")]
    id: Annotated[str, about('Number, path or "-".')]
    comment: Annotated[str, about("GECOS field; may be empty.")]
    home: Annotated[str, about("Home directory; may be empty.")]
    shell: Annotated[str, about("Login program; may be empty, which means nologin.")]
    origin: Annotated[Origin, about("File and line.")]


class PamRule(Fact, frozen=True, kw_only=True):
    """A line of a PAM stack (pam.d(5)); of two files of one name that in /etc/pam.d is used."""

    service: Annotated[str, about("File name.")]
    type: Annotated[str, about('auth, account, password or session, with a leading "-" if spelled so; "@include".')]
    control: Annotated[str, about('"required", "sufficient", "[success=1 default=ignore]"; empty for @include.')]
    module: Annotated[str, about('"pam_unix.so"; the file for include, substack and @include.')]
    arguments: Annotated[tuple[str, ...], about("Words after the module.")]
    origin: Annotated[Origin, about("File and line.")]


class DBusService(Fact, frozen=True, kw_only=True):
    """A service that a message on the bus starts (dbus-daemon(1), "Message bus starting services")."""

    name: Annotated[str, about("Bus name.")]
    bus: Annotated[Literal["system", "session"], about("Which bus starts it.")]
    exec: Annotated[str, about("Exec=; may be empty.")]
    user: Annotated[str | None, about("User=.")]
    systemd_unit: Annotated[str | None, about("SystemdService=.")]
    origin: Annotated[Origin, about("The file.")]


class PolkitFile(Fact, frozen=True, kw_only=True):
    """A file that tells polkit who may do what."""

    path: Annotated[str, about("Where it lies.")]
    kind: Annotated[Literal["rules", "action", "authority"], about("JavaScript rules, an action, or a .pkla file.")]


class Mount(Fact, frozen=True, kw_only=True):
    """A mount that fstab(5) or a .mount unit asks for, or a swap that fstab or a .swap unit does."""

    what: Annotated[str, about("Device, tag or name of the file system.")]
    where: Annotated[str, about('Mount point, links of the image followed; "none" for swap.')]
    type: Annotated[str | None, about('File system type; "swap" for swap; null if it is left open.')]
    options: Annotated[tuple[str, ...], about("Options in order; empty stands for defaults.")]
    unit: Annotated[str | None, about("Name of the unit; null for a line of fstab.")]
    origin: Annotated[Origin, about("File and line.")]


class EncryptedVolume(Fact, frozen=True, kw_only=True):
    """A line of crypttab(5): a volume that systemd-cryptsetup opens."""

    name: Annotated[str, about("Name below /dev/mapper.")]
    source: Annotated[str, about("Device or file.")]
    key: Annotated[str, about('Key file or device; "none" or "-" without one.')]
    options: Annotated[tuple[str, ...], about("Options in order.")]
    origin: Annotated[Origin, about("File and line.")]


class LoadedPath(Fact, frozen=True, kw_only=True):
    """A path from which every program may load code: ld.so.conf, ld.so.cache, musl's search path, openssl.cnf."""

    path: Annotated[str, about("Directory, pattern or file, as it is spelled; empty for what could not be read.")]
    origin: Annotated[Origin, about("File, and line of a text.")]


class Configuration(Fact, frozen=True, kw_only=True):
    """Configuration files of an area, each kind in the order in which its reader takes them."""

    sysctl: Annotated[tuple[SysctlSetting, ...], about("By key.")]
    modules_load: Annotated[tuple[ModuleLoad, ...], about("modules-load.d and /etc/modules.")]
    modprobe: Annotated[tuple[ModprobeDirective, ...], about("modprobe.d.")]
    udev_programs: Annotated[tuple[UdevProgram, ...], about("udev/rules.d.")]
    udev_settings: Annotated[tuple[UdevSetting, ...], about("udev/rules.d.")]
    tmpfiles: Annotated[tuple[TmpfilesEntry, ...], about("tmpfiles.d.")]
    sysusers: Annotated[tuple[SysusersEntry, ...], about("sysusers.d.")]
    pam: Annotated[tuple[PamRule, ...], about("pam.d and /etc/pam.conf.")]
    dbus_services: Annotated[tuple[DBusService, ...], about("dbus-1/system-services and dbus-1/services.")]
    polkit: Annotated[tuple[PolkitFile, ...], about("Rules, actions and authorities.")]
    mounts: Annotated[tuple[Mount, ...], about("fstab and mount units that are not masked.")]
    encrypted_volumes: Annotated[tuple[EncryptedVolume, ...], about("crypttab.")]
    loaded_paths: Annotated[tuple[LoadedPath, ...], about("Of the dynamic linkers and OpenSSL.")]
