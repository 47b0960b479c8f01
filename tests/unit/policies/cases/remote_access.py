from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import elf, file, link, program

_UNITS = "usr/lib/systemd/system"
_DPKG = "Package: {}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
_SHELL = "[Service]\nExecStart=-{}\nStandardInput={}\n"


def _content(*texts: bytes) -> bytes:
    return elf() + b"\0" + b"\0".join(texts) + b"\0"


CASES = (
    bad(
        "ZOA-105",
        "root:/usr/sbin/in.telnetd",
        "root:/usr/sbin/telnetd",
        "root:/usr/lib/box",
        "root:rsh@.service",
        "root:package:rsh-server",
        "initrd:/usr/lib/daemon",
        root={
            "usr/sbin/in.telnetd": program(),
            "usr/sbin/telnetd": link("../lib/box"),
            "usr/lib/box": file(_content(b"BusyBox v1.37", b"telnetd"), 0o755),
            f"{_UNITS}/rsh@.service": "[Service]\nExecStart=/x\n",
            "var/lib/dpkg/status": _DPKG.format("rsh-server"),
        },
        initrd={"usr/lib/daemon": _content(b"telnetd", b"/bin/login")},
    ),
    good(
        "ZOA-105",
        root={
            "usr/bin/telnet": program(),
            "usr/lib/box": _content(b"BusyBox v1.37", b"telnet"),
            "usr/lib/daemon": _content(b"telnetd"),
            f"{_UNITS}/rsh@.service": "[Service]\nExecStart=/x\n",
            "etc/systemd/system/rsh@.service": link("/dev/null"),
        },
    ),
    bad(
        "ZOA-106",
        "root:/usr/bin/tmate",
        "initrd:/usr/bin/x",
        root={"usr/bin/tmate": program()},
        initrd={"usr/bin/x": _content(b"\nMOSH CONNECT %d %s\n", b"mosh-server")},
    ),
    good("ZOA-106", root={"usr/share/tmux": "a document", "usr/bin/x": _content(b"mosh-server")}),
    bad(
        "ZOA-107",
        "root:/usr/bin/gotty",
        "root:/usr/bin/a",
        "root:/usr/bin/b",
        "root:/opt/wetty/main.js",
        "initrd:shellinaboxd.service",
        root={
            "usr/bin/gotty": file("#!/bin/sh\n", 0o755),
            "usr/bin/a": _content(b"ttyd is a tool for sharing terminal over the web"),
            "usr/bin/b": _content(b"github.com/sorenisanerd/gotty/server.New"),
            "opt/wetty/main.js": "text",
        },
        initrd={f"{_UNITS}/shellinaboxd.service": "[Service]\nExecStart=/x\n"},
    ),
    good("ZOA-107", root={"usr/share/ttyd": "a document", "opt/wetty-notes": "text", "usr/bin/a": _content(b"ttyd")}),
    bad(
        "ZOA-108",
        "root:/usr/sbin/tailscaled",
        "root:teleport.service",
        "initrd:/usr/lib/a",
        root={
            "usr/sbin/tailscaled": program(),
            f"{_UNITS}/teleport.service": "[Service]\nExecStart=/x\n",
        },
        initrd={"usr/lib/a": _content(b"tailscale.com/ipn/ipnlocal")},
    ),
    good("ZOA-108", root={"usr/bin/wg": program(), "usr/share/teleport": "a document"}),
    bad("ZOA-109", "root:/usr/bin/Xvnc", root={"usr/bin/Xvnc": program()}),
    bad("ZOA-109", "initrd:xrdp.service", initrd={f"{_UNITS}/xrdp.service": "[Service]\nExecStart=/x\n"}),
    bad("ZOA-109", "root:package:x11vnc", root={"var/lib/dpkg/status": _DPKG.format("x11vnc")}),
    good("ZOA-109", root={"usr/share/Xvnc": "a document", "usr/bin/X": program()}),
    bad(
        "ZOA-110",
        "root:/usr/bin/relay",
        "root:/usr/bin/nc",
        "root:/etc/alternatives/nc",
        "root:/etc/xinetd.d/telnet",
        "initrd:inetd.service",
        root={
            "usr/bin/relay": _content(b"socat by Gerhard Rieger and contributors"),
            "usr/bin/nc": link("/etc/alternatives/nc"),
            "etc/alternatives/nc": link("/usr/bin/x"),
            "usr/bin/x": program(),
            "etc/xinetd.d/telnet": "service telnet\n",
        },
        initrd={f"{_UNITS}/inetd.service": "[Service]\nExecStart=/x\n"},
    ),
    good("ZOA-110", root={"usr/share/socat": "a document", "usr/bin/ncal": program(), "etc/xinetd": "text"}),
    bad("ZOA-111", "root:/etc/inetd.conf", root={"etc/inetd.conf": "2222 stream tcp nowait root /bin/sh sh\n"}),
    bad("ZOA-111", "initrd:/etc/inetd.d/x", initrd={"etc/inetd.d/x": "2222 stream tcp nowait root /bin/sh sh\n"}),
    bad("ZOA-111", "root:/etc/xinetd.conf", root={"etc/xinetd.conf": "defaults {}\n"}),
    bad("ZOA-111", "root:/etc/rinetd.conf", root={"etc/rinetd.conf": "0.0.0.0 1 127.0.0.1 2\n"}),
    good("ZOA-111", root={"etc/inetd.conf": "", "usr/share/inetd.conf": "x", "etc/inetd.d": link("/x")}),
    bad("ZOA-112", "root:x@.service", root={f"{_UNITS}/x@.service": _SHELL.format("/bin/sh -i", "socket")}),
    bad(
        "ZOA-112",
        "initrd:x@.service",
        "initrd:y@.service",
        "initrd:z@.service",
        initrd={
            f"{_UNITS}/x@.service": _SHELL.format("/opt/a", "socket"),
            f"{_UNITS}/y@.service": _SHELL.format("/opt/b", "socket"),
            f"{_UNITS}/z@.service": _SHELL.format("python3.13", "socket"),
            "opt/a": link("/usr/bin/bash"),
            "usr/bin/bash": program(),
            "opt/b": _content(b"BusyBox v1.37"),
        },
    ),
    good(
        "ZOA-112",
        root={
            f"{_UNITS}/x@.service": _SHELL.format("/bin/sh -i", "null"),
            f"{_UNITS}/y@.service": _SHELL.format("/usr/lib/server", "socket"),
            f"{_UNITS}/w@.service": "[Service]\nExecStart=/bin/sh\n",
            f"{_UNITS}/z@.service": _SHELL.format("/bin/sh", "socket"),
            "etc/systemd/system/z@.service": link("/dev/null"),
            "usr/lib/server": program(),
            "usr/lib/busybox": _content(b"BusyBox v1.37"),
        },
    ),
    bad("ZOA-113", "root:/usr/lib/sftp-server", root={"usr/lib/sftp-server": program()}),
    bad(
        "ZOA-113",
        "initrd:systemd-storagetm.service",
        initrd={f"{_UNITS}/systemd-storagetm.service": "[Service]\nExecStart=/x\n"},
    ),
    bad("ZOA-113", "root:package:vsftpd", root={"var/lib/dpkg/status": _DPKG.format("vsftpd")}),
    good("ZOA-113", root={"usr/share/smbd": "a document", "usr/bin/sftp": program()}),
    bad(
        "ZOA-111",
        "root:/etc/inetd.d/x",
        root={"etc/inetd.d": link("/usr/share/i"), "usr/share/i/x": "x"},
    ),
)
