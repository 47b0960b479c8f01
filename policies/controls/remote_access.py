"""Door "remote shells": telnet and its kin, terminals in a browser, tunnels, desktops, and relays of sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._products import Product, about_unit, exists, find_product, words
from policies.finding import Evidence, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, Unit
    from policies.finding import Finding

_TELNET: Final = Product(
    what="a server of telnet, rsh, rlogin or rexec",
    programs=words("telnetd in.telnetd utelnetd rshd in.rshd rlogind in.rlogind rexecd in.rexecd uucpd"),
    identities=words("telnet-server"),
    packages=words("telnetd inetutils-telnetd telnetd-ssl telnet-server rsh-server rsh-redone-server inetutils-inetd"),
    units=words("telnet telnet@ telnetd rsh rsh@ rlogin rlogin@ rexec rexec@"),
)
_ROAMING: Final = Product(
    what="a server of roaming or shared terminals",
    programs=words(
        "mosh-server etserver etterminal tmate tmate-ssh-server upterm uptermd sshx sshx-server screen tmux "
        "dtach abduco zellij"
    ),
    identities=words("mosh-server"),
    packages=words("mosh et eternalterminal tmate screen tmux dtach"),
    units=words("et etserver tmate uptermd"),
)
_WEB_TERMINALS: Final = Product(
    what="a terminal in a browser",
    programs=words(
        "ttyd gotty shellinaboxd wetty code-server openvscode-server guacd jupyter jupyter-lab "
        "jupyter-notebook jupyter-server rstudio-server tty2web"
    ),
    identities=words("ttyd gotty shellinabox"),
    packages=words("ttyd gotty shellinabox wetty code-server guacd jupyter-server jupyter-notebook jupyterlab"),
    units=words("ttyd ttyd@ gotty shellinabox shellinaboxd wetty code-server code-server@ guacd jupyter jupyterhub"),
    folders=("/usr/lib/node_modules/wetty/", "/usr/local/lib/node_modules/wetty/", "/opt/wetty/"),
)
_TUNNELS: Final = Product(
    what="a tunnel that opens the node to people elsewhere",
    programs=words(
        "teleport tsh tbot tailscaled tailscale headscale cloudflared ngrok zerotier-one netbird boundary "
        "boundary-worker frpc frps chisel bore pagekite autossh inlets inlets-pro nebula twingate-connector "
        "strongdm sdm rathole gost gsocket gs-netcat openvpn wireguard-go boringtun boringtun-cli "
        "wstunnel stunnel stunnel4 microsocks 3proxy sish sshportal rport"
    ),
    identities=words("teleport tailscale cloudflared chisel"),
    packages=words("teleport tailscale cloudflared ngrok zerotier-one netbird boundary frp chisel autossh nebula"),
    units=words(
        "teleport tailscaled cloudflared ngrok zerotier-one netbird boundary frpc frps frpc@ frps@ chisel "
        "autossh autossh@ nebula"
    ),
)
_DESKTOPS: Final = Product(
    what="a server of remote desktops",
    programs=words(
        "Xvnc Xtigervnc x11vnc x0vncserver vncserver tigervncserver wayvnc xrdp xrdp-sesman "
        "gnome-remote-desktop-daemon krfb rustdesk anydesk teamviewerd nxserver x2gostartagent xpra dcvserver "
        "dcvagent"
    ),
    packages=words(
        "tigervnc-standalone-server tigervnc-scraping-server x11vnc wayvnc xrdp gnome-remote-desktop krfb "
        "rustdesk anydesk teamviewer x2goserver xpra nice-dcv-server"
    ),
    units=words(
        "vncserver@ x11vnc xrdp xrdp-sesman xvnc xvnc@ gnome-remote-desktop rustdesk anydesk teamviewerd dcvserver xpra"
    ),
)
_SUPER_SERVERS: Final = Product(
    what="a program that hands connections to other programs",
    programs=words(
        "inetd inetutils-inetd xinetd rlinetd tcpserver s6-tcpserver socat socat1 ncat nc nc.openbsd "
        "nc.traditional netcat cryptcat pwncat tcpsvd websocketd websocat haproxy sslh "
        "systemd-socket-proxyd ser2net conserver rpcbind portmap"
    ),
    identities=words("socat ncat netcat rpcbind"),
    packages=words(
        "inetutils-inetd openbsd-inetd xinetd rlinetd ucspi-tcp socat ncat netcat-openbsd netcat-traditional "
        "cryptcat websocketd websocat rpcbind portmap"
    ),
    units=words("rpcbind portmap inetd inetutils-inetd openbsd-inetd xinetd rlinetd"),
    folders=("/etc/xinetd.d/",),
)
_FILE_SERVERS: Final = Product(
    what="a server that files can be fetched from or put on",
    programs=words(
        "vsftpd proftpd pure-ftpd ftpd in.ftpd in.tftpd tftpd atftpd smbd rpc.nfsd rpc.mountd nfsd "
        "ganesha.nfsd sftp-server rsync-ssl distccd systemd-storagetm nbd-server targetcli tgtd uftpd "
        "nbdkit usbipd diod"
    ),
    packages=words(
        "vsftpd proftpd-core pure-ftpd ftpd tftpd tftpd-hpa atftpd samba nfs-kernel-server nfs-ganesha "
        "openssh-sftp-server distcc nbd-server tgt"
    ),
    units=words(
        "vsftpd proftpd pure-ftpd tftpd-hpa smbd nmbd nfs-server nfs-mountd rsync rsyncd rsyncd@ distccd "
        "nbd-server tgt systemd-storagetm"
    ),
)
_SHELLS: Final = words(
    "sh bash rbash dash ash hush ksh mksh lksh ksh93 zsh fish csh tcsh busybox toybox node "
    "php tclsh login su sulogin agetty script expect env systemd-run nsenter chroot"
)


@control(
    "ZOA-105",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="There is no server of telnet, rsh, rlogin or rexec",
    references=("DISA STIG RHEL-08-040000", "DISA STIG RHEL-08-040010", "NIST SP 800-53 CM-7"),
)
def no_telnet_server(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no server of telnet, rsh, rlogin, rexec or uucp: no program or link of
    such a name, no program with the content of one (a BusyBox with the telnetd applet too), no package, no unit that
    is not masked.

    Why it matters: these give a command line without encryption, some without a password.

    Example: /usr/sbin/telnetd is a link to busybox, which has the applet.

    Fix: remove the package; build BusyBox without telnetd, or leave it out.

    Known limits: a server that has another name and was changed not to look like one is not recognised.
    """
    yield from find_product(facts, _TELNET)


@control(
    "ZOA-106",
    door=Door.REMOTE_SHELLS,
    severity=Severity.HIGH,
    title="There is no server of roaming or shared terminals",
    references=("NIST SP 800-53 AC-17",),
)
def no_roaming_terminal(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold neither mosh-server, Eternal Terminal, tmate, upterm nor sshx, nor
    terminal multiplexers (screen, tmux, dtach, zellij), by name, content, package or unit.

    Why it matters: a roaming server is a second way in beside SSH, over UDP for mosh; sharing programs call out to a
    relay, which no firewall rule for incoming connections stops; multiplexers keep a shell alive without its owner.

    Example: /usr/bin/mosh-server comes with the package mosh.

    Fix: remove the package.

    Known limits: a mosh-server under another name is found by its content, the others only by name.
    """
    yield from find_product(facts, _ROAMING)


@control(
    "ZOA-107",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="There is no terminal in a browser",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_web_terminal(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no ttyd, GoTTY, Shell In A Box, WeTTY, code-server, Guacamole or Jupyter
    server, by name, content, package, folder or unit.

    Why it matters: each of them runs a shell for whoever can open a web page, often without a password.

    Example: /usr/local/bin/metrics contains "ttyd is a tool for sharing terminal over the web".

    Fix: remove the program and its unit.

    Known limits: web applications that run commands on their own are not recognised.
    """
    yield from find_product(facts, _WEB_TERMINALS)


@control(
    "ZOA-108",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="There is no access gateway or tunnel",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 SC-7"),
)
def no_tunnel(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no Teleport, Tailscale, cloudflared, ngrok, ZeroTier, NetBird, Boundary,
    frp, Chisel and the like, by name, content, package or unit.

    Why it matters: such programs call out, so that no port is open, and then let people in; Tailscale and Teleport
    have SSH servers of their own, and who may use them is decided in an account outside of the image.

    Example: tailscaled.service runs /usr/sbin/tailscaled --state=mem:, with "tailscale up --ssh" in a script.

    Fix: remove the program. Reach the service through a load balancer.

    Known limits: a plain VPN such as WireGuard in the kernel is no finding; by itself it gives no command line.
    """
    yield from find_product(facts, _TUNNELS)


@control(
    "ZOA-109",
    door=Door.REMOTE_SHELLS,
    severity=Severity.HIGH,
    title="There is no remote desktop",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 CM-7"),
)
def no_remote_desktop(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no server of VNC, RDP, NX, DCV or a vendor's protocol, by name, package or
    unit.

    Why it matters: a desktop has a terminal in its menu.

    Example: xrdp.service is in the root.

    Fix: remove the package.

    Known limits: looks at names; a desktop without a server that can be reached is no finding.
    """
    yield from find_product(facts, _DESKTOPS)


@control(
    "ZOA-110",
    door=Door.REMOTE_SHELLS,
    severity=Severity.HIGH,
    title="No program hands connections to other programs",
    references=("NIST SP 800-53 CM-7",),
)
def no_super_server(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no inetd, xinetd, tcpserver, socat, netcat, ncat, websocketd or rpcbind, by
    name, content, package or unit, and no file in /etc/xinetd.d.

    Why it matters: with one of them a single command makes any program, a shell too, listen to the network.

    Example: /usr/bin/relay contains "socat by Gerhard Rieger".

    Fix: remove the program; where sockets must be passed on, use a socket unit with a service of your own.

    Known limits: netcat under another name is only recognised if it is ncat.
    """
    yield from find_product(facts, _SUPER_SERVERS)


@control(
    "ZOA-111",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="No inetd configuration starts a program",
    references=("NIST SP 800-53 CM-7",),
)
def no_inetd_configuration(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: neither root nor initrd has /etc/inetd.conf, /etc/xinetd.conf, /etc/rinetd.conf or
    /etc/inetd.d, unless empty.

    Why it matters: the configuration says which program answers on which port; BusyBox and inetutils read it too.

    Example: /etc/inetd.conf has "2222 stream tcp nowait root /bin/sh sh -i".

    Fix: remove the file.

    Known limits: a file that only has comments is found as well, since nothing else needs it.
    """
    for area in facts.areas:
        for file in area.reached:
            is_main = file.path in {"/etc/inetd.conf", "/etc/xinetd.conf", "/etc/rinetd.conf"}
            if file.type == "file" and file.size and (is_main or file.path.startswith("/etc/inetd.d/")):
                yield about_path(area, file.path, "says which programs answer on ports", f"{file.size} bytes")


@control(
    "ZOA-112",
    door=Door.REMOTE_SHELLS,
    severity=Severity.CRITICAL,
    title="No socket is given to a shell or an interpreter",
    references=("NIST SP 800-53 AC-3", "NIST SP 800-53 AC-17"),
)
def no_shell_on_a_socket(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit that is not masked has StandardInput=socket and executes a shell, an interpreter,
    login, or a program that starts others; the program's name counts, that of the file it is a link to, and BusyBox
    content.

    Why it matters: a socket unit with Accept=yes and a service of two lines is a whole remote shell, made of nothing
    but systemd and sh.

    Example: x@.service has ExecStart=-/bin/sh -i and StandardInput=socket; x.socket listens on port 4444.

    Fix: remove the units.

    Known limits: a program of one's own that starts a shell is not seen; a shell that takes the socket as descriptor
    3 is not either.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            inputs = unit.values("Service", "StandardInput")
            if exists(unit) and inputs and inputs[-1].value == "socket" and _runs_shell(area, unit):
                evidence = Evidence(source=area.name, path=str(inputs[-1].origin), value="StandardInput=socket")
                yield about_unit(area, unit, "gives whoever connects a shell or an interpreter", evidence)


@control(
    "ZOA-113",
    door=Door.REMOTE_SHELLS,
    severity=Severity.HIGH,
    title="There is no server of files or disks",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 SC-7"),
)
def no_file_server(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no server of FTP, TFTP, SMB, NFS, rsync, SFTP, distcc, NBD or iSCSI, and
    not systemd-storagetm, by name, package or unit.

    Why it matters: they let somebody read or replace files from outside. systemd-storagetm is part of systemd: one
    word on the command line makes an initrd give all disks to the network as NVMe-TCP, without a password.

    Example: systemd-storagetm.service and its program are in the initrd.

    Fix: remove the program and mask the unit.

    Known limits: web servers that serve files are not looked for; rsync as a program is the programs' door.
    """
    yield from find_product(facts, _FILE_SERVERS)


def _runs_shell(area: Area, unit: Unit) -> bool:
    for program in unit.programs:
        names = {program.path.rpartition("/")[2]}
        file = area.find(program.path)
        if file is not None:
            names.add(file.name.partition(".")[0])
            names |= {"busybox" for elf in area.elf if elf.path == file.path and "busybox" in elf.identities}
        if names & _SHELLS or any(name.startswith(("python", "perl", "lua", "ruby")) for name in names):
            return True
    return False


CONTROLS = (
    no_telnet_server,
    no_roaming_terminal,
    no_web_terminal,
    no_tunnel,
    no_remote_desktop,
    no_super_server,
    no_inetd_configuration,
    no_shell_on_a_socket,
    no_file_server,
)
