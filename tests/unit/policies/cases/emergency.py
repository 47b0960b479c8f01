from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import elf, esp_file, file, link, program

_UNITS = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_GENERATORS = "usr/lib/systemd/system-generators"
_RUN = "[Service]\nExecStart={}\n"
_SYSTEMD = {"usr/lib/systemd/systemd": program()}
_BURST_OFF = {**_SYSTEMD, "usr/lib/systemd/system.conf.d/a.conf": "[Manager]\nCtrlAltDelBurstAction=none\n"}
_TERMINAL = "[Service]\nExecStart={}\nStandardInput={}\n"
_FIRSTBOOT = {f"{_UNITS}/systemd-firstboot.service": _TERMINAL.format("systemd-firstboot", "tty")}
_REBOOT = _RUN.format("systemctl --force reboot")

CASES = (
    bad("ZOA-206", "root:ctrl-alt-del.target", root={f"{_UNITS}/ctrl-alt-del.target": "[Unit]\n"}),
    bad(
        "ZOA-206",
        "initrd:ctrl-alt-del.target",
        initrd={f"{_UNITS}/reboot.target": "[Unit]\n", f"{_UNITS}/ctrl-alt-del.target": link("reboot.target")},
    ),
    good(
        "ZOA-206",
        root={
            f"{_UNITS}/reboot.target": "[Unit]\n",
            f"{_UNITS}/ctrl-alt-del.target": link("reboot.target"),
            f"{_ETC}/ctrl-alt-del.target": link("/dev/null"),
        },
    ),
    bad("ZOA-207", "root:system.conf:CtrlAltDelBurstAction", root=_SYSTEMD, initrd=_BURST_OFF),
    bad(
        "ZOA-207",
        "initrd:system.conf:CtrlAltDelBurstAction",
        root=_BURST_OFF,
        initrd={**_BURST_OFF, "etc/systemd/system.conf.d/z.conf": "[Manager]\nCtrlAltDelBurstAction=poweroff-force\n"},
    ),
    good("ZOA-207", root=_BURST_OFF, initrd=_BURST_OFF),
    good("ZOA-207", root={"usr/lib/systemd/systemd": "text"}),
    bad(
        "ZOA-212",
        f"root:/{_GENERATORS}/systemd-run-generator",
        root={f"{_GENERATORS}/systemd-run-generator": program()},
    ),
    bad(
        "ZOA-212",
        f"initrd:/{_GENERATORS}/systemd-debug-generator",
        initrd={f"{_GENERATORS}/systemd-debug-generator": program()},
    ),
    good(
        "ZOA-212",
        root={
            f"{_GENERATORS}/systemd-run-generator": file(elf(), 0o644),
            f"{_GENERATORS}/systemd-debug-generator": program(),
            "etc/systemd/system-generators/systemd-debug-generator": file(""),
        },
    ),
    bad(
        "ZOA-213",
        "root:debug-shell.service",
        "root:x.service",
        "initrd:breakpoint-pre-mount.service",
        root={
            f"{_UNITS}/debug-shell.service": _RUN.format("/x"),
            f"{_UNITS}/x.service": _RUN.format("/x"),
            f"{_ETC}/debug-shell-2.service": link(f"/{_UNITS}/x.service"),
        },
        initrd={f"{_UNITS}/breakpoint-pre-mount.service": _RUN.format("/x")},
    ),
    good(
        "ZOA-213",
        root={
            f"{_UNITS}/debug-shell.service": _RUN.format("/bin/sh"),
            f"{_ETC}/debug-shell.service": link("/dev/null"),
            f"{_UNITS}/debug.service": _RUN.format("/x"),
        },
    ),
    bad(
        "ZOA-214",
        "root:emergency.service",
        "initrd:rescue.service",
        root={
            f"{_UNITS}/emergency.service": _RUN.format("-/usr/lib/systemd/systemd-sulogin-shell emergency"),
            f"{_UNITS}/basic.target.d/a.conf": "[Unit]\nOnFailure=emergency.target\n",
        },
        initrd={f"{_UNITS}/rescue.service": "[Service]\nExecStartPre=/bin/sh\nExecStart=systemctl reboot\n"},
    ),
    bad(
        "ZOA-214",
        "root:support.service",
        "initrd:emergency.service",
        root={
            f"{_UNITS}/emergency.target": "[Unit]\nRequires=support.service\n",
            f"{_UNITS}/support.service": _RUN.format("/usr/bin/support"),
        },
        initrd={f"{_UNITS}/emergency.service": _RUN.format("systemctl --force default")},
    ),
    bad("ZOA-214", "root:emergency.service", root={f"{_UNITS}/emergency.service": _RUN.format("systemctl --force")}),
    bad(
        "ZOA-214",
        "root:support.service",
        root={
            f"{_UNITS}/emergency.service": f"[Unit]\nWants=support.service\n{_REBOOT}",
            f"{_UNITS}/support.service": _RUN.format("/usr/bin/support"),
        },
    ),
    good(
        "ZOA-214",
        root={
            f"{_UNITS}/emergency.service": _REBOOT,
            f"{_UNITS}/rescue.service": _RUN.format("/usr/sbin/poweroff -f"),
            f"{_UNITS}/emergency.target": "[Unit]\nWants=usual.service\nAfter=other.service\nOnFailure=third.service\n",
            f"{_UNITS}/usual.service": _RUN.format("/usr/lib/usual"),
            f"{_UNITS}/third.service": _RUN.format("/usr/lib/third"),
            f"{_UNITS}/basic.target.wants/usual.service": link("../usual.service"),
        },
        initrd={
            f"{_UNITS}/emergency.service": _RUN.format("/bin/sh"),
            f"{_ETC}/emergency.service": link("/dev/null"),
        },
    ),
    bad("ZOA-215", "root:a.service", root={f"{_UNITS}/a.service": _TERMINAL.format("/x", "tty-force")}),
    bad("ZOA-215", "initrd:a.service", initrd={f"{_UNITS}/a.service": _TERMINAL.format("/x", "file:/dev/hvc0")}),
    bad("ZOA-215", "root:a.service", root={f"{_UNITS}/a.service": _RUN.format("-/usr/sbin/sulogin")}),
    bad(
        "ZOA-215",
        "initrd:a.service",
        initrd={
            f"{_UNITS}/a.service": _RUN.format("/usr/lib/helper"),
            "usr/lib/helper": link("real"),
            "usr/lib/real": file(elf() + b"SUSHELL\0", 0o755),
        },
    ),
    good(
        "ZOA-215",
        root={
            f"{_UNITS}/a.service": _TERMINAL.format("/bin/x", "null"),
            f"{_UNITS}/b.service": _TERMINAL.format("/bin/x", "file:/dev/null"),
            f"{_UNITS}/c.service": _TERMINAL.format("/bin/x", "tty") + "StandardInput=null\n",
            f"{_UNITS}/d.service": _TERMINAL.format("/bin/x", "tty"),
            f"{_ETC}/d.service": link("/dev/null"),
            f"{_UNITS}/e.service": _TERMINAL.format("/bin/x", "file:/run/input"),
            **_FIRSTBOOT,
        },
    ),
    bad("ZOA-216", "root:systemd-firstboot.service", root=_FIRSTBOOT),
    bad("ZOA-216", "root:systemd-firstboot.service", root=_FIRSTBOOT, command_line="systemd.firstboot=yes"),
    bad("ZOA-216", "initrd:systemd-firstboot.service", initrd=_FIRSTBOOT, command_line=None),
    bad(
        "ZOA-216",
        "root:systemd-firstboot.service",
        root=_FIRSTBOOT,
        command_line="systemd.firstboot=no",
        esp_files=(esp_file("/x.addon.efi", "addon", "systemd.firstboot=1"),),
    ),
    bad(
        "ZOA-216",
        "root:systemd-homed-firstboot.service",
        root={f"{_UNITS}/systemd-homed-firstboot.service": _RUN.format("/x")},
        command_line="systemd.firstboot=no",
    ),
    good("ZOA-216", root=_FIRSTBOOT, command_line="systemd.firstboot=no"),
    good("ZOA-216", root={**_FIRSTBOOT, f"{_ETC}/systemd-firstboot.service": link("/dev/null")}),
    bad(
        "ZOA-214",
        "root:b.service",
        root={
            "etc/systemd/system/emergency.target": "[Unit]\nRequires=a.target\n",
            "etc/systemd/system/a.target": "[Unit]\nWants=b.service a.target\n",
            "etc/systemd/system/b.service": "[Service]\nExecStart=/x\n",
        },
    ),
    *(
        bad(
            "ZOA-215",
            "root:x.service",
            root={"etc/systemd/system/x.service": f"[Service]\nExecStart=/x\n{line}\n", "etc/t": link("/dev/ttyS0")},
        )
        for line in (
            "StandardInput=file:/./dev/ttyS0",
            "StandardInput=file://dev/ttyS0",
            "StandardInput=file:/proc/self/root/dev/ttyS0",
            "StandardInput=file:/proc/1/task/1/root/dev/ttyS0",
            "StandardInput=file:/etc/t",
            'OpenFile="/dev/ttyS0:tty"',
            "OpenFile=/dev/./ttyS0:tty",
            "OpenFile=/dev/char/4:64",
            "OpenFile=/dev/serial/by-id/x",
            "OpenFile=/dev/mapper/weights2:weights:read-only",
            "OpenFile=/dev/mapper/weights/../../ttyS0",
        )
    ),
    bad("ZOA-215", "root:x.socket", root={"etc/systemd/system/x.socket": "[Socket]\nListenSpecial=/dev//ttyS0\n"}),
    good("ZOA-215", root={"etc/systemd/system/x.service": "[Service]\nStandardInput=file:/etc/x\nOpenFile=/etc/x\n"}),
    # The weights are read through the device of their hash tree.
    good(
        "ZOA-215",
        root={
            "etc/systemd/system/x.service": "[Service]\nExecStart=/x\nOpenFile=/dev/mapper/weights:weights:read-only\n"
        },
    ),
)
