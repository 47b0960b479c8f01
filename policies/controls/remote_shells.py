"""Door "remote shells": programs and sockets over which somebody far away gets a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.finding import Evidence, Finding, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts, Listen

_SSH_SERVERS: Final = frozenset({"sshd", "sshd-session", "sshd-auth", "dropbear", "dropbearmulti", "tinysshd"})


@control(
    "ZOA-101",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="There is no SSH server",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ssh_server(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file with the name of an SSH server: sshd and its helpers,
    dropbear, tinysshd.

    Why it matters: an SSH server gives a command line to whoever has a key or a password, and keys can arrive after
    the image was measured.

    Example: /usr/sbin/sshd is executable, although no unit starts it.

    Fix: remove the package, openssh-server for example, from the definition.

    Known limits: looks at names; a server under another name is found by what its ELF file is, in another control.
    """
    for area in facts.areas:
        for file in area.files:
            if file.is_executable and file.name in _SSH_SERVERS:
                package = f" from package {file.package}" if file.package else ""
                yield about_path(area, file.path, f"is an SSH server{package}", f"mode {file.mode:04o}")


@control(
    "ZOA-120",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="systemd listens to the network only where the pack says so",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 SC-7"),
    parameters=(Parameter("allowed", (), 'Addresses as units spell them, such as "8443" or "[::]:8443".'),),
)
def no_other_listening_socket(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every address of IP or vsock on which a socket unit listens is in the parameter "allowed",
    whether or not the start brings the unit in: a later event may.

    Why it matters: a socket unit starts a program for whoever connects, and an initrd's sockets are easily overlooked.

    Example: ssh.socket in the initrd has ListenStream=2222.

    Fix: remove or mask the unit, or list the address in the pack if the service is meant to be there.

    Known limits: programs that open sockets themselves are not seen; network rules are not looked at.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            for listen in unit.listens:
                if _is_remote(listen) and listen.address not in parameters["allowed"] and unit.masked_by is None:
                    evidence = Evidence(
                        source=area.name, path=str(listen.origin), value=f"{listen.setting}={listen.address}"
                    )
                    yield Finding(
                        subject=f"{area.name}:{unit.name}:{listen.address}",
                        message="is an address that is not on the list of those the image may listen on",
                        evidence=(evidence,),
                    )


def _is_remote(listen: Listen) -> bool:
    return listen.family in {"inet", "vsock"}


CONTROLS = (no_ssh_server, no_other_listening_socket)
