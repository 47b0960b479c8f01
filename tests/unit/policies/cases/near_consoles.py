"""Images one condition away from a bad or a good one, found by mutation: consoles, terminals and emergency shells."""

from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import conf, masked, program

_UNITS = "usr/lib/systemd/system"
_RUN = "[Service]\nExecStart={}\n"
_SYSCTL = {"usr/lib/sysctl.d/50.conf": "kernel.sysrq = 0\n"}
_CONSOLES = (
    bad("ZOA-203", "root:/etc/modules-load.d/x.conf:1", root={"etc/modules-load.d/x.conf": "kgdbts\n"}),
    *(
        bad("ZOA-203", f"uki:0:{name}=kgdboc", command_line=f"quiet {name}=kgdboc")
        for name in ("modules_load", "rd.modules_load", "rd.driver.pre", "rd.driver.post")
    ),
    good("ZOA-203", command_line="quiet modules_load modules_load=erofs"),
    bad("ZOA-205", "root:kernel.sysrq", root={"usr/lib/sysctl.d/50.conf": "kernel.sysrq =\n"}, initrd=_SYSCTL),
    bad("ZOA-205", "root:kernel.sysrq", "initrd:kernel.sysrq", root={}, initrd={}, command_line="sysctl.kernel.sysrq"),
    good("ZOA-205", root={"a": ""}, initrd={}, command_line="sysctl.kernel.sysrq=0"),
    good(
        "ZOA-205",
        root={"usr/lib/sysctl.d/50.conf": "kernel.sysrq = 0\nvm.swappiness = 1\n-kernel.panic\nvm.* = 1\n"},
        initrd=_SYSCTL,
    ),
    good(
        "ZOA-205",
        root={
            "usr/lib/sysctl.d/50.conf": "kernel.sysr* = 0\nvm.swappiness = 1\nz.* = 1\n-zz.*\n",
            "usr/lib/sysctl.d/60.conf": "-kernel.sysrq*\n",
        },
        initrd=_SYSCTL,
    ),
    good(
        "ZOA-205",
        root={**_SYSCTL, "usr/lib/tmpfiles.d/x.conf": "w /sys/x - - - - 1\nw /proc/sys/kernel/sysrq - - - - 0\n"},
        initrd=_SYSCTL,
    ),
    bad(
        "ZOA-205",
        "root:/usr/lib/tmpfiles.d/x.conf:1",
        root={**_SYSCTL, "usr/lib/tmpfiles.d/x.conf": "w /proc/sys/kernel/sysrq - - - -\n"},
        initrd=_SYSCTL,
    ),
    bad(
        "ZOA-208",
        "root:x.service",
        root={f"{_UNITS}/x.service": "[Service]\nExecStartPre=/usr/bin/a\nExecStart=/sbin/agetty tty1\n"},
    ),
    *(
        bad("ZOA-209", "root:getty.target:x.service", root={f"{_UNITS}/getty.target": f"[Unit]\n{key}=x.service\n"})
        for key in ("Wants", "Requires", "BindsTo", "Upholds")
    ),
    bad(
        "ZOA-214",
        "root:x.service",
        root={
            f"{_UNITS}/rescue.target": "[Unit]\nWants=x.service missing.service y.socket\n",
            f"{_UNITS}/x.service": _RUN.format("/usr/bin/sh"),
            f"{_UNITS}/y.socket": "[Socket]\nListenStream=/run/y\n",
        },
    ),
    *(
        bad(
            "ZOA-214",
            "root:x.service",
            root={f"{_UNITS}/emergency.target": f"[Unit]\n{key}=x.service\n", f"{_UNITS}/x.service": _RUN.format("/x")},
        )
        for key in ("Wants", "Requires", "BindsTo", "Upholds")
    ),
    *(
        good("ZOA-214", root={f"{_UNITS}/emergency.service": _RUN.format(command)})
        for command in (
            "/usr/sbin/reboot",
            "/usr/sbin/poweroff",
            "/usr/sbin/halt",
            "/usr/sbin/shutdown",
            "/usr/lib/systemd/systemd-shutdown reboot",
            "systemctl --force reboot",
            "systemctl --force poweroff",
            "systemctl --force halt",
            "systemctl exit",
        )
    ),
    good("ZOA-214", root=masked("emergency.service", _RUN.format("/usr/sbin/sulogin"))),
    good("ZOA-215", root={f"{_UNITS}/x.socket": "[Socket]\nListenStream=/run/x\nExecStartPre=/bin/login\n"}),
    good(
        "ZOA-215",
        root={f"{_UNITS}/x.service": _RUN.format("/usr/bin/a"), "usr/bin/a": program()},
    ),
    bad(
        "ZOA-216",
        "root:systemd-firstboot.service",
        root={f"{_UNITS}/systemd-firstboot.service": _RUN.format("/x")},
        uki=None,
    ),
    good(
        "ZOA-216",
        root={f"{_UNITS}/systemd-firstboot.service": _RUN.format("systemd-firstboot")},
        command_line="systemd.firstboot=no systemd.x=yes",
    ),
    good("ZOA-221", root=masked("x.service", f"{_RUN.format('/x')}Environment=SYSTEMD_SULOGIN_FORCE=1\n")),
    good(
        "ZOA-207",
        root={
            "usr/lib/systemd/systemd": program(),
            "etc/systemd/system.conf": "[Manager]\nCtrlAltDelBurstAction=none\nX=no\n[X]\nCtrlAltDelBurstAction=x\n",
            "etc/systemd/user.conf": "[Manager]\nCtrlAltDelBurstAction=reboot-force\n",
            "etc/systemd/zzz.conf": "[Manager]\nCtrlAltDelBurstAction=reboot-force\n",
        },
    ),
    good("ZOA-225", root={"usr/lib/systemd/systemd-logind": program()}),
    good("ZOA-210", root={"usr/bin/su": program()}),
    bad("ZOA-215", "root:x.service", root={f"{_UNITS}/x.service": _RUN.format("/usr/bin/su")}),
    *(
        bad(
            "ZOA-225",
            "root:autovt@.service",
            root={
                "usr/lib/systemd/systemd-logind": program(),
                f"{_UNITS}/autovt@.service": _RUN.format("/x"),
                **conf("logind.conf", "Login", text),
            },
        )
        for text in ("NAutoVTs=0\nReserveVT=6", "NAutoVTs=6\nReserveVT=0", "NAutoVTs=0\nReserveVT=0\nNAutoVTs=1")
    ),
    good(
        "ZOA-225",
        root={
            "usr/lib/systemd/systemd-logind": program(),
            f"{_UNITS}/autovt@.service": _RUN.format("/x"),
            "etc/systemd/logind.conf": "[Login]\nNAutoVTs=0\nReserveVT=0\n[Other]\nNAutoVTs=6\n",
            "etc/systemd/zz.conf": "[Login]\nNAutoVTs=6\n",
            "etc/systemd/aa.conf": "[Login]\nNAutoVTs=6\n",
        },
    ),
)
CASES = _CONSOLES
