from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import elf, file, link, program

_UNITS = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_GENERATORS = "usr/lib/systemd/system-generators"
_RUN = "[Service]\nExecStart={}\n"
_AGENT = _RUN.format("systemd-tty-ask-password-agent --watch {}")
_DPKG = "Package: {}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
_LOGIND = {"usr/lib/systemd/systemd-logind": program(), f"{_UNITS}/autovt@.service": _RUN.format("/x")}
_GETTY_GENERATOR = f"{_GENERATORS}/systemd-getty-generator"

CASES = (
    bad(
        "ZOA-208",
        "root:getty@.service",
        "root:metrics.service",
        "initrd:x@.service",
        root={
            f"{_UNITS}/getty@.service": _RUN.format("/x"),
            f"{_UNITS}/metrics.service": _RUN.format("-/sbin/agetty ttyS0"),
        },
        initrd={f"{_UNITS}/x@.service": _RUN.format("/x"), f"{_ETC}/autovt@.service": link(f"/{_UNITS}/x@.service")},
    ),
    good(
        "ZOA-208",
        root={
            f"{_UNITS}/getty@.service": _RUN.format("/sbin/agetty"),
            f"{_ETC}/getty@.service": link("/dev/null"),
            f"{_UNITS}/getty-pre.target": "[Unit]\n",
            f"{_UNITS}/x.service": _RUN.format("/usr/bin/agetty-report"),
        },
    ),
    bad(
        "ZOA-209",
        "root:getty.target:getty@tty1.service",
        "initrd:getty.target:x.service",
        root={
            f"{_UNITS}/getty.target": "[Unit]\n",
            f"{_ETC}/getty.target.wants/getty@tty1.service": link("/usr/lib/systemd/system/getty@.service"),
        },
        initrd={f"{_UNITS}/getty.target": "[Unit]\nUpholds=x.service\n", f"{_UNITS}/x.service": _RUN.format("/x")},
    ),
    good(
        "ZOA-209",
        root={
            f"{_UNITS}/getty.target": "[Unit]\nWants=x.service\nOnFailure=y.service\n",
            f"{_UNITS}/other.target": "[Unit]\nWants=y.service\n",
            f"{_ETC}/x.service": link("/dev/null"),
        },
        initrd={f"{_UNITS}/getty.target": "[Unit]\nWants=x.service\n", f"{_ETC}/getty.target": link("/dev/null")},
    ),
    bad(
        "ZOA-210",
        "root:/usr/sbin/agetty",
        "root:/usr/lib/a",
        "root:package:greetd",
        "initrd:/usr/lib/b",
        "initrd:/usr/bin/login",
        root={
            "usr/sbin/agetty": program(),
            "usr/lib/a": file(elf() + b"/run/agetty.reload\0", 0o755),
            "var/lib/dpkg/status": _DPKG.format("greetd"),
        },
        initrd={"usr/lib/b": file(elf() + b"SUSHELL\0", 0o755), "usr/bin/login": link("x"), "usr/bin/x": program()},
    ),
    good(
        "ZOA-210",
        root={"usr/share/bash-completion/login": "text", "usr/bin/loginctl": program(), "usr/bin/login": link("/x")},
    ),
    bad("ZOA-211", f"root:/{_GETTY_GENERATOR}", root={_GETTY_GENERATOR: program()}),
    bad("ZOA-211", f"initrd:/{_GENERATORS}/my-getty", initrd={f"{_GENERATORS}/my-getty": file("#!/bin/sh\n", 0o755)}),
    good(
        "ZOA-211",
        root={
            _GETTY_GENERATOR: program(),
            "etc/systemd/system-generators/systemd-getty-generator": link("/dev/null"),
            f"{_GENERATORS}/systemd-fstab-generator": program(),
        },
    ),
    bad(
        "ZOA-223",
        "root:systemd-ask-password-console.path",
        "root:systemd-ask-password-plymouth.service",
        "initrd:x.service",
        root={
            f"{_UNITS}/systemd-ask-password-console.path": "[Path]\nPathExists=/x\n",
            f"{_UNITS}/systemd-ask-password-plymouth.service": _RUN.format("/x"),
        },
        initrd={f"{_UNITS}/x.service": _AGENT.format("--console=/dev/tty1")},
    ),
    good(
        "ZOA-223",
        root={
            f"{_UNITS}/systemd-ask-password-wall.service": _AGENT.format("--wall"),
            f"{_UNITS}/x.service": _RUN.format("/x --console"),
            f"{_UNITS}/systemd-ask-password-console.service": _AGENT.format("--console"),
            f"{_ETC}/systemd-ask-password-console.service": link("/dev/null"),
        },
    ),
    bad("ZOA-224", "initrd:/usr/sbin/plymouthd", initrd={"usr/sbin/plymouthd": program()}),
    bad("ZOA-224", "root:plymouth-start.service", root={f"{_UNITS}/plymouth-start.service": _RUN.format("/x")}),
    bad("ZOA-224", "root:package:plymouth", root={"var/lib/dpkg/status": _DPKG.format("plymouth")}),
    good("ZOA-224", root={"usr/share/plymouth": "text"}),
    bad("ZOA-225", "root:autovt@.service", root=_LOGIND),
    bad(
        "ZOA-225",
        "initrd:autovt@.service",
        initrd={**_LOGIND, "etc/systemd/logind.conf": "[Login]\nNAutoVTs=0\nReserveVT=6\n"},
    ),
    good("ZOA-225", root={**_LOGIND, "etc/systemd/logind.conf": "[Login]\nNAutoVTs=0\nReserveVT=0\n"}),
    good("ZOA-225", root={**_LOGIND, f"{_ETC}/autovt@.service": link("/dev/null")}),
    good("ZOA-225", root={f"{_UNITS}/autovt@.service": _RUN.format("/x")}),
)
