"""Door "injected configuration": what runs or is read from places that are writable on the node."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.facts.paths import chase
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts
    from policies.finding import Finding

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
# Places that are writable on a running node whatever the mounts of the image say.
_WRITABLE: Final = (
    "/run", "/tmp", "/var", "/dev", "/home", "/mnt", "/media", "/boot", "/efi", "/srv", "/root",  # noqa: S108 -- a rule
)  # fmt: skip
# systemd.unit(5), "Specifiers", as the system manager expands them.
_SPECIFIERS: Final = {"%t": "/run", "%S": "/var/lib", "%C": "/var/cache", "%L": "/var/log", "%T": "/tmp",  # noqa: S108 -- a rule
                      "%V": "/var/tmp",  # noqa: S108 -- a rule
                      "%h": "/root", "%d": "/run/credentials"}  # fmt: skip
_PATH_SETTINGS: Final = frozenset(
    {"EnvironmentFile", "ExecSearchPath", "RootDirectory", "RootImage", "ExtensionDirectories", "ExtensionImages"}
)
_HOOKS: Final = re.compile(
    r".*/dhclient-script|/etc/(?:dhcp|dhcp3)/.*hooks\.d/.+|.*/(?:dhcpcd-run-hooks|dhcpcd-hooks/.+)|.*/udhcpc/.+\.script"
    r"|.*/networkd-dispatcher(?:/.+)?|.*/NetworkManager/dispatcher\.d/.+|/etc/network/if-[a-z-]+\.d/.+"
    r"|/etc/ppp/ip(?:v6)?-(?:up|down)(?:\.d/.+)?|/etc/resolvconf/update\.d/.+"
)
_BINFMT: Final = re.compile(r"/(?:etc|run|usr/local/lib|usr/lib|lib)/binfmt\.d/[^/]+\.conf")
_TRUSTED_LINK: Final = re.compile(
    r"/etc/(?:systemd|udev|modprobe\.d|modules-load\.d|pam\.d|ld\.so\.conf\.d|sysctl\.d|tmpfiles\.d|sysusers\.d|binfmt\.d"
    r"|dbus-1|polkit-1|cron[^/]*|init\.d)(?:/.+)?|/(?:usr/)?(?:local/)?(?:s?bin|lib|lib64|libexec)/.+"
    r"|/etc/(?:passwd|shadow|group|gshadow|nsswitch\.conf|ld\.so\.preload|ld\.so\.cache|fstab|crypttab)"
)
_GENERATORS: Final = frozenset(
    {"systemd-cryptsetup-generator", "systemd-fstab-generator", "systemd-gpt-auto-generator",
     "systemd-hibernate-resume-generator", "systemd-integritysetup-generator", "systemd-rc-local-generator",
     "systemd-system-update-generator", "systemd-sysv-generator", "systemd-tpm2-generator",
     "systemd-veritysetup-generator", "systemd-xdg-autostart-generator", "30-systemd-environment-d-generator",
     "systemd-factory-reset-generator", "systemd-bless-boot-generator"}
)  # fmt: skip
_NO_COMMAND: Final = frozenset({"/bin/true", "/usr/bin/true", "/bin/false", "/usr/bin/false", "true", "false"})


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

    Known limits: writable are the usual places and the mounts of the area that are not read-only.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            for item in unit.credentials if unit.masked_by is None else ():
                source = item.source or ""
                if _is_writable(area, source) and source not in parameters["allowed"]:
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
    resolvconf, NetworkManager's or networkd's dispatcher.

    Why it matters: they run as root with values that a DHCP server chose.

    Example: /sbin/dhclient-script, which has run options as commands (CVE-2014-6271, CVE-2018-1111).

    Fix: use systemd-networkd, which runs no scripts, and remove the other clients.

    Known limits: looks at the places of these programs only; hooks of dhclient count without a mode, they are sourced.
    """
    for area in facts.areas:
        for file in area.files:
            is_sourced = "hooks" in file.path and file.type == "file"
            if _HOOKS.fullmatch(file.path) and (is_sourced or file.is_executable):
                yield about_path(area, file.path, "runs when the network changes", f"mode {file.mode:04o}")


@control(
    "ZOA-423",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No unit runs a program from, or has settings in, a writable place",
    references=_CHANGE_CONTROL,
)
def no_writable_program(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: for all units of root and initrd that are not masked, the programs of Exec lines and the paths of
    EnvironmentFile=, ExecSearchPath=, RootDirectory=, RootImage= and extensions do not lie in a writable place,
    specifiers expanded and links followed.

    Why it matters: whoever can write the file is the service, at the next start and without a trace in the measurement.

    Example: ExecStart=/run/agent/start, EnvironmentFile=-/var/lib/agent/env.

    Fix: put programs and settings below /usr or /etc of the image.

    Known limits: files that a program opens itself are not known; arguments are not looked at.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            if unit.masked_by is not None:
                continue
            found = [(program.path, program.setting, program.origin) for program in unit.programs]
            found += [
                (word.lstrip("-+"), setting.key, setting.origin)
                for setting in unit.settings
                if setting.key in _PATH_SETTINGS
                for word in re.split(r"[\s:]+", setting.value)
            ]
            for path, key, origin in found:
                if _is_writable(area, path):
                    yield about_name(
                        area, f"{unit.name}:{key}:{path}", "lies in a writable place", (origin, f"{key}={path}")
                    )


@control(
    "ZOA-425",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="udev and modprobe run no program from a writable place, and modprobe none at all",
    references=_CHANGE_CONTROL,
)
def no_injected_device_program(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: programs of udev rules in root and initrd do not lie in a writable place, and install and remove
    lines of modprobe.d run nothing but true and false.

    Why it matters: devices and modules turn up whenever somebody outside attaches one; these run as root then.

    Example: install dccp /var/lib/x.

    Fix: remove the rule; to forbid a module, use install MODULE /bin/false.

    Known limits: commands that a shell line of a rule calls in turn are not seen.
    """
    for area in facts.areas:
        for rule in area.configuration.udev_programs:
            program = rule.command.split(" ")[0]
            if not rule.key.startswith(("ENV", "RUN{builtin}")) and _is_writable(area, program):
                yield about_name(area, str(rule.origin), f"makes udev run {program}", (rule.origin, rule.rule))
        for line in area.configuration.modprobe:
            if line.directive in {"install", "remove"} and line.rest.strip() not in _NO_COMMAND:
                value = f"{line.directive} {line.module} {line.rest}"
                yield about_name(area, str(line.origin), "makes modprobe run a command", (line.origin, value))


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
        for file in area.files:
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
    """What it checks: no symbolic link below the directories of programs, libraries, systemd, udev, PAM and other
    configuration that decides what runs, in root and initrd, leads to a writable place, links on the way followed.

    Why it matters: the image is read-only, but what the link leads to is not.

    Example: /etc/systemd/system/agent.service leads to /run/agent.service.

    Fix: replace the link by the file.

    Known limits: links to /dev/null, which mask, are right; /etc/resolv.conf and the like are not looked at.
    """
    for area in facts.areas:
        for file in area.files:
            if file.type != "symlink" or not _TRUSTED_LINK.fullmatch(file.path):
                continue
            folder = file.path.rpartition("/")[0]
            target = file.target or ""
            whole = target if target.startswith("/") else f"{folder}/{target}"
            if _is_writable(area, whole):
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
    """What it checks: root and initrd have no /etc/ld.so.preload that is not empty, and no ELF file whose RPATH or
    RUNPATH has an empty, a relative or a writable directory, or whose interpreter lies in one.

    Why it matters: a library in such a directory is code in every program that looks there.

    Example: RUNPATH /var/lib/app:$ORIGIN/../lib.

    Fix: link without the path, or remove it with patchelf; remove ld.so.preload.

    Known limits: ld.so.conf and environment variables of units are not looked at.
    """
    for area in facts.areas:
        preload = area.by_path.get("/etc/ld.so.preload")
        if preload is not None and (preload.size or preload.type == "symlink"):
            yield about_path(area, preload.path, "loads libraries into every program", f"{preload.size} bytes")
        for elf in area.elf:
            folder = elf.path.rpartition("/")[0]
            paths = [item for text in (elf.rpath, elf.runpath) if text is not None for item in text.split(":")]
            for path in [*paths, *([elf.interpreter] if elf.interpreter else [])]:
                whole = re.sub(r"\$(?:ORIGIN\b|\{ORIGIN\})", folder, path)
                if not whole.startswith("/") or _is_writable(area, whole):
                    yield about_name(
                        area, f"{elf.path}:{path}", "is where a program looks for libraries", (elf.path, path)
                    )


def _is_writable(area: Area, path: str) -> bool:
    """Whether a path, specifiers expanded and links followed, lies where a running node can write."""
    expanded = re.sub("%[tSCLTVhd]", lambda match: _SPECIFIERS[match[0]], path)
    files = area.by_path
    real = chase(expanded, lambda item: files[item].target if item in files else None)
    if real is None or real == "/dev/null":
        return False
    mounts = [mount.where for mount in area.configuration.mounts if "ro" not in mount.options]
    places = (*_WRITABLE, *(where for where in mounts if where.startswith("/") and where != "/"))
    return any(f"{real}/".startswith(f"{place}/") for place in places)


CONTROLS = (
    no_writable_credential, no_network_hook, no_writable_program, no_injected_device_program, no_binfmt,
    no_link_to_writable, only_known_generators, no_injected_library,
)  # fmt: skip
