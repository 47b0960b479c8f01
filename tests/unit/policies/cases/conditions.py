"""Images that differ from a bad or a good one by one condition, found by mutation (tests/mutation)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec.structs import replace

from builder.facts.boot import command_line as parse_command_line
from policies.facts import Boot, BootEntry, Origin, Uki
from tests.control_cases import bad, good
from tests.fact_trees import disk, elf, file, folder, link, note, program, uki

if TYPE_CHECKING:
    from tests.fact_trees import Content

_UNITS = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_RUN = "[Service]\nExecStart={}\n"
_NULL = link("/dev/null")
_MODULES = "usr/lib/modules/6.12.0"
_BUS_SERVICE = {
    "usr/share/dbus-1/system-services/org.x.service": "[D-BUS Service]\nName=org.x\nExec=/x\nSystemdService=x.service\n"
}
_SSHD = b"OpenSSH_10.0\0/etc/ssh/sshd_config\0"
_SYSCTL = {"usr/lib/sysctl.d/50.conf": "kernel.sysrq = 0\n"}
_CORE = {"etc/systemd/system.conf": "[Manager]\nDefaultLimitCORE=0\n"}

_EXTEND = "usr/lib/systemd/systemd-pcrextend"
_PHASE = "systemd-pcrphase-initrd.service"
_PHASES = {
    f"{_UNITS}/{_PHASE}": f"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/{_EXTEND} --graceful enter-initrd\n"
    f"ExecStop=/{_EXTEND} --graceful leave-initrd\n",
    f"{_UNITS}/initrd.target.wants/{_PHASE}": link(f"../{_PHASE}"),
    _EXTEND: program(),
}
_LIBRARIES = ("libtss2-esys.so.0", "libtss2-rc.so.0", "libtss2-mu.so.0", "libtss2-tcti-device.so.0")
_SETS_SYSCTLS = {
    f"{_UNITS}/systemd-sysctl.service": "[Unit]\nDefaultDependencies=no\n"
    "[Service]\nExecStart=/usr/lib/systemd/systemd-sysctl\n",
    f"{_UNITS}/sysinit.target.wants/systemd-sysctl.service": link("../systemd-sysctl.service"),
}
_SHELLS = (
    "rbash", "dash", "ash", "hush", "ksh", "mksh", "lksh", "ksh93", "zsh", "fish", "csh", "tcsh", "toybox",
    "python", "python3", "perl", "ruby", "lua", "node", "php", "tclsh", "login", "su", "sulogin", "agetty",
    "script", "expect", "env", "systemd-run", "nsenter", "chroot", "perl5.40", "lua5.4", "ruby3.3",
)  # fmt: skip
_ENTRY = "/loader/entries/x.conf"


def _booted(arguments: str | None) -> Boot:
    """A boot loader's entry with these arguments."""
    line = None if arguments is None else parse_command_line(arguments)
    entry = BootEntry(
        kind="loader-entry",
        volume="esp",
        origin=Origin(path=_ENTRY, line=None),
        title="x",
        kernel="/vmlinuz",
        initrds=(),
        command_line=line,
    )
    return Boot(programs=(), entries=(entry,), menus=())


def _two_profiles(first: str, second: str) -> Uki:
    one, two = uki(first).profiles[0], uki(second).profiles[0]
    return replace(uki(first), profiles=(one, replace(two, number=1)))


def _without_command_line() -> Uki:
    profile = uki(None).profiles[0]
    first = profile.sections[0]
    sections = tuple(replace(first, name=name) for name in (".linux", ".osrel", ".initrd", ".uname", ".sbat"))
    return replace(uki(None), profiles=(replace(profile, sections=sections),))


_WRITABLE_TREE = replace(
    disk(),
    partitions=tuple(replace(item, flags=()) if item.role == "root-verity" else item for item in disk().partitions),
)
_PYTHON = json.dumps([{"soname": ["libpython3.13.so.1.0"]}]).encode()


def _socket(program_path: str) -> dict[str, str]:
    return {f"{_UNITS}/x@.service": f"{_RUN.format(program_path)}StandardInput=socket\n"}


def _libraries(place: str) -> dict[str, Content]:
    return {f"{place}/{name}": file(elf()) for name in _LIBRARIES}


def _masked(name: str, content: str) -> dict[str, Content]:
    return {f"{_UNITS}/{name}": content, f"{_ETC}/{name}": _NULL}


def _conf(name: str, section: str, text: str, place: str = "etc/systemd") -> dict[str, str]:
    return {f"{place}/{name}": f"[{section}]\n{text}\n"}


_REMOTE = (
    bad("ZOA-101", "root:/usr/bin/sshd", root={"usr/bin/sshd": program()}),
    bad(
        "ZOA-103",
        "root:x.service",
        root={f"{_UNITS}/x.service": "[Service]\nExecStartPre=/usr/bin/a\nExecStart=/usr/sbin/sshd\n"},
    ),
    bad(
        "ZOA-103",
        "root:x.service",
        root={
            f"{_UNITS}/x.service": "[Service]\nExecStartPre=/usr/bin/a\nExecStartPre=/none\nExecStart=/usr/bin/b\n",
            "usr/bin/a": program(),
            "usr/bin/b": file(elf() + _SSHD, 0o755),
        },
    ),
    good("ZOA-101", root={"usr/bin/sshd": file("text", 0o644), "usr/sbin/sshd": link("/usr/bin/sshd")}),
    *(bad("ZOA-112", "root:x@.service", root=_socket(f"/usr/bin/{name}")) for name in _SHELLS),
    bad(
        "ZOA-112",
        "root:x@.service",
        root={**_socket("/usr/bin/a"), "usr/bin/a": link("perl.real"), "usr/bin/perl.real": program()},
    ),
    good("ZOA-112", root=_masked("x@.service", f"{_RUN.format('/usr/bin/bash')}StandardInput=socket\n")),
    good("ZOA-111", root={"etc/inetd.conf": link("/dev/null"), "etc/inetd.d": folder()}),
    good("ZOA-120", root=_masked("x.socket", "[Socket]\nListenStream=22\n")),
    bad(
        "ZOA-301",
        "root:agent.service",
        root={
            f"{_UNITS}/agent.service": _RUN.format("/x"),
            f"{_ETC}/amazon-ssm-agent.service": link(f"/{_UNITS}/agent.service"),
        },
    ),
    good("ZOA-301", root=_masked("amazon-ssm-agent.service", _RUN.format("/x"))),
    good(
        "ZOA-301", root={f"{_UNITS}/sysinit.target.wants/amazon-ssm-agent.service": link("../amazon-ssm-agent.service")}
    ),
    good("ZOA-301", root={"usr/bin/amazon-ssm-agent": file("text", 0o644)}),
)
_CONSOLES = (
    bad("ZOA-203", "root:/etc/modules-load.d/x.conf:1", root={"etc/modules-load.d/x.conf": "kgdbts\n"}),
    *(
        bad("ZOA-203", f"uki:0:{name}=kgdboc", command_line=f"quiet {name}=kgdboc")
        for name in ("modules_load", "rd.modules_load", "rd.driver.pre", "rd.driver.post")
    ),
    good("ZOA-203", command_line="quiet modules_load modules_load=erofs"),
    bad("ZOA-205", "root:kernel.sysrq", root={"usr/lib/sysctl.d/50.conf": "kernel.sysrq =\n"}, initrd=_SYSCTL),
    bad("ZOA-205", "root:kernel.sysrq", "initrd:kernel.sysrq", root={}, initrd={}, command_line="sysctl.kernel.sysrq"),
    good("ZOA-205", root={"a": ""}, initrd={}, command_line="sysctl.kernel.sysrq=0"),
    good(
        "ZOA-205",
        root={"usr/lib/sysctl.d/50.conf": "kernel.sysrq = 0\nvm.swappiness = 1\n-kernel.panic\nvm.* = 1\n"},
        initrd=_SYSCTL,
    ),
    good(
        "ZOA-205",
        root={
            "usr/lib/sysctl.d/50.conf": "kernel.sysr* = 0\nvm.swappiness = 1\nz.* = 1\n-zz.*\n",
            "usr/lib/sysctl.d/60.conf": "-kernel.sysrq*\n",
        },
        initrd=_SYSCTL,
    ),
    good(
        "ZOA-205",
        root={**_SYSCTL, "usr/lib/tmpfiles.d/x.conf": "w /sys/x - - - - 1\nw /proc/sys/kernel/sysrq - - - - 0\n"},
        initrd=_SYSCTL,
    ),
    bad(
        "ZOA-205",
        "root:/usr/lib/tmpfiles.d/x.conf:1",
        root={**_SYSCTL, "usr/lib/tmpfiles.d/x.conf": "w /proc/sys/kernel/sysrq - - - -\n"},
        initrd=_SYSCTL,
    ),
    bad(
        "ZOA-208",
        "root:x.service",
        root={f"{_UNITS}/x.service": "[Service]\nExecStartPre=/usr/bin/a\nExecStart=/sbin/agetty tty1\n"},
    ),
    *(
        bad("ZOA-209", "root:getty.target:x.service", root={f"{_UNITS}/getty.target": f"[Unit]\n{key}=x.service\n"})
        for key in ("Wants", "Requires", "BindsTo", "Upholds")
    ),
    bad(
        "ZOA-214",
        "root:x.service",
        root={
            f"{_UNITS}/rescue.target": "[Unit]\nWants=x.service missing.service y.socket\n",
            f"{_UNITS}/x.service": _RUN.format("/usr/bin/sh"),
            f"{_UNITS}/y.socket": "[Socket]\nListenStream=/run/y\n",
        },
    ),
    *(
        bad(
            "ZOA-214",
            "root:x.service",
            root={f"{_UNITS}/emergency.target": f"[Unit]\n{key}=x.service\n", f"{_UNITS}/x.service": _RUN.format("/x")},
        )
        for key in ("Wants", "Requires", "BindsTo", "Upholds")
    ),
    *(
        good("ZOA-214", root={f"{_UNITS}/emergency.service": _RUN.format(command)})
        for command in (
            "/usr/sbin/reboot",
            "/usr/sbin/poweroff",
            "/usr/sbin/halt",
            "/usr/sbin/shutdown",
            "/usr/lib/systemd/systemd-shutdown reboot",
            "systemctl --force reboot",
            "systemctl --force poweroff",
            "systemctl --force halt",
            "systemctl exit",
        )
    ),
    good("ZOA-214", root=_masked("emergency.service", _RUN.format("/usr/sbin/sulogin"))),
    good("ZOA-215", root={f"{_UNITS}/x.socket": "[Socket]\nListenStream=/run/x\nExecStartPre=/bin/login\n"}),
    good(
        "ZOA-215",
        root={f"{_UNITS}/x.service": _RUN.format("/usr/bin/a"), "usr/bin/a": program()},
    ),
    bad(
        "ZOA-216",
        "root:systemd-firstboot.service",
        root={f"{_UNITS}/systemd-firstboot.service": _RUN.format("/x")},
        uki=None,
    ),
    good(
        "ZOA-216",
        root={f"{_UNITS}/systemd-firstboot.service": _RUN.format("systemd-firstboot")},
        command_line="systemd.firstboot=no systemd.x=yes",
    ),
    good("ZOA-221", root=_masked("x.service", f"{_RUN.format('/x')}Environment=SYSTEMD_SULOGIN_FORCE=1\n")),
    good(
        "ZOA-207",
        root={
            "usr/lib/systemd/systemd": program(),
            "etc/systemd/system.conf": "[Manager]\nCtrlAltDelBurstAction=none\nX=no\n[X]\nCtrlAltDelBurstAction=x\n",
            "etc/systemd/user.conf": "[Manager]\nCtrlAltDelBurstAction=reboot-force\n",
            "etc/systemd/zzz.conf": "[Manager]\nCtrlAltDelBurstAction=reboot-force\n",
        },
    ),
    good("ZOA-225", root={"usr/lib/systemd/systemd-logind": program()}),
    good("ZOA-210", root={"usr/bin/su": program()}),
    bad("ZOA-215", "root:x.service", root={f"{_UNITS}/x.service": _RUN.format("/usr/bin/su")}),
    *(
        bad(
            "ZOA-225",
            "root:autovt@.service",
            root={
                "usr/lib/systemd/systemd-logind": program(),
                f"{_UNITS}/autovt@.service": _RUN.format("/x"),
                **_conf("logind.conf", "Login", text),
            },
        )
        for text in ("NAutoVTs=0\nReserveVT=6", "NAutoVTs=6\nReserveVT=0", "NAutoVTs=0\nReserveVT=0\nNAutoVTs=1")
    ),
    good(
        "ZOA-225",
        root={
            "usr/lib/systemd/systemd-logind": program(),
            f"{_UNITS}/autovt@.service": _RUN.format("/x"),
            "etc/systemd/logind.conf": "[Login]\nNAutoVTs=0\nReserveVT=0\n[Other]\nNAutoVTs=6\n",
            "etc/systemd/zz.conf": "[Login]\nNAutoVTs=6\n",
            "etc/systemd/aa.conf": "[Login]\nNAutoVTs=6\n",
        },
    ),
)
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
    good("ZOA-423", root=_masked("x.service", _RUN.format("/run/x"))),
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
_ACCOUNTS = (
    good("ZOA-501", root={"etc/gshadow": "a:::\n", "etc/group": "a::5:\n"}),
    bad("ZOA-501", "root:/etc/gshadow:a", root={"etc/gshadow": "a:$6$x$y::\n"}),
    good("ZOA-511", root={"root/.ssh/config": link("/run/x"), "root/.ssh/authorized_keys": "# none\n"}),
    bad("ZOA-511", "root:/root/.ssh/authorized_keys", root={"root/.ssh/authorized_keys": link("/run/x")}),
    good("ZOA-512", root={"root/.rhosts": folder()}),
    good("ZOA-518", root={"etc/userdb/x.user": folder()}),
    good("ZOA-520", root={"usr/lib/sysusers.d/x.conf": "u x :5 -\n"}),
    good("ZOA-522", root={"usr/lib/tmpfiles.d/x.conf": "f /x 644 - -\nf /y - - -\nf /z 8755 - -\nf /w 0755 - -\n"}),
    bad("ZOA-522", "root:/usr/lib/tmpfiles.d/x.conf:/x", root={"usr/lib/tmpfiles.d/x.conf": "f /x 2755 - - - x\n"}),
    good("ZOA-507", root={"etc/sudoers": folder()}),
    good("ZOA-508", root={"usr/bin/engine": program(), "etc/polkit-1/rules.d/a.rules": "x"}),
    good(
        "ZOA-515",
        root={"etc/pam.d/a": "@include /etc/x.so\nauth include /etc/pam.d/other\nauth required pam_x.so\n"},
    ),
    bad("ZOA-526", "root:/etc/shadow", root={"etc/shadow": file("", 0o641)}),
)
_INTEGRITY = (
    bad("ZOA-712", "uki:0:lsm", command_line="lockdown=integrity lsm"),
    good("ZOA-713", command_line="module.sig_enforce=1", root={f"{_MODULES}/modules.builtin": "extra/x.ko\n"}),
    bad("ZOA-715", "root:sleep.conf", root=_conf("sleep.conf", "Sleep", "AllowHibernation=maybe")),
    good("ZOA-715", root=_conf("sleep.conf", "Sleep", "AllowHibernation=No\nAllowSuspend=yes")),
    good(
        "ZOA-715",
        root={
            **_conf("other.conf", "Sleep", "AllowHibernation=yes"),
            **_conf("sleep.conf", "Sleep", "AllowHibernation=yes", place="etc/other"),
        },
    ),
    bad(
        "ZOA-735",
        "root:rds",
        root={f"{_MODULES}/kernel/rds.ko": "x", "etc/modprobe.d/x.conf": "install sctp /bin/true\n"},
    ),
    *(
        good(
            "ZOA-735",
            root={f"{_MODULES}/kernel/af-key.ko": "x", "etc/modprobe.d/x.conf": f"install af-key {command}\n"},
        )
        for command in ("/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true")
    ),
    good("ZOA-734", root={"etc/sysctl.d/x.conf": "kernel.io_uring_disabled = 2\nkernel.* = 0\n"}),
    bad("ZOA-734", "root:kernel.io_uring_disabled", root={"etc/sysctl.d/x.conf": "-kernel.io_uring_disabled\n"}),
    bad(
        "ZOA-729",
        "root:user.max_user_namespaces",
        root={"etc/sysctl.d/x.conf": "user.max_user* = 0\nuser.max_u* = 5\n"},
    ),
    good("ZOA-710", root={"usr/lib/repart.d/x.conf": folder()}),
    bad("ZOA-710", "root:/usr/lib/repart.d/x.conf", root={"usr/lib/repart.d/x.conf": link("/y")}),
    bad("ZOA-711", "root:/a", root={"a": file("", 0o602)}),
    *(bad("ZOA-711", f"root:/{path}/x", root={f"{path}/x": file("", uid=5)}) for path in ("etc", "usr", "boot", "opt")),
    *(
        good(
            "ZOA-709",
            root={"usr/lib/systemd/system-generators/systemd-gpt-auto-generator": program()},
            command_line=f"systemd.gpt_auto={value}",
        )
        for value in ("0", "no", "n", "false", "f", "off", "NO")
    ),
    bad("ZOA-702", "uki:0:roothash=" + "AB" * 31, command_line="roothash=" + "AB" * 31),
)
_KERNEL = (
    good("ZOA-730", root=_SETS_SYSCTLS, command_line="quiet rd.systemd.mask=other"),
    *(
        bad("ZOA-730", f"uki:0:{argument}", root=_SETS_SYSCTLS, command_line=f"quiet {argument}")
        for argument in ("rd.systemd.mask=systemd-sysctl", "systemd.mask=systemd-sysctl.service")
    ),
    bad(
        "ZOA-730",
        "root:systemd-sysctl.service:AssertPathExists",
        root={**_SETS_SYSCTLS, f"{_ETC}/systemd-sysctl.service.d/x.conf": "[Unit]\nAssertPathExists=/no\n"},
    ),
    bad(
        "ZOA-730",
        "root:systemd-sysctl.service:ConditionPathExists",
        root={
            **_SETS_SYSCTLS,
            f"{_ETC}/systemd-sysctl.service": "[Unit]\nDefaultDependencies=no\nConditionPathExists=/no\n"
            "[Service]\nExecStart=/usr/lib/systemd/systemd-sysctl\n",
        },
    ),
    *(
        bad("ZOA-704", f"uki:0:{argument}", command_line=f"quiet roothash=ab {argument}")
        for option in ("ignore-corruption", "ignore-zero-blocks", "check-at-most-once")
        for argument in (f"systemd.verity_root_options=panic-on-corruption,{option}",)
    ),
    good("ZOA-733", command_line="slab_nomerge= vsyscall=none"),
    bad("ZOA-705", "disk:root-x86-64-verity:read-only", disk=_WRITABLE_TREE),
)
_ENTRIES = (
    bad("ZOA-717", f"esp:{_ENTRY}:nospectre-v2", boot=_booted("quiet nospectre-v2 mitigations=auto -- nopti")),
    good("ZOA-717", boot=_booted("quiet mitigations=auto")),
    good("ZOA-717", boot=_booted(None)),
    bad("ZOA-715", f"esp:{_ENTRY}:resume=/dev/vda5", boot=_booted("quiet -- resume=/dev/vda5")),
    bad("ZOA-217", f"esp:{_ENTRY}:rescue", boot=_booted("rescue")),
    good("ZOA-217", boot=_booted(None)),
)
_PROFILES = (
    bad("ZOA-904", "uki:0:.cmdline", uki=_without_command_line()),
    good("ZOA-327", root={f"{_UNITS}/systemd-sysext.service": _RUN.format("/usr/bin/systemd-sysext merge")}),
    good("ZOA-810", root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}UMask=broken\n"}),
    good("ZOA-810", root={"usr/lib/tmpfiles.d/x.conf": "d /run/x ~ - -\n"}),
    bad(
        "ZOA-806",
        "root:/usr/lib/modules/6.12.0/kernel/fs/pstore/efi_pstore.ko",
        root={f"{_MODULES}/kernel/fs/pstore/efi_pstore.ko": "x"},
        uki=_two_profiles("quiet efi_pstore.pstore_disable=1", "quiet"),
    ),
    bad(
        "ZOA-216",
        "root:systemd-firstboot.service",
        root={f"{_UNITS}/systemd-firstboot.service": _RUN.format("systemd-firstboot")},
        uki=_two_profiles("quiet systemd.firstboot=no", "quiet"),
    ),
    bad(
        "ZOA-403",
        "root:x.service:sysctl.extra",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}ImportCredential=sysctl.extra\n"},
        uki=_two_profiles("systemd.import_credentials=no", "quiet"),
    ),
    bad(
        "ZOA-403",
        "root:x.service:sysctl.*",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}ImportCredential=sysctl.*\n"},
        uki=None,
    ),
    bad(
        "ZOA-403",
        "root:x.service:a",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:tmpfiles.extra\nLoadCredential=b:engine\n"},
    ),
    good("ZOA-403", root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:/x/sysctl.extra\n"}),
    good(
        "ZOA-709",
        root={"usr/lib/systemd/system-generators/systemd-gpt-auto-generator": program()},
        command_line="rd.systemd.gpt_auto=No systemd.gpt_auto=0",
    ),
    bad("ZOA-214", "root:rescue.service", root={f"{_UNITS}/rescue.service": _RUN.format("/usr/sbin/sulogin")}),
    good(
        "ZOA-214",
        root={
            f"{_UNITS}/rescue.target": "[Unit]\nWants=y.socket\n",
            f"{_UNITS}/y.socket": "[Socket]\nExecStartPre=/x\n",
        },
    ),
    good(
        "ZOA-325",
        root={
            f"{_UNITS}/user@.socket": "[Socket]\nListenStream=/run/x\n",
            f"{_UNITS}/sockets.target.wants/user@1.socket": link("../user@.socket"),
        },
    ),
    bad("ZOA-808", "root:journald.conf:ForwardToWall", root=_conf("journald.conf", "Journal", "ForwardToWall=maybe")),
    good("ZOA-802", root={**_CORE, "etc/other/system.conf": "[Manager]\nDefaultLimitCORE=infinity\n"}),
)
_PROGRAMS = (
    *(
        bad(
            "ZOA-612",
            "root:/opt/x",
            root={
                "opt/x": file("#!/usr/bin/env engine\n", 0o755),
                f"{place}/engine": program(),
                "usr/bin/env": program(),
            },
        )
        for place in ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
    ),
    bad(
        "ZOA-603",
        "root:/usr/bin/python",
        root={"usr/bin/python": file("#!/usr/bin/x\n", 0o755), "usr/bin/x": program()},
    ),
    bad("ZOA-613", "root:/usr/bin/x", root={"usr/bin/x": program(notes=note(b"FDO", 0x407C0C0A, _PYTHON))}),
)
_SWITCHES = tuple(
    good("ZOA-217", command_line=f"quiet systemd.debug_shell={value}")
    for value in ("0", "no", "n", "false", "f", "off", "OFF")
)
_LEAKS = (
    good("ZOA-802", root={**_CORE, **_masked("x.service", f"{_RUN.format('/x')}LimitCORE=infinity\n")}),
    bad("ZOA-801", "root:/usr/bin/apport", root={"usr/bin/apport": program()}),
    *(
        good(
            "ZOA-806",
            root={f"{_MODULES}/kernel/fs/pstore/efi_pstore.ko": "x"},
            command_line=f"quiet efi_pstore.pstore_disable{value}",
        )
        for value in ("", "=1", "=y", "=Y", "=on")
    ),
    bad("ZOA-806", "root:efi-pstore", root={"etc/modules-load.d/x.conf": "efi-pstore\n"}),
    good("ZOA-804", root={"usr/lib/systemd/system-generators/x": program(), "usr/bin/zramswap": "text"}),
    good("ZOA-804", root={"usr/lib/systemd/system-generators/zramswap": program(), "etc/modules-load.d/x.conf": "a\n"}),
    *(
        good("ZOA-807", root={**_conf("journald.conf", "Journal", f"Storage={value}"), "var/log/journal": folder()})
        for value in ("none", "Volatile")
    ),
    bad(
        "ZOA-807",
        "root:journald.conf",
        root={**_conf("journald.conf", "Journal", "Storage=Persistent"), "var/log/journal": folder()},
    ),
    good("ZOA-808", root=_conf("journald.conf", "Journal", "ForwardToConsole=No")),
    *(
        bad("ZOA-808", f"uki:0:{argument}", command_line=f"quiet {argument}")
        for argument in (
            "systemd.journald.forward_to_kmsg=1",
            "systemd.journald.forward_to_wall=yes",
            "systemd.journald.forward_to_wall=y",
            "systemd.journald.forward_to_wall=true",
            "systemd.journald.forward_to_wall=t",
            "systemd.journald.forward_to_wall=on",
        )
    ),
    bad(
        "ZOA-809",
        "root:systemd-journal-gatewayd.socket",
        root={
            f"{_UNITS}/systemd-journal-gatewayd.socket": "[Socket]\nListenStream=/run/x\n",
            f"{_UNITS}/sockets.target.wants/systemd-journal-gatewayd.socket": link(
                "../systemd-journal-gatewayd.socket"
            ),
        },
    ),
    bad("ZOA-807", "root:/var/log/journal", root={"usr/lib/tmpfiles.d/x.conf": "d /var/log/journal/ 2755 - -\n"}),
    good("ZOA-810", root={"usr/lib/tmpfiles.d/x.conf": "d /run/x u+rwX - -\nd /run/y 9777 - -\n"}),
    bad("ZOA-812", "uki:0:loglevel", command_line="loglevel"),
    good("ZOA-854", root={"etc/machine-id": folder()}),
    good("ZOA-855", root={"var/lib/systemd/random-seed": folder()}),
)
_MEASURED = (
    *(
        good("ZOA-913", root=_libraries(place), initrd=_libraries(place))
        for place in ("usr/lib/x86_64-linux-gnu", "usr/lib64", "lib64", "lib")
    ),
    bad(
        "ZOA-913",
        *(f"{area}:{name}" for area in ("root", "initrd") for name in _LIBRARIES[:1]),
        root={
            **_libraries("usr/lib64"),
            "usr/lib64/libtss2-esys.so.0": link("nowhere"),
            "usr/lib64/libx.so": file(elf()),
        },
        initrd={**_libraries("usr/lib64"), "usr/lib64/libtss2-esys.so.0": file(b"\x7fELF broken")},
    ),
    bad(
        "ZOA-911",
        f"initrd:{_PHASE}",
        f"initrd:{_PHASE}:ExecStartPre",
        initrd={**_PHASES, f"{_UNITS}/{_PHASE}": f"[Service]\nExecStartPre=/{_EXTEND}\nExecStop=/{_EXTEND}\n"},
    ),
    bad(
        "ZOA-911",
        f"initrd:{_PHASE}:AssertPathExists",
        initrd={**_PHASES, f"{_ETC}/{_PHASE}.d/x.conf": "[Unit]\nAssertPathExists=/no\n"},
    ),
    good("ZOA-915", command_line="quiet initcall_blacklist rd.driver.blacklist=nouveau"),
    bad("ZOA-915", "uki:0:rd.driver.blacklist=tpm_tis", command_line="rd.driver.blacklist=tpm_tis"),
)
CASES = (
    *_REMOTE, *_CONSOLES, *_AGENTS, *_INJECTED, *_ACCOUNTS, *_INTEGRITY, *_LEAKS, *_MEASURED, *_KERNEL, *_PROGRAMS,
    *_SWITCHES, *_ENTRIES, *_PROFILES,
)  # fmt: skip
