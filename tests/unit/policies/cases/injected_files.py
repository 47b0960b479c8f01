from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import file, link, program

_UNIT = "usr/lib/systemd/system/x.service"
_GENERATORS = "usr/lib/systemd/system-generators"
_RULES = "usr/lib/udev/rules.d/x.rules"
_MODPROBE = "etc/modprobe.d/x.conf"
_MASK = {"etc/systemd/system/x.service": link("/dev/null")}

CASES = (
    bad("ZOA-404", "root:x.service:/boot/t", root={_UNIT: "[Service]\nLoadCredential=t:/boot/t\n"}),
    bad("ZOA-404", "initrd:x.service:%S/t", initrd={_UNIT: "[Service]\nLoadCredentialEncrypted=t:%S/t\n"}),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/etc/t\nImportCredential=x\nLoadCredential=u:/usr/u\n"}),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/run/t\n"}, parameters={"allowed": ("/run/t",)}),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/run/t\n", **_MASK}),
    bad("ZOA-421", "root:/sbin/dhclient-script", root={"sbin/dhclient-script": program()}),
    bad("ZOA-421", "initrd:/etc/dhcp/dhclient-exit-hooks.d/x", initrd={"etc/dhcp/dhclient-exit-hooks.d/x": "echo"}),
    good("ZOA-421", root={"usr/share/dhclient-script": "text", "etc/network/if-up.d/readme": "text"}),
    bad("ZOA-423", "root:x.service:ExecStart:/run/x", root={_UNIT: "[Service]\nExecStart=-/run/x --now\n"}),
    bad("ZOA-423", "initrd:x.service:EnvironmentFile:%t/env", initrd={_UNIT: "[Service]\nEnvironmentFile=-%t/env\n"}),
    bad(
        "ZOA-423",
        "root:x.service:ExecStart:/opt/x",
        root={_UNIT: "[Service]\nExecStart=/opt/x\n", "opt": link("var/opt")},
    ),
    bad(
        "ZOA-423",
        "root:x.service:ExecSearchPath:/data/b",
        root={_UNIT: "[Service]\nExecSearchPath=/usr/bin:/data/b\n", "etc/fstab": "/dev/vdb /data ext4 rw 0 0\n"},
    ),
    good("ZOA-423", root={_UNIT: "[Service]\nExecStart=/usr/bin/x /run/x\nEnvironmentFile=/etc/x\nExecStop=rm\n"}),
    good("ZOA-423", root={_UNIT: "[Service]\nExecStart=/data/x\n", "etc/fstab": "/dev/vdb /data ext4 ro 0 0\n"}),
    good("ZOA-423", root={_UNIT: "[Service]\nExecStart=/run/x\n", **_MASK}),
    bad("ZOA-425", f"root:/{_RULES}:1", root={_RULES: 'KERNEL=="sd*", RUN+="/var/x %k"\n'}),
    bad("ZOA-425", f"initrd:/{_MODPROBE}:1", initrd={_MODPROBE: "install a /usr/bin/x\n"}),
    bad("ZOA-425", f"root:/{_MODPROBE}:2", root={_MODPROBE: "#\nremove a /bin/false; x\n"}),
    good(
        "ZOA-425",
        root={
            _RULES: 'RUN{builtin}+="/run/x"\nPROGRAM="/usr/x /run"\nENV{SYSTEMD_WANTS}="/run/x"\n',
            _MODPROBE: "install a /bin/false\noptions b x\n",
        },
    ),
    bad("ZOA-427", "root:/usr/lib/binfmt.d/p.conf", root={"usr/lib/binfmt.d/p.conf": ":p:M::x::/x:"}),
    bad("ZOA-427", "initrd:/etc/binfmt.d/p.conf", initrd={"etc/binfmt.d/p.conf": link("/opt/p")}),
    good(
        "ZOA-427",
        root={"etc/binfmt.d/p.conf": link("/dev/null"), "etc/binfmt.d/q.conf": "", "usr/lib/binfmt.d/readme": "x"},
    ),
    bad("ZOA-428", "root:/etc/systemd/system/a.service", root={"etc/systemd/system/a.service": link("/run/a.service")}),
    bad(
        "ZOA-428",
        "initrd:/usr/bin/a",
        initrd={"usr/bin/a": link("../lib/b"), "usr/lib/b": "x", "usr/lib": link("../var/lib")},
    ),
    good(
        "ZOA-428",
        root={
            "etc/systemd/system/a.service": link("/dev/null"),
            "etc/resolv.conf": link("/run/r"),
            "usr/bin/a": link("../lib/b"),
        },
    ),
    bad(
        "ZOA-429", f"root:/{_GENERATORS}/cloud-init-generator", root={f"{_GENERATORS}/cloud-init-generator": program()}
    ),
    bad(
        "ZOA-429",
        f"initrd:/{_GENERATORS}/systemd-run-generator",
        initrd={f"{_GENERATORS}/systemd-run-generator": program()},
    ),
    good(
        "ZOA-429",
        root={
            f"{_GENERATORS}/a": program(),
            "etc/systemd/system-generators/a": link("/dev/null"),
            f"{_GENERATORS}/systemd-fstab-generator": program(),
        },
    ),
    good("ZOA-429", root={f"{_GENERATORS}/a": program()}, parameters={"allowed": ("a",)}),
    bad("ZOA-430", "root:/etc/ld.so.preload", root={"etc/ld.so.preload": "/x.so\n"}),
    bad("ZOA-430", "initrd:/etc/ld.so.preload", initrd={"etc/ld.so.preload": link("/run/x")}),
    bad("ZOA-430", "root:/usr/a:/var/lib", "root:/usr/a:", root={"usr/a": program(runpath="/var/lib:")}),
    bad(
        "ZOA-430",
        "root:/usr/a:lib",
        "root:/usr/b:/run/ld.so",
        root={"usr/a": program(rpath="lib"), "usr/b": program(interpreter="/run/ld.so")},
    ),
    bad("ZOA-430", "root:/usr/a:$ORIGIN/../run", root={"usr/a": program(runpath="$ORIGIN/../run")}),
    good("ZOA-430", root={"usr/a": program(runpath="$ORIGIN/../lib:${ORIGIN}"), "etc/ld.so.preload": file("")}),
)
