from __future__ import annotations

from typing import TYPE_CHECKING

from tests.control_cases import Case, bad, good
from tests.fact_trees import link

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIB = "usr/lib/systemd/system"
_SERVICE = f"{_LIB}/systemd-sysctl.service"
_RUN = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/lib/systemd/systemd-sysctl\n"
_STARTED = {_SERVICE: _RUN, f"{_LIB}/sysinit.target.wants/systemd-sysctl.service": link("../systemd-sysctl.service")}

_KEPT_FROM_WORK = (
    "ProtectKernelTunables=yes", "ReadOnlyPaths=/proc/sys", "User=a", "DynamicUser=yes", "CapabilityBoundingSet=",
    "Requisite=a.service", "Conflicts=basic.target",
    "PrivateUsers=yes", "TemporaryFileSystem=/proc/sys", "ConditionPathExists=/etc/initrd-release", "Type=exec",
    "DefaultDependencies=yes", "RemainAfterExit=no", "TimeoutSec=1us", "ConditionSecurity=tpm2", "ImportCredential=*",
    "ConditionPathIsReadWrite=/proc", "ConditionPathExistsGlob=!/etc/initrd-release",
)  # fmt: skip


def _sysctl(values: Mapping[str, str]) -> dict[str, str]:
    return {"usr/lib/sysctl.d/60.conf": "".join(f"{key} = {value}\n" for key, value in values.items())}


def _each_is_needed(control: str, values: Mapping[str, tuple[str, str]]) -> tuple[Case, ...]:
    """Good with all sysctls at their first value; bad with any of them missing, or at its second value."""
    whole = {key: value for key, (value, _) in values.items()}
    cases = [good(control, root=_sysctl(whole), initrd={"etc/sysctl.d/x.conf": "kernel.sysrq = 1\n"})]
    for key, (_, wrong) in values.items():
        missing = {other: value for other, value in whole.items() if other != key}
        cases.append(bad(control, f"root:{key}", root=_sysctl(missing), initrd=_sysctl(whole)))
        cases.append(bad(control, f"root:{key}", root=_sysctl({**whole, key: wrong})))
    return tuple(cases)


CASES = (
    *_each_is_needed(
        "ZOA-721", {"kernel.unprivileged_bpf_disabled": ("1", "0"), "net.core.bpf_jit_harden": ("2", "1")}
    ),
    good("ZOA-721", root=_sysctl({"kernel.unprivileged_bpf_disabled": "2", "net.core.bpf_jit_harden": "2"})),
    *_each_is_needed("ZOA-722", {"kernel.yama.ptrace_scope": ("3", "1")}),
    good("ZOA-722", root=_sysctl({"kernel/yama/ptrace_scope": "2"})),
    bad(
        "ZOA-722",
        "root:kernel.yama.ptrace_scope",
        root={**_sysctl({"kernel.yama.ptrace_scope": "3"}), "etc/sysctl.d/99.conf": "kernel.yama.ptrace_scope=0\n"},
    ),
    *_each_is_needed("ZOA-723", {"vm.unprivileged_userfaultfd": ("0", "1")}),
    *_each_is_needed("ZOA-724", {"kernel.perf_event_paranoid": ("2", "-1")}),
    *_each_is_needed("ZOA-724", {"kernel.perf_event_paranoid": ("4", "1")}),
    *_each_is_needed("ZOA-725", {"kernel.dmesg_restrict": ("1", "0"), "kernel.kptr_restrict": ("1", "0")}),
    good("ZOA-725", root=_sysctl({"kernel.dmesg_restrict": "1", "kernel.kptr_*": "2"})),
    *_each_is_needed("ZOA-726", {"kernel.randomize_va_space": ("2", "1")}),
    *_each_is_needed(
        "ZOA-727",
        {
            "fs.protected_symlinks": ("1", "0"),
            "fs.protected_hardlinks": ("1", "0"),
            "fs.protected_fifos": ("2", "0"),
            "fs.protected_regular": ("1", "0"),
        },
    ),
    *_each_is_needed("ZOA-728", {"dev.tty.ldisc_autoload": ("0", "1")}),
    bad("ZOA-729", "root:user.max_user_namespaces", root=_sysctl({})),
    bad(
        "ZOA-729",
        "root:user.max_user_namespaces",
        root=_sysctl({"user.max_user_namespaces": "100", "kernel.unprivileged_userns_clone": "1"}),
    ),
    bad("ZOA-729", "root:user.max_user_namespaces", initrd=_sysctl({"user.max_user_namespaces": "0"})),
    good("ZOA-729", root=_sysctl({"user.max_user_namespaces": "0"})),
    good("ZOA-729", root=_sysctl({"kernel.unprivileged_userns_clone": "0", "user.max_user_namespaces": "9"})),
    bad("ZOA-730", "root:systemd-sysctl.service", initrd=_STARTED),
    bad("ZOA-730", "root:systemd-sysctl.service", root={_SERVICE: _RUN}),
    bad(
        "ZOA-730",
        "root:systemd-sysctl.service",
        root={**_STARTED, "etc/systemd/system/systemd-sysctl.service": link("/dev/null")},
    ),
    bad(
        "ZOA-730",
        "root:systemd-sysctl.service",
        root={**_STARTED, "etc/systemd/system/systemd-sysctl.service": "[Service]\nExecStart=/usr/bin/true\n"},
    ),
    bad(
        "ZOA-730",
        "root:systemd-sysctl.service:ConditionPathExists",
        root={**_STARTED, f"{_SERVICE}.d/x.conf": "[Unit]\nConditionPathExists=/no\n"},
    ),
    bad(
        "ZOA-730",
        "uki:0:systemd.mask=systemd-sysctl.service",
        root=_STARTED,
        command_line="-- systemd.mask=systemd-sysctl.service",
    ),
    good(
        "ZOA-730",
        root={**_STARTED, _SERVICE: _RUN + "[Unit]\nConditionPathIsReadWrite=/proc/sys/net/\n"},
        command_line="systemd.mask=x.service",
    ),
    *(
        bad(
            "ZOA-730",
            f"root:systemd-sysctl.service:{line.partition('=')[0]}",
            root={**_STARTED, path: f"[X]\n{line}\n"},
        )
        for path, line in (
            *((f"{_SERVICE}.d/x.conf", line) for line in _KEPT_FROM_WORK),
            (f"{_LIB}/service.d/x.conf", "ProtectKernelTunables=yes"),
            (f"{_SERVICE}.d/x.conf", "TimeoutSec="),
            (f"{_SERVICE}.d/x.conf", "Type=oneshot"),
        )
    ),
    *(
        bad(
            "ZOA-730",
            f"root:systemd-sysctl.service:{line.partition('=')[0]}",
            root={**_STARTED, _SERVICE: f"{_RUN}{line}\n"},
        )
        for line in _KEPT_FROM_WORK
    ),
    *(
        bad("ZOA-730", "root:systemd-sysctl.service", root={**_STARTED, _SERVICE: f"[Service]\n{lines}\n"})
        for lines in (
            "ExecStart=/usr/lib/systemd/systemd-sysctl --version",
            "ExecStart=-/usr/lib/systemd/systemd-sysctl",
            "ExecStart=/usr/lib/x/systemd-sysctl",
            "ExecStop=/usr/lib/systemd/systemd-sysctl",
            "ExecStart=/usr/lib/systemd/systemd-sysctl\nExecStart=/usr/bin/x",
            "Type=oneshot",
        )
    ),
    *(
        bad(
            "ZOA-730",
            "root:systemd-sysctl.service",
            f"root:systemd-sysctl.service:{key}",
            root={**_STARTED, f"{_SERVICE}.d/x.conf": f"[Service]\n{key}=/usr/bin/false\n"},
        )
        for key in ("ExecCondition", "ExecStartPre")
    ),
    *(
        bad(
            "ZOA-730", "root:systemd-sysctl.service:x.service", root={**_STARTED, f"{_LIB}/x.service": f"[X]\n{line}\n"}
        )
        for line in (
            "Conflicts=a.service systemd-sysctl.service",
            "PropagatesStopTo=systemd-sysctl.service",
            "ExecStart=/usr/bin/systemctl stop systemd-sysctl.service",
            "ExecStart=systemctl --no-block stop systemd-sysctl",
            "ExecStart=/usr/bin/nice systemctl stop systemd-sys*",
        )
    ),
    bad(
        "ZOA-730",
        "root:systemd-sysctl.service:/etc/udev/rules.d/x.rules:1",
        root={**_STARTED, "etc/udev/rules.d/x.rules": 'RUN+="/usr/bin/systemctl stop systemd-sysctl"\n'},
    ),
    good(
        "ZOA-730",
        root={
            **_STARTED,
            _SERVICE: f"{_RUN}Type=oneshot\nRemainAfterExit=yes\nTimeoutSec=90s\nImportCredential=sysctl.*\n"
            "[Unit]\nConflicts=shutdown.target\nConflicts=initrd-switch-root.target shutdown.target\nAfter=x\n"
            "Before=y\nConditionPathExists=!/etc/initrd-release\nConditionSecurity=measured-os\n[Install]\nWantedBy=x.target\n",
            f"{_SERVICE}.d/x.conf": "[X]\nDocumentation=x\nSyslogIdentifier=x\nTimeoutStopSec=1\n"
            "TimeoutStopFailureMode=abort\n",
            f"{_LIB}/x.service": "[X]\nConflicts=a.service\nAfter=systemd-sysctl.service\n"
            "ExecStart=/usr/bin/x systemd-sysctl\nExecStart=systemctl stop a\n",
            f"{_LIB}/y.service": "[X]\nConflicts=systemd-sysctl.service\n",
            "etc/systemd/system/y.service": link("/dev/null"),
            "etc/udev/rules.d/x.rules": 'RUN+="/usr/bin/x systemd-sysctl"\nRUN+="/usr/bin/systemctl stop a"\n',
        },
    ),
    *(
        bad("ZOA-730", f"root:/etc/fstab:{where}", root={**_STARTED, "etc/fstab": f"tmpfs {where} tmpfs ro\n"})
        for where in ("/proc/sys", "/proc/sys/kernel")
    ),
    bad(
        "ZOA-730",
        "root:proc-sys.mount",
        root={**_STARTED, f"{_LIB}/proc-sys.mount": "[Mount]\nWhat=tmpfs\nWhere=/proc/sys\nType=tmpfs\n"},
    ),
    good(
        "ZOA-730",
        root={**_STARTED, "etc/fstab": "a /proc/sys/fs/binfmt_misc binfmt_misc ro\ntmpfs /proc/system tmpfs ro\n"},
    ),
    good("ZOA-730", root={**_STARTED, _SERVICE: "[Service]\nExecStart=/lib/systemd/systemd-sysctl\n"}),
    good(
        "ZOA-730",
        root={**_STARTED, f"{_SERVICE}.d/x.conf": "[Unit]\nDescription=x\n"},
        command_line="systemd.wants=systemd-sysctl.service",
    ),
)
