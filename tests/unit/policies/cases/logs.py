from __future__ import annotations

import struct
from typing import Any

from tests.control_cases import Case, bad, good
from tests.fact_trees import file, folder, link, program

_CONF = "etc/systemd/journald.conf"
_LIB = "usr/lib/systemd/system"
_JOURNAL_LINE = {"usr/lib/tmpfiles.d/x.conf": "d /var/log/journal 2755 root root -\n"}
_CORE = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 4, 62, 1, 0, 0, 0, 0, 64, 56, 0, 0, 0, 0)


def _argument(control: str, *texts: str) -> tuple[Case, ...]:
    return tuple(bad(control, f"uki:0:{text}", command_line=f"quiet {text}") for text in texts)


def _in(area: str, service: str) -> dict[str, Any]:
    return {area: {f"{_LIB}/x.service": service}}


def _journal(text: str) -> dict[str, str]:
    return {_CONF: f"[Journal]\n{text}\n"}


CASES = (
    bad("ZOA-807", "root:journald.conf", root=_journal("Storage=volatile\nStorage=persistent")),
    bad("ZOA-807", "initrd:journald@x.conf", initrd={"etc/systemd/journald@x.conf": "[Journal]\nStorage=persistent\n"}),
    bad("ZOA-807", "root:/var/log/journal", root={"var/log/journal": folder()}),
    bad("ZOA-807", "initrd:/var/log/journal", initrd={**_journal("Storage=auto"), **_JOURNAL_LINE}),
    bad(
        "ZOA-807",
        "root:x.service",
        root={
            f"{_LIB}/x.service": "[Service]\nExecStart=/x\nLogsDirectory=journal\n",
            f"{_LIB}/sysinit.target.wants/x.service": link("../x.service"),
        },
    ),
    good("ZOA-807", root={**_journal("Storage=volatile"), **_JOURNAL_LINE, "var/log/journal": folder()}),
    good("ZOA-807", root={"usr/lib/tmpfiles.d/x.conf": "z /var/log/journal 2755 root root -\n", "var/log": folder()}),
    *(
        bad("ZOA-808", f"root:journald.conf:{key}", root=_journal(f"{key}=yes"))
        for key in ("ForwardToSyslog", "ForwardToKMsg", "ForwardToConsole", "ForwardToWall")
    ),
    bad("ZOA-808", "initrd:journald.conf:ForwardToSocket", initrd=_journal("ForwardToSocket=vsock:2:9")),
    *_argument(
        "ZOA-808",
        "systemd.journald.forward_to_console",
        "systemd.journald.forward_to_syslog=1",
        "systemd.journald.forward_to_socket=vsock:2:9",
        "systemd.log_target=console",
    ),
    good(
        "ZOA-808",
        root={
            "usr/lib/systemd/journald.conf.d/syslog.conf": "[Journal]\nForwardToSyslog=yes\n",
            "usr/lib/systemd/journald.conf.d/zz.conf": "[Journal]\nForwardToSyslog=no\nForwardToWall=off\n",
        },
        command_line="systemd.journald.forward_to_console=0 systemd.log_target=journal",
    ),
    bad("ZOA-809", "initrd:/usr/sbin/rsyslogd", initrd={"usr/sbin/rsyslogd": program()}),
    bad("ZOA-809", "root:netconsole", root={"etc/modules-load.d/x.conf": "netconsole\n"}),
    bad(
        "ZOA-809",
        "root:systemd-journal-upload.service",
        root={
            f"{_LIB}/systemd-journal-upload.service": "[Service]\nExecStart=/opt/renamed\n",
            f"{_LIB}/sysinit.target.wants/systemd-journal-upload.service": link("../systemd-journal-upload.service"),
        },
    ),
    *_argument("ZOA-809", "netconsole=6666@10.0.0.1/eth0,6666@10.0.0.2/"),
    good("ZOA-809", root={"usr/share/doc/rsyslogd": "", "etc/modules-load.d/x.conf": "erofs\n"}),
    good("ZOA-809", root={"usr/bin/vector": program()}, parameters={"allowed": ("/usr/bin/vector",)}),
    bad("ZOA-810", "root:/run/engine", root={"usr/lib/tmpfiles.d/x.conf": "d /run/engine 0777 - - -\n"}),
    bad("ZOA-810", "initrd:/run/f", initrd={"usr/lib/tmpfiles.d/x.conf": "f /run/f ~666 - - -\n"}),
    bad(
        "ZOA-810",
        "root:x.service:StateDirectoryMode",
        root={f"{_LIB}/x.service": "[Service]\nExecStart=/x\nStateDirectory=x\nStateDirectoryMode=0777\n"},
    ),
    bad("ZOA-810", "root:x.service:UMask", root={f"{_LIB}/x.service": "[Service]\nExecStart=/x\nUMask=0000\n"}),
    good(
        "ZOA-810",
        root={
            "usr/lib/tmpfiles.d/x.conf": "d /run/s 1777 - - -\nz /dev/fuse 0666 - - -\nd /run/x - - - -\n",
            f"{_LIB}/x.service": "[Service]\nExecStart=/x\nRuntimeDirectoryMode=0755\nUMask=0077\n",
            f"{_LIB}/x.socket": "[Socket]\nListenStream=/run/x\nDirectoryMode=1777\n",
        },
    ),
    *(
        bad("ZOA-811", f"root:/{path}", root={path: "x"})
        for path in ("var/log/dpkg.log", "root/.cache/huggingface/x", "home/a/.bash_history", "srv/core.123", "tmp/a")
    ),
    bad("ZOA-811", "initrd:/opt/dump", initrd={"opt/dump": file(_CORE)}),
    good("ZOA-811", root={"var/log": folder(), "usr/share/core.c": "x", "opt/engine": program(), "var/lib/x": "y"}),
    *_argument(
        "ZOA-812", "debug", "ignore_loglevel", "earlyprintk=serial", "printk.devkmsg=on", "systemd.log-level=debug",
        "rd.udev.log_level=debug", "loglevel=7", "loglevel=x",
    ),
    good("ZOA-812", command_line="quiet loglevel=3 systemd.log_level=info printk.devkmsg=off"),
    good("ZOA-807", root={"etc/systemd/other.conf": "[Journal]\nStorage=persistent\n"}),
    good(
        "ZOA-807",
        root={
            "usr/lib/tmpfiles.d/x.conf": "d /var/lib/engine 0750 root root -\n",
            f"{_LIB}/x.service": "[Service]\nExecStart=/x\nLogsDirectory=engine\nStateDirectory=journal\n",
            f"{_LIB}/sysinit.target.wants/x.service": link("../x.service"),
            f"{_LIB}/y.service": "[Service]\nExecStart=/x\nLogsDirectory=journal\n",
        },
    ),
    *(
        bad("ZOA-813", f"{area}:x.service:{key}", **_in(area, f"[Service]\n{key}={value}\n"))
        for area, key, value in (
            ("root", "StandardOutput", "tty"),
            ("root", "StandardError", "journal+console"),
            ("initrd", "StandardOutput", "kmsg+console"),
            ("root", "StandardOutput", "syslog+console"),
            ("root", "StandardOutput", "null\nStandardOutput=file:/dev/ttyS0"),
            ("root", "StandardOutput", "append:/dev/hvc0"),
            ("root", "StandardError", "truncate:/dev/console"),
            ("root", "StandardError", "file:/dev/virtio-ports/org.x"),
            ("root", "StandardError", "file:/dev/vport1p1"),
            ("root", "StandardError", "file:/dev/pts/0"),
            ("root", "StandardError", "file:/dev/xvc0"),
        )
    ),
    *(
        bad("ZOA-813", f"initrd:system.conf:{key}", initrd={"etc/systemd/system.conf": f"[Manager]\n{key}={value}\n"})
        for key, value in (
            ("DefaultStandardOutput", "journal+console"),
            ("DefaultStandardError", "tty"),
            ("LogTarget", "console"),
            ("LogTarget", "journal\nLogTarget=console-prefixed"),
        )
    ),
    good(
        "ZOA-813",
        root={
            f"{_LIB}/x.service": "[Service]\nExecStart=/x\nStandardOutput=tty\nStandardOutput=journal\nTTYPath=tty\n",
            f"{_LIB}/y.service": "[Service]\nExecStart=/x\nStandardOutput=file:/run/tty\n",
            f"{_LIB}/z.service": "[Service]\nExecStart=/x\nStandardError=tty\n",
            "etc/systemd/system/z.service": link("/dev/null"),
            "etc/systemd/system.conf": "[Manager]\nLogTarget=console\nLogTarget=journal\nShowStatus=no\n",
            "etc/systemd/user.conf": "[Manager]\nDefaultStandardOutput=tty\n",
        },
        command_line="systemd.default_standard_output=journal systemd.default_standard_error=null",
    ),
    good("ZOA-808", root={"etc/systemd/other.conf": "[Other]\nForwardToSyslog=yes\nForwardToSocket=x\n"}),
    good(
        "ZOA-809",
        root={
            "usr/bin/engine": program(),
            f"{_LIB}/systemd-journal-upload.service": "[Service]\nExecStart=/opt/renamed\n",
        },
    ),
    good("ZOA-810", root={"usr/lib/tmpfiles.d/x.conf": "d /run/engine 0755 - - -\nc /run/n 0666 - - - 1:3\n"}),
    *(
        bad(
            "ZOA-813",
            "root:x.service:StandardOutput",
            root={"etc/systemd/system/x.service": f"[Service]\nExecStart=/x\nStandardOutput={output}\n"},
        )
        for output in ("file:/./dev/ttyS0", "append:/dev/char/4:64", "truncate:/dev/serial/by-id/x")
    ),
    good(
        "ZOA-813", root={"etc/systemd/system/x.service": "[Service]\nExecStart=/x\nStandardOutput=file:/dev/null\n"}
    ),
)  # fmt: skip
