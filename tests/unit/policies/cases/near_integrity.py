"""Images one condition away from a bad or a good one, found by mutation: accounts, integrity and measured phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tests.control_cases import bad, good
from tests.fact_trees import conf, disk, elf, file, folder, link, program

if TYPE_CHECKING:
    from tests.fact_trees import Content

_UNITS = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_MODULES = "usr/lib/modules/6.12.0"
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
_WRITABLE_TREE = replace(
    disk(),
    partitions=tuple(replace(item, flags=()) if item.role == "root-verity" else item for item in disk().partitions),
)


def _libraries(place: str) -> dict[str, Content]:
    return {f"{place}/{name}": file(elf()) for name in _LIBRARIES}


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
    bad("ZOA-715", "root:sleep.conf", root=conf("sleep.conf", "Sleep", "AllowHibernation=maybe")),
    good("ZOA-715", root=conf("sleep.conf", "Sleep", "AllowHibernation=No\nAllowSuspend=yes")),
    good(
        "ZOA-715",
        root={
            **conf("other.conf", "Sleep", "AllowHibernation=yes"),
            **conf("sleep.conf", "Sleep", "AllowHibernation=yes", place="etc/other"),
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
CASES = (*_ACCOUNTS, *_INTEGRITY, *_KERNEL, *_MEASURED)
