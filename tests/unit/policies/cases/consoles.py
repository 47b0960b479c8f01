from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import esp_file, link

_UNITS = "usr/lib/systemd/system"
_ADDON = "/EFI/Linux/x.efi.extra.d/a.addon.efi"
_SYSRQ_OFF = "sysctl.kernel.sysrq=0"
_RULES = "usr/lib/udev/rules.d/a.rules"
_MODPROBE = {
    f"{_UNITS}/modprobe@.service": "[Service]\nExecStart=/sbin/modprobe %i\n",
}


CASES = (
    bad("ZOA-201", "uki:0:console=ttyS0,115200n8", command_line="quiet console=ttyS0,115200n8"),
    bad("ZOA-201", "uki:0:console=tty0", command_line='"console=tty0" console=null'),
    bad("ZOA-201", f"esp:{_ADDON}:console=hvc0", esp_files=(esp_file(_ADDON, "addon", "console=hvc0"),)),
    good("ZOA-201", command_line="quiet console=null consoleblank=60"),
    good("ZOA-201", command_line=None),
    bad("ZOA-202", "uki:0:earlycon", "uki:0:earlyprintk=efi,keep", command_line="earlycon earlyprintk=efi,keep"),
    bad("ZOA-202", "uki:0:keep-bootcon", command_line="keep-bootcon"),
    good("ZOA-202", command_line="early console"),
    bad("ZOA-203", "uki:0:kgdboc=ttyS0", "uki:0:kgdbwait", command_line="kgdboc=ttyS0 kgdbwait"),
    bad("ZOA-203", "uki:0:ekgdboc=kbd", "uki:0:kdb.cmd_enable=1", command_line="ekgdboc=kbd kdb.cmd_enable=1"),
    bad("ZOA-203", "uki:0:modules_load=a,kgdboc", command_line="modules_load=a,kgdboc"),
    bad(
        "ZOA-203",
        "root:/etc/modules-load.d/a.conf:1",
        "root:/etc/tmpfiles.d/a.conf:1",
        "initrd:/usr/lib/modprobe.d/a.conf:2",
        f"initrd:/{_UNITS}/modprobe@.service:2",
        root={
            "etc/modules-load.d/a.conf": "kgdboc\n",
            "etc/tmpfiles.d/a.conf": "w /sys/module/kgdboc/parameters/kgdboc - - - - ttyS0\n",
        },
        initrd={
            "usr/lib/modprobe.d/a.conf": "options other a=b\noptions kgdboc kgdboc=ttyS0\n",
            f"{_UNITS}/basic.target.wants/modprobe@kgdboc.service": link("../modprobe@.service"),
            **_MODPROBE,
        },
    ),
    good(
        "ZOA-203",
        root={
            "etc/modules-load.d/a.conf": "loop\n",
            "etc/modprobe.d/a.conf": "blacklist kgdboc\n",
            "etc/tmpfiles.d/a.conf": "w /sys/module/loop/parameters/max_loop - - - - 1\n",
            f"{_UNITS}/basic.target.wants/modprobe@kgdboc.service": link("../modprobe@.service"),
            "etc/systemd/system/modprobe@kgdboc.service": link("/dev/null"),
            **_MODPROBE,
        },
        command_line="modules_load=loop quiet=kgdboc",
    ),
    *(
        bad(control, "root:/etc/modprobe.d/a.conf:1", root={"etc/modprobe.d/a.conf": f"{line}\n"})
        for control, line in (
            ("ZOA-203", "alias pci:v0000* kgdboc"),
            ("ZOA-203", "softdep loop pre: x post: kgdboc"),
            ("ZOA-204", "weakdep loop netconsole"),
            ("ZOA-204", "softdep \\\nloop pre: netconsole"),
        )
    ),
    *(
        bad(control, f"root:/{_UNITS}/a.service:2", root={f"{_UNITS}/a.service": f"[Service]\n{line}\n"})
        for control, line in (
            ("ZOA-204", "ExecStart=/usr/sbin/modprobe netconsole netconsole=@/,@192.0.2.1/"),
            ("ZOA-204", "ExecStop=/usr/bin/insmod /usr/lib/modules/6.12/kernel/drivers/net/netconsole.ko.xz"),
            ("ZOA-204", "ExecStart=/usr/bin/env -S 'kmod load netconsole'"),
            ("ZOA-204", "ExecStart=/bin/sh -c 'modprobe netconsole;true'"),
            ("ZOA-204", """ExecStart=/bin/sh -c 'modprobe "netconsole"'"""),
            ("ZOA-203", "ExecStart=/sbin/modprobe -a loop kgdboc"),
        )
    ),
    *(
        bad("ZOA-204", f"initrd:/{_RULES}:1", initrd={_RULES: f"{rule}\n"})
        for rule in (
            'RUN{builtin}+="kmod load netconsole"',
            "IMPORT{builtin}=\"kmod load 'netconsole'\"",
            'RUN+="/sbin/modprobe netconsole"',
            'ENV{A}="netconsole"',
        )
    ),
    *(
        bad(
            control,
            f"root:/usr/lib/modules/6.12/{name}:2",
            root={f"usr/lib/modules/6.12/{name}": f"#\n{line}\n", "lib": link("usr/lib")},
        )
        for control, name, line in (
            ("ZOA-204", "modules.softdep", "softdep loop post: netconsole"),
            ("ZOA-204", "modules.weakdep", "weakdep loop netconsole"),
            ("ZOA-203", "modules.softdep", "options kgdboc kgdboc=ttyS0"),
        )
    ),
    good(
        "ZOA-204",
        root={
            f"{_UNITS}/a.service": "[Service]\nExecStart=/usr/sbin/modprobe loop netconsole=1 /etc/netconsole.conf\n",
            f"{_UNITS}/b.service": "[Service]\nExecStart=/usr/sbin/modprobe netconsole\n",
            "etc/systemd/system/b.service": link("/dev/null"),
            _RULES: 'RUN{builtin}+="kmod load", ENV{A}="netconsoles"\n',
            "usr/lib/modules/6.12/modules.softdep": "softdep netconsole pre: loop\n",
            "usr/lib/modules/6.12/modules.other": "softdep loop pre: netconsole\n",
            "lib": link("usr/lib"),
        },
    ),
    good(
        "ZOA-204",
        root={"etc/modprobe.d/a.conf": "alias netconsole off\nsoftdep netconsole pre: loop\nblacklist netconsole\n"},
    ),
    bad("ZOA-204", "uki:0:netconsole=@/,@10.0.0.1/", command_line="netconsole=@/,@10.0.0.1/"),
    bad("ZOA-204", "uki:0:netconsole.netconsole=x", command_line="netconsole.netconsole=x"),
    bad("ZOA-204", "uki:0:rd.driver.pre=netconsole", command_line="rd.driver.pre=netconsole"),
    bad("ZOA-204", "initrd:/etc/modules:1", initrd={"etc/modules": "netconsole\n"}),
    bad(
        "ZOA-204",
        "root:/etc/tmpfiles.d/a.conf:1",
        root={"etc/tmpfiles.d/a.conf": "d /sys/kernel/config/netconsole/t\n"},
    ),
    good("ZOA-204", command_line="netconsoles=x", root={"etc/tmpfiles.d/a.conf": "d /run/netconsole\n"}),
    bad("ZOA-205", "root:kernel.sysrq", "initrd:kernel.sysrq", command_line="quiet"),
    bad(
        "ZOA-205",
        "root:kernel.sysrq",
        root={
            "usr/lib/sysctl.d/50-default.conf": "kernel.sysrq = 16\n",
        },
        command_line=_SYSRQ_OFF,
    ),
    *(
        bad("ZOA-205", "root:kernel.sysrq", root={"etc/sysctl.d/a.conf": lines}, command_line=_SYSRQ_OFF)
        for lines in (
            "kernel/* = 1\n",
            "kernel.sysr? = 1\n",
            "kernel.*sysrq = 1\nkernel.sysr? = 0\n",
            "kernel.*sysrq = 0\nkernel.sysr? = 1\n",
            "kernel.sysr[^a] = 1\n",
            "kernel.\\sysr? = 1\n",
            "{net,kern{el,}}.sysr[[:alpha:]] = 1\n",
        )
    ),
    *(
        bad("ZOA-205", "root:kernel.sysrq", "initrd:kernel.sysrq", command_line=line)
        for line in ("sysctl.kernel.sysrq=0 sysctl/kernel/sysrq=1", "sysctl.kernel.sysrq=1 sysctl.kernel.sysrq=0")
    ),
    good("ZOA-205", command_line=_SYSRQ_OFF, root={"etc/sysctl.d/a.conf": "* = 1\nkernel.sysrq? = 1\n*.*.sysrq = 1\n"}),
    bad("ZOA-205", "initrd:kernel.sysrq", root={"etc/sysctl.d/a.conf": "kernel.sysrq = 0\n"}),
    bad("ZOA-205", "uki:0:sysrq_always_enabled", command_line=f"sysrq_always_enabled {_SYSRQ_OFF}"),
    bad(
        "ZOA-205",
        "root:/etc/tmpfiles.d/a.conf:1",
        "root:/etc/tmpfiles.d/a.conf:2",
        root={
            "etc/tmpfiles.d/a.conf": "w /proc/sys/kernel/sysrq - - - - 438\nw /proc/sysrq-trigger - - - - b\n"
            "w /proc/sys/kernel/sysrq - - - - 0\n"
        },
        command_line=_SYSRQ_OFF,
    ),
    bad(
        "ZOA-205",
        "root:kernel.sysrq",
        "initrd:kernel.sysrq",
        root={
            "usr/lib/modules/6.12/config": "CONFIG_MAGIC_SYSRQ=y\nCONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x01b6\n",
        },
    ),
    good("ZOA-205", command_line="sysctl.kernel/sysrq=0"),
    good("ZOA-205", initrd={"etc/sysctl.d/a.conf": "kernel.sysrq=0x0\n"}),
    good(
        "ZOA-205",
        command_line=_SYSRQ_OFF,
        root={"etc/sysctl.d/a.conf": "kernel.* = 1\n-kernel.sysrq\nkernel.other = 1\n"},
    ),
    good("ZOA-205", root={"usr/lib/modules/6.12/config": "CONFIG_X=y\n"}),
    good(
        "ZOA-205",
        root={"usr/lib/modules/6.12/config": "CONFIG_MAGIC_SYSRQ=y\nCONFIG_MAGIC_SYSRQ_DEFAULT_ENABLE=0x0\n"},
    ),
)
