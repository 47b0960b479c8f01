"""Door "accounts": users, passwords and what gives more rights than one had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.control import Door, Severity, control
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding


@control(
    "ZOA-501",
    door=Door.ACCOUNTS,
    severity=Severity.CRITICAL,
    title="No account has a password",
    references=("CIS Debian Linux 12 Benchmark 7.2.2", "NIST SP 800-53 IA-5"),
)
def no_password(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every password field in passwd, shadow, group and gshadow of root and initrd is locked, and no
    line of these files is broken. An empty field lets everybody in; a user who is not in shadow has no password.

    Why it matters: a password in an image is the same on every node, and its hash is public with the image.

    Example: root has a yescrypt hash in /etc/shadow of the initrd, made by mkosi's RootPassword=.

    Fix: lock the account ("*" or "!*" in /etc/shadow).

    Known limits: accounts from elsewhere, such as systemd-userdb records or credentials, are other controls' subject.
    """
    for area in facts.areas:
        accounts = area.accounts
        fields = [(user.name, user.password) for user in accounts.users]
        fields += [(shadow.name, shadow.password) for shadow in accounts.shadow]
        fields += [(group.name, group.password) for group in (*accounts.groups, *accounts.group_shadow)]
        for name, password in fields:
            if password.state in {"empty", "hash"} and not _is_harmless(password.origin.path, password.state):
                kind = "an empty password" if password.state == "empty" else f"a password ({password.hash_kind})"
                value = f"the password field is {password.state}"
                yield about_name(area, f"{password.origin.path}:{name}", f"has {kind}", (password.origin, value))
        for line in accounts.broken:
            yield about_name(area, str(line.origin), f"cannot be read: {line.problem}", (line.origin, line.problem))


def _is_harmless(path: str, state: str) -> bool:
    # gshadow(5): with an empty field only members can use newgrp, which they could anyway.
    return state == "empty" and path in {"/etc/group", "/etc/gshadow"}


@control(
    "ZOA-530",
    door=Door.ACCOUNTS,
    severity=Severity.MEDIUM,
    title="No service opens a session as somebody who logs in",
    references=("NIST SP 800-53 AC-6",),
)
def no_session(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no service of root or initrd that is not masked has PAMName=, whether the start brings it in or
    not.

    Why it matters: systemd goes through a stack of PAM for such a service. Its modules run as root, may run programs,
    and start the user's own service manager, whose units lie in a home directory.

    Example: user@.service has PAMName=systemd-user; a kiosk's service has PAMName=login.

    Fix: remove or mask the unit; a service needs User= or DynamicUser= only.

    Known limits: programs that open sessions themselves, such as login and sshd, are other controls' subject.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            names = [setting for setting in unit.settings if setting.key == "PAMName"]
            if names:  # a masked unit has no settings, and an empty one takes back those before it
                yield about_name(area, unit.name, "opens a session of PAM", (names[-1].origin, names[-1].value))


CONTROLS = (no_password, no_session)
