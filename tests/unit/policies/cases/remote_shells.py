from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import elf, esp_file, file, link, note, program

_SOCKET = "[Socket]\nListenStream={}\nAccept=yes\n"
_UNITS = "usr/lib/systemd/system"
_SSHD = file(elf() + b"OpenSSH_10.0p2 Debian-7\0/etc/ssh/sshd_config\0", 0o755)
_DPKG = "Package: {}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
_GENERATOR = "usr/lib/systemd/system-generators/systemd-ssh-generator"


def _content(*texts: bytes) -> bytes:
    return elf() + b"\0" + b"\0".join(texts) + b"\0"


CASES = (
    bad("ZOA-101", "root:/usr/sbin/sshd", root={"usr/sbin/sshd": program()}),
    bad("ZOA-101", "initrd:/usr/sbin/dropbear", initrd={"usr/sbin/dropbear": file("#!/bin/sh\n", 0o700)}),
    bad(
        "ZOA-101",
        "root:/opt/sshd",
        root={
            "opt/sshd": link("/opt/x"),
            "opt/x": program(),
            "opt/tinysshd": link("/gone"),
            "opt/sshd-auth": link("y"),
            "opt/y": "text",
        },
    ),
    good("ZOA-101", root={"usr/share/doc/sshd": "a document", "usr/sbin/sshd-keygen": program()}),
    bad("ZOA-102", "initrd:/usr/lib/helper", initrd={"usr/lib/helper": _SSHD}),
    bad(
        "ZOA-102",
        *(f"root:/a{number}" for number in range(8)),
        root={
            "a0": _content(b"SSH-2.0-dropbear_2025.88"),
            "a1": _content(b"tinysshd"),
            "a2": _content(b"golang.org/x/crypto/ssh.NewServerConn"),
            "a3": _content(b"ssh_bind_accept"),
            "a4": _content(b"russh", b"/src/server/mod.rs"),
            "a5": program(notes=note(b"FDO", 0xCAFE1A7E, b'{"name":"openssh-server"}')),
            "a6": _content(b"wolfSSH_accept"),
            "a7": _content(b"Dropbear SSH multi-purpose"),
        },
    ),
    bad("ZOA-102", "root:package:openssh-server", root={"var/lib/dpkg/status": _DPKG.format("openssh-server")}),
    good(
        "ZOA-102",
        root={
            "usr/bin/ssh": _content(b"OpenSSH_10.0p2", b"/etc/ssh/ssh_config"),
            "usr/bin/client": _content(b"golang.org/x/crypto/ssh.NewClientConn", b"russh"),
            "usr/share/doc": "OpenSSH_10.0p2 /etc/ssh/sshd_config",
            "usr/bin/x": program(notes=note(b"FDO", 0xCAFE1A7E, b'{"name":"openssh-client"}')),
            "var/lib/dpkg/status": _DPKG.format("openssh-client"),
        },
    ),
    bad(
        "ZOA-103",
        "root:sshd.service",
        "root:x@.service",
        "root:y.service",
        "initrd:ssh.socket",
        root={
            f"{_UNITS}/sshd.service": "[Service]\nExecStart=/x\n",
            f"{_UNITS}/x@.service": "[Service]\nExecStart=-/usr/sbin/sshd -i\n",
            f"{_UNITS}/y.service": "[Service]\nExecStart=/usr/lib/z\n",
            "usr/lib/z": link("helper"),
            "usr/lib/helper": _SSHD,
        },
        initrd={f"{_UNITS}/ssh.socket": _SOCKET.format("/run/x")},
    ),
    bad(
        "ZOA-103",
        "root:x.service",
        root={
            f"{_UNITS}/x.service": "[Service]\nExecStart=/x\n",
            "etc/systemd/system/sshd.service": link("/usr/lib/systemd/system/x.service"),
        },
    ),
    good(
        "ZOA-103",
        root={
            f"{_UNITS}/sshd.service": "[Service]\nExecStart=/usr/sbin/sshd\n",
            "etc/systemd/system/sshd.service": link("/dev/null"),
            f"{_UNITS}/ssh.target": "[Unit]\n",
            f"{_UNITS}/x.service": "[Service]\nExecStart=/usr/bin/ssh\n",
            "usr/bin/ssh": program(),
        },
    ),
    bad("ZOA-104", f"root:/{_GENERATOR}", root={_GENERATOR: program()}),
    bad(
        "ZOA-104",
        "initrd:/usr/lib/systemd/systemd-ssh-proxy",
        initrd={"usr/lib/systemd/systemd-ssh-proxy": program()},
    ),
    bad("ZOA-104", "uki:0:systemd.ssh_listen=vsock::22", command_line="systemd.ssh_listen=vsock::22"),
    bad(
        "ZOA-104",
        "esp:/EFI/x.addon.efi:systemd.ssh-auto=yes",
        esp_files=(esp_file("/EFI/x.addon.efi", "addon", "systemd.ssh-auto=yes"),),
    ),
    good("ZOA-104", command_line="systemd.ssh_auto=no"),
    good("ZOA-104", root={_GENERATOR: program(), f"etc/{_GENERATOR.removeprefix('usr/lib/')}": link("/dev/null")}),
    good("ZOA-104", root={"usr/lib/systemd/system-generators/systemd-fstab-generator": program()}),
    good("ZOA-104", root={"usr/share/systemd-ssh-proxy": "a document"}),
    *(
        bad(
            "ZOA-120",
            f"root:y.socket:443/{protocol}",
            root={f"{_UNITS}/y.socket": f"[Socket]\n{text}\n"},
            parameters={"allowed": ("443",)},
        )
        for protocol, text in (
            ("udp", "ListenDatagram=443"),
            ("seqpacket", "ListenSequentialPacket=443"),
            ("sctp", "ListenStream=443\nSocketProtocol=mptcp\nSocketProtocol=sctp"),
        )
    ),
    bad(
        "ZOA-120",
        "root:b.socket:443",
        root={f"{_UNITS}/{name}.socket": "[Socket]\nListenStream=443\n" for name in ("a", "b")},
        parameters={"allowed": ("443",)},
    ),
    good(
        "ZOA-120",
        root={
            f"{_UNITS}/a.socket": "[Socket]\nListenStream=443\nListenStream=443\nListenDatagram=443\n",
            f"{_UNITS}/b.socket": "[Socket]\nListenStream=444\nSocketProtocol=sctp\n",
            "etc/systemd/system/c.socket": link("/dev/null"),
            f"{_UNITS}/c.socket": "[Socket]\nListenStream=443\n",
        },
        parameters={"allowed": ("443", "443/udp", "444/sctp")},
    ),
    bad(
        "ZOA-120",
        "initrd:x.socket:2222",
        "root:x.socket:vsock::22",
        root={f"{_UNITS}/x.socket": _SOCKET.format("vsock::22")},
        initrd={f"{_UNITS}/x.socket": _SOCKET.format("2222")},
    ),
    bad(
        "ZOA-120",
        "root:x@.socket:%i",
        "root:x@22.socket:22",
        root={
            f"{_UNITS}/x@.socket": _SOCKET.format("%i"),
            f"{_UNITS}/sockets.target.wants/x@22.socket": link("../x@.socket"),
        },
    ),
    good("ZOA-120", root={f"{_UNITS}/x.socket": _SOCKET.format("/run/x")}),
    bad(
        "ZOA-120",
        "root:x.socket:/dev/usb-ffs/x",
        root={f"{_UNITS}/x.socket": "[Socket]\nListenUSBFunction=/dev/usb-ffs/x\n"},
    ),
    good("ZOA-120", root={f"{_UNITS}/x@.socket": _SOCKET.format("%t/x/%i")}),
    good("ZOA-120", root={f"{_UNITS}/x.socket": _SOCKET.format("8443")}, parameters={"allowed": ("8443",)}),
    good(
        "ZOA-120",
        root={f"{_UNITS}/x.socket": _SOCKET.format("22"), "etc/systemd/system/x.socket": link("/dev/null")},
    ),
)
