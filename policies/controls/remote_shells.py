"""Door "remote shells": SSH in all its forms, and sockets that the image may not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._arguments import about_argument, arguments
from policies.controls._products import Product, about_unit, exists, find_product, is_program, words
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts, Listen, Unit
    from policies.finding import Finding

_SSH_SERVERS: Final = words("sshd sshd-session sshd-auth dropbear dropbearmulti tinysshd tinysshd-printkey lsh-server")
_SSH_CONTENT: Final = Product(
    what="an SSH server",
    identities=words("openssh-server dropbear tinyssh go-ssh-server libssh-server russh-server"),
    packages=words("openssh-server openssh-sftp-server dropbear dropbear-bin tinysshd tinyssh"),
)
_SSH_UNITS: Final = words(
    "ssh ssh@ sshd sshd@ sshdgenkeys dropbear dropbear@ tinysshd tinysshd@ sshd-vsock sshd-vsock@ "
    "sshd-unix-local sshd-unix-local@ sshd-unix-export sshd-unix-export@"
)
_GENERATORS: Final = words("systemd-ssh-generator sshd-socket-generator")
_PROTOCOLS: Final = {"ListenDatagram": "/udp", "ListenSequentialPacket": "/seqpacket"}


@control(
    "ZOA-101",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="There is no SSH server",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ssh_server(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file, and no link to one, with the name of an SSH server:
    sshd and its helpers, dropbear, tinysshd.

    Why it matters: an SSH server gives a command line to whoever has a key or a password, and keys can arrive after
    the image was measured.

    Example: /usr/sbin/sshd is executable, although no unit starts it.

    Fix: remove the package, openssh-server for example, from the definition.

    Known limits: looks at names; a server under another name is found by what its ELF file is, in ZOA-102.
    """
    for area in facts.areas:
        for file in area.files:
            if file.name in _SSH_SERVERS and is_program(area, file):
                package = f" from package {file.package}" if file.package else ""
                yield about_path(area, file.path, f"is an SSH server{package}", f"mode {file.mode:04o}")


@control(
    "ZOA-102",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="No program is an SSH server under another name",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_hidden_ssh_server(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no ELF program of root or initrd contains what only SSH servers contain (OpenSSH's version with
    the path of sshd_config, Dropbear's and TinySSH's names, the accept functions of Go's, Rust's and C's SSH
    libraries), none has a package note of an SSH server, and no such package is in the package database.

    Why it matters: a server works as well when its file is called "metrics-helper"; only its name makes lists of
    names pass.

    Example: /usr/lib/metrics/collector in the initrd contains "OpenSSH_10.0" and "/etc/ssh/sshd_config".

    Fix: remove the file, or build the program without its SSH server.

    Known limits: packed, encrypted or deliberately changed programs, scripts, and libraries are not recognised; an
    application that links an SSH server and never starts it is found too.
    """
    yield from find_product(facts, _SSH_CONTENT)


@control(
    "ZOA-103",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="No unit starts an SSH server",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ssh_unit(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no service or socket of root or initrd has the name of an SSH server's unit (ssh, sshd,
    dropbear, tinysshd, sshd-vsock, sshd-unix-local), also by an alias, and none executes a program of that name or
    one that has an SSH server's content, whatever the unit is called. Masked units do not count.

    Why it matters: a unit is what turns an SSH server from a file into a listening service; a socket unit does it
    when somebody connects.

    Example: metrics.socket in the initrd starts metrics@.service, which executes /usr/sbin/sshd -i.

    Fix: remove the unit and the server, or mask the unit.

    Known limits: a server that a script or another program starts is not seen here, but by ZOA-101 and ZOA-102.
    """
    for area in facts.areas:
        hidden = {elf.path for elf in area.elf if _SSH_CONTENT.identities.intersection(elf.identities)}
        for unit in area.systemd.units:
            if not exists(unit) or unit.type not in {"service", "socket"}:
                continue
            names = {name.rpartition(".")[0] for name in (unit.name, *unit.aliases)}
            files = [area.find(program.path) for program in unit.programs]
            executed = any(program.path.rpartition("/")[2] in _SSH_SERVERS for program in unit.programs)
            if names & _SSH_UNITS or executed or any(file.path in hidden for file in files if file):
                yield about_unit(area, unit, "starts an SSH server")


@control(
    "ZOA-104",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="Nothing makes SSH sockets at boot",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_ssh_generator(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: systemd-ssh-generator and the generator of Ubuntu's ssh.socket are absent or masked in root and
    initrd, the other end systemd-ssh-proxy is absent, and no argument is systemd.ssh_auto or systemd.ssh_listen, but
    to turn it off.

    Why it matters: the generator binds sshd to AF_VSOCK port 22 and to a UNIX socket in every virtual machine that
    has an sshd, with no unit file and no socket in the image. The host of a virtual machine can always reach vsock.

    Example: /usr/lib/systemd/system-generators/systemd-ssh-generator is executable in the root.

    Fix: remove the generator, or put a link to /dev/null at /etc/systemd/system-generators/systemd-ssh-generator.

    Known limits: arguments that come from SMBIOS or a boot loader are other controls' subject.
    """
    for area in facts.areas:
        for generator in area.systemd.generators:
            if generator.name in _GENERATORS and not generator.masked:
                yield about_path(area, generator.path, "makes SSH sockets at boot", f"{generator.manager} generator")
        for file in area.files:
            if file.name == "systemd-ssh-proxy" and is_program(area, file):
                yield about_path(area, file.path, "connects SSH to virtual sockets", f"mode {file.mode:04o}")
    for placed in arguments(facts):
        is_auto = placed.name == "systemd.ssh_auto" and placed.value not in {"no", "0", "false", "off"}
        if is_auto or placed.name == "systemd.ssh_listen":
            yield about_argument(placed, "asks for SSH sockets at boot")


@control(
    "ZOA-120",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="systemd listens to the network only where the pack says so",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 SC-7"),
    parameters=(Parameter("allowed", (), 'Addresses as units spell them: "8443" for TCP, "8443/udp".'),),
)
def no_other_listening_socket(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: every address of IP, vsock or USB on which a socket unit listens is in the parameter "allowed",
    whether or not the start brings the unit in: a later event may. An address stands for TCP, of vsock for a stream;
    other protocols are named behind it, as in "8443/udp", "8443/sctp" or "8443/seqpacket". One unit may listen there.

    Why it matters: a socket unit starts a program for whoever connects, and an initrd's sockets are easily
    overlooked.

    Example: ssh.socket in the initrd has ListenStream=2222.

    Fix: remove or mask the unit, or list the address in the pack if the service is meant to be there.

    Known limits: programs that open sockets themselves are not seen; network rules are not looked at.
    """
    for area in facts.areas:
        taken: dict[str, str] = {}
        for unit in area.systemd.units:
            for listen in unit.listens if unit.masked_by is None else ():
                if not _is_remote(listen):
                    continue
                address = f"{listen.address}{_protocol(unit, listen)}"
                evidence = (listen.origin, f"{listen.setting}={listen.address}")
                if address not in parameters["allowed"]:
                    message = "is an address that is not on the list of those the image may listen on"
                    yield about_name(area, f"{unit.name}:{address}", message, evidence)
                elif taken.setdefault(address, unit.name) != unit.name:
                    message = f"is an address on which {taken[address]} listens"
                    yield about_name(area, f"{unit.name}:{address}", message, evidence)


def _is_remote(listen: Listen) -> bool:
    return listen.family in {"inet", "vsock", "usb"}


def _protocol(unit: Unit, listen: Listen) -> str:
    """What follows an address of another protocol than TCP (systemd.socket(5))."""
    if listen.setting in _PROTOCOLS:
        return _PROTOCOLS[listen.setting]
    stated = unit.values("Socket", "SocketProtocol")
    return f"/{stated[-1].value}" if stated else ""


CONTROLS = (no_ssh_server, no_hidden_ssh_server, no_ssh_unit, no_ssh_generator, no_other_listening_socket)
