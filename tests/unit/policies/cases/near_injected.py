"""Images one condition away from a bad or a good one, found by mutation: agents and injected configuration."""

from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import file, link, masked, program

_UNITS = "usr/lib/systemd/system"
_RUN = "[Service]\nExecStart={}\n"
_BUS_SERVICE = {
    "usr/share/dbus-1/system-services/org.x.service": "[D-BUS Service]\nName=org.x\nExec=/x\nSystemdService=x.service\n"
}
_AGENTS = (
    *(
        bad("ZOA-324", "root:system-bus:org.x", root={**_BUS_SERVICE, f"usr/bin/{name}": program()})
        for name in ("dbus-daemon", "dbus-broker", "dbus-broker-launch")
    ),
    bad(
        "ZOA-324",
        "root:system-bus:org.x",
        root={**_BUS_SERVICE, "usr/bin/dbus-daemon": program(), f"{_UNITS}/x.service": _RUN.format("/x")},
    ),
    good("ZOA-324", root={**_BUS_SERVICE, "usr/bin/dbus-daemon": file("text", 0o644), "usr/bin/engine": program()}),
    bad("ZOA-327", "root:x.service", root={f"{_UNITS}/x.service": _RUN.format("/usr/bin/systemd-sysext merge")}),
)
_INJECTED = (
    good("ZOA-403", root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:/etc/sysctl.extra\n"}),
    good("ZOA-403", root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}SetCredential=a:sysctl.extra\n"}),
    bad(
        "ZOA-403",
        "root:x.service:a",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:sysctl.extra\n"},
    ),
    good("ZOA-412", command_line="quiet root"),
    bad("ZOA-412", "uki:0:IP=dhcp", command_line="quiet IP=dhcp"),
    bad("ZOA-859", "uki:0:API_TOKEN", command_line="quiet API_TOKEN=x"),
    good("ZOA-413", root={"usr/lib/systemd/system-generators/x": program()}),
    good("ZOA-421", root={"etc/dhcp/dhclient-exit-hooks.d/x": link("/y"), "usr/lib/hooks/x": "x"}),
    good("ZOA-423", root=masked("x.service", _RUN.format("/run/x"))),
    *(
        bad(
            "ZOA-404",
            f"root:x.service:{place}/b",
            root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:{specifier}/b\n"},
        )
        for specifier, place in (
            ("%t", "/run"),
            ("%S", "/var/lib"),
            ("%C", "/var/cache"),
            ("%L", "/var/log"),
            ("%T", "/tmp"),  # noqa: S108 -- what it means
            ("%V", "/var/tmp"),  # noqa: S108 -- what it means
            ("%h", "/root"),
            ("%d", "/run/credentials/x.service"),
            ("/usr/%w", "/usr/%w"),
        )
    ),
    *(
        bad("ZOA-423", f"root:{name}:ExecStart:{found}", root={f"{_UNITS}/{name}": _RUN.format(path)})
        for name, path, found in (
            ("run.service", "/%p/x", "/run/x"),
            ("a@run.service", "/%i/x", "/run/x"),
            ("a@run-x.service", "%f", "/run/x"),
            ("a-run.service", "/%j/x", "/run/x"),
            ("a.service", "/%u/x", "/root/x"),
            ("a@.service", "/%i/x", "/%i/x"),
            ("a@.service", "%f", "%f"),
            ("a@.service", "%I", "%I"),
            ("a.service", "/usr/%m", "/usr/%m"),
            (r"a@\x25.service", "%I", "%I"),
            (r"\x25.service", "%J", "%J"),
            (r"\x25.service", "%P", "%P"),
        )
    ),
    bad(
        "ZOA-423",
        "root:x.service:ExecStart:/%%p/x",
        root={"%p": link("run"), f"{_UNITS}/x.service": _RUN.format("/%%p/x")},
    ),
    good(
        "ZOA-423",
        root={
            f"{_UNITS}/a@.service": f"{_RUN.format('/usr/bin/modprobe %i')}ExecStart=/opt/%%p/%p\nExecStop=/opt%E/x\n"
        },
    ),
    good(
        "ZOA-423",
        root={
            "etc/fstab": "a none swap sw\nb / ext4 rw\nc /dat ext4 ro\n",
            f"{_UNITS}/x.service": _RUN.format("/data/x"),
            f"{_UNITS}/y.service": _RUN.format("engine"),
        },
    ),
    good("ZOA-428", root={"usr/bin/a": link("engine"), "usr/bin/b": link("/dev/null")}),
)
CASES = (*_AGENTS, *_INJECTED)
