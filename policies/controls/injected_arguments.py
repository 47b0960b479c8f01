"""Door "injected configuration": credentials and arguments that bring configuration which nobody measured."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._arguments import about_argument, arguments, is_on
from policies.controls.login_accounts import ACCOUNT_FILES
from policies.effective import entry_evidence, entry_subject
from policies.finding import Evidence, Finding, about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.control import Parameters
    from policies.facts import Area, CommandLine, Facts, Program, Setting, Unit

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
# systemd.system-credentials(7): names with which a credential makes accounts, keys, files, units, mounts or networks.
_DANGEROUS: Final = (
    "passwd.hashed-password.root", "passwd.plaintext-password.root", "passwd.shell.root",
    "ssh.authorized_keys.root", "ssh.ephemeral-authorized_keys-all", "ssh.listen", "sysusers.extra",
    "tmpfiles.extra", "fstab.extra", "sysctl.extra", "network.conf.x", "network.link.x", "network.netdev.x",
    "network.network.x", "network.hosts", "network.dns", "network.wireguard.x", "udev.conf.x", "udev.rules.x",
    "getty.auto", "getty.ttys.serial", "agetty.autologin", "login.noauth", "home.create.x",
    "home.add-signing-key.x", "firstboot.locale", "systemd.extra-unit.x", "systemd.unit-dropin.x", "import.pull",
    "vmm.notify_socket", "userdb.user.x", "cryptsetup.passphrase", "shell.job.x",
    "journal.forward_to_socket",
)  # fmt: skip
# What a unit itself brings along counts by the first word of its name: no other program has a use for these.
_FAMILIES: Final = tuple(sorted({name.partition(".")[0] + "." for name in _DANGEROUS}))
_BRINGS_ALONG: Final = frozenset(
    {"SetCredential", "SetCredentialEncrypted", "LoadCredential", "LoadCredentialEncrypted"}
)
# What of systemd's programs only hands credentials on, speaks for a service or runs another program.
_HANDS_ON: Final = frozenset({"systemd-creds", "systemd-notify", "systemd-cat", "systemd-inhibit"})
# systemd takes a backslash away and fills specifiers in.
_PLAIN: Final = re.compile(r"[^%\\]*")
_STRANGE: Final = re.compile(r"[^ -~]|['\\\"]")
# Around a whole argument or a whole value, double quotes are the same to all.
_SAME_QUOTES: Final = re.compile(r'(?<!\S)([^\s"=]+=)?"([^"]*)"(?!\S)')
_IMPORT: Final = "systemd.import_credentials"
_GPT_AUTO: Final = "systemd.gpt_auto"
_SET_CREDENTIAL: Final = re.compile(r"(?:rd\.)?systemd\.set_credential(?:_binary)?")
_MANAGER: Final = re.compile(r"(?:rd\.)?systemd\.(?:setenv|mount_extra|swap_extra|pull|default_path|confext|sysext)")
# What the kernel does not know and has no dot becomes the environment of PID 1.
_ENVIRONMENT: Final = re.compile(
    r"LD_\w+|PATH|SYSTEMD_\w+|CREDENTIALS_DIRECTORY|GLIBC_TUNABLES|container|BASH_ENV|ENV|IFS|TMPDIR|HOME|NOTIFY_SOCKET"
    r"|LISTEN_\w+|OPENSSL_\w+|GCONV_PATH|LOCPATH|MALLOC_\w+"
)
_FETCHING: Final = re.compile(
    r"ip|nameserver|bootdev|bootif|ifname|vlan|bond|bridge|team|netroot|nfsroot|nfsaddrs|nfs_root|netdev"
    r"|rd\.(?:neednet|route|peerdns|nfs\..+|iscsi.*|znet.*|nbd.*|live\..+|net\..+|kickstart)|iscsi_.+"
    r"|inst\..+|ks|ksdevice|autoinstall|auto|url|preseed.*|fetch|ds|cc|cloud_config_url|network_config|ignition\..+"
    r"|coreos\..+|flatcar\..+|combustion\..+|autoyast|netsetup|fai_action|script|live_config\..+|components|fetch_url"
    r"|cloud[_-]init|systemd\.imds(?:\..+)?"
)
_REMOTE_ROOT: Final = re.compile(r"(?:nfs4?|cifs|iscsi|nbd|live|http|https|ftp|tftp|dhcp|dhcp6|/dev/nfs|aoe|fcoe).*")
# Linux Documentation/admin-guide/acpi/ssdt-overlays.rst and kernel-parameters.txt.
_ACPI_TABLES: Final = frozenset({"efivar_ssdt", "acpi_rsdp"})


@control(
    "ZOA-401",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.CRITICAL,
    title="PID 1 takes in no credentials from outside",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_imported_credentials(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: in every profile of the UKI, the last systemd.import_credentials of the measured command line is
    no, for the root and, where rd.systemd.import_credentials counts too, for the initrd.

    Why it matters: else PID 1 takes credentials from SMBIOS, fw_cfg, command line and EFI system partition; with them,
    whoever starts the machine sets root's password and keys, adds units and mounts.

    Example: a command line without systemd.import_credentials=no, or with rd.systemd.import_credentials=yes behind it.

    Fix: add systemd.import_credentials=no to kernel.command_line in the definition.

    Known limits: systemd before 252 has no such argument and no such credentials. A command line that is appended at
    boot, and the EFI variable SystemdOptions, need Secure Boot off: PCR 7 and 12 show it.
    """
    for profile in facts.uki.profiles if facts.uki else ():
        for where, is_initrd in (("root", False), ("initrd", True)):
            if _setting(profile.command_line, _IMPORT, is_initrd=is_initrd):
                value = profile.command_line.text if profile.command_line else "no .cmdline section"
                evidence = Evidence(source="uki", path=f".cmdline of profile {profile.number}", value=value)
                subject = f"uki:{profile.number}:{_IMPORT}:{where}"
                message = "is not no, so that the machine's owner hands over credentials"
                yield Finding(subject=subject, message=message, evidence=(evidence,))


@control(
    "ZOA-439",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The kernel command line reads the same to all of its readers",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_ambiguous_command_line(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the command lines of the UKI's profiles, of addons and of other boot entries have printable ASCII
    only, neither a single quote nor a backslash, and double quotes only around a whole argument or a whole value.

    Why it matters: systemd takes those away wherever they stand and Linux does not, and to Linux the last byte of some
    letters is white space. What is one argument to one reader is another one, or two, to the other, and may be none to
    who looks at it.

    Example: 'systemd.debug_shell', which opens a root shell.

    Fix: write arguments without quotes; a value with spaces stands in double quotes.

    Known limits: arguments that firmware or a boot loader adds at boot are in PCR 12, not in the image.
    """
    for subject, evidence, line in _command_lines(facts):
        if strange := sorted(set(_STRANGE.findall(_SAME_QUOTES.sub(r"\1\2", line.text)))):
            shown = ", ".join(ascii(character) for character in strange)
            yield Finding(subject=subject, message=f"has {shown}, which readers take differently", evidence=(evidence,))


def _command_lines(facts: Facts) -> Iterator[tuple[str, Evidence, CommandLine]]:
    for profile in facts.uki.profiles if facts.uki else ():
        if profile.command_line:
            place, text = f".cmdline of profile {profile.number}", profile.command_line.text
            yield f"uki:{profile.number}", Evidence(source="uki", path=place, value=text), profile.command_line
    for file in facts.esp_files:
        if file.command_line:
            evidence = Evidence(source="esp", path=file.path, value=file.command_line.text)
            yield f"esp:{file.path}", evidence, file.command_line
    for entry in facts.boot.entries:
        if entry.command_line:
            yield entry_subject(entry), entry_evidence(entry, entry.command_line.text), entry.command_line


@control(
    "ZOA-402",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The kernel command line sets no credential",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_credential_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has systemd.set_credential= or systemd.set_credential_binary=.

    Why it matters: such a credential can set a password or add a unit, and is there for everybody to read.

    Example: systemd.set_credential=getty.auto:yes.

    Fix: remove the argument; configure the image with files.

    Known limits: credentials from elsewhere are another control's subject.
    """
    for placed in arguments(facts):
        if _SET_CREDENTIAL.fullmatch(placed.name):
            yield about_argument(placed, "hands a credential to services")


@control(
    "ZOA-403",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No unit takes in credentials that make accounts, files, units or networks",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_dangerous_credential(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit of root or initrd that is not masked takes in, by ImportCredential= or LoadCredential=
    without a path, a credential of systemd.system-credentials(7) that makes accounts, keys, files, units, mounts or
    networks or forwards the journal, or one that a line of tmpfiles.d writes where it decides who may log in; unless
    every profile's measured command line has systemd.import_credentials=no for that area. Whatever the command line
    says, none has a credential of its own (SetCredential=, SetCredentialEncrypted=, LoadCredential= and
    LoadCredentialEncrypted= with a source) whose name begins as those do (tmpfiles., sysctl., passwd. and the like),
    has a backslash or a specifier that is not known from the image, or that such a line of tmpfiles.d writes; and a
    unit that names a program of systemd in a command, but systemd-creds, systemd-notify, systemd-cat and
    systemd-inhibit, has none at all, and gives none that it imports another name.

    Why it matters: these are the services that turn what came from outside into logins; and what a drop-in has them
    apply is in no file that a control looks into.

    Example: systemd-tmpfiles-setup.service imports ssh.authorized_keys.root and tmpfiles.*, or has a drop-in with
    SetCredential=tmpfiles.extra:..., which is a file of tmpfiles.d.

    Fix: systemd.import_credentials=no on the command line, or a drop-in with an empty ImportCredential=; put what a
    credential of the unit says into the files of the image.

    Known limits: PID 1, generators and nss-systemd read credentials without a unit; only the command line keeps these.
    Files in credstore directories are the subject of ZOA-852.
    """
    for area in facts.areas:
        profiles = facts.uki.profiles if facts.uki else ()
        is_initrd = area.name == "initrd"
        is_on_here = not profiles or any(_setting(item.command_line, _IMPORT, is_initrd=is_initrd) for item in profiles)
        lines = area.configuration.tmpfiles
        own = [line.argument for line in lines if "^" in line.type and ACCOUNT_FILES.fullmatch(line.path)]
        for unit in area.systemd.units:
            for item in unit.credentials if is_on_here else ():
                is_open = item.setting == "ImportCredential" or (item.source is not None and "/" not in item.source)
                pattern = item.id if item.setting == "ImportCredential" else item.source or ""
                if is_open and any(fnmatchcase(name, pattern) for name in (*_DANGEROUS, *own)):
                    value = f"{item.setting}={item.id}"
                    yield about_name(
                        area, f"{unit.name}:{item.id}", "obeys a credential from outside", (item.origin, value)
                    )
            for setting, name in _brought(area, unit, own):
                value = f"{setting.key}={name}"
                yield about_name(area, f"{unit.name}:{name}", "obeys a credential of its own", (setting.origin, value))


def _brought(area: Area, unit: Unit, own: Sequence[str]) -> Iterator[tuple[Setting, str]]:
    """The credentials that a unit brings along, each with its name, if systemd could obey them."""
    is_of_systemd = any(_is_of_systemd(area, program) for program in unit.programs)
    for setting in unit.settings:
        first, colon, rest = setting.value.partition(":")
        if colon and setting.key in _BRINGS_ALONG:
            if is_of_systemd or first in own or first.startswith(_FAMILIES) or not _PLAIN.fullmatch(first):
                yield setting, first
        elif colon and setting.key == "ImportCredential" and is_of_systemd:
            yield setting, rest


def _is_of_systemd(area: Area, program: Program) -> bool:
    """Whether a command is, or names, a program of systemd that may obey credentials."""
    named = [word for text in (program.path, *program.arguments) for word in text.split()]
    names = {path.rpartition("/")[2] for word in named for path in (word, area.real(word) or "")}
    return any(name.startswith("systemd") for name in names - _HANDS_ON)


@control(
    "ZOA-410",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The kernel command line changes neither environment nor mounts of systemd",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_manager_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has systemd.setenv, systemd.mount-extra, systemd.swap-extra,
    systemd.pull, or these with "rd.", nor an argument that becomes a dangerous variable in PID 1's environment (LD_*,
    PATH, SYSTEMD_*, CREDENTIALS_DIRECTORY and others).

    Why it matters: LD_PRELOAD in the environment of all services is code in all of them.

    Example: systemd.mount-extra=/dev/vdb:/etc or LD_PRELOAD=/run/x.so.

    Fix: remove the argument.

    Known limits: variables of other programs are not known.
    """
    for placed in arguments(facts):
        is_variable = placed.value is not None and _ENVIRONMENT.fullmatch(placed.argument.name)
        if is_variable or _MANAGER.fullmatch(placed.name):
            yield about_argument(placed, "changes environment or mounts of systemd")


@control(
    "ZOA-412",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The kernel command line fetches nothing and configures no network",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_fetching_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI and no addon has an argument that sets up the network in the initrd (ip=,
    rd.neednet, nameserver= and others), mounts a root from afar (netroot=, nfsroot=, root=nfs:), or names a source of
    configuration (ds=, inst.*, ignition.*, cloud-config-url=, ks=, preseed and others).

    Why it matters: what is fetched was not measured, and decides what runs.

    Example: ds=nocloud;s=http://10.0.0.1/ or ip=dhcp, which systemd-network-generator turns into configuration.

    Fix: remove the argument; bring configuration with the image.

    Known limits: knows the arguments of systemd, dracut, initramfs-tools, installers, cloud-init and Ignition.
    """
    for placed in arguments(facts):
        is_remote = placed.name == "root" and _REMOTE_ROOT.fullmatch(placed.value or "")
        if is_remote or _FETCHING.fullmatch(placed.name.lower()):
            yield about_argument(placed, "brings configuration or files over the network")


@control(
    "ZOA-413",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="systemd mounts no partitions that it finds by itself",
    references=_CHANGE_CONTROL,
    needs=("uki",),
)
def no_gpt_auto(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd has systemd-gpt-auto-generator and it is not masked, every profile's last
    systemd.gpt_auto (in the initrd also rd.systemd.gpt_auto) is no.

    Why it matters: the generator mounts partitions of the disk by their type, such as /var, /home and swap; whoever
    can write the disk adds one.

    Example: a command line without systemd.gpt_auto=no.

    Fix: add systemd.gpt_auto=no, or remove the generator.

    Known limits: only partitions of the disk that the boot came from are mounted so.
    """
    for area in facts.areas:
        generators = [item for item in area.systemd.generators if item.name == "systemd-gpt-auto-generator"]
        for profile in facts.uki.profiles if facts.uki else ():
            is_on_here = _setting(profile.command_line, _GPT_AUTO, is_initrd=area.name == "initrd")
            for generator in generators:
                if is_on_here and not generator.masked:
                    value = f"profile {profile.number} has no {_GPT_AUTO}=no"
                    subject = f"{generator.path}:{profile.number}"
                    yield about_name(area, subject, "mounts partitions by their type", (generator.path, value))


@control(
    "ZOA-432",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="ACPI tables come from the firmware only",
    references=("NIST SP 800-53 SI-7", "NIST SP 800-53 CM-5"),
)
def no_foreign_acpi_tables(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no argument is efivar_ssdt or acpi_rsdp, and the initrd holds no file below
    /kernel/firmware/acpi, from where the kernel takes tables that replace those of the firmware.

    Why it matters: an ACPI table holds code that the kernel runs with access to all memory; one from an EFI variable
    is chosen by whoever may write variables, and is not in the image.

    Example: efivar_ssdt=OemTable on the command line.

    Fix: remove the argument; put what the table should do into a driver or the firmware.

    Known limits: tables of the firmware itself, and of a hypervisor, are measured by the firmware and not looked at.
    lockdown= makes the kernel refuse the arguments, which shows only at boot.
    """
    for placed in arguments(facts):
        if placed.name in _ACPI_TABLES:
            yield about_argument(placed, "makes the kernel run an ACPI table from outside of the firmware")
    if facts.initrd is not None:
        for file in facts.initrd.files:
            if file.type == "file" and file.path.startswith("/kernel/firmware/acpi/"):
                value = f"{file.size} bytes"
                yield about_path(facts.initrd, file.path, "replaces an ACPI table of the firmware", value)


def _setting(line: CommandLine | None, name: str, *, is_initrd: bool) -> bool:
    """What systemd makes of a boolean that is on by default: the last one counts; the initrd reads "rd." as well."""
    names = {name, f"rd.{name}"} if is_initrd else {name}
    found = [item for item in line.arguments if item.name.replace("-", "_") in names] if line else []
    return is_on(found[-1].value) if found else True


CONTROLS = (
    no_imported_credentials, no_ambiguous_command_line, no_credential_argument, no_dangerous_credential,
    no_manager_argument, no_fetching_argument, no_gpt_auto, no_foreign_acpi_tables,
)  # fmt: skip
