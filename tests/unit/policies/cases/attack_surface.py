from __future__ import annotations

from tests.control_cases import bad, good

_KERNEL = "usr/lib/modules/6.12.0/kernel"
_CONFIG = "usr/lib/modules/6.12.0/config"
_NEEDED = (
    "SECURITY_LOCKDOWN_LSM", "SECURITY_LOCKDOWN_LSM_EARLY", "SECURITY_YAMA", "MODULE_SIG", "STRICT_KERNEL_RWX",
    "STRICT_MODULE_RWX", "STACKPROTECTOR_STRONG", "RANDOMIZE_BASE", "SECCOMP_FILTER", "HARDENED_USERCOPY",
    "SLAB_FREELIST_RANDOM", "SLAB_FREELIST_HARDENED", "VMAP_STACK", "STRICT_DEVMEM",
)  # fmt: skip
_HARDENED = "".join(f"CONFIG_{name}=y\n" for name in _NEEDED)
_SLAB = "slab_nomerge vsyscall=none"


def _module(name: str) -> dict[str, str]:
    return {f"{_KERNEL}/x/{name}.ko.xz": "x"}


def _modprobe(text: str) -> dict[str, str]:
    return {"usr/lib/modprobe.d/x.conf": f"{text}\n"}


CASES = (
    bad("ZOA-731", "uki:0:debugfs", command_line="quiet"),
    bad("ZOA-731", "uki:0:debugfs=on", command_line="debugfs=on"),
    good("ZOA-731", command_line="debugfs=off"),
    bad("ZOA-732", "uki:0:init_on_alloc", command_line="init_on_free=1"),
    bad("ZOA-732", "uki:0:init_on_alloc=0", command_line="init_on_alloc=0"),
    good("ZOA-732", command_line="init_on_alloc=1"),
    bad("ZOA-733", "uki:0:slab_nomerge", command_line="vsyscall=none"),
    bad("ZOA-733", "uki:0:vsyscall", command_line="slab_nomerge"),
    bad("ZOA-733", "uki:0:vsyscall=xonly", command_line="slab_nomerge vsyscall=xonly"),
    good("ZOA-733", command_line=_SLAB),
    bad("ZOA-734", "root:kernel.io_uring_disabled", root={}),
    bad("ZOA-734", "root:kernel.io_uring_disabled", root={"etc/sysctl.d/x.conf": "kernel.io_uring_disabled=0\n"}),
    good("ZOA-734", root={"etc/sysctl.d/x.conf": "kernel.io_uring_disabled=2\n"}),
    bad("ZOA-735", "root:rds", "initrd:n_hdlc", root=_module("rds"), initrd=_module("n-hdlc")),
    bad("ZOA-735", "root:rds", root={**_module("rds"), **_modprobe("blacklist rds")}),
    bad("ZOA-735", "root:rds", root={**_module("rds"), **_modprobe("install rds /sbin/modprobe --ignore-install rds")}),
    good("ZOA-735", root={**_module("rds"), **_modprobe("install rds /bin/false")}, initrd=_module("virtio_net")),
    bad(
        "ZOA-735",
        "root:rds",
        root={**_module("rds"), "usr/lib/modules/6.11/modules.softdep": "install rds /bin/false\n"},
    ),
    good("ZOA-735", root=_module("sctp"), parameters={"allowed": ("sctp",)}),
    good("ZOA-735", root={"usr/lib/modules/6.12.0/modules.builtin": "kernel/net/sctp/sctp.ko\n"}),
    bad("ZOA-736", "root:hfsplus", root=_module("hfsplus")),
    good("ZOA-736", root=_module("erofs"), initrd={**_module("udf"), **_modprobe("install udf /bin/true")}),
    bad("ZOA-737", "initrd:usb_storage", initrd=_module("usb-storage")),
    good("ZOA-737", root=_module("nvme"), initrd={**_module("uas"), **_modprobe("install uas /usr/bin/false")}),
    *(
        bad("ZOA-738", f"root:CONFIG_{name}", root={_CONFIG: _HARDENED.replace(f"CONFIG_{name}=y\n", "")})
        for name in _NEEDED
    ),
    *(
        bad("ZOA-738", f"root:CONFIG_{name}", root={_CONFIG: _HARDENED + f"CONFIG_{name}=y\n"})
        for name in (
            "DEVKMEM", "ACPI_CUSTOM_METHOD", "COMPAT_BRK", "LEGACY_TIOCSTI", "KGDB", "PROC_VMCORE",
            "MODULE_FORCE_LOAD",
        )
    ),
    bad("ZOA-738", "initrd:CONFIG_VMAP_STACK", initrd={_CONFIG: _HARDENED.replace("VMAP_STACK=y", "VMAP_STACK=m")}),
    good("ZOA-738", root={_CONFIG: _HARDENED + "# CONFIG_KGDB is not set\n"}, initrd=_module("virtio_net")),
    bad("ZOA-735", "root:rds", root={**_module("rds"), **_modprobe("options rds /bin/false\ninstall rds")}),
)  # fmt: skip
