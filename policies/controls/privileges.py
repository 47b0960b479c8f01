"""Door "accounts": what gives a process more rights than it had, and what lets somebody in without proof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

_LEAST_PRIVILEGE: Final = ("NIST SP 800-53 AC-6",)
_ALLOWED: Final = (Parameter("allowed", (), "Paths of files that need it."),)
_USER_CHANGERS: Final = frozenset(
    {"su", "sudo", "sudo-rs", "sudoedit", "su-rs", "doas", "pkexec", "run0", "newgrp", "sg", "login", "sulogin", "chsh",
     "chfn", "passwd", "chpasswd", "gpasswd", "usermod", "useradd", "adduser", "vipw", "ksu", "calife", "super"}
)  # fmt: skip
_SUDO_FILES: Final = ("/etc/sudoers", "/etc/sudoers-rs", "/etc/doas.conf", "/usr/etc/sudoers")
_SUDO_FOLDERS: Final = ("/etc/sudoers.d/", "/etc/doas.d/", "/usr/etc/sudoers.d/")
_POLKIT: Final = frozenset({"polkitd", "polkit-agent-helper-1"})
# Modules that let in without proof, run programs, or take accounts from elsewhere.
_PAM_MODULES: Final = frozenset(
    {"pam_exec.so", "pam_script.so", "pam_python.so", "pam_lua.so", "pam_userdb.so", "pam_ldap.so", "pam_sss.so",
     "pam_krb5.so", "pam_winbind.so", "pam_oslogin_login.so", "pam_oslogin_admin.so", "pam_rhosts.so", "pam_wheel.so",
     "pam_ssh_agent_auth.so", "pam_succeed_if.so", "pam_systemd_home.so", "pam_aad.so", "pam_himmelblau.so",
     "pam_listfile.so", "pam_localuser.so", "pam_timestamp.so", "pam_radius_auth.so", "pam_tacplus.so"}
)  # fmt: skip
_ACCOUNT_DATABASES: Final = frozenset(
    {"passwd", "group", "shadow", "gshadow", "initgroups", "passwd_compat", "sudoers"}
)
_PRIVATE_FILES: Final = frozenset(
    {"/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/security/opasswd"}
)
_TRUSTED: Final = ("/etc/", "/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/init")


@control(
    "ZOA-506",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="There is no program that logs in, changes users or changes accounts",
    references=_LEAST_PRIVILEGE,
    parameters=_ALLOWED,
)
def no_user_changer(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable named su, sudo, doas, pkexec, run0, login, newgrp, passwd or
    the like, and no link of such a name to an executable.

    Why it matters: these turn a foothold in a service into root, or into an account that stays.

    Example: /usr/bin/sudo.

    Fix: remove the packages or files in the definition.

    Known limits: looks at names; some under other names are found by ZOA-615. Set-uid bits and capabilities are
    other controls' subject.
    """
    for area in facts.areas:
        for name in sorted(_USER_CHANGERS & area.programs.keys()):
            for file, program in area.programs[name]:
                if file.path not in parameters["allowed"]:
                    yield about_path(area, file.path, "changes users or accounts", f"mode {program.mode:04o}")


@control(
    "ZOA-507",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="There are no rules for sudo or doas",
    references=_LEAST_PRIVILEGE,
)
def no_sudo_rules(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no sudoers or doas.conf, nor files in their directories, empty ones aside.

    Why it matters: the rules come into force with the program, which an extension image may bring.

    Example: /etc/sudoers.d/90-cloud-init-users.

    Fix: remove the package, with its configuration.

    Known limits: rules from LDAP or sssd are not seen.
    """
    for area in facts.areas:
        for file in area.reached:
            is_rule = file.path in _SUDO_FILES or file.path.startswith(_SUDO_FOLDERS)
            if is_rule and (file.type == "symlink" or (file.type == "file" and file.size)):
                yield about_path(area, file.path, "says who may become root", f"{file.size} bytes")


@control(
    "ZOA-508",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="There is no polkit daemon",
    references=_LEAST_PRIVILEGE,
)
def no_polkit(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable polkitd or polkit-agent-helper-1; where there is one, every
    file of rules and authorities is a finding too.

    Why it matters: without polkitd, services of systemd obey root only; with it, they obey whom rules in JavaScript and
    defaults of actions name, often whoever sits at the console.

    Example: /usr/lib/polkit-1/polkitd and /etc/polkit-1/rules.d/50-admin.rules.

    Fix: remove the package polkitd.

    Known limits: what rules and actions say is the subject of ZOA-528.
    """
    for area in facts.areas:
        daemons = [file for file in area.files if file.name in _POLKIT and file.is_executable]
        for file in daemons:
            yield about_path(area, file.path, "gives rights by polkit's rules", f"mode {file.mode:04o}")
        for rule in area.configuration.polkit if daemons else ():
            if rule.kind != "action":
                yield about_path(area, rule.path, "says whom polkit lets do what", rule.kind)


@control(
    "ZOA-509",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="No file has a set-uid or set-gid bit",
    references=_LEAST_PRIVILEGE,
    parameters=_ALLOWED,
)
def no_set_id(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no regular file of root or initrd has the set-uid or the set-gid bit.

    Why it matters: a process of any user that starts it has the owner's rights, root's mostly.

    Example: /usr/bin/mount with mode 4755.

    Fix: chmod ug-s in a finalize script; services need none of these programs.

    Known limits: bits that are set at boot by tmpfiles.d are another control's subject.
    """
    for area in facts.areas:
        for file in area.files:
            if file.type == "file" and file.mode & 0o6000 and file.path not in parameters["allowed"]:
                yield about_path(
                    area, file.path, "runs with its owner's rights", f"mode {file.mode:04o}, uid {file.uid}"
                )


@control(
    "ZOA-510",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="No file has capabilities",
    references=_LEAST_PRIVILEGE,
    parameters=_ALLOWED,
)
def no_file_capability(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no file of root or initrd has the attribute security.capability with a capability in it, and no
    line of tmpfiles.d gives one to a file.

    Why it matters: it is set-uid root in parts, and does not show in the mode.

    Example: /usr/bin/ping with cap_net_raw.

    Fix: remove the attribute; give a service AmbientCapabilities= in its unit instead.

    Known limits: none known.
    """
    for area in facts.areas:
        for file in area.files:
            if file.capabilities and file.path not in parameters["allowed"]:
                yield about_path(area, file.path, "gives capabilities to who starts it", ", ".join(file.capabilities))
        for item in area.configuration.tmpfiles:
            if item.type[:1] in "tT" and "security.capability" in item.argument:
                value = f"{item.type} {item.path} {item.argument}"
                yield about_name(area, f"{item.origin.path}:{item.path}", "is given capabilities", (item.origin, value))


@control(
    "ZOA-514",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="PAM accepts no empty password",
    references=("NIST SP 800-53 IA-5",),
)
def no_nullok(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no rule of type auth or password in the PAM stacks of root and initrd has the argument nullok or
    nullok_secure.

    Why it matters: with it, an account whose password field is empty needs none.

    Example: /etc/pam.d/common-auth has auth [success=1 default=ignore] pam_unix.so nullok.

    Fix: remove the stack, which serves nobody without a login program, or the argument.

    Known limits: looks at every file of pam.d, whether or not a program uses that service.
    """
    for area in facts.areas:
        for rule in area.configuration.pam:
            if rule.type.lstrip("-") in {"auth", "password"} and {"nullok", "nullok_secure"} & set(rule.arguments):
                value = " ".join((rule.type, rule.control, rule.module, *rule.arguments))
                yield about_name(area, str(rule.origin), "lets in without a password", (rule.origin, value))


@control(
    "ZOA-515",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="PAM uses no module that runs programs, asks elsewhere or lets in by other means than a password",
    references=("NIST SP 800-53 IA-2",),
)
def no_foreign_pam_module(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no rule of a PAM stack in root or initrd names pam_exec, pam_userdb, pam_rhosts, pam_sss,
    pam_ldap, a cloud's login module or the like, or a module by a path outside of the module directory.

    Why it matters: one line with "sufficient" is a back door, and pam_exec runs a program as root at every login.

    Example: auth sufficient pam_exec.so quiet /opt/check.

    Fix: remove the line or the whole stack.

    Known limits: looks at every file of pam.d, whether or not a program uses that service.
    """
    for area in facts.areas:
        for rule in area.configuration.pam:
            folder, _, name = rule.module.rpartition("/")
            is_outside = rule.type != "@include" and rule.module.startswith("/") and not folder.endswith("/security")
            if name in _PAM_MODULES or (is_outside and name.endswith(".so")):
                value = " ".join((rule.type, rule.control, rule.module, *rule.arguments))
                yield about_name(area, str(rule.origin), f"asks {rule.module} who may log in", (rule.origin, value))


@control(
    "ZOA-516",
    door=Door.ACCOUNTS,
    severity=Severity.CRITICAL,
    title="No PAM stack lets in with the first rule",
    references=("NIST SP 800-53 IA-2",),
)
def no_open_pam_stack(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no stack of root or initrd has pam_permit as its first rule of type auth, or as a "sufficient" or
    "[success=done]" rule anywhere, and none but those of su and runuser has pam_rootok as such a rule: programs that
    log in are root, for which pam_rootok says yes.

    Why it matters: everybody is let in, whatever the rest of the stack says.

    Example: /etc/pam.d/sshd begins with auth required pam_permit.so.

    Fix: remove the rule.

    Known limits: jumps in brackets are not followed; a stack whose first rule is harmless and that ends in pam_permit
    without pam_deny before it is not found.
    """
    for area in facts.areas:
        seen: set[str] = set()
        for rule in area.configuration.pam:
            if rule.type.lstrip("-") not in {"auth", "@include"}:
                continue
            is_first = rule.service not in seen
            seen.add(rule.service)
            ends = rule.control == "sufficient" or "success=done" in rule.control
            name = rule.module.rpartition("/")[2]
            opens = name == "pam_permit.so" and (is_first or ends)
            becomes = name == "pam_rootok.so" and (is_first or ends) and not rule.service.startswith(("su", "runuser"))
            if rule.type != "@include" and (opens or becomes):
                value = f"{rule.type} {rule.control} {rule.module}"
                yield about_name(area, str(rule.origin), "lets everybody in", (rule.origin, value))


@control(
    "ZOA-517",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="Accounts come from files of the image only",
    references=("NIST SP 800-53 AC-2",),
    parameters=(Parameter("allowed", ("files", "systemd"), "Services of nsswitch.conf that may bring accounts."),),
)
def no_foreign_accounts(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: passwd, group, shadow, gshadow, initgroups and sudoers in /etc/nsswitch.conf of root and
    initrd name no other service than files and systemd.

    Why it matters: sss, ldap, nis, winbind or a cloud's module bring users, with shells and groups, from a server.

    Example: passwd: files oslogin.

    Fix: remove the service from the line.

    Known limits: which programs ask for accounts is not looked at; records that the service systemd reads are another
    control's subject.
    """
    for area in facts.areas:
        for item in area.accounts.name_services:
            if item.database in _ACCOUNT_DATABASES and item.service not in parameters["allowed"]:
                value = f"{item.database}: {item.service}"
                subject = f"{item.origin.path}:{item.database}:{item.service}"
                yield about_name(area, subject, "brings accounts from outside", (item.origin, value))


@control(
    "ZOA-524",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="Only root may change programs and configuration",
    references=("NIST SP 800-53 CM-5",),
    parameters=_ALLOWED,
)
def only_root_changes(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: in root and initrd, files and directories in /etc, /usr, /bin, /sbin, /lib, /opt and /init itself
    belong to root, and their mode lets neither the group write, but for root's, nor others.

    Why it matters: the initrd is writable memory, and overlays make roots writable: a service that may change a program
    that root runs is root.

    Example: /usr/bin/helper with mode 0777.

    Fix: chown and chmod in a finalize script.

    Known limits: access control lists are not looked at.
    """
    for area in facts.areas:
        for file in area.files:
            is_open = file.uid != 0 or file.mode & 0o002 or (file.mode & 0o020 and file.gid != 0)
            is_kept = file.type in {"file", "directory"} and f"{file.path}/".startswith(_TRUSTED)
            if is_open and is_kept and file.path not in parameters["allowed"]:
                value = f"mode {file.mode:04o}, uid {file.uid}, gid {file.gid}"
                yield about_path(area, file.path, "can be changed by others than root", value)


@control(
    "ZOA-526",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="Only root reads the files with passwords",
    references=("NIST SP 800-53 IA-5",),
)
def private_passwords(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: the modes of shadow, gshadow, their copies and opasswd give others nothing, in root and initrd.

    Why it matters: a hash that can be read can be guessed.

    Example: /etc/shadow with mode 0644.

    Fix: chmod 0640.

    Known limits: the group is not looked at.
    """
    for area in facts.areas:
        for file in area.files:
            if file.path in _PRIVATE_FILES and file.type == "file" and file.mode & 0o007:
                yield about_path(area, file.path, "can be read by everybody", f"mode {file.mode:04o}")


CONTROLS = (
    no_user_changer, no_sudo_rules, no_polkit, no_set_id, no_file_capability, no_nullok, no_foreign_pam_module,
    no_open_pam_stack, no_foreign_accounts, only_root_changes, private_passwords,
)  # fmt: skip
