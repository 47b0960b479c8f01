from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import esp_file, file, link, program

_UNITS = "usr/lib/systemd/system"
_SYSTEMD = "usr/lib/systemd/systemd"

CASES = (
    *(
        bad("ZOA-217", f"uki:0:{argument}", command_line=f"quiet {argument}")
        for argument in (
            "systemd.debug_shell=ttyS0",
            "systemd.debug-shell",
            "rd.systemd.break=pre-mount",
            "rd.break",
            "rd.shell=1",
            "break=premount",
            "rescue",
            "emergency",
            "single",
            "s",
            "S",
            "1",
            "-b",
            "rd.cmdline=ask",
        )
    ),
    bad("ZOA-217", "esp:/x.addon.efi:single", esp_files=(esp_file("/x.addon.efi", "addon", "single"),)),
    good("ZOA-217", command_line="rd.shell=0 systemd.debug_shell=no quiet 3 shell rd.debug"),
    *(
        bad("ZOA-218", f"uki:0:{argument}", command_line=argument)
        for argument in (
            "systemd.unit=rescue.target",
            "rd.systemd.wants=debug-shell.service",
            "systemd.mask=x.service",
            "2",
            "3",
            "4",
            "5",
            "--unit=rescue.target",
            "--crash-shell",
        )
    ),
    bad("ZOA-218", "uki:0:--unit=rescue.target", command_line="quiet -- --unit=rescue.target"),
    good("ZOA-218", command_line="quiet 3=a 6 -s -- -b", parameters={"allowed": ("x",)}),
    good(
        "ZOA-218",
        command_line="systemd.unit=a.target systemd.units=x",
        parameters={"allowed": ("systemd.unit=a.target",)},
    ),
    bad("ZOA-219", "uki:0:systemd.run=/bin/sh -i", command_line='systemd.run="/bin/sh -i"'),
    bad("ZOA-219", "uki:0:rd.systemd.run-success-action=none", command_line="rd.systemd.run-success-action=none"),
    good("ZOA-219", command_line="run=x systemd.show_status=no"),
    bad("ZOA-220", "uki:0:init=/bin/sh", command_line="init=/bin/sh"),
    bad("ZOA-220", "uki:0:rdinit=/bin/sh", command_line="rdinit=/bin/sh init=/sbin/init"),
    bad("ZOA-220", "initrd:/init", initrd={"init": file("#!/bin/sh\n", 0o755)}),
    bad("ZOA-220", "initrd:/init", initrd={"init": link("bin/busybox"), "bin/busybox": program()}),
    good("ZOA-220", command_line="init=/usr/lib/systemd/systemd rdinit=/init"),
    good("ZOA-220", initrd={"init": link("/usr/lib/systemd/systemd"), _SYSTEMD: program()}),
    good("ZOA-220", initrd={"init": program()}, parameters={"programs": ("/init",)}),
    bad("ZOA-221", "uki:0:SYSTEMD_SULOGIN_FORCE=1", command_line="SYSTEMD_SULOGIN_FORCE=1"),
    bad(
        "ZOA-221",
        "uki:0:systemd.setenv=SYSTEMD_SULOGIN_FORCE=1",
        command_line="systemd.setenv=SYSTEMD_SULOGIN_FORCE=1",
    ),
    bad(
        "ZOA-221",
        "initrd:rescue.service",
        "root:system.conf",
        root={"etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=SYSTEMD_SULOGIN_FORCE=1\n"},
        initrd={
            f"{_UNITS}/rescue.service": "[Service]\nExecStart=/x\n",
            "etc/systemd/system/rescue.service.d/a.conf": "[Service]\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\n",
        },
    ),
    good(
        "ZOA-221",
        root={
            "etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=A=1\n",
            f"{_UNITS}/rescue.service": "[Service]\nEnvironment=SYSTEMD_SULOGIN_FORCE=1\n",
            "etc/systemd/system/rescue.service": link("/dev/null"),
        },
    ),
    bad("ZOA-222", "uki:0:systemd.crash_shell", command_line="systemd.crash_shell"),
    bad("ZOA-222", "uki:0:systemd.confirm_spawn=ttyS0", command_line="systemd.confirm_spawn=ttyS0"),
    bad(
        "ZOA-222",
        "initrd:system.conf:CrashShell",
        "root:system.conf:ConfirmSpawn",
        root={"usr/lib/systemd/system.conf.d/a.conf": "[Manager]\nConfirmSpawn=yes\n"},
        initrd={"etc/systemd/system.conf": "[Manager]\nCrashShell=1\n"},
    ),
    good(
        "ZOA-222",
        command_line="systemd.crash_shell=no",
        root={
            "etc/systemd/system.conf": "[Manager]\nCrashShell=no\n[Other]\nCrashShell=yes\n",
            "etc/systemd/user.conf": "[Manager]\nCrashShell=yes\n",
        },
    ),
)
