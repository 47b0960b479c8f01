from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import file, link, program

_UNITS = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_GENERATORS = "usr/lib/systemd/system-generators"
_RUN = "[Service]\nExecStart={}\n"
_BUS = {"usr/bin/dbus-daemon": program()}
_SERVICE = "[D-BUS Service]\nName={}\nExec=/usr/bin/support\nUser=root\nSystemdService=support.service\n"
_SUPPORT = {"usr/share/dbus-1/system-services/a.service": _SERVICE.format("org.example.Support")}
_SCRIPT = file("#!/bin/sh\n", 0o755)
_SYSV = {f"{_GENERATORS}/systemd-sysv-generator": program()}
_LOCAL = {f"{_GENERATORS}/systemd-rc-local-generator": program()}

CASES = (
    bad(
        "ZOA-324",
        "root:system-bus:org.example.A",
        root={
            "usr/bin/dbus-daemon": program(),
            "etc/dbus-1/system.d/a.conf": "<busconfig><servicedir>../../../usr/share/x</servicedir></busconfig>",
            "usr/share/x/a.service": "[D-BUS Service]\nName=org.example.A\nExec=/x\nUser=root\n",
        },
    ),
    bad("ZOA-324", "root:system-bus:org.example.Support", root={**_BUS, **_SUPPORT}),
    bad(
        "ZOA-324",
        "initrd:session-bus:org.freedesktop.login1",
        initrd={**_BUS, "usr/share/dbus-1/services/a.service": _SERVICE.format("org.freedesktop.login1")},
        parameters={"allowed": ()},
    ),
    good("ZOA-324", root=_SUPPORT, initrd=_BUS),
    good("ZOA-324", root={**_BUS, **_SUPPORT, f"{_ETC}/support.service": link("/dev/null")}),
    good(
        "ZOA-324",
        root={**_BUS, "usr/share/dbus-1/system-services/a.service": _SERVICE.format("org.freedesktop.login1")},
    ),
    bad(
        "ZOA-325",
        "root:/etc/tmpfiles.d/a.conf:1",
        root={"etc/tmpfiles.d/a.conf": "C /var/lib/systemd - - - - /usr/share/x\n", "usr/share/x/linger/a": ""},
    ),
    bad(
        "ZOA-325",
        "root:user@0.service",
        root={
            f"{_UNITS}/user@.service": _RUN.format("/x"),
            f"{_UNITS}/a.service": f"[Unit]\nOnFailure=user@0.service\n{_RUN.format('/x')}",
        },
    ),
    bad(
        "ZOA-325",
        "root:user@1000.service",
        "root:/usr/lib/tmpfiles.d/a.conf:2",
        "initrd:/var/lib/systemd/linger/a",
        root={
            f"{_UNITS}/user@.service": _RUN.format("/x"),
            f"{_ETC}/basic.target.wants/user@1000.service": link(f"/{_UNITS}/user@.service"),
            "usr/lib/tmpfiles.d/a.conf": "d /var/lib/systemd/linger\nf /var/lib/systemd/linger/a\n",
        },
        initrd={"var/lib/systemd/linger/a": ""},
    ),
    bad(
        "ZOA-325",
        "root:user@1.service",
        root={
            f"{_UNITS}/user@.service": _RUN.format("/x"),
            "usr/lib/udev/rules.d/x.rules": 'ENV{SYSTEMD_WANTS}="user@1.service"\n',
        },
    ),
    bad(
        "ZOA-325",
        "initrd:capsule@a.service",
        initrd={
            f"{_UNITS}/capsule@.service": _RUN.format("/x"),
            f"{_UNITS}/basic.target.wants/capsule@a.service": link("../capsule@.service"),
        },
    ),
    good(
        "ZOA-325",
        root={
            f"{_UNITS}/user@.service": _RUN.format("/x"),
            f"{_UNITS}/basic.target.wants/users.service": link("../users.service"),
            f"{_UNITS}/users.service": _RUN.format("/x"),
        },
    ),
    bad("ZOA-326", "root:/etc/init.d/x", root={**_SYSV, "etc/init.d/x": _SCRIPT}),
    bad("ZOA-326", "initrd:/etc/rc.local", initrd={**_LOCAL, "etc/rc.local": _SCRIPT}),
    good("ZOA-326", root={"etc/init.d/x": _SCRIPT, "etc/rc.local": _SCRIPT}),
    good(
        "ZOA-326",
        root={
            **_SYSV,
            **_LOCAL,
            "etc/systemd/system-generators/systemd-rc-local-generator": link("/dev/null"),
            "etc/rc.local": _SCRIPT,
            "etc/init.d/README": "text",
            "etc/init.d/x.sh": _SCRIPT,
            f"{_UNITS}/x.service": _RUN.format("/x"),
            "etc/other/x": _SCRIPT,
        },
    ),
    bad(
        "ZOA-327",
        "root:a.service",
        "initrd:b.service",
        root={f"{_UNITS}/a.service": "[Service]\nExecStartPre=systemd-sysext merge\n"},
        initrd={f"{_UNITS}/b.service": _RUN.format("/usr/bin/portablectl attach x")},
    ),
    good(
        "ZOA-327",
        root={
            f"{_UNITS}/a.service": _RUN.format("systemd-sysext"),
            f"{_ETC}/a.service": link("/dev/null"),
            f"{_UNITS}/b.service": _RUN.format("/x systemd-sysext"),
            f"{_UNITS}/systemd-confext.service": _RUN.format("systemd-confext refresh"),
        },
    ),
    bad("ZOA-329", "root:/etc/systemd/system-generators/a", root={"etc/systemd/system-generators/a": _SCRIPT}),
    bad("ZOA-329", f"initrd:/{_GENERATORS}/a", initrd={f"{_GENERATORS}/a": program()}),
    good(
        "ZOA-329",
        root={
            f"{_GENERATORS}/systemd-fstab-generator": program(),
            f"{_GENERATORS}/a": program(0o644),
            "usr/lib/systemd/user-generators/b": program(),
        },
    ),
    bad(
        "ZOA-325",
        "root:/var/lib/systemd/linger/op",
        root={"var/lib/systemd/linger": link("/usr/share/l"), "usr/share/l/op": ""},
    ),
)
