from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import link

_ETC = "etc/systemd/system"
_UNITS = "usr/lib/systemd/system"
_TMPFILES = "usr/lib/tmpfiles.d/x.conf"
_RULES = "usr/lib/udev/rules.d/x.rules"
_IMPORTED = "SYSTEMD_WANTS=a-$name\n"
_LINK = {"usr/bin/ctl": link("systemctl")}
_SYSUSERS = "usr/lib/sysusers.d/x.conf"


def _unit(text: str, section: str = "Service") -> dict[str, str]:
    return {f"{_UNITS}/a.service": f"[{section}]\n{text}\n"}


CASES = (
    # Units: dependencies, environments, paths, mounts, commands.
    *(
        bad("ZOA-440", f"root:a.service:{text.partition('=')[0]}:%B", root=_unit(text))
        for text in (
            "Environment=LD_%B=/usr/lib/x.so",
            "RuntimeDirectory=systemd/%B",
            "BindReadOnlyPaths=/usr/lib/y:/usr/lib/%B",
            "StandardOutput=truncate:/sys/kernel/%B",
            "ExecStart=/usr/bin/%B",
            "ExecStart=/usr/bin/systemctl start systemd-volatile-%B.service",
            "User=%B",
            "LoadCredential=%B.extra:/etc/x",
            "FailureAction=%B",
        )
    ),
    bad("ZOA-440", "initrd:a.service:Wants:%B", initrd=_unit("Wants=systemd-volatile-%B.service", "Unit")),
    *(
        bad("ZOA-440", f"root:a.service:WorkingDirectory:%{letter}", root=_unit(f"WorkingDirectory=/%{letter}"))
        for letter in "ABMowWHlqvacrRyYD"
    ),
    bad(
        "ZOA-440",
        "root:run-a.mount:Options:%A",
        "root:run-a.mount:Options:%B",
        root={f"{_UNITS}/run-a.mount": "[Mount]\nWhat=tmpfs\nType=tmpfs\nOptions=nosuid,%B,%A,size=5%%,%B\n"},
    ),
    bad(
        "ZOA-440", "root:a.service:Wants:%o", root={f"{_ETC}/service.d/x.conf": "[Unit]\nWants=%o\n", **_unit("Nice=1")}
    ),
    good(
        "ZOA-440",
        root={
            **_unit(
                "ExecStart=/usr/bin/x %n %p %t/x %S %u 5%% %%B 5% %m %b %i\nMemoryMax=90%\nSyslogIdentifier=%B\n"
                "LogExtraFields=A=%B\n[Unit]\nDescription=%B on %H\nDocumentation=man:%B\nConditionPathExists=/%v\n"
                "AssertPathExists=/%v\n[Install]\nWantedBy=%B"
            ),
            f"{_UNITS}/b.service": "[Service]\nEnvironment=%B\n",
            f"{_ETC}/b.service": link("/dev/null"),
        },
    ),
    # Templates and their instances.
    good(
        "ZOA-440",
        root={
            f"{_UNITS}/a@.service": "[Unit]\nBindsTo=%i.device\n[Service]\nExecStart=/usr/bin/x %I %f %j\n",
            f"{_UNITS}/basic.target.wants/a@b.service": link("../a@.service"),
        },
    ),
    bad(
        "ZOA-440",
        "root:a@.service:Wants:%B",
        "root:a@b.service:Wants:%B",
        root={
            f"{_UNITS}/a@.service": "[Unit]\nWants=%i-%B.service\n",
            f"{_UNITS}/basic.target.wants/a@b.service": link("../a@.service"),
        },
    ),
    # Managers; network files have names with a number to come.
    *(
        bad("ZOA-440", f"root:{name}:DefaultEnvironment:%B", root={f"etc/systemd/{name}": text})
        for name in ("system.conf", "user.conf")
        for text in ("[Manager]\nDefaultEnvironment=LD_%B=/usr/lib/x.so\n",)
    ),
    good(
        "ZOA-440",
        root={
            "etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=A=%m,%b,5%%B\nDefaultTasksMax=15%\n",
            "etc/systemd/network/a.netdev": "[NetDev]\nName=x%d\n",
        },
    ),
    # tmpfiles.d and sysusers.d.
    *(
        bad("ZOA-440", f"root:/{_TMPFILES}:1:%{letter}", root={_TMPFILES: f"{line}\n"})
        for line, letter in (
            ("f /run/systemd/%B/x.service - - - - text", "B"),
            ("d /run/%W", "W"),
            ("w /sys/kernel/%A - - - - text", "A"),
            ("L+ /run/a - - - - /dev/%M", "M"),
            ("c /run/a - - - - %o", "o"),
            ("a+ /run/a - - - - u:%w:rwx", "w"),
            ("f^ /run/a - - - - tmp%B", "B"),
            ("d /run/a 0755 %o root", "o"),
            ("d /run/a 0755 root %o", "o"),
        )
    ),
    good(
        "ZOA-440",
        root={
            _TMPFILES: "d %t/a\nz /run/log/journal/%m\nx /tmp/systemd-private-%b-*\nL /run/a - - - - %S/%m\n"
            "f /run/b - - - - %H\nF /run/b - - - - %H\nw /run/b - - - - %H\n",
            _SYSUSERS: 'u a 5 "%B" /x\ng a%m\n',
        },
    ),
    *(
        bad("ZOA-440", f"initrd:/{_SYSUSERS}:1:%B", initrd={_SYSUSERS: f"{line}\n"})
        for line in ('u %B 0 "" /root /usr/bin/x', 'u a %B "" /root /usr/bin/x', 'u a 0 "" /root /usr/bin/%B')
    ),
    # Units that udev and systemctl are told to start.
    *(
        bad("ZOA-440", f"initrd:/{_RULES}:1:{word}", initrd={_RULES: f'ENV{{SYSTEMD_WANTS}}{operator}"{word}"\n'})
        for operator, word in (
            ("=", "systemd-volatile-$env{DM_NAME}.service"),
            ("+=", "systemd-volatile-%E{DM_NAME}.service"),
            ("=", "$env{X}"),
            ("=", "$name@x.service"),
        )
    ),
    bad("ZOA-440", "root:/etc/x.env:1:a-$name", root={_RULES: 'IMPORT{file}="/etc/x.env"\n', "etc/x.env": _IMPORTED}),
    *(
        bad("ZOA-440", f"root:/{_RULES}:1:systemctl", root={_RULES: f'{key}+="{command}"\n', **_LINK})
        for key in ("RUN", "PROGRAM")
        for command in (
            "/usr/bin/systemctl start a-$env{X}.service",
            "/usr/bin/systemctl start a-%k.service",
            "/usr/bin/ctl start a-$name@b.service",
            "systemctl start a-*",
        )
    ),
    *(
        bad("ZOA-440", "root:a.service:ExecStart:systemctl", root={**_unit(f"ExecStart={command}"), **_LINK})
        for command in (
            "/usr/bin/systemctl start 'a-*.service'",
            "/usr/bin/systemctl start a-?.service",
            "-systemctl start a-[b].service",
            "/usr/bin/ctl start a-${B}.service",
            "/usr/bin/systemctl start $B",
        )
    ),
    good(
        "ZOA-440",
        root={
            _RULES: 'ENV{SYSTEMD_WANTS}="a.service b@$name.service"\nENV{X}="$name"\nRUN+="/usr/bin/x $name *"\n'
            'RUN+="/usr/bin/systemctl start a.service b@%k.service"\nRUN{builtin}+="systemctl $name"\n',
            **_unit(
                "Environment=B=b.service\nExecStart=/usr/bin/systemctl start a.service $B c@*.service\n"
                "ExecStop=/usr/bin/x $C *"
            ),
        },
    ),
)
