"""Door "injected configuration": what runs or is read from places that are writable on the node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._products import Product, find_product, words
from policies.controls._read_places import bound, unquoted
from policies.controls._writable import given_to_run, is_writable, may_be_writable, named_by
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Program, Setting, Unit
    from policies.finding import Finding

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
_PATH_SETTINGS: Final = frozenset(
    {"ExecSearchPath", "RootDirectory", "RootImage", "ExtensionDirectories", "ExtensionImages",
     "MountImages", "RootMStack"}
)  # fmt: skip
# A stack of mounts (systemd.mstack(7)) may have images as its layers.
_IMAGES: Final = frozenset({"RootImage", "RootMStack", "MountImages", "ExtensionImages"})
# Logs of measurements, which an auditor replays against the quote of the TPM: who forges them is found out.
_MEASURED: Final = re.compile(
    r"/sys/kernel/security/tpm0/binary_[a-z]+_measurements|/run/log/systemd/tpm2-measure\.log"
)
_BINDS: Final = frozenset({"BindPaths", "BindReadOnlyPaths"})
# Where programs and their settings are: what is bound there from elsewhere takes their place.
_PROGRAM_PLACE: Final = re.compile(r"/(?:usr|etc|opt|s?bin|lib(?:64)?)?(?:/.*)?")
_HOOKS: Final = re.compile(
    r".*/dhclient-script|/etc/(?:dhcp|dhcp3)/.*hooks\.d/.+|.*/(?:dhcpcd-run-hooks|dhcpcd-hooks/.+)|.*/udhcpc/.+\.script"
    r"|.*/networkd-dispatcher(?:/.+)?|.*/NetworkManager/dispatcher\.d/.+|/etc/network/if-[a-z-]+\.d/.+"
    r"|/etc/ppp/ip(?:v6)?-(?:up|down)(?:\.d/.+)?|/etc/resolvconf/update\.d/.+"
)
_HOOK_RUNNERS: Final = Product(
    what="a program that runs scripts when the network changes",
    programs=words("dhclient dhcpcd udhcpc udhcpc6 pppd NetworkManager nm-dispatcher connmand wickedd dnsmasq"),
    identities=words("dhclient dhcpcd pppd network-manager dnsmasq"),
    packages=words(
        "isc-dhcp-client dhcp-client dhcpcd dhcpcd5 dhcpcd-base udhcpc ppp network-manager NetworkManager "
        "networkd-dispatcher connman wicked dnsmasq dnsmasq-base"
    ),
    units=words(
        "dhclient dhclient@ dhcpcd dhcpcd@ pppd pppd@ NetworkManager NetworkManager-dispatcher networkd-dispatcher "
        "connman wickedd dnsmasq dnsmasq@"
    ),
)
_BINFMT: Final = re.compile(r"/(?:etc|run|usr/local/lib|usr/lib|lib)/binfmt\.d/[^/]+\.conf")
_TRUSTED_LINK: Final = re.compile(
    r"/etc/(?:systemd|udev|modprobe\.d|modules-load\.d|pam\.d|ld\.so\.conf\.d|sysctl\.d|tmpfiles\.d|sysusers\.d|binfmt\.d"
    r"|dbus-1|polkit-1|cron[^/]*|init\.d)(?:/.+)?|/(?:usr/)?(?:local/)?(?:s?bin|lib|lib64|libexec)/.+"
    r"|/etc/(?:passwd|shadow|group|gshadow|nsswitch\.conf|ld\.so\.preload|ld\.so\.cache|fstab|crypttab"
    r"|veritytab|integritytab|environment|hosts|localtime)|/etc/(?:ssl|pki|ca-certificates)(?:/.+)?"
)
_GENERATORS: Final = frozenset(
    {"systemd-cryptsetup-generator", "systemd-fstab-generator", "systemd-gpt-auto-generator",
     "systemd-hibernate-resume-generator", "systemd-integritysetup-generator", "systemd-rc-local-generator",
     "systemd-system-update-generator", "systemd-sysv-generator", "systemd-tpm2-generator",
     "systemd-veritysetup-generator", "systemd-xdg-autostart-generator", "30-systemd-environment-d-generator",
     "systemd-factory-reset-generator", "systemd-bless-boot-generator"}
)  # fmt: skip

# ld.so(8), "Dynamic string tokens"; with a slash a name is a path.
_PATH_SIGNS: Final = frozenset("/$")


@control(
    "ZOA-404",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No unit loads a credential from a writable place",
    references=_CHANGE_CONTROL,
    parameters=(Parameter("allowed", (), "Paths that units may load credentials from."),),
)
def no_writable_credential(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: LoadCredential= and LoadCredentialEncrypted= of all units of root and initrd that are not masked
    name no path that is writable at run time, specifiers expanded.

    Why it matters: whoever can write the file decides what the service trusts.

    Example: LoadCredential=token:/boot/token.

    Fix: bring the credential after attestation through a service of the image, and allow its path in the pack.

    Known limits: writable are the usual places and all that is mounted in the area, also what is mounted read-only.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            for item in unit.credentials if unit.masked_by is None else ():
                source = item.source or ""
                if may_be_writable(area, source) and source not in parameters["allowed"]:
                    value = f"{item.setting}={item.id}:{source}"
                    yield about_name(
                        area, f"{unit.name}:{source}", "is loaded from a writable place", (item.origin, value)
                    )


@control(
    "ZOA-421",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="Network events run no scripts",
    references=_CHANGE_CONTROL,
)
def no_network_hook(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable script or hook of dhclient, dhcpcd, udhcpc, ifupdown, pppd,
    resolvconf, NetworkManager's or networkd's dispatcher, and no such program, nor ConnMan, wicked or dnsmasq: by name
    of program or link, content, package or unit.

    Why it matters: they run as root with values that a DHCP server chose.

    Example: /sbin/dhclient-script, which has run options as commands (CVE-2014-6271, CVE-2018-1111).

    Fix: use systemd-networkd, which runs no scripts, and remove the other clients.

    Known limits: of scripts only those at the places of these programs are known; hooks of dhclient count without a
    mode, they are sourced.
    """
    for area in facts.areas:
        for file in area.reached:
            is_sourced = "hooks" in file.path and file.type == "file"
            if _HOOKS.fullmatch(file.path) and (is_sourced or file.is_executable):
                yield about_path(area, file.path, "runs when the network changes", f"mode {file.mode:04o}")
    yield from find_product(facts, _HOOK_RUNNERS)


@control(
    "ZOA-423",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No unit runs a program from, or has settings in, a writable place",
    references=_CHANGE_CONTROL,
)
def no_writable_program(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: for all units of root and initrd that are not masked, the programs of Exec lines and the
    paths of EnvironmentFile=, ExecSearchPath=, RootDirectory=, RootImage=, RootMStack=, MountImages= and extensions
    do not lie in a writable place, specifiers and patterns expanded and links followed, and have no specifier that
    is not known from the image; nor does what is bound over programs or configuration (BindPaths=,
    BindReadOnlyPaths=) or to where a program of the unit lies, what is opened as input (StandardInput=file:,
    OpenFile=), but logs of measurements and devices, or what env, ld.so, nice, shells, interpreters, modprobe and the
    like are given to run or to load. What is mounted counts as writable, also what is read-only or has a hash tree: no
    control looks into it.

    Why it matters: whoever can write the file is the service, at the next start and without a trace in the measurement.

    Example: ExecStart=/run/agent/start, EnvironmentFile=-/var/lib/agent/env, or RootDirectory=/tools, a volume.

    Fix: put programs and settings below /usr or /etc of the image.

    Known limits: files that a program opens itself are not known; arguments of other programs are not looked at.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            if unit.masked_by is not None:
                continue
            found = [
                (path, program.setting, program.origin) for program in unit.programs for path in _run(area, program)
            ]
            found += [
                (word.lstrip("-+"), setting.key, setting.origin)
                for setting in unit.settings
                if setting.key in _PATH_SETTINGS
                for word in re.split(r"[\s:]+", setting.value)
            ]
            found += [
                (path, setting.key, setting.origin)
                for setting in unit.settings
                if setting.key == "EnvironmentFile"
                for path in named_by(area, setting.value.removeprefix("-"))
            ]
            found += [
                (source, setting.key, setting.origin)
                for setting in unit.settings
                if setting.key in _BINDS
                for source, target in bound(setting.value)
                if _PROGRAM_PLACE.fullmatch(target)
            ]
            found += [(path, setting.key, setting.origin) for setting, path in _opened(area, unit)]
            brought = _brought(area, unit)
            for path, key, origin in found:
                is_brought = key.startswith("Exec") and f"{path}/".startswith(brought)
                if is_brought or may_be_writable(area, path):
                    yield about_name(
                        area, f"{unit.name}:{key}:{path}", "lies in a writable place", (origin, f"{key}={path}")
                    )


@control(
    "ZOA-427",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.MEDIUM,
    title="No interpreter is registered for kinds of programs",
    references=_CHANGE_CONTROL,
)
def no_binfmt(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no file in a binfmt.d directory, empty ones and links to /dev/null aside.

    Why it matters: it makes the kernel run another program for every file of a form, with set-uid rights if flag C is
    given.

    Example: /usr/lib/binfmt.d/python3.13.conf.

    Fix: remove the file.

    Known limits: what the file registers is not looked at.
    """
    for area in facts.areas:
        for file in area.reached:
            is_there = file.size or (file.type == "symlink" and file.target != "/dev/null")
            if is_there and _BINFMT.fullmatch(file.path):
                yield about_path(area, file.path, "registers an interpreter", f"{file.size} bytes")


@control(
    "ZOA-428",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No link leads from programs or configuration to a writable place",
    references=_CHANGE_CONTROL,
)
def no_link_to_writable(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no symbolic link below the directories of programs, libraries, systemd, udev, PAM,
    certificates and other configuration that decides what runs or who is believed, /etc/hosts and /etc/localtime among
    it, leads to a writable place in root and initrd, links on the way followed.

    Why it matters: the image is read-only, but what the link leads to is not.

    Example: /etc/systemd/system/agent.service leads to /run/agent.service.

    Fix: replace the link by the file.

    Known limits: links to /dev/null, which mask, are right; /etc/resolv.conf is not looked at.
    """
    for area in facts.areas:
        for file in area.reached:
            if file.type != "symlink" or not _TRUSTED_LINK.fullmatch(file.path):
                continue
            folder = file.path.rpartition("/")[0]
            target = file.target or ""
            whole = target if target.startswith("/") else f"{folder}/{target}"
            if is_writable(area, whole):
                yield about_path(area, file.path, "leads to a writable place", f"-> {target}")


@control(
    "ZOA-429",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.MEDIUM,
    title="Only known generators make units at boot",
    references=_CHANGE_CONTROL,
    parameters=(Parameter("allowed", (), "Names of further generators that the image needs."),),
)
def only_known_generators(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no generator that is not masked, but those of systemd that make units of
    files in the image: not those for debug shells, getty, SSH, systemd.run= and imports, and none of others.

    Why it matters: a generator is a program that PID 1 runs as root before all units; what it makes of its input, such
    as the command line, user data or credentials, is in no unit file.

    Example: /usr/lib/systemd/system-generators/cloud-init-generator.

    Fix: remove it, or mask it with a link of its name to /dev/null in /etc/systemd/system-generators.

    Known limits: goes by names.
    """
    for area in facts.areas:
        for generator in area.systemd.generators:
            if not generator.masked and generator.name not in {*_GENERATORS, *parameters["allowed"]}:
                yield about_path(area, generator.path, "makes units at boot", generator.manager)


@control(
    "ZOA-430",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The dynamic linker loads nothing from a writable place",
    references=_CHANGE_CONTROL,
)
def no_injected_library(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no /etc/ld.so.preload that is not empty, no ELF file whose RPATH or RUNPATH
    has an empty, a relative or a writable directory, or whose interpreter lies in one, none that names a library by its
    path (DT_NEEDED) or has more loaded by DT_AUDIT, DT_DEPAUDIT, DT_FILTER or DT_AUXILIARY, and no such directory or
    file in ld.so.conf and what it includes, in ld.so.cache, in musl's search path, or as a module or include of
    openssl.cnf.

    Why it matters: a library in such a directory is code in every program that looks there. What audits or filters is
    loaded besides what a program says to need, and may be anywhere.

    Example: RUNPATH /var/lib/app:$ORIGIN/../lib.

    Fix: link without the path, or remove it with patchelf; remove ld.so.preload.

    Known limits: environment variables of units are the subject of ZOA-434; configuration of OpenSSL counts at its
    usual places only.
    """
    for area in facts.areas:
        preload = area.by_path.get("/etc/ld.so.preload")
        if preload is not None and (preload.size or preload.type == "symlink"):
            yield about_path(area, preload.path, "loads libraries into every program", f"{preload.size} bytes")
        for item in area.configuration.loaded_paths:
            if not item.path.startswith("/") or is_writable(area, item.path):
                subject = f"{item.origin.path}:{item.path}"
                yield about_name(area, subject, "is where programs look for code", (item.origin, item.path))
        for elf in area.elf:
            folder = elf.path.rpartition("/")[0]
            paths = [item for text in (elf.rpath, elf.runpath) if text is not None for item in text.split(":")]
            for path in [*paths, *([elf.interpreter] if elf.interpreter else [])]:
                whole = re.sub(r"\$(?:ORIGIN\b|\{ORIGIN\})", folder, path)
                if not whole.startswith("/") or is_writable(area, whole):
                    yield about_name(
                        area, f"{elf.path}:{path}", "is where a program looks for libraries", (elf.path, path)
                    )
            by_path = (name for name in elf.needed if not _PATH_SIGNS.isdisjoint(name))
            for name in dict.fromkeys((*elf.also_loaded, *by_path)):
                message = "is a library that a program loads without a search, or besides what it needs"
                yield about_name(area, f"{elf.path}:{name}", message, (elf.path, name))


@control(
    "ZOA-437",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No service has files that no control looks into",
    references=_CHANGE_CONTROL,
    parameters=(Parameter("allowed", (), "Paths of images that were checked by themselves."),),
)
def no_image_in_the_image(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit of root and initrd that is not masked has RootImage=, RootMStack=, MountImages= or
    ExtensionImages=.

    Why it matters: an image of a file system inside the image is a single file to every control, and may hold a shell,
    an SSH server and accounts; whoever gets into the service finds them.

    Example: support.service has RootImage=/usr/lib/support.raw.

    Fix: put the tree below /usr/lib and name it by RootDirectory=, where its files are looked at as all others are.

    Known limits: archives that a program unpacks itself are not known.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            for setting in unit.settings if unit.masked_by is None else ():
                for word in setting.value.split() if setting.key in _IMAGES else ():
                    path = word.lstrip("-").partition(":")[0]
                    if path not in parameters["allowed"]:
                        evidence = (setting.origin, f"{setting.key}={setting.value}")
                        yield about_name(
                            area, f"{unit.name}:{setting.key}:{path}", "is an image that nobody looked into", evidence
                        )


def _run(area: Area, program: Program) -> tuple[str, ...]:
    """A program, and what it is given to run or to load."""
    return (program.path, *given_to_run(area, program.path, program.arguments))


def _brought(area: Area, unit: Unit) -> tuple[str, ...]:
    """The paths, with a slash, at which a unit sees what is writable, besides where that is."""
    return tuple(
        f"{target.rstrip('/')}/"
        for setting in unit.settings
        if setting.key in _BINDS
        for source, target in bound(setting.value)
        if may_be_writable(area, source)
    )


def _opened(area: Area, unit: Unit) -> Iterator[tuple[Setting, str]]:
    """What is opened as input of a service; ZOA-215 judges devices."""
    for setting in unit.settings:
        path = ""
        if setting.key == "StandardInput" and setting.value.startswith("file:"):
            path = setting.value.removeprefix("file:")
        elif setting.key == "OpenFile":
            path = unquoted(setting.value).partition(":")[0]
        real = area.real(path) or ""
        if path and not real.startswith("/dev/") and not _MEASURED.fullmatch(real):
            yield setting, path


CONTROLS = (
    no_writable_credential, no_network_hook, no_writable_program, no_binfmt,
    no_link_to_writable, only_known_generators, no_injected_library, no_image_in_the_image,
)  # fmt: skip
