"""Door "accounts": who could log in, by what is in the image and by what is made at boot."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._products import program_name
from policies.controls._tmpfiles import MAKES_CONTENT, lets_write, written
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Unit
    from policies.finding import Finding

_NO_LOGIN: Final = frozenset({"nologin", "false"})
_PRIVILEGED_GROUPS: Final = frozenset(
    {"root", "sudo", "wheel", "admin", "adm", "disk", "shadow", "kmem", "docker", "lxd", "libvirt", "kvm", "tss", "tty",
     "systemd-journal", "staff", "operator"}
)  # fmt: skip
_KEY_FILES: Final = frozenset({"authorized_keys", "authorized_keys2", "authorized_principals"})
_RHOSTS: Final = frozenset({".rhosts", ".shosts"})
_RHOSTS_OF_ALL: Final = frozenset({"/etc/hosts.equiv", "/etc/shosts.equiv", "/etc/ssh/shosts.equiv"})
_USER_RECORD: Final = re.compile(
    r"/(?:etc|run|run/host|usr/lib|usr/local/lib)/userdb/.*\.(?:user|group|user-privileged|group-privileged|membership)"
    r"|/var/lib/systemd/home/.+\.identity|/home/.+\.(?:home|homedir)(?:/.*)?"
)
ACCOUNT_FILES: Final = re.compile(
    r"/etc/(?:passwd|shadow|group|gshadow|shells|nsswitch\.conf|subuid|subgid|sudoers(?:\.d/.*)?|doas\.conf|hosts\.equiv"
    r"|pam\.conf|pam\.d/.*|security/.*|userdb/.*|polkit-1/.*|ssh/.*)|.*/\.ssh(?:/.*)?|.*/\.[rs]hosts"
)
_SETS_MODE: Final = frozenset("zZm")
_SETS_ID: Final = re.compile("[~:]*0*[2-7][0-7]{3}")
_SETS_UID: Final = re.compile("[~:]*0*[4-7][0-7]{3}")


@control(
    "ZOA-502",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="No account has a login program that is there",
    references=("NIST SP 800-53 AC-2", "NIST SP 800-53 AC-3"),
)
def no_login_shell(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the shell of every line of passwd in root and initrd, links followed, is nologin, false or no
    executable of that area. An empty field means /bin/sh.

    Why it matters: whatever authenticates a user ends by starting this program.

    Example: root has /bin/bash, and bash is installed.

    Fix: set the shell to /usr/sbin/nologin, and remove the shells.

    Known limits: a program that is named nologin is believed to be it.
    """
    for area in facts.areas:
        for user in area.accounts.users:
            shell = _shell(area, user.shell or "/bin/sh")
            if shell is not None:
                value = f"shell {user.shell or '(empty)'}"
                yield about_name(area, f"/etc/passwd:{user.name}", f"can log in with {shell}", (user.origin, value))


@control(
    "ZOA-503",
    door=Door.ACCOUNTS,
    severity=Severity.CRITICAL,
    title="Only root has the user number 0",
    references=("NIST SP 800-53 AC-6",),
)
def only_root_is_root(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no other name than root has uid 0 in passwd of root and initrd.

    Why it matters: such an account is root under a name that nobody looks for.

    Example: toor:x:0:0::/root:/bin/sh.

    Fix: remove the account.

    Known limits: accounts that are made at boot are other controls' subject.
    """
    for area in facts.areas:
        for user in area.accounts.users:
            if user.uid == 0 and user.name != "root":
                yield about_name(area, f"/etc/passwd:{user.name}", "is root under another name", (user.origin, "uid 0"))


@control(
    "ZOA-504",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="Names and numbers of users and groups are unique",
    references=("NIST SP 800-53 IA-4",),
)
def unique_accounts(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no name and no number occurs twice in passwd or in group, no name twice in shadow.

    Why it matters: of two lines with one name programs take one or the other, and two users with one number have
    each other's rights; a second line is a good place to hide one.

    Example: systemd-network and backup both have uid 998.

    Fix: give every account a number of its own.

    Known limits: numbers that services get at run time (DynamicUser=) are not looked at.
    """
    for area in facts.areas:
        accounts = area.accounts
        keys = {
            "passwd": [key for user in accounts.users for key in (user.name, f"uid {user.uid}")],
            "group": [key for group in accounts.groups for key in (group.name, f"gid {group.gid}")],
            "shadow": [shadow.name for shadow in accounts.shadow],
        }
        for name, found in keys.items():
            for key, count in Counter(found).items():
                if count > 1:
                    yield about_name(area, f"/etc/{name}:{key}", f"occurs {count} times", (f"/etc/{name}", key))


@control(
    "ZOA-505",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="Nobody is a member of a privileged group",
    references=("NIST SP 800-53 AC-6",),
    parameters=(Parameter("allowed", (), 'Memberships that services need, as "USER:GROUP".'),),
)
def no_privileged_member(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: group and gshadow of root and initrd name no member of groups that amount to root or read others'
    data (root, sudo, wheel, adm, disk, shadow, kmem, docker and others), and of users but root none has one of them as
    primary group; lines of type "m" and "u" of sysusers.d add no member either.

    Why it matters: a member of disk reads every partition, a member of docker or sudo is root.

    Example: service is a member of docker.

    Fix: remove the membership; give a service the one device or file that it needs.

    Known limits: groups of other names that rules of udev or polkit favour are not known.
    """
    for area in facts.areas:
        numbers = {group.gid: group.name for group in area.accounts.groups}
        found = [
            (member, group.name, group.password.origin)
            for group in (*area.accounts.groups, *area.accounts.group_shadow)
            for member in group.members
        ]
        # A group of the user's own name is what packages make for a service.
        primary = [(user.name, numbers.get(user.gid, ""), user.origin) for user in area.accounts.users]
        found += [(name, group, origin) for name, group, origin in primary if name != group]
        found += [(item.name, item.id, item.origin) for item in area.configuration.sysusers if item.type == "m"]
        made = [item for item in area.configuration.sysusers if item.type.startswith("u")]
        given = [(item.name, item.id.partition(":")[2], item.origin) for item in made]
        named = {str(number): name for number, name in numbers.items()}
        found += [(name, named.get(group, group), origin) for name, group, origin in given if name != group]
        for member, group, origin in found:
            if group in _PRIVILEGED_GROUPS and member != "root" and f"{member}:{group}" not in parameters["allowed"]:
                subject = f"{origin.path}:{member}:{group}"
                yield about_name(area, subject, f"makes {member} a member of {group}", (origin, f"{member} in {group}"))


@control(
    "ZOA-511",
    door=Door.ACCOUNTS,
    severity=Severity.CRITICAL,
    title="There is no key that may log in over SSH",
    references=("NIST SP 800-53 AC-17",),
)
def no_authorized_key(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no file of root or initrd named authorized_keys, authorized_keys2 or authorized_principals has a
    line that is not a comment, wherever it lies; none of them is a link that leads elsewhere.

    Why it matters: the owner of the key logs in, on every node.

    Example: /root/.ssh/authorized_keys with one key.

    Fix: remove the file.

    Known limits: keys that sshd gets by AuthorizedKeysCommand or certificates need an SSH server, another control's
    subject.
    """
    for area in facts.areas:
        for item in area.accounts.authorized_keys:
            if item.keys:
                yield about_path(area, item.path, f"lets {item.keys} keys log in", f"{item.keys} keys")
        for file in area.files:
            if file.type == "symlink" and file.name in _KEY_FILES:
                yield about_path(area, file.path, "takes the keys that may log in from elsewhere", f"-> {file.target}")


@control(
    "ZOA-512",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="No host is trusted by its name",
    references=("NIST SP 800-53 IA-2",),
)
def no_trusted_host(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no .rhosts, .shosts, hosts.equiv or shosts.equiv, empty files aside.

    Why it matters: who comes from such a host, or says so, logs in without a password.

    Example: /root/.rhosts with a "+".

    Fix: remove the file.

    Known limits: the content is not looked at.
    """
    for area in facts.areas:
        for file in area.reached:
            is_named = file.name in _RHOSTS or file.path in _RHOSTS_OF_ALL
            if is_named and (file.type == "symlink" or (file.type == "file" and file.size)):
                yield about_path(area, file.path, "lets hosts in by their names", f"{file.size} bytes")


@control(
    "ZOA-518",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="There are no user records besides passwd",
    references=("NIST SP 800-53 AC-2",),
)
def no_user_record(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no JSON record of a user or group in a userdb directory (nss-systemd(8)) and
    no home, image or identity of systemd-homed.

    Why it matters: such a record is an account with password and shell that is not in /etc/passwd, where audits look.

    Example: /etc/userdb/operator.user with privileged/hashedPassword.

    Fix: remove the record.

    Known limits: what the record says is not looked at; services that answer varlink queries are agents.
    """
    for area in facts.areas:
        for file in area.reached:
            if file.type != "directory" and _USER_RECORD.fullmatch(file.path):
                yield about_path(area, file.path, "is an account outside of passwd", f"{file.size} bytes")


@control(
    "ZOA-520",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="The boot makes no account that could log in",
    references=("NIST SP 800-53 AC-2",),
)
def no_sysusers_login(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no line of sysusers.d in root or initrd makes a user whose login program is an executable of that
    area other than nologin and false, or a user but root with number 0.

    Why it matters: systemd-sysusers makes missing users at every boot, also those that were taken out of passwd.

    Example: u operator 0 "Operator" /root /bin/bash.

    Fix: mask the file with a link of its name to /dev/null in /etc/sysusers.d, or remove the program.

    Known limits: the number is compared as it is spelled; a path whose owner's number is taken is not followed.
    """
    for area in facts.areas:
        for item in area.configuration.sysusers:
            if not item.type.startswith("u"):
                continue
            numbers = item.id.split(":")
            shell = _shell(area, item.shell or ("/bin/sh" if item.name == "root" else "/usr/sbin/nologin"))
            if item.name != "root" and numbers[0].lstrip("0") == "" and numbers[0]:
                yield about_name(
                    area, f"sysusers:{item.name}", "becomes root under another name", (item.origin, item.id)
                )
            elif shell is not None:
                yield about_name(
                    area,
                    f"sysusers:{item.name}",
                    f"becomes an account with {shell}",
                    (item.origin, f"shell {item.shell}"),
                )


@control(
    "ZOA-522",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="The boot writes no file that decides who may log in",
    references=("NIST SP 800-53 AC-2",),
)
def no_tmpfiles_account(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no line of tmpfiles.d in root or initrd writes, copies or links passwd, shadow, group, PAM, sudo,
    polkit or SSH configuration, user records, keys or trusted hosts, also with a directory that it copies, or lets
    others than root write them, makes a file with set-uid or set-gid bit, or gives set-uid to one. Lines that take
    their content from a credential count if a unit that runs systemd-tmpfiles has it from the image; credentials from
    outside are the subject of ZOA-401 and ZOA-403.

    Why it matters: what is made at boot is not in the files that an auditor reads.

    Example: f /root/.ssh/authorized_keys 600 root root - ssh-ed25519 AAAA...

    Fix: mask the file with a link of its name to /dev/null in /etc/tmpfiles.d.

    Known limits: what programs write by themselves is not known.
    """
    for area in facts.areas:
        filled = {name for unit in area.systemd.units for name in _filled(unit)}
        for item in area.configuration.tmpfiles:
            makes = item.type[:1] in MAKES_CONTENT and ("^" not in item.type or item.argument in filled)
            # Directories of logs have set-gid, with which files in them get their group.
            sets_id = _SETS_ID if makes else _SETS_UID if item.type[:1] in _SETS_MODE else None
            is_set = sets_id is not None and sets_id.fullmatch(item.mode)
            is_account = any(map(ACCOUNT_FILES.fullmatch, written(area, item)))
            if is_set or (is_account and (makes or lets_write(item))):
                value = f"{item.type} {item.path} {item.mode}"
                yield about_name(area, f"{item.origin.path}:{item.path}", "is made at boot", (item.origin, value))


def _filled(unit: Unit) -> Iterator[str]:
    """The credentials that a unit gives to systemd-tmpfiles by what the image holds."""
    if any(program_name(program) == "systemd-tmpfiles" for program in unit.programs):
        for item in unit.credentials:
            if item.setting.startswith("Set") or "/" in (item.source or ""):
                yield item.id


def _shell(area: Area, path: str) -> str | None:
    """The program at the end of a shell's path, None if it is missing or lets nobody in."""
    file = area.find(path)
    if file is None or not file.is_executable or file.name in _NO_LOGIN:
        return None
    return file.path


CONTROLS = (
    no_login_shell, only_root_is_root, unique_accounts, no_privileged_member, no_authorized_key, no_trusted_host,
    no_user_record, no_sysusers_login, no_tmpfiles_account,
)  # fmt: skip
