from __future__ import annotations

from tests.control_cases import bad, good

_TMPFILES = "etc/tmpfiles.d/a.conf"
_RULES = "usr/lib/udev/rules.d/x.rules"
_NODES = (
    "/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda", "/dev/vdb1", "/dev/xvda", "/dev/hdc", "/dev/nvme0",
    "/dev/mmcblk1", "/dev/dm-3", "/dev/md127", "/dev/loop0", "/dev/sg1", "/dev/mapper", "/dev/mapper/root",
    "/dev/disk/by-label/x", "/dev/block/8:0", "/dev/char/1:1", "/dev/bsg/0:0:0:0", "/dev/root", "/dev/m?m",
    "/dev/sd*", "/dev/nvme0n1p[12]", "/dev/*", "/dev/tpm0", "/dev/tpmrm1", "/dev/ng0n1", "/dev/userfaultfd",
    "/dev/uinput", "/dev/loop-control", "/dev/tpmr*",
)  # fmt: skip
_NAMES = (
    "mem", "kmem", "port", "sda", "sda1", "vda", "vda1", "xvda", "hda", "nvme0n1", "nvme0n1p1", "mmcblk0", "dm-0",
    "md0", "loop0", "sg0", "0:0:0:0", "ng0n1", "tpm0", "tpmrm0", "userfaultfd", "uinput", "loop-control",
    "device-mapper",
)  # fmt: skip
_FOLDERS = "dri infiniband input mtd serial snd tape v4l virtio-ports"

CASES = (
    *(bad("ZOA-743", f"root:/{_TMPFILES}:{path}", root={_TMPFILES: f"z {path} 0666\n"}) for path in _NODES),
    *(
        bad("ZOA-743", f"root:/{_TMPFILES}:{line.split()[1]}", root={_TMPFILES: f"{line}\n"})
        for line in (
            "m /dev/mem 0604",
            "w /dev/mem",
            "m /dev/mem 0602",
            "z /dev/mem 0640 :a -",
            "z /dev/mem - - a",
            "Z /dev 0666",
            "A /dev 0 - - - u:a:r",
            "a /dev/sda - - - - o::w",
            "a /dev/sda - - - - u::rw,user:a:r--",
        )
    ),
    good(
        "ZOA-743",
        root={
            _TMPFILES: "z /dev/mem 0640 root kmem\nz /dev/kvm 0666 - kvm -\nz /dev/loop-control 0660 - disk -\n"
            "z /dev/net/tun 0666\nz /dev/sda 0660 - disk\nz /dev/sr0 0666 - cdrom\nz /dev 0755\nd /dev 0777\n"
            "Z /var 0666\na /dev/sda - - - - u::rw,u:a:-\n"
            "z /devices/sda 0666\nz /dev/sg0 0660 0 tape\nz /dev/sg1 - - cdrom\n"
        },
    ),
    *(
        bad("ZOA-743", f"root:/{_RULES}:1:{key}", root={_RULES: f"{rule}\n"})
        for key, rule in (
            *(("MODE", f'KERNEL=="{name}", MODE="0666"') for name in _NAMES),
            *(("MODE", f'OPTIONS+="static_node={node[5:]}", KERNEL=="x", MODE="0666"') for node in _NODES[:4]),
            ("MODE", 'SUBSYSTEM=="mem", KERNEL=="null|mem", MODE:="0644"'),
            ("MODE", 'SUBSYSTEM=="bl*", KERNEL!="sr0", MODE="0664"'),
            ("MODE", 'SUBSYSTEM=="scsi_generic", MODE="666"'),
            ("MODE", 'ENV{x}=="y", MODE="$env{m}"'),
            ("MODE", 'KERNEL==i"MEM", MODE=e"0\\x366"'),
            ("MODE", 'KERNEL==e"\\x6dem", MODE="0666"'),
            ("OWNER", 'KERNEL=="mem", OWNER="a"'),
            ("OWNER", 'KERNEL=="mem", OWNER="tss"'),
            ("GROUP", 'KERNEL=="tpmrm[0-9]*", GROUP="users"'),
            ("OWNER", 'KERNEL=="tpm*", OWNER="tss"'),
            ("OWNER", 'XKERNEL=="tpm[0-9]*", OWNER="tss"'),
            *(
                ("MODE", f'SUBSYSTEM=="{name}", MODE="0666"')
                for name in ("bsg", "nvme-generic", "tpm", "tpmrm", "misc", "mem")
            ),
            ("GROUP", 'KERNEL=="[s-v]d[a-z]", GROUP="users"'),
        )
    ),
    bad(
        "ZOA-743",
        f"initrd:/{_RULES}:2:OWNER",
        f"initrd:/{_RULES}:2:MODE",
        initrd={_RULES: '#\nKERNEL=="mem", OWNER="1", \\\n MODE="0007"\n'},
    ),
    good(
        "ZOA-743",
        root={
            _RULES: 'SUBSYSTEM=="mem", KERNEL=="mem|kmem|port", GROUP="kmem", MODE="0640"\n'
            'SUBSYSTEM=="block", GROUP="disk", OWNER="root"\nSUBSYSTEM=="block", KERNEL=="sr[0-9]*", GROUP="video"\n'
            'SUBSYSTEM=="usb", MODE="0664"\nKERNEL=="kvm", MODE="0666", OPTIONS+="static_node=kvm"\n'
            'SUBSYSTEM=="tty", KERNEL=="*", MODE="0666"\nSUBSYSTEM=="scsi_generic", GROUP="cdrom"\n'
            'SUBSYSTEM=="scsi_generic", GROUP="tape"\nKERNEL=="mem", GROUP="0", OWNER="0", MODE=="0666"\n'
            'KERNEL=="mem", GROUP="root", ENV{a}="b"\nKERNEL=="vfio", MODE="0666", OPTIONS+="static_node=vfio/vfio"\n'
            'KERNEL=="tpm[0-9]*", TAG+="systemd", MODE="0660", OWNER="tss"\nKERNEL=="loop-control", GROUP="disk"\n'
            'SUBSYSTEM=="tpmrm", KERNEL=="tpmrm[0-9]*", MODE="0660", OWNER="tss", GROUP="tss"\n'
        },
    ),
    *(
        bad("ZOA-743", f"{area}:/{_RULES}:1:{key}:{name}", **{area: {_RULES: f'KERNEL=="vdb", {key}{rest}\n'}})
        for area, key, rest, name in (
            *(
                ("initrd", "SYMLINK", f'+="{name}", OPTIONS+="link_priority=1000"', name)
                for name in (
                    *("mapper/root", "mapper/weights", "mapper/$env{X}", "gpt-auto-root", "gpt-auto-root-luks", "root"),
                    *("disk/by-uuid/abc", "disk/by-id/a-b", "disk/by-label/", "disk/by-uuid/$env{X}", "disk/x", "vdc"),
                    *(
                        "$env{ID_X}",
                        "input/../mapper/root",
                        "x/a",
                        "/dev/mapper/root",
                        "rtc$env{ID_X}",
                        "input/$env{X}",
                    ),
                    *("disk/by-path/%k", "dri/$name", "disk/by-uuid/$env{ID_A}/../b", "mapper/root-$env{DM_NAME}"),
                )
            ),
            ("root", "SYMLINK", '="rtc\tmapper/a"', "mapper/a"),
            ("root", "SYMLINK", ':=e"m\\x61pper/a"', "mapper/a"),
            ("root", "NAME", '="mapper/root"', "mapper/root"),
            ("root", "ENV{SYSTEMD_ALIAS}", '+="/sys/subsystem/a /dev/mapper/root"', "/dev/mapper/root"),
            ("root", "ENV{SYSTEMD_ALIAS}", '="/sys/subsystem/../../dev/a"', "/sys/subsystem/../../dev/a"),
            ("root", "ENV{DM_NAME}", '="root"', "root"),
            ("root", "ENV{ID_PART_GPT_AUTO_ROOT}", '="1"', "1"),
            ("root", "ENV{DEVLINKS}", '="x"', "x"),
            ("root", "ENV{DEVNAME}", '="x"', "x"),
            ("root", "ENV{ID_X}", '="a/../b"', "a/../b"),
            ("root", "ENV{ID_X}", '="mapper/b"', "mapper/b"),
        )
    ),
    bad("ZOA-743", f"root:/{_RULES}:1:SYMLINK:a", root={_RULES: 'ENV{ID_PART_GPT_AUTO_ROOT}=="1", SYMLINK+="a"\n'}),
    bad(
        "ZOA-743",
        f"root:/{_RULES}:1:SYMLINK:gpt-auto-root",
        root={_RULES: 'ENV{DM_NAME}=="root", SYMLINK+="gpt-auto-root"\n'},
    ),
    good(
        "ZOA-743",
        initrd={
            _RULES: 'ENV{ID_PART_GPT_AUTO_ROOT}=="1", ENV{ID_FS_TYPE}!="crypto_LUKS", SYMLINK+="gpt-auto-root"\n'
            'ENV{ID_PART_GPT_AUTO_ROOT}=="1", SYMLINK+="gpt-auto-root-luks"\n'
            'ENV{DM_UUID}=="CRYPT-*", ENV{DM_NAME}=="root", SYMLINK+="gpt-auto-root"\n'
            'ENV{DM_NAME}="$attr{dm/name}", SYMLINK+="mapper/$env{DM_NAME} rtc cdrom ptp_kvm ptp_hyperv"\n'
            'NAME="mapper/control"\nNAME="$env{ID_NET_NAME}", ENV{SYSTEMD_ALIAS}="/sys/subsystem/net/devices/$name"\n'
            'ENV{SYSTEMD_ALIAS}+="/sys/subsystem/bluetooth/devices/%k"\nENV{ID_X}="a/b..", ATTR{x}="mapper/a"\n'
            'SYMLINK+="disk/by-id/dm-name-$env{DM_NAME} disk/by-id/dm-uuid-$env{DM_UUID}"\n'
            'SYMLINK+="disk/by-path/$env{ID_PATH}-part/by-partnum/%n disk/by-id/scsi-$result$env{.PART_SUFFIX}"\n'
            'SYMLINK+="disk/by-diskseq/$env{DISKSEQ} disk/by-id/pmem-$attr{uuid}"\n'
            'SYMLINK+="disk/by-id/memstick-$env{ID_A}_$env{ID_B}"\n'
            'SYMLINK+="disk/by-loop-inode/$env{ID_A}-$env{ID_B}$env{.PART_SUFFIX}"\n'
            + "".join(f'SYMLINK+="{name}/by-id/$env{{ID_BUS}}-$attr{{a/b}}-x"\n' for name in _FOLDERS.split())
        },
    ),
    good(
        "ZOA-743",
        root={_RULES: 'SYMLINK+="a b"\n', "usr/lib/udev/rules.d/y.rules": 'ENV{X}+=="..", SYMLINK=="mapper/root"\n'},
        parameters={"allowed": ("/dev/a", "/dev/b")},
    ),
)
