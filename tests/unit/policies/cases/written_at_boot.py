from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import link, program

_TMPFILES = "etc/tmpfiles.d/a.conf"
_UNIT = "usr/lib/systemd/system/x.service"
_MASK = {"etc/systemd/system/x.service": link("/dev/null")}
_TREE = "usr/share/x"
_KERNEL_FILES = (
    "/proc/sys/kernel/randomize_va_space", "/proc/sys/kernel/yama/ptrace_scope",
    "/sys/module/firmware_class/parameters/path", "/sys/kernel/debug/a", "/sys/kernel/tracing/kprobe_events",
    "/sys/kernel/config/usb_gadget/g/UDC", "/sys/firmware/efi/efivars/LoaderEntryOneShot-1",
    "/sys/firmware/acpi/interrupts/sci", "/proc/s*/kernel/modprobe", "/sys/class/tpm/tpm0/ppi/request",
    "/sys/kernel/security/ima/policy", "/dev/tpm0", "/dev/cpu/0/msr", "/proc/1/mem", "/sys", "/proc", "/dev",
    "/sys/class/x", "/sys/class/leds/a/device/x", "/sys/block/sda/device/delete", "/sys/kernel/mm/x", "/dev/fd/3",
    "/sys/devices/system/cpu/cpu0/online", "/dev/corex", "/dev/log", "/dev/null",
    "/p*/sys/kernel/modprobe", "/?roc/a", "/[p]roc/a", "/{proc,x}/sys/kernel/modprob?",
)  # fmt: skip
_READ = (
    "/run/systemd/network/a.network", "/run/systemd/nspawn.conf.d/a", "/etc/systemd/system.conf",
    "/run/environment.d/a.conf", "/run/credstore/a", "/etc/credstore.encrypted/a", "/usr/share/dbus-1/system.d/a.conf",
    "/usr/local/share/polkit-1/rules.d/a.rules", "/etc/ld.so.conf.d/a.conf", "/etc/environment", "/etc/fstab",
    "/etc/crypttab", "/etc/veritytab", "/etc/integritytab", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.cache",
    "/etc/rc.local", "/etc/init.d/a",
)  # fmt: skip
_FOLDERS = (
    "systemd/system", "systemd/user", "systemd/network", "systemd/transient", "systemd/generator",
    "systemd/generator.early", "systemd/generator.late", "systemd/system.control", "systemd/system.attached",
    "systemd/user.control", "systemd/system-generators", "systemd/system-environment-generators",
    "systemd/system-preset", "systemd/dnssd", "systemd/ntp-units.d", "systemd/nspawn", "udev", "modprobe.d",
    "modules-load.d", "sysctl.d", "tmpfiles.d", "sysusers.d", "binfmt.d", "environment.d", "credstore",
    "credstore.encrypted", "cryptsetup-keys.d", "verity.d", "repart.d", "sysupdate.d", "userdb", "extensions",
    "confexts", "portables", "NetworkManager", "dbus-1", "polkit-1", "ld.so.conf.d",
)  # fmt: skip
_ROOTS = ("etc", "run", "usr/local/lib", "usr/lib", "lib", "usr/share", "usr/local/share")
_WRITTEN = (
    "/etc/systemd/system/a.service", "/run/systemd/system.control/a.service", "/run/systemd/system-generators/a",
    "/run/systemd/user/a.service", "/usr/local/lib/systemd/system", "/usr/lib/udev/rules.d/a.rules",
    "/etc/modprobe.d/a", "/lib/modules-load.d/a", "/run/sysctl.d/a", "/run/tmpfiles.d/a", "/run/sysusers.d/a",
    "/run/binfmt.d/a", "/run/extensions/a", "/run/confexts/a", "/etc/portables/a", "/run/NetworkManager/a",
)  # fmt: skip
_REQUESTS = (
    "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug", "/proc/sys/kernel/poweroff_cmd",
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/sysrq", "/proc/sys/kernel/modules_disabled",
    "/proc/sys/kernel/kexec_load_disabled", "/proc/sys/fs/binfmt_misc/register", "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper", "/sys/kernel/security/lockdown", "/sys/fs/cgroup/a/release_agent", "/sys/power/state",
)  # fmt: skip
_CHANGING = (
    "mount umount mount.fuse systemd-mount systemd-umount pivot_root switch_root kexec losetup veritysetup cryptsetup "
    "integritysetup systemd-integritysetup systemd-veritysetup systemd-cryptsetup systemd-run run0 "
    "systemd-nspawn systemd-dissect "
    "systemd-socket-activate systemd-executor systemd-stdio-bridge machinectl portablectl busctl dbus-send "
    "gdbus ldconfig nvme nbd-client iscsiadm insmod"
)
_VERBS = "start stop restart try-restart reload isolate poweroff reboot halt kill reset-failed is-active is-failed show"
_OPTIONS = "--force -f --no-block --quiet -q --no-wall --job-mode=replace-irreversibly"
_OPEN_DEVICES = (
    "null zero full console kmsg log random urandom tty ttyS0 pts/0 hvc0 fuse net/tun kvm tpmrm0 dri/card0 nvidia0 "
    "shm/a"
)
_HELPER_KEYS = "kernel.modprobe kernel.hotplug kernel.poweroff_cmd fs.binfmt_misc.register"
_STARTED_BY_NAME = (
    "request-key bridge-stp nfs_cache_getent nfsdcltrack drbdadm v86d ocfs2_hb_ctl tomoyo-init pnpbios hotplug "
    "mount.nfs umount.udisks2 fsck.ext4"
)
_RULES = "usr/lib/udev/rules.d/x.rules"
_APPLIERS = {
    "systemd-tmpfiles": "--create --clean --remove --boot --graceful --prefix=/a --exclude-prefix=/b -E --no-pager "
    "a.conf",
    "systemd-sysctl": "--prefix=a --strict --no-pager",
    "systemd-sysusers": "--dry-run --no-pager a.conf",
    "systemd-modules-load": "",
    "systemd-binfmt": "--unregister --no-pager a.conf",
    "sysctl": "",
}

CASES = (
    *(bad("ZOA-435", f"root:/{_TMPFILES}:1", root={_TMPFILES: f"w {path} - - - - x\n"}) for path in _KERNEL_FILES),
    *(
        bad("ZOA-435", f"{area}:/usr/sbin/{name}", **{area: {f"usr/sbin/{name}": program()}})
        for area, names in (("root", _STARTED_BY_NAME), ("initrd", "mount.x fsck.ext4"))
        for name in names.split()
    ),
    bad("ZOA-435", "root:/usr/sbin/v86d", root={"usr/sbin/v86d": link("../bin/x"), "usr/bin/x": program()}),
    good(
        "ZOA-435",
        root={
            **{f"usr/sbin/{name}": "no program" for name in _STARTED_BY_NAME.split()},
            **{f"usr/bin/{name}": program() for name in ("mount", "umount", "fsck", "xmount.x", "v86da", "modprobe")},
            "usr/sbin/fsck.ext4": program(),
        },
        parameters={"allowed": ("/usr/sbin/fsck.ext4",)},
    ),
    bad(
        "ZOA-435",
        f"root:/{_TMPFILES}:1",
        root={_TMPFILES: f"C /sys/kernel/mm/ksm/a - - - - /{_TREE}\n", f"{_TREE}/a": "", f"{_TREE}/b/c": ""},
    ),
    *(
        bad("ZOA-435", f"root:/{_TMPFILES}:1", root={_TMPFILES: f"{kind} /sys/kernel/config/acpi/table/a\n"})
        for kind in "dDvqQ"
    ),
    bad(
        "ZOA-435",
        f"root:/{_TMPFILES}:1",
        root={_TMPFILES: f"C /proc/sys - - - - /{_TREE}\n", f"{_TREE}/kernel/modprobe": "/x"},
    ),
    *(
        bad("ZOA-435", f"root:x.service:{key}", root={_UNIT: f"[Service]\nExecStart=/x\n{key}={value}\n"})
        for key, value in (
            ("StandardOutput", "file:/proc/sys/kernel/core_pattern"),
            ("StandardOutput", "append:/proc/sys/kernel/../kernel/core_pattern"),
            ("StandardError", "truncate:/proc/sysrq-trigger"),
            ("OpenFile", "/proc/sysrq-trigger:name:append"),
            ("OpenFile", "/dev/tpm0"),
            ("StandardOutput", "file:/sys/kernel/security/ima/policy"),
        )
    ),
    good(
        "ZOA-435",
        root={
            _UNIT: "[Service]\nExecStart=/x\nStandardOutput=file:/run/x\nStandardError=journal\n"
            "OpenFile=/usr/x:/proc/sys/a\nBindPaths=/proc/sysrq-trigger\n"
        },
    ),
    good("ZOA-435", root={_TMPFILES: "d /sys/kernel/configs/a\nr /sys/kernel/config/a\nd /proc/sys/a\n"}),
    *(bad("ZOA-436", f"root:/{_TMPFILES}:{path}", root={_TMPFILES: f"f^ {path} - - - - x\n"}) for path in _READ),
    *(
        bad(
            "ZOA-436",
            f"root:/{_TMPFILES}:/usr/local/share",
            root={_TMPFILES: f"{line}\n", f"{_TREE}/dbus-1/system.d/a.conf": "x"},
        )
        for line in ("C+ /usr/local/share - - - - /usr/share/x", "L /usr/local/share - - - - ../share/x")
    ),
    bad(
        "ZOA-436",
        f"root:/{_TMPFILES}:/etc/systemd/system.d",
        root={
            _TMPFILES: "C /etc/systemd/system.d - - - - -\n",
            "usr/share/factory/etc/systemd/system.d/a.service": "x",
        },
    ),
    good(
        "ZOA-436",
        root={
            _TMPFILES: f"C /run/a - - - - /{_TREE}\nC /run/b\nC /run/c - - - - a\nd /run/d - - - - /{_TREE}\n",
            f"{_TREE}/systemd/system/a.service": "x",
        },
    ),
    bad(
        "ZOA-436",
        f"root:/{_TMPFILES}:/usr/local/share",
        root={_TMPFILES: "L /usr/local/share - - - - /\n", "dbus-1/a": "x"},
    ),
    good("ZOA-436", root={_TMPFILES: "C /usr/local/share - - - - /srv\n", "dbus-1/a": "x", "srv/a": "x"}),
    *(
        bad("ZOA-436", f"root:/{_TMPFILES}:{path}", root={_TMPFILES: f"{line}\n"})
        for line, path in (
            ("z /run/systemd/system 0777", "/run/systemd/system"),
            ("Z /etc 0757", "/etc"),
            ("d /run 0775 root staff", "/run"),
            ("e / ~0777", "/"),
            ("m /run/udev/rules.d/a :0666", "/run/udev/rules.d/a"),
            ("d /run/sysctl.d 0755 service", "/run/sysctl.d"),
            ("d /run/sysctl.d 0755 :1000", "/run/sysctl.d"),
            ("z /run/syst*/s?stem 0777", "/run/syst*/s?stem"),
            ("a /run/systemd/system - - - - u:a:rwx", "/run/systemd/system"),
            ("a+ /etc - - - - g::rx,d:group:a:-w-", "/etc"),
            ("A /run/udev - - - - default:user:1000:7", "/run/udev"),
            ("A+ /run/udev - - - - o::rw", "/run/udev"),
        )
    ),
    *(
        bad("ZOA-436", f"root:/{_TMPFILES}:/{root}/{folder}", root={_TMPFILES: f"z /{root}/{folder} 0777\n"})
        for root, folder in (*(("run", folder) for folder in _FOLDERS), *((root, "dbus-1") for root in _ROOTS))
    ),
    *(
        bad(
            "ZOA-436", f"root:/{_TMPFILES}:/{root}/{folder[:-1]}?", root={_TMPFILES: f"z /{root}/{folder[:-1]}? 0777\n"}
        )
        for root, folder in (*(("run", folder) for folder in _FOLDERS), *((root, "dbus-1") for root in _ROOTS))
    ),
    good(
        "ZOA-436",
        root={
            _TMPFILES: "z /run/systemd/system 0755 root root\nd /run/systemd/netif 0777 a a\nd /run/udev :0775 0 :0\n"
            "a+ /run/systemd/system - - - - u::rwx,g:adm:r-x,m::rwx,o::r-x\nz /run/log/* 0777\nd /etc 0750 - adm\n"
            "x /run/systemd/system - - - - u:a:rwx\nd /run/systemd/syste 0777\n"
        },
    ),
    *(
        bad("ZOA-436", "root:x.service", root={_UNIT: f"[Service]\nExecStart=/usr/lib/systemd/{command}\n"})
        for command in (
            "systemd-sysctl /usr/share/x.conf",
            "systemd-tmpfiles --create x.conf",
            "systemd-tmpfiles --create --root=/run",
            "systemd-sysusers --inline",
            "systemd-sysusers --replace=/x",
            "systemd-modules-load --image=/x",
            "systemd-binfmt a.conf",
            *(f"{name} -" for name in _APPLIERS),
            "systemd-tmpfiles --create --roo=/run/x",
            "systemd-tmpfiles --prefix /run",
            "systemd-sysctl --inl a.b=c",
            "systemd-tmpfiles.standalone --create -",
            "systemd-tmpfiles $A",
            "sysctl a.conf",
            "sysctl --system",
            "../../bin/nice systemd-tmpfiles --create -",
            "../../bin/env -S 'systemd-tmpfiles --create -'",
            "../../bin/env -S \"'systemd-tmpfiles' --create -\"",
        )
    ),
    bad(
        "ZOA-436",
        "root:x.service",
        root={_UNIT: "[Service]\nExecStart=systemd-tmpfiles ../a.conf\n", "usr/lib/a.conf": "x"},
    ),
    bad(
        "ZOA-436",
        "root:x.service",
        root={_UNIT: "[Service]\nExecStart=systemd-tmpfiles a\n", "usr/lib/tmpfiles.d/a": "x"},
    ),
    bad(
        "ZOA-436",
        "root:x.service",
        root={
            _UNIT: "[Service]\nExecStart=/usr/bin/y -\n",
            "usr/bin/y": link("systemd-tmpfiles"),
            "usr/bin/systemd-tmpfiles": program(),
        },
    ),
    *(
        bad("ZOA-436", f"root:/{_RULES}:1", root={_RULES: f"{rule}\n"})
        for rule in (
            'RUN+="/usr/bin/systemd-tmpfiles --create $devnode"',
            'RUN{program}+="/usr/lib/systemd/systemd-sysctl /dev/vdb"',
            'PROGRAM="/usr/lib/systemd/systemd-sysctl --prefix=$attr{x}"',
            'IMPORT{program}="/usr/bin/systemd-tmpfiles --create %E{x}"',
            'RUN+="/usr/bin/nice /usr/bin/systemd-tmpfiles --create -"',
            'ENV{X}="/usr/bin/systemd-tmpfiles", RUN+="$env{X} -"',
        )
    ),
    good(
        "ZOA-436",
        root={
            _RULES: 'RUN{builtin}+="/usr/bin/systemd-tmpfiles -"\n'
            'RUN+="/usr/lib/systemd/systemd-sysctl --prefix=/net/$name/%k/$kernel/$number%n$major%M$minor%m$$%%"\n'
        },
    ),
    good(
        "ZOA-436",
        root={
            _UNIT: "[Service]\nExecStart=/usr/bin/y systemd-tmpfiles -\nExecStart=systemd-sysctl --prefix=$A\n"
            + "".join(f"ExecStart={name} {options}\n" for name, options in _APPLIERS.items()),
            **{f"{place}.d/a.conf": "" for place in ("usr/lib/tmpfiles", "etc/sysusers", "usr/local/lib/binfmt")},
        },
    ),
    good(
        "ZOA-436",
        root={_UNIT: "[Service]\nExecStart=systemd-tmpfiles --create --boot --prefix=/dev\nExecStop=/x /run/a\n"},
    ),
    good("ZOA-436", root={_UNIT: "[Service]\nExecStart=systemd-sysctl a.conf\n", **_MASK}),
    *(
        bad("ZOA-435", f"root:{key}", root={"etc/sysctl.d/a.conf": f"{key} = {value}\n"})
        for key in (*_HELPER_KEYS.split(), "fs.ocfs2.nm.hb_ctl_path")
        for value in ("/usr/lib/x", ":a:E::b::/x:")
    ),
    *(
        bad("ZOA-435", f"{area}:/etc/modprobe.d/x.conf:1", **{area: {"etc/modprobe.d/x.conf": f"options {line}\n"}})
        for area, line in (
            ("root", "nfs cache_getent=/run/x"),
            ("initrd", "drbd minor_count=1 usermode_helper=run/x"),
            ("root", 'uvesafb v86d="/run/x"'),
        )
    ),
    good("ZOA-435", root={"etc/modprobe.d/x.conf": "options bonding max_bonds=0\ninstall x /bin/false\n"}),
    bad("ZOA-435", "initrd:kernel.hotplug", initrd={"etc/sysctl.d/a.conf": "kernel.hotplug=/x"}),
    *(
        bad("ZOA-435", f"root:/{_TMPFILES}:1", root={_TMPFILES: f"{kind} {path} - - - - x\n"})
        for kind, path in (*(("w", path) for path in _REQUESTS), *((kind, _REQUESTS[0]) for kind in "fFCL"))
    ),
    *(
        bad("ZOA-435", f"root:{key}", root={"etc/sysctl.d/a.conf": f"{key} = /run/x\n"})
        for key in ("kernel.modprob?", "kernel.hot*", "fs.binfmt_misc.regist[e]r", "{kernel,net}.modprob[^f]")
    ),
    *(
        bad("ZOA-435", f"root:/{_TMPFILES}:1", root={_TMPFILES: f"w {path} - - - - x\n"})
        for path in (
            "/proc/sys/kernel/modprob?",
            "/sys/kernel/uevent_[h]elper",
            "/proc/sys/kern*/modprobe",
            "/proc/sys/vm/../kernel/modprobe",
            '"/proc/sys/kernel/modprobe"',
            "'/proc/sys/kernel/modprobe'",
        )
    ),
    good(
        "ZOA-435",
        root={
            _TMPFILES: "".join(
                f"w /{path} - - - - x\n"
                for path in (
                    *(f"sys/kernel/mm/{name}/x" for name in ("transparent_hugepage", "ksm", "lru_gen", "hugepages/a")),
                    *("sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "sys/block/sda/queue/scheduler"),
                    *("sys/devices/system/cpu/cpu12/cpufreq/scaling_governor", "sys/class/leds/a/brightness"),
                    *("sys/class/leds/a/trigger", "dev/shm/a/b", "dev/fd", "dev/stdin", "dev/stdout", "dev/stderr"),
                    *("dev/core", "proceed/a", "system", "devices", "sys/block/*/queue/rotational", "a/*"),
                )
            ),
            _UNIT: "[Service]\nExecStart=/x\n" + "".join(f"OpenFile=/dev/{name}\n" for name in _OPEN_DEVICES.split()),
        },
    ),
    good("ZOA-435", root={_TMPFILES: "w /run/modprob? - - - - x\nr /proc/x* - - - - x\n"}),
    bad("ZOA-435", f"initrd:/{_TMPFILES}:1", initrd={_TMPFILES: "w+ /proc/sysrq-trigger - - - - b\n"}),
    *(
        good("ZOA-435", root={"etc/sysctl.d/a.conf": f"kernel.modprobe = {value}\n-kernel.hotplug\nk*.sysrq=0\n"})
        for value in ("", "/sbin/modprobe", "/usr/sbin/modprobe", "/bin/false", "/usr/bin/false")
    ),
    good(
        "ZOA-435",
        root={
            "etc/sysctl.d/a.conf": "kernel.core_pattern=core\n",
            _TMPFILES: "r /proc/sysrq-trigger\nz /sys/kernel/uevent_helper 0600\n",
        },
    ),
    *(
        bad("ZOA-436", f"root:/{_TMPFILES}:{path}", root={_TMPFILES: f"{kind} {path} - - - - x\n"})
        for kind, path in (*(("L+", path) for path in _WRITTEN), *((kind, _WRITTEN[0]) for kind in "fFwC"))
    ),
    *(
        bad("ZOA-436", f"root:/{_TMPFILES}:/run/systemd/system/a.service", root={_TMPFILES: f"f {spelled}\n"})
        for spelled in (
            "/run//systemd/./system/a.service",
            "/proc/self/root/run/systemd/system/a.service",
            "/var/run/systemd/system/a.service",
            '/run/"systemd"/system/a.service',
            r"/run/s\x79stemd/system/\141.service",
        )
    ),
    *(
        bad("ZOA-436", f"root:/{_TMPFILES}:{path}", root={_TMPFILES: f"{kind} {path} - - - - /usr/share/x\n"})
        for kind, path in (
            ("L", "/run/systemd/system/b.service"),
            ("C", "/run/nextroot"),
            ("f", "/run/initramfs/shutdown"),
            ("f", "/var/lib/systemd/linger/a"),
            ("L", "/var/lib/extensions"),
            ("L", "/var/lib/confexts/a"),
            ("L", "/var/lib/portables/a"),
            ("C+", "/run/systemd"),
            ("L", "/etc"),
            ("C", "/"),
            ("C", "/usr/lib/udev"),
            ("C", "/usr/local/lib"),
            ("C", "/usr"),
            ("C", "/lib/systemd"),
        )
    ),
    *(
        bad("ZOA-436", f"root:x.service:{key}", root={_UNIT: f"[Service]\nUser=x\n{key}={value}\n"})
        for key, value in (
            ("RuntimeDirectory", "a systemd/system"),
            ("RuntimeDirectory", "systemd"),
            ("RuntimeDirectory", "a:systemd/system.control"),
            ("RuntimeDirectory", "a/../udev"),
            ("StateDirectory", "../../etc/udev/rules.d/x"),
            ("CacheDirectory", "../../run/tmpfiles.d"),
            ("LogsDirectory", "../../run/sysctl.d"),
            ("ConfigurationDirectory", "systemd"),
            ("StateDirectory", "systemd"),
            ("RuntimeDirectory", "systemd/transient"),
            ("RuntimeDirectory", '"systemd/system"'),
            ("RuntimeDirectory", "'a b:systemd/system'"),
            ("StateDirectory", '"../../etc/udev"'),
            ("StandardOutput", "append:/run/udev/rules.d/x.rules"),
            ("StandardOutput", "file:/run/a:b/../udev/rules.d/x.rules"),
            ("StandardError", "truncate:/etc/sysctl.d/../sysctl.d/a.conf"),
            ("OpenFile", "'/run/tmpfiles.d/a.conf'"),
            ("OpenFile", "/run/tmpfiles.d/a.conf:read-only:append"),
            ("BindPaths", "/dev/disk/by-partlabel:/run/tmpfiles.d"),
            ("BindReadOnlyPaths", "'-/usr/share/x:/run/udev/rules.d/:rbind'"),
            ("TemporaryFileSystem", "/a /usr/lib/sysctl.d:ro"),
            ("InaccessiblePaths", "-+/usr/lib/sysctl.d"),
            ("SuccessAction", "soft-reboot-force"),
            ("JobTimeoutAction", "kexec"),
        )
    ),
    good(
        "ZOA-436",
        root={
            _UNIT: "[Service]\nRuntimeDirectory=systemd/netif x:y:ro\nStateDirectory=systemd/system udev\n"
            "CacheDirectory=systemd\nLogsDirectory=systemd\nConfigurationDirectory=x\nWorkingDirectory=systemd\n"
        },
    ),
    *(
        bad(
            "ZOA-436",
            f"root:x.service:{command.split()[0]}",
            root={_UNIT: f"[Service]\nExecStart=/usr/bin/{command}\n"},
        )
        for command in (
            *_CHANGING.split(),
            "systemctl switch-root /run/root",
            "systemctl switch-root /sysroot /init",
            "systemctl start /run/e.service",
            "systemctl --root=/x start a.service",
            "systemctl link /etc/e.service",
            "systemctl daemon-reload",
            "systemctl",
            "udevadm control --property=A=b",
            "udevadm lock",
            "udevadm --ping",
            "dmsetup create x",
            "dmsetup control --exit",
            f"systemd-veritysetup attach x /dev/a /dev/b {'a' * 63}",
            f"systemd-veritysetup attach x /dev/a /dev/b {'a' * 65}",
            f"systemd-veritysetup {'a' * 64} attach x /dev/a /dev/b",
            f"systemd-veritysetup open x /dev/a /dev/b {'a' * 64}",
            *(f"systemd-veritysetup attach {name} /dev/a /dev/b {'a' * 64}" for name in ("root", "usr", "$V", "a/b")),
            *(f"systemd-veritysetup detach {name}" for name in ("root", "usr", "")),
            "systemd --user",
            "systemd-integritysetup attach w /dev/vda",
            "systemd-volatile-root overlay /sysroot",
            "systemd-volatile-root yes /sysroot",
            "networkctl edit --stdin a.network",
            "networkctl",
            "systemctl edit --stdin a.service",
            "systemctl set-property a.service IPAddressAllow=any",
            "kmod insert x",
        )
    ),
    *(
        bad(
            "ZOA-436",
            f"root:x.service:{key}",
            root={_UNIT: f"[X]\nExecStart=systemd-tmpfiles\nExecStop=/x\n{key}={value}\n"},
        )
        for key, value in (
            ("BindPaths", "/dev/a:/run"),
            ("TemporaryFileSystem", "/usr"),
            ("RootDirectory", "/usr/share/x"),
            ("ExtensionDirectories", "/usr/share/x"),
        )
    ),
    good(
        "ZOA-436",
        root={
            _UNIT: "[Service]\nExecStart=/x\nRootDirectory=/usr/share/x\nTemporaryFileSystem=/run\nBindPaths=/a:/etc\n"
            "BindPaths=/run/tmpfiles.d /run/udev/:/run/udev\nStandardOutput=journal:/run/udev/a\n"
            "StandardError=file:/run/a\nOpenFile=/etc/fstab:a:graceful,read-only\nReadOnlyPaths=/run/udev\nOpenFile=/opt/a\n"
            "StandardInput=file:/run/tmpfiles.d/a\n",
            "opt/a": link("a"),
        },
    ),
    good("ZOA-436", root={_UNIT: "[Service]\nBindPaths=/a:/run/udev\n", **_MASK}),
    good("ZOA-436", root={_UNIT: "[X]\nExecStart=systemd-tmpfiles\nBindPaths=/run /run/:/run /a:/opt\n"}),
    bad(
        "ZOA-436",
        "initrd:systemd-volatile-root.service:systemd-volatile-root",
        initrd={
            "usr/lib/systemd/system/systemd-volatile-root.service": (
                "[Service]\nExecStart=/usr/lib/systemd/systemd-volatile-root overlay /sysroot\n"
            )
        },
    ),
    bad(
        "ZOA-436",
        "initrd:x.service:mount",
        initrd={_UNIT: "[X]\nExecStart=/usr/bin/nice -n 5 mount /a /b\n"},
    ),
    bad(
        "ZOA-436",
        "root:systemd-kexec.service:SuccessAction",
        root={
            "etc/systemd/system/systemd-kexec.service": "[Unit]\nSuccessAction=kexec-force\n",
            "etc/systemd/system/basic.target.wants/systemd-kexec.service": link("../systemd-kexec.service"),
        },
    ),
    bad(
        "ZOA-436",
        "root:x.service:mount",
        root={_UNIT: "[X]\nExecStart=/usr/bin/mount\n", "usr/bin/mount": link("y"), "usr/bin/y": program()},
    ),
    bad(
        "ZOA-436",
        "root:x.service:mount",
        root={_UNIT: "[X]\nExecStart=/usr/bin/halt\n", "usr/bin/halt": link("mount"), "usr/bin/mount": program()},
    ),
    *(
        bad(
            "ZOA-436",
            "root:/usr/lib/udev/rules.d/x.rules:1:mount",
            root={"usr/lib/udev/rules.d/x.rules": f"{key}=\"'/usr/bin/mount' /x\"\n"},
        )
        for key in ("RUN+", "RUN{program}+", "PROGRAM", "IMPORT{program}")
    ),
    bad(
        "ZOA-436",
        "initrd:/usr/lib/udev/rules.d/x.rules:1:systemd-veritysetup",
        initrd={
            "usr/lib/udev/rules.d/x.rules": (
                f'RUN+="/usr/lib/systemd/systemd-veritysetup attach x /dev/a /dev/b {"a" * 64}"\n'
            )
        },
    ),
    good(
        "ZOA-436",
        root={
            "usr/lib/udev/rules.d/x.rules": 'RUN{builtin}+="mount"\nRUN+="/usr/sbin/dmsetup udevflags x"\n',
            _UNIT: "[Service]\n"
            + "".join(
                f"ExecStart=/usr/bin/{command}\n"
                for command in (
                    *(f"systemctl {verb} a.service" for verb in _VERBS.split()),
                    *(f"systemctl {option} start a.service" for option in (*_OPTIONS.split(), _OPTIONS)),
                    "systemctl switch-root",
                    "systemctl switch-root /sysroot",
                    *(f"udevadm {verb} --cleanup-db" for verb in ("info", "settle", "trigger", "wait")),
                    "udevadm control --exit -e --reload -R --ping",
                    *(f"dmsetup {verb} x" for verb in ("info", "udevflags", "udevcomplete", "splitname", "status")),
                    f"systemd-veritysetup attach x /dev/a /dev/b {'a' * 64} panic-on-corruption",
                    "systemd-veritysetup detach x",
                    *(f"networkctl {verb} x" for verb in ("persistent-storage", "list", "status", "reload")),
                    *(f"kmod {verb}" for verb in ("list", "static-nodes --format=tmpfiles")),
                    "y mount",
                    "y insert",
                )
            ),
            "etc/systemd/system/user@.service": "[Service]\nExecStart=/usr/lib/systemd/systemd --user\n",
            "etc/systemd/system/capsule@.service": "[Service]\nExecStart=/usr/lib/systemd/systemd --user\n",
            "etc/systemd/system/systemd-volatile-root.service": (
                "[Service]\nExecStart=/usr/lib/systemd/systemd-volatile-root yes /sysroot\n"
            ),
            "etc/systemd/system/z.service": "[Service]\nExecStart=/usr/bin/mount\n",
            "etc/systemd/system.control/z.service": link("/dev/null"),
            "etc/systemd/system/systemd-kexec.service": "[Unit]\nSuccessAction=kexec-force\n",
            "etc/systemd/system/systemd-soft-reboot.service": "[Unit]\nSuccessAction=soft-reboot\n",
            "etc/systemd/system/v.service": "[Unit]\nFailureAction=reboot\nX=kexec\n",
            "usr/bin/udevadm": program(),
            "usr/bin/systemctl": program(),
            "usr/lib/systemd/systemd-udevd": link("../../bin/udevadm"),
            **{f"usr/sbin/{name}": link("../bin/systemctl") for name in ("reboot", "poweroff", "halt")},
            "etc/systemd/system/w.service": "[Service]\nExecStart=/usr/lib/systemd/systemd-udevd\n"
            "ExecStop=/usr/sbin/reboot\nExecStop=/usr/sbin/poweroff\nExecStop=/usr/sbin/halt\n",
        },
    ),
    *(
        bad("ZOA-436", f"root:/{_TMPFILES}:{path}", root={_TMPFILES: f"{line}\n", "opt/a": link("/sys/b")})
        for line, path in (
            ("C /run/systemd/transient/x.service - - - - /sys/firmware/x", "/run/systemd/transient/x.service"),
            ("L+ /run/systemd/generator.early - - - - /usr/share/x", "/run/systemd/generator.early"),
            ("f /run/udev/data/b1:1 - - - - x", "/run/udev/data/b1:1"),
            ("b /run/tmpfiles.d/a.conf - - - - 1:1", "/run/tmpfiles.d/a.conf"),
            ("c /run/tmpfiles.d/a.conf - - - - 1:1", "/run/tmpfiles.d/a.conf"),
            ("p /run/tmpfiles.d/a.conf", "/run/tmpfiles.d/a.conf"),
            ("C /run/a - - - - /sys/firmware/qemu_fw_cfg/a", "/run/a"),
            ("C /dev/a - - - - /sys/a", "/dev/a"),
            ("C /etc/a - - - - /opt/a", "/etc/a"),
            ("C /etc/a - - - - %t/a", "/etc/a"),
            ("L /etc/a - - - - ../proc/cmdline", "/etc/a"),
            ("L /srv/a - - - - /dev", "/srv/a"),
            ("L /etc/mtab - - - - /proc/1/mounts", "/etc/mtab"),
        )
    ),
    good(
        "ZOA-436",
        root={
            _TMPFILES: "L /run/a - - - - /dev/a\nL /dev/fd - - - - /proc/self/fd\nC /run/c - - - - /run/d\n"
            "L+ /etc/mtab - - - - ../proc/self/mounts\nL /var/lock - - - - ../run/lock\nL /var/run - - - - ../run\n"
            "L /etc/resolv.conf - - - - ../run/systemd/resolve/resolv.conf\nL /etc/a - - - - /dev/null\n"
            "d /etc/d - - - - /sys/a\n"
            "C /etc/c - - - - /opt/a\nf /etc/f - - - - %t/a\n",
            "opt/a": link("a"),
        },
    ),
    good("ZOA-436", root={_TMPFILES: "L /etc/resolv.conf - - - - /run/systemd/resolve/stub-resolv.conf\n"}),
    good(
        "ZOA-436", root={_TMPFILES: "L %%t/systemd/system/a - - - - x\nf /run/systemd - - - - x\nC /run/x - - - - x\n"}
    ),
    bad("ZOA-436", f"initrd:/{_TMPFILES}:/run/tmpfiles.d/a", initrd={_TMPFILES: "f /run/tmpfiles.d/a - - - - x\n"}),
    good(
        "ZOA-436",
        root={_TMPFILES: "d /run/systemd/system\nf /run/systemd/users/a\nL /run/a - - - - /x\nr /run/sysctl.d/a\n"},
    ),
)
