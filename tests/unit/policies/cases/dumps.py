from __future__ import annotations

from msgspec.structs import replace

from tests.control_cases import Case, bad, good
from tests.fact_trees import disk, link, program

_LIB = "usr/lib/systemd/system"
_CONF = "[Manager]\nDefaultLimitCORE={}\n"
_ZERO = {"etc/systemd/system.conf": _CONF.format("0")}
_PSTORE = "usr/lib/modules/6.12.0/kernel/drivers/firmware/efi/efi-pstore.ko.xz"
_SWAP_PARTITION = replace(disk().partitions[2], number=4, role="other", type="swap", label="s")
_SWAP_UNIT = {f"{_LIB}/dev-vda5.swap": "[Swap]\nWhat=/dev/vda5\n"}


def _argument(control: str, *texts: str) -> tuple[Case, ...]:
    return tuple(bad(control, f"uki:0:{text}", command_line=f"quiet {text}") for text in texts)


def _pattern(value: str) -> dict[str, str]:
    return {"usr/lib/sysctl.d/50.conf": f"kernel.core_pattern={value}\n"}


def _started(name: str) -> dict[str, object]:
    path = f"{_LIB}/{name}"
    return {path: "[Unit]\nDescription=x\n", f"{_LIB}/sysinit.target.wants/{name}": link(f"/{path}")}


CASES = (
    bad("ZOA-801", "root:kernel.core_pattern", root=_pattern("|/usr/lib/systemd/systemd-coredump %P")),
    bad("ZOA-801", "initrd:kernel.core_pattern", initrd=_pattern("/var/crash/core.%p")),
    bad("ZOA-801", "root:kernel.core_pattern", root=_pattern("@@/run/coredump.socket")),
    bad(
        "ZOA-801",
        "initrd:/usr/lib/systemd/systemd-coredump",
        initrd={"usr/lib/systemd/systemd-coredump": program()},
    ),
    *_argument("ZOA-801", "sysctl.kernel.core_pattern=|/x"),
    good("ZOA-801", root=_pattern("core"), initrd=_pattern("|/bin/false")),
    good("ZOA-801", root={"usr/share/doc/systemd-coredump": "", **_pattern("|/usr/bin/true")}),
    bad("ZOA-802", "root:system.conf", root={}),
    bad("ZOA-802", "root:system.conf", initrd=_ZERO),
    bad("ZOA-802", "root:system.conf", root={"etc/systemd/system.conf": _CONF.format("0:infinity")}),
    bad(
        "ZOA-802",
        "root:system.conf",
        root={
            "usr/lib/systemd/system.conf.d/10-b.conf": _CONF.format("0"),
            "usr/lib/systemd/system.conf.d/10-coredump.conf": _CONF.format("0:infinity"),
        },
    ),
    bad(
        "ZOA-802",
        "root:engine.service",
        root={**_ZERO, f"{_LIB}/engine.service": "[Service]\nExecStart=/x\nLimitCORE=0\nLimitCORE=infinity\n"},
    ),
    good("ZOA-802", root={**_ZERO, f"{_LIB}/engine.service": "[Service]\nExecStart=/x\nLimitCORE=0\n"}),
    good(
        "ZOA-802",
        root={
            "etc/systemd/system.conf": _CONF.format("infinity"),
            "usr/lib/systemd/system.conf.d/99.conf": _CONF.format("0:0"),
        },
    ),
    bad("ZOA-803", "root:fs.suid_dumpable", root={"etc/sysctl.d/50-coredump.conf": "fs.suid_dumpable=2\n"}),
    bad("ZOA-803", "root:fs.suid_dumpable", initrd={"etc/sysctl.d/50.conf": "fs.suid_dumpable=0\n"}),
    good("ZOA-803", root={"etc/sysctl.d/50-coredump.conf": "fs.suid_dumpable=0\n"}),
    bad("ZOA-804", "root:dev-vda5.swap", root=_SWAP_UNIT),
    bad("ZOA-804", "initrd:/etc/fstab:LABEL=swap", initrd={"etc/fstab": "LABEL=swap none swap sw 0 0\n"}),
    bad(
        "ZOA-804",
        "root:/usr/lib/systemd/system-generators/zram-generator",
        root={"usr/lib/systemd/system-generators/zram-generator": program()},
    ),
    bad("ZOA-804", "root:/usr/sbin/dphys-swapfile", root={"usr/sbin/dphys-swapfile": program()}),
    bad("ZOA-804", "root:zram", root={"etc/modules-load.d/x.conf": "zram\n"}),
    bad("ZOA-804", "disk:4:swap", disk=replace(disk(), partitions=(*disk().partitions, _SWAP_PARTITION))),
    *_argument("ZOA-804", "systemd.swap-extra=/dev/sdb", "zswap.enabled=1"),
    good(
        "ZOA-804",
        root={
            **_SWAP_UNIT,
            "etc/systemd/system/dev-vda5.swap": link("/dev/null"),
            "etc/fstab": "swap /swap tmpfs rw\n",
            "usr/lib/systemd/system-generators/zram-generator": link("/dev/null"),
        },
        command_line="zswap.enabled=0",
    ),
    *_argument("ZOA-805", "crashkernel=256M", "fadump=on"),
    bad("ZOA-805", "initrd:/usr/sbin/makedumpfile", initrd={"usr/sbin/makedumpfile": program()}),
    bad("ZOA-805", "root:kdump.service", root=_started("kdump.service")),
    good("ZOA-805", command_line="panic=30 -- crashkernel=1", root={f"{_LIB}/kdump.service": "[Unit]\n"}),
    bad("ZOA-806", "root:systemd-pstore.service", root=_started("systemd-pstore.service")),
    bad("ZOA-806", "initrd:systemd-pstore.service", initrd=_started("systemd-pstore.service")),
    bad("ZOA-806", f"root:/{_PSTORE}", root={_PSTORE: "x"}),
    bad(
        "ZOA-806",
        f"root:/{_PSTORE}",
        "uki:0:efi_pstore.pstore_disable=0",
        root={_PSTORE: "x"},
        command_line="efi_pstore.pstore_disable=0",
    ),
    bad("ZOA-806", "root:ramoops", root={"etc/modules-load.d/x.conf": "ramoops\n"}),
    *_argument("ZOA-806", "pstore.backend=efi", "printk.always_kmsg_dump", "ramoops.mem_address=0x10"),
    good(
        "ZOA-806",
        root={_PSTORE: "x", f"{_LIB}/systemd-pstore.service": "[Unit]\n"},
        initrd={"etc/modules-load.d/x.conf": "erofs\n"},
        command_line="efi_pstore.pstore_disable=1",
    ),
    good("ZOA-801", root={"usr/bin/engine": program()}, initrd={"usr/bin/engine": program()}),
    good("ZOA-804", root={"usr/bin/engine": program(), "etc/modules-load.d/x.conf": "zstd\n"}),
    good("ZOA-805", root={"usr/bin/engine": program(), "usr/share/crash": "x", **_started("engine.service")}),
    good(
        "ZOA-806",
        root={
            "usr/lib/modules/6.12.0/kernel/fs/erofs/erofs.ko.xz": "x",
            "usr/lib/modules/6.12.0/modules.builtin": "kernel/drivers/firmware/efi/efi-pstore.ko\n",
            **_started("engine.service"),
        },
    ),
)
