from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import link, program

_BUS = {"usr/bin/dbus-daemon": program()}
_LOCAL = "etc/dbus-1/system.d/a.conf"
_POLKITD = {"usr/lib/polkit-1/polkitd": program()}
_RULES = "etc/polkit-1/rules.d/a.rules"
_ACTIONS = "usr/share/polkit-1/actions/a.policy"
_NETWORK = "org.freedesktop.network1"


def bus(rule: str, policy: str = 'context="default"') -> str:
    return f"<busconfig>\n<policy {policy}>\n{rule}\n</policy>\n</busconfig>\n"


def action(defaults: str, more: str = "") -> str:
    return f'<policyconfig>\n<action id="a.b">{more}<defaults>{defaults}</defaults></action>\n</policyconfig>\n'


def _open_bus(rule: str, policy: str = 'context="default"') -> dict[str, object]:
    return {**_BUS, _LOCAL: bus(rule, policy)}


_OPTIONS = (
    ("listen", "tcp:host=localhost,port=1"), ("listen", "unix:path=/run/x;nonce-tcp:port=1"),
    ("listen", "unixexec:path=/x"), ("allow_anonymous", ""), ("auth", "anonymous"), ("servicehelper", "/usr/bin/x"),
    ("servicedir", "/run/x"),
    ("include", "../../../var/x"), ("includedir", "/opt/l"),
)  # fmt: skip
_HELPERS = (
    "/usr/lib/dbus-1.0/dbus-daemon-launch-helper", "/usr/libexec/dbus-daemon-launch-helper",
    "/usr/libexec/dbus-1/dbus-daemon-launch-helper", "/lib/dbus-1.0/dbus-daemon-launch-helper",
)  # fmt: skip

CASES = (
    *(
        bad(
            "ZOA-527",
            f"root:/{_LOCAL}:2:{name}",
            root={**_BUS, _LOCAL: f"<busconfig>\n<{name}>{value}</{name}>\n</busconfig>", "opt/l": link("/run/l")},
        )
        for name, value in _OPTIONS
    ),
    good(
        "ZOA-527",
        root={
            **_BUS,
            _LOCAL: "<busconfig><listen>unix:path=/run/x;systemd:</listen><auth>EXTERNAL</auth><user>a</user>"
            "<servicedir>/usr/share/x</servicedir><include>x.conf</include><includedir>../more</includedir>"
            "<pidfile>/run/x</pidfile><type>tcp:</type>"
            + "".join(f"<servicehelper>{helper}</servicehelper>" for helper in _HELPERS)
            + "</busconfig>",
        },
    ),
    good("ZOA-527", root={_LOCAL: "<busconfig><allow_anonymous/></busconfig>"}),
    *(
        bad(control, subject, root={**_POLKITD, **files})
        for control, subject, files in (
            (
                "ZOA-528",
                "root:/etc/polkit-1/rules.d/a.rules:1",
                {"etc/polkit-1": link("/usr/share/p"), "usr/share/p/rules.d/a.rules": "return polkit.Result.YES"},
            ),
            (
                "ZOA-528",
                "root:/etc/polkit-1/rules.d/a.rules:1",
                {"etc/polkit-1/rules.d": link("/usr/share/p"), "usr/share/p/a.rules": "return polkit.Result.YES"},
            ),
            (
                "ZOA-528",
                "root:action:a.b",
                {
                    "usr/share/polkit-1/actions": link("/opt/p"),
                    "opt/p/a.policy": action("<allow_any>yes</allow_any>"),
                },
            ),
            (
                "ZOA-528",
                "root:/etc/polkit-1/localauthority/50-local.d/a.pkla:2",
                {
                    "etc/polkit-1/localauthority": link("/opt/p"),
                    "opt/p/50-local.d/a.pkla": "[x]\nResultAny=yes\n",
                    "opt/p/loop": link("/etc/polkit-1"),
                },
            ),
        )
    ),
    *(
        bad("ZOA-527", f"root:/{_LOCAL}:3", root=_open_bus(rule))
        for rule in (
            '<allow own="a.b"/>',
            '<allow own="*"/>',
            '<allow own_prefix="a"/>',
            '<allow send_destination="a.b"/>',
            '<allow send_destination="*" eavesdrop="false"/>',
            '<allow eavesdrop="true"/>',
            '<allow send_type="method_call"/>',
            '<allow send_interface="a.b"/>',
            '<allow send_member="Run"/>',
            '<allow send_path="/a"/>',
            '<allow send_destination_prefix="a"/>',
        )
    ),
    *(
        bad("ZOA-527", f"root:/{_LOCAL}:3", root=_open_bus('<allow own="a.b"/>', policy))
        for policy in ('user="service"', 'group="wheel"', 'at_console="true"', 'user="root" group="wheel"')
    ),
    bad(
        "ZOA-527",
        "initrd:/usr/share/dbus-1/system.conf:3",
        "initrd:/etc/dbus-1/system-local.conf:3",
        "initrd:/usr/share/dbus-1/system.d/a.conf:3",
        initrd={
            "usr/bin/dbus-broker": link("x"),
            "usr/bin/x": program(),
            "usr/share/dbus-1/system.conf": bus('<allow own="*"/>'),
            "etc/dbus-1/system-local.conf": bus('<allow own="*"/>'),
            "usr/share/dbus-1/system.d/a.conf": bus('<allow own="*"/>'),
        },
    ),
    bad("ZOA-527", f"root:/{_LOCAL}", root={**_BUS, _LOCAL: "<busconfig>"}),
    bad(
        "ZOA-527", f"root:/{_LOCAL}", root={**_BUS, _LOCAL: '<!DOCTYPE a [<!ENTITY b "c">]><busconfig>&b;</busconfig>'}
    ),
    bad("ZOA-527", f"root:/{_LOCAL}", root={**_BUS, _LOCAL: "<a>" * 40 + "</a>" * 40}),
    *(
        good("ZOA-527", root=_open_bus(rule))
        for rule in (
            '<deny own="a.b"/>',
            f'<allow own="{_NETWORK}"/>',
            f'<allow send_destination="{_NETWORK}" send_member="Run"/>',
            '<allow send_destination="org.freedesktop.DBus" send_member="GetId"/>',
            '<allow send_type="signal"/>',
            '<allow send_type="method_return"/>',
            '<allow send_type="error"/>',
            '<allow send_type="method_return" send_requested_reply="true"/>',
            '<allow send_requested_reply="true" send_destination="a.b"/>',
            '<allow receive_sender="a.b"/>',
            '<allow user="*"/>',
        )
    ),
    good("ZOA-527", root=_open_bus('<allow own="*"/>', 'user="root"')),
    good("ZOA-527", root=_open_bus('<allow own="*"/>', 'user="0"')),
    good("ZOA-527", root={_LOCAL: bus('<allow own="*"/>'), "usr/share/dbus-daemon": "text"}),
    good("ZOA-527", root={**_BUS, "etc/dbus-1/session.conf": bus('<allow own="*"/>'), "etc/polkit-1/a.policy": "<"}),
    good("ZOA-527", root={**_BUS, _LOCAL: '<busconfig><limit name="a">1</limit></busconfig>'}),
    good(
        "ZOA-527",
        root={
            **_BUS,
            "etc/dbus-1/system.conf": bus('<allow user="*"/>'),
            "usr/share/dbus-1/system.conf": bus('<allow own="*"/>'),
            "etc/dbus-1/system.d/a.conf.dpkg-old": bus('<allow own="*"/>'),
        },
    ),
    good("ZOA-527", root=_open_bus('<allow own="a.b"/>'), parameters={"allowed": ("a.b",)}),
    *(
        bad("ZOA-528", f"root:/{_RULES}:2", root={**_POLKITD, _RULES: f"polkit.addRule(function() {{\n{line}\n}});\n"})
        for line in (
            "return polkit.Result.YES;",
            "return polkit.Result . YES;",
            'return polkit.Result["YES"];',
            "return 'yes';",
            'return ("yes");',
            'polkit.spawn(["/bin/a"]);',
            "polkit['spawn']([]);",
        )
    ),
    bad(
        "ZOA-528",
        "initrd:/var/lib/polkit-1/localauthority/a.pkla:3",
        initrd={
            "usr/lib/polkit-1/polkitd": program(),
            "var/lib/polkit-1/localauthority/a.pkla": "[a]\nIdentity=unix-group:wheel\nResultActive=Yes\n",
        },
    ),
    *(
        bad("ZOA-528", "root:action:a.b", root={**_POLKITD, _ACTIONS: action(f"<{who}>yes</{who}>")})
        for who in ("allow_any", "allow_inactive", "allow_active")
    ),
    bad(
        "ZOA-528",
        "root:action:a.b",
        root={
            **_POLKITD,
            _ACTIONS: action(
                "<allow_active> auth_admin </allow_active>",
                '<annotate key="org.freedesktop.policykit.exec.path">/usr/bin/a</annotate>',
            ),
        },
    ),
    bad("ZOA-528", f"root:/{_ACTIONS}", root={**_POLKITD, _ACTIONS: "no markup"}),
    good(
        "ZOA-528",
        root={
            **_POLKITD,
            _RULES: "// return polkit.Result.YES;\nreturn polkit.Result.NO;\nvar respawn = f(YES);\n",
            "etc/polkit-1/localauthority/a.pkla": "[a]\nResultAny=auth_admin\nIdentity=yes\n",
            _ACTIONS: action("<allow_any>no</allow_any><allow_active>auth_admin_keep</allow_active>"),
            "etc/dbus-1/system.d/a.conf": "no markup",
        },
    ),
    good(
        "ZOA-528",
        root={
            **_POLKITD,
            _ACTIONS: action(
                "<allow_any>no</allow_any>",
                '<annotate key="org.freedesktop.policykit.exec.path">/usr/bin/a</annotate>'
                '<annotate key="b">x</annotate>',
            ),
        },
    ),
    good("ZOA-528", root={**_POLKITD, _ACTIONS: action("")}),
    good(
        "ZOA-528",
        root={**_POLKITD, _ACTIONS: action("<allow_any>yes</allow_any>")},
        parameters={"allowed": ("a.b",)},
    ),
    *(
        good(
            "ZOA-528",
            root={**_POLKITD, _ACTIONS: action("<allow_any>yes</allow_any>").replace("a.b", f"{_LOGIN}{what}")},
        )
        for _LOGIN, what in (("org.freedesktop.login1.inhibit-delay-", kind) for kind in ("shutdown", "sleep"))
    ),
    good(
        "ZOA-528",
        root={
            "usr/share/polkitd": "text",
            _RULES: "return polkit.Result.YES;\n",
            _ACTIONS: action("<allow_any>yes</allow_any>"),
        },
    ),
    bad(
        "ZOA-529",
        "root:/etc/sudoers:2",
        "root:/etc/sudoers.d/a:1",
        "root:/opt/more:1",
        root={
            "etc/sudoers": "# NOPASSWD: \\\n%wheel ALL=(ALL) NOPASSWD: ALL\n#include /opt/more\n",
            "etc/sudoers.d/a": "a ALL = \\\n  (ALL) NOPASSWD :ALL\n",
            "opt/more": "#1000 ALL=(ALL) NOPASSWD: ALL\n",
        },
    ),
    bad("ZOA-529", "root:/etc/sudoers:1", root={"etc/sudoers": "Defaults:a !authenticate\n"}),
    bad("ZOA-529", "root:/etc/sudoers-rs:1", root={"etc/sudoers-rs": "a ALL=(ALL) NOPASSWD: ALL\n"}),
    bad(
        "ZOA-529",
        "root:/usr/etc/sudoers:1",
        "root:/usr/etc/sudoers.d/b:1",
        "root:/usr/etc/c/d:1",
        root={
            "usr/etc/sudoers": "a ALL=(ALL) NOPASSWD: ALL\n@includedir c\n",
            "usr/etc/sudoers.d/b": "a ALL=(ALL) NOPASSWD: ALL\n",
            "usr/etc/c/d": "a ALL=(ALL) NOPASSWD: ALL",
        },
    ),
    bad("ZOA-529", "initrd:/etc/sudoers:1", initrd={"etc/sudoers": "@include /run/sudoers\n"}),
    bad("ZOA-529", "root:/etc/doas.conf:2", root={"etc/doas.conf": "# nopass\npermit keepenv nopass a as root\n"}),
    bad("ZOA-529", "root:/etc/doas.d/a.conf:1", root={"etc/doas.d/a.conf": "permit nopass a\n"}),
    bad("ZOA-529", "root:/usr/local/etc/doas.conf:1", root={"usr/local/etc/doas.conf": "permit nopass a\n"}),
    good(
        "ZOA-529",
        root={
            "etc/sudoers": "# a NOPASSWD: ALL\nroot ALL=(ALL) ALL\nDefaults authenticate\n@includedir /etc/sudoers.d\n",
            "etc/sudoers.d/a": "a ALL=(ALL) PASSWD: ALL\nUser_Alias B = c\n",
            "etc/doas.conf": "permit persist a\ndeny nopass b\n",
        },
    ),
)
