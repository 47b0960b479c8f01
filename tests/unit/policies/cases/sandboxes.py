from __future__ import annotations

from pathlib import Path

from tests.control_cases import bad, good
from tests.fact_trees import link, program

_UNITS = "usr/lib/systemd/system"
_OWN = Path(__file__).parents[4] / "images/inference-node/files" / _UNITS
_ENGINE = (_OWN / "engine.service").read_text()
_GATEWAY = (_OWN / "gateway.service").read_text()
_TREE = "usr/lib/bedplate/engine/usr/bin/llama-server"
_NODE = {f"{_UNITS}/engine.service": _ENGINE, f"{_UNITS}/gateway.service": _GATEWAY, _TREE: program()}
_SAFE = {
    "User": "worker",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateNetwork": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ProtectProc": "invisible",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectControlGroups": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "SystemCallArchitectures": "native",
    "RestrictAddressFamilies": "AF_UNIX",
    "SystemCallFilter": "@system-service",
}
_MINOR = tuple(key for key in _SAFE if key not in {"User", "RestrictAddressFamilies", "SystemCallFilter"})


def _service(command: str = "/usr/bin/work", **changes: str | None) -> str:
    held = {"ExecStart": command, **_SAFE, **changes}
    return "[Service]\n" + "".join(f"{key}={value}\n" for key, value in held.items() if value is not None)


def _unit(command: str = "/usr/bin/work", **changes: str | None) -> dict[str, str]:
    return {f"{_UNITS}/a.service": _service(command, **changes)}


def _dropped(text: str, section: str = "Service", name: str = "a.service") -> dict[str, str]:
    """A unit that states all limits, systemd's own, and a drop-in."""
    return {
        f"{_UNITS}/{name}": _service("/usr/lib/systemd/systemd-networkd", RootDirectory="/usr/lib/tree"),
        f"etc/systemd/system/{name}.d/x.conf": f"[{section}]\n{text}\n",
    }


_CALLS = "@system-service @aio @basic-io @chown @default @file-system @io-event @ipc @memlock @network-io @process"
_MORE_CALLS = "@resources @setuid @signal @sync @timer @sandbox @pkey read"
_BAD_CALLS = (
    "mount umount umount2 mount_setattr move_mount fsopen fsmount fsconfig open_tree pivot_root chroot setns "
    "unshare ptrace process_vm_readv process_vm_writev pidfd_getfd perf_event_open bpf userfaultfd "
    "io_uring_setup init_module finit_module delete_module kexec_load kexec_file_load iopl ioperm reboot "
    "swapon open_by_handle_at add_key request_key keyctl syslog acct personality @known @privileged"
)

CASES = (
    # The node's own services, and a drop-in that opens one.
    good("ZOA-744", root=_NODE),
    good("ZOA-745", root=_NODE),
    good("ZOA-746", root=_NODE),
    bad(
        "ZOA-744",
        *(f"root:engine.service:{key}" for key in ("User", "SystemCallFilter", "PrivateNetwork", "NoNewPrivileges")),
        root={
            **_NODE,
            "etc/systemd/system/engine.service.d/x.conf": "[Service]\nRootDirectory=\nSystemCallFilter=\nUser=root\n"
            "PrivateNetwork=no\nNoNewPrivileges=no\n",
        },
    ),
    bad(
        "ZOA-746",
        "root:engine.service:RootDirectory=",
        "root:engine.service:SystemCallFilter=",
        "root:engine.service:User=root",
        "root:engine.service:PrivateNetwork=no",
        root={
            **_NODE,
            f"{_UNITS}/service.d/x.conf": "[Service]\nRootDirectory=\nSystemCallFilter=\nUser=root\n"
            "PrivateNetwork=no\n",
            f"{_UNITS}/gateway.service": link("/dev/null"),
        },
    ),
    bad(
        "ZOA-745",
        "root:/usr/lib/bedplate/engine",
        "root:engine.service:/usr/lib/bedplate/engine/usr/bin/llama-server",
        root={
            **_NODE,
            "etc/systemd/system/engine.service.d/x.conf": "[Service]\nRootDirectory=\nExecStart=\nExecStart=/" + _TREE,
        },
    ),
    # What a service must state.
    good("ZOA-744", root=_unit()),
    good("ZOA-744", initrd=_unit(User=None, DynamicUser="on", RestrictAddressFamilies="none")),
    good("ZOA-744", root=_unit(NoNewPrivileges="YES", ProtectHome="tmpfs", ProtectControlGroups="strict")),
    good("ZOA-744", root=_unit(ProtectHome="read-only", ProtectControlGroups="private", ProtectHostname="private")),
    *(good("ZOA-744", root=_unit(ProtectProc=value)) for value in ("noaccess", "ptraceable")),
    *(good("ZOA-744", root=_unit(PrivateDevices=value)) for value in ("1", "Y", "true", "T", "ON")),
    *(bad("ZOA-744", f"root:a.service:{key}", root=_unit(**{key: None})) for key in _SAFE),
    *(bad("ZOA-744", f"root:a.service:{key}", root=_unit(**{key: "no"})) for key in _MINOR),
    *(
        bad("ZOA-744", f"initrd:a.service:{key}", initrd=_unit(**{key: value}))
        for key, value in (
            ("ProtectSystem", "Strict"),
            ("ProtectSystem", "full"),
            ("User", "root"),
            ("User", "0"),
            ("User", "%i"),
            ("RestrictAddressFamilies", "~AF_PACKET"),
            ("RestrictAddressFamilies", "AF_UNIX AF_VSOCK"),
            ("SystemCallFilter", "~@privileged"),
            ("SystemCallFilter", "@system-service @mount"),
            ("SystemCallFilter", "@system-service ptrace:EPERM"),
            ("SystemCallArchitectures", "native x86"),
        )
    ),
    bad("ZOA-744", "root:a@.service:User", root={f"{_UNITS}/a@.service": _service(User="%i")}),
    bad("ZOA-744", "root:a.service:User", root=_unit(DynamicUser="no", User=None)),
    bad("ZOA-744", "root:a.service:User", root=_unit(DynamicUser="yes", User="root")),
    good("ZOA-744", root=_unit(SystemCallFilter=f"{_CALLS} {_MORE_CALLS}\nSystemCallFilter=~mount")),
    good("ZOA-744", root=_unit(SystemCallFilter="@system-service mount\nSystemCallFilter=~mount")),
    good("ZOA-744", root=_unit(RestrictAddressFamilies="AF_INET AF_UNIX\nRestrictAddressFamilies=~AF_INET AF_INET6")),
    *(
        bad("ZOA-744", "root:a.service:SystemCallFilter", root=_unit(SystemCallFilter=f"read {call}"))
        for call in _BAD_CALLS.split()
    ),
    *(
        bad("ZOA-744", f"root:a.service:{key}", root=_unit(**{key: value}))
        for key, value in (
            ("AmbientCapabilities", "CAP_SYS_ADMIN"),
            ("NetworkNamespacePath", "/proc/1/ns/net"),
            ("PAMName", "login"),
            ("PermissionsStartOnly", "yes"),
            ("SecureBits", "keep-caps"),
        )
    ),
    bad(
        "ZOA-744",
        "root:a.service:JoinsNamespaceOf",
        root={f"{_UNITS}/a.service": "[Unit]\nJoinsNamespaceOf=b.service\n" + _service()},
    ),
    bad("ZOA-744", "root:a.service:ExecStart", root=_unit("+/usr/bin/work")),
    bad("ZOA-744", "root:a.service:ExecStart", root=_unit("-!/usr/bin/work")),
    good("ZOA-744", root=_unit("-@:/usr/bin/work")),
    # Limits count where systemd takes them.
    bad(
        "ZOA-744",
        "root:a.service:NoNewPrivileges",
        root={f"{_UNITS}/a.service": "[Unit]\nNoNewPrivileges=yes\n" + _service(NoNewPrivileges=None)},
    ),
    bad(
        "ZOA-744",
        *(f"root:a.socket:{key}" for key in _SAFE),
        root={f"{_UNITS}/a.socket": "[Socket]\nListenStream=/run/a\nExecStartPre=/usr/bin/work\n" + _service("/x")},
    ),
    good(
        "ZOA-744",
        root=_unit(User="root", MemoryDenyWriteExecute="no"),
        parameters={"allowed": ("a.service:User", "a.service:MemoryDenyWriteExecute")},
    ),
    # systemd's own programs, and what only looks like them.
    *(
        good("ZOA-744", root={f"{_UNITS}/a.service": f"[Service]\nExecStart={path}\n"})
        for path in (
            "/usr/lib/systemd/systemd-udevd",
            "/lib/systemd/systemd",
            "-udevadm trigger",
            "/usr/bin/systemctl reboot",
            "/sbin/modprobe %I",
            "/usr/sbin/modprobe a",
            "/bin/kmod static-nodes",
            "journalctl --flush",
            "networkctl persistent-storage yes",
        )
    ),
    *(
        bad(
            "ZOA-744",
            *(f"root:a.service:{key}" for key in _SAFE),
            root={f"{_UNITS}/a.service": f"[Service]\nExecStart={path}\n"},
        )
        for path in (
            "/usr/lib/x/systemd-udevd",
            "/usr/bin/xsystemctl",
            "/usr/bin/systemd-run x",
            "systemd-cat /x",
            "/opt/systemctl",
            "/usr/lib/systemd/systemd-udevd\nExecStartPost=/x",
        )
    ),
    good("ZOA-744", root={f"{_UNITS}/a.service": "[Service]\nType=oneshot\n"}),
    # A path of systemd's that leads to another program.
    *(
        bad(
            "ZOA-744",
            *(f"root:a.service:{key}" for key in _SAFE),
            root={f"{_UNITS}/a.service": f"[Service]\nExecStart=/usr/lib/systemd/systemd-udevd\n{text}\n"},
        )
        for text in (
            "RootDirectory=/usr/lib/tree",
            "RootImage=/usr/lib/tree.raw",
            "RootMStack=/usr/lib/tree.mstack",
            "BindPaths=/usr/bin/work:/usr/lib/systemd/systemd-udevd",
            "BindReadOnlyPaths=/usr/bin/work:/usr/lib/systemd/systemd-udevd",
            "ExecSearchPath=/usr/lib/tree/bin",
            "MountImages=/usr/lib/tree.raw:/usr/lib/systemd",
            "ExtensionImages=/usr/lib/tree.raw",
            "ExtensionDirectories=/usr/lib/tree",
        )
    ),
    bad(
        "ZOA-744",
        *(f"initrd:systemd-udevd.service:{key}" for key in _SAFE),
        initrd={
            f"{_UNITS}/systemd-udevd.service": "[Service]\nExecStart=systemd-udevd\n",
            f"{_UNITS}/service.d/x.conf": "[Service]\nExecSearchPath=/usr/lib/tree/bin\n",
        },
    ),
    good("ZOA-744", root=_unit("/usr/lib/systemd/systemd-udevd", RootDirectory="/usr/lib/tree")),
    good("ZOA-744", root={f"{_UNITS}/a.service": "[Service]\nType=oneshot\nBindPaths=/usr/lib/a:/usr/lib/b\n"}),
    good(
        "ZOA-744",
        root={
            f"{_UNITS}/a.service": "[Service]\nExecStart=/usr/lib/systemd/systemd-udevd\nTemporaryFileSystem=/run/a\n"
            "BindPaths=/usr/lib/a:/usr/lib/b\nBindPaths=\n",
        },
    ),
    # Trees with a root of their own.
    bad("ZOA-745", "root:/usr/lib/bedplate/engine", root={_TREE: program()}),
    bad(
        "ZOA-745",
        "root:/usr/lib/bedplate/engine",
        root={_TREE: program(), f"{_UNITS}/engine.service": "[Unit]\nRootDirectory=/usr/lib/bedplate/engine\n"},
    ),
    bad(
        "ZOA-745",
        "initrd:b.service:/usr/lib/tree/bin/x",
        "initrd:c.service:--data=/usr/lib/tree/x",
        "initrd:d.service:/usr/lib/link/bin/x",
        initrd={
            **_unit(RootDirectory="/usr/lib/tree/"),
            f"{_UNITS}/b.service": "[Service]\nExecStart=/usr/lib/tree/bin/x\n",
            f"{_UNITS}/c.service": "[Service]\nExecStart=/x --data=/usr/lib/tree/x\n",
            f"{_UNITS}/d.service": "[Service]\nExecStart=/usr/lib/link/bin/x /usr/lib/tree-other/x\n",
            "usr/lib/link": link("tree"),
        },
    ),
    good("ZOA-745", root={**_unit("/usr/bin/work /usr/lib/tree/x", RootDirectory="/")}),
    good(
        "ZOA-745",
        root={
            f"{_UNITS}/a.service": link("/dev/null"),
            f"{_UNITS}/b.service": "[Service]\nExecStart=/usr/lib/tree/bin/x\n",
            "etc/systemd/system/a.service.d/x.conf": "[Service]\nRootDirectory=/usr/lib/tree\n",
        },
    ),
    bad("ZOA-745", "root:a.service:RootDirectoryStartOnly", root=_unit(RootDirectoryStartOnly="Yes")),
    good("ZOA-745", root=_unit(RootDirectoryStartOnly="no")),
    # Drop-ins, of systemd's own units too.
    *(
        bad("ZOA-746", f"root:a.service:{text}", root=_dropped(text))
        for text in (
            *(f"{key}=" for key in _SAFE),
            *(f"{key}=no" for key in _MINOR),
            "User=0",
            "User=root",
            "DynamicUser=",
            "DynamicUser=no",
            "RootDirectory=/",
            "RootDirectory=",
            "NoExecPaths=",
            "InaccessiblePaths=",
            "ReadOnlyPaths=",
            "IPAddressDeny=",
            "AmbientCapabilities=CAP_SYS_ADMIN",
            "CapabilityBoundingSet=CAP_SYS_PTRACE",
            "RestrictAddressFamilies=AF_INET",
            "SystemCallFilter=@mount",
            "SupplementaryGroups=disk",
            "DeviceAllow=/dev/mem",
            "IPAddressAllow=any",
            "NetworkNamespacePath=/run/x",
            "JoinsNamespaceOf=b.service",
        )
    ),
    good(
        "ZOA-746",
        root=_dropped(
            "User=other\nDynamicUser=yes\nSystemCallFilter=~@clock\nRestrictAddressFamilies=~AF_INET\nExecStart=\n"
            "CapabilityBoundingSet=\nAmbientCapabilities=\nSupplementaryGroups=\nPrivateNetwork=yes\nNice=3"
        ),
    ),
    good("ZOA-746", root=_dropped("SystemCallArchitectures=", name="systemd-udevd.service")),
    good("ZOA-746", root=_dropped("PrivateNetwork=no"), parameters={"allowed": ("a.service:PrivateNetwork",)}),
    good("ZOA-746", root=_unit(PrivateNetwork="no", User="root")),
)
