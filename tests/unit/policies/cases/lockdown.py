from __future__ import annotations

from tests.control_cases import Case, bad, good
from tests.fact_trees import file, link, program

_LIB = "usr/lib/systemd/system"
_KEXEC = {"usr/lib/sysctl.d/60.conf": "kernel.kexec_load_disabled = 1\n"}
_MODULES = "usr/lib/modules/6.12.0"


def _argument(control: str, *texts: str) -> tuple[Case, ...]:
    return tuple(bad(control, f"uki:0:{text}", command_line=f"quiet {text}") for text in texts)


def _started(name: str, by: str = "sysinit.target") -> dict[str, object]:
    path = f"{_LIB}/{name}"
    return {path: "[Unit]\nDescription=x\n", f"{_LIB}/{by}.wants/{name}": link(f"/{path}")}


CASES = (
    *_argument("ZOA-712", "lockdown=none", "lockdown"),
    bad("ZOA-712", "uki:0:lockdown", command_line="quiet"),
    bad("ZOA-712", "uki:0:lockdown", command_line="-- lockdown=integrity"),
    bad("ZOA-712", "uki:0:lsm=apparmor,yama", command_line="lockdown=integrity lsm=apparmor,yama"),
    good("ZOA-712", command_line="lockdown=confidentiality lsm=landlock,lockdown,yama"),
    good("ZOA-712", command_line="lockdown=integrity"),
    *_argument("ZOA-713", "module.sig_enforce=0", "module.sig_enforce=n"),
    bad("ZOA-713", "uki:0:module.sig_enforce", command_line="quiet"),
    bad("ZOA-713", "uki:0:module.sig_enforce=0", command_line="module.sig_enforce=1 module.sig_enforce=0"),
    bad(
        "ZOA-713",
        f"root:/{_MODULES}/updates/dkms/spy.ko",
        f"initrd:/{_MODULES}/extra/spy.ko.xz",
        command_line="module.sig_enforce",
        root={f"{_MODULES}/updates/dkms/spy.ko": "x"},
        initrd={f"{_MODULES}/extra/spy.ko.xz": "x"},
    ),
    good(
        "ZOA-713",
        command_line="module.sig-enforce=1",
        root={f"{_MODULES}/kernel/drivers/misc/extra.ko": "x", f"{_MODULES}/modules.builtin": "kernel/misc/x.ko\n"},
    ),
    bad("ZOA-714", "root:kernel.kexec_load_disabled", root={}),
    bad("ZOA-714", "root:kernel.kexec_load_disabled", root={"etc/sysctl.d/9.conf": "kernel.kexec_load_disabled=0\n"}),
    bad(
        "ZOA-714",
        "root:kernel.kexec_load_disabled",
        root={**_KEXEC, "etc/sysctl.d/70.conf": "-kernel.kexec_load_disabled\n"},
    ),
    bad("ZOA-714", "root:kernel.kexec_load_disabled", initrd=_KEXEC),
    bad("ZOA-714", "initrd:/usr/sbin/kexec", root=_KEXEC, initrd={"usr/sbin/kexec": program()}),
    bad("ZOA-714", "root:kexec.target", root={**_KEXEC, **_started("kexec.target")}),
    good("ZOA-714", root={**_KEXEC, f"{_LIB}/kexec.target": "[Unit]\n", "usr/share/doc/kexec": file("")}),
    good("ZOA-714", root={"usr/lib/sysctl.d/60.conf": "kernel.kexec_load_dis* = 1\n"}),
    *_argument("ZOA-715", "resume=/dev/vda5", "resume_offset=8", "hibernate=protect_image"),
    bad("ZOA-715", "uki:0:resume=/dev/vda5", command_line="-- resume=/dev/vda5"),
    bad("ZOA-715", "root:sleep.conf", root={"etc/systemd/sleep.conf": "[Sleep]\nAllowHibernation=yes\n"}),
    bad("ZOA-715", "initrd:systemd-hibernate-resume.service", initrd=_started("systemd-hibernate-resume.service")),
    good(
        "ZOA-715",
        command_line="nohibernate hibernate=no",
        initrd=_started("systemd-hibernate-clear.service"),
        root={"etc/systemd/sleep.conf": "[Sleep]\nAllowHibernation=no\n", f"{_LIB}/hibernate.target": "[Unit]\n"},
    ),
    bad(
        "ZOA-716",
        "root:sys-kernel-debug.mount",
        "initrd:/etc/fstab:/trace",
        root={f"{_LIB}/sys-kernel-debug.mount": "[Mount]\nWhat=debugfs\nWhere=/sys/kernel/debug\nType=debugfs\n"},
        initrd={"etc/fstab": "t /trace tracefs\n"},
    ),
    bad("ZOA-716", "root:/etc/fstab:/sys/kernel/debug", root={"etc/fstab": "none /sys/kernel/debug auto\n"}),
    good(
        "ZOA-716",
        root={
            f"{_LIB}/sys-kernel-tracing.mount": "[Mount]\nWhat=tracefs\nWhere=/sys/kernel/tracing\nType=tracefs\n",
            "etc/systemd/system/sys-kernel-tracing.mount": link("/dev/null"),
            "etc/fstab": "configfs /sys/kernel/config configfs\n",
        },
    ),
    # A second view of the kernel, where no control looks for what is written into it.
    *(
        bad("ZOA-716", "root:/etc/fstab:/run/p", root={"etc/fstab": f"a /run/p {kind} nosuid,nodev,noexec\n"})
        for kind in (
            "proc",
            "sysfs",
            "devtmpfs",
            "devpts",
            "cgroup",
            "cgroup2",
            "securityfs",
            "configfs",
            "bpf",
            "binfmt_misc",
            "efivarfs",
            "pstore",
            "fusectl",
            "mqueue",
            "proc,ext4",
            "noext4,proc",
        )
    ),
    bad(
        "ZOA-716",
        "initrd:run-p.mount",
        "initrd:run-q.mount",
        initrd={
            f"{_LIB}/run-p.mount": "[Mount]\nWhat=proc\nType=proc\n",
            f"{_LIB}/run-q.mount": "[Mount]\nWhat=proc\nType=%m\n",
        },
    ),
    *(
        bad("ZOA-716", "root:/etc/fstab:/sys/fs/cgroup/a", root={"etc/fstab": f"a /sys/fs/cgroup/a cgroup {options}\n"})
        for options in ("name=a,release_agent=/run/x", '"release_agent=/run/x"')
    ),
    *(
        good("ZOA-716", root={"etc/fstab": f"a {where} {kind} nosuid,nodev,noexec\n"})
        for kind, where in (
            ("proc", "/proc"),
            ("sysfs", "/sys"),
            ("devtmpfs", "/dev"),
            ("devpts", "/dev/pts"),
            ("cgroup2", "/sys/fs/cgroup"),
            ("cgroup", "/sys/fs/cgroup/a"),
            ("securityfs", "/sys/kernel/security"),
            ("bpf", "/sys/fs/bpf"),
            ("binfmt_misc", "/proc/sys/fs/binfmt_misc"),
            ("efivarfs", "/sys/firmware/efi/efivars"),
            ("pstore", "/sys/fs/pstore"),
            ("fusectl", "/sys/fs/fuse/connections"),
            ("mqueue", "/dev/mqueue"),
            ("hugetlbfs", "/dev/hugepages"),
            ("tmpfs", "/run/p"),
            ("fuse.x-y", "/run/p"),
        )
    ),
    good("ZOA-716", root={f"{_LIB}/run-p.mount": "[Mount]\nWhat=/dev/vdb\n"}),
    *_argument(
        "ZOA-717", "mitigations=off", "mitigations=OFF,nosmt", "nopti", "nospectre-v2", "mds=off", "retbleed=off",
        "l1tf=off", "pti=0", "spec_store_bypass_disable=off", "kvm-intel.vmentry_l1d_flush=never",
    ),
    good("ZOA-717", command_line="mitigations=auto,nosmt mds=full l1tf=full,force pti=on -- nopti"),
    *_argument(
        "ZOA-718", "nokaslr", "nosmap", "rodata=off", "iomem=relaxed", "init_on_alloc=0", "vsyscall=native",
        "no_hash_pointers", "slub_debug=-", "noexec=off", "slab_merge", "module.sig_enforce=0", "msr.allow_writes=on",
    ),
    good("ZOA-718", command_line="iomem=strict init_on_alloc=1 vsyscall=none slab_nomerge rodata=on -- nokaslr"),
    *_argument(
        "ZOA-719", "selinux=0", "enforcing=0", "apparmor=0", "security=none", "ima_appraise=fix", "ima_appraise=off",
        "evm=fix",
    ),
    good("ZOA-719", command_line="selinux=1 apparmor=1 security=apparmor ima_appraise=enforce enforcing=1 audit=0"),
    *_argument(
        "ZOA-720", "iommu=off", "iommu=pt", "intel_iommu=off", "amd_iommu=off", "iommu.passthrough=1",
        "efi=no_disable_early_pci_dma", "iommu.strict=0",
    ),
    good("ZOA-720", command_line="iommu=force intel_iommu=on,sm_on iommu.passthrough=0 iommu.strict=1"),
    good("ZOA-714", root={**_KEXEC, "usr/bin/engine": program()}),
)  # fmt: skip
