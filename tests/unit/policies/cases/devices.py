from __future__ import annotations

from tests.control_cases import bad, good

_TMPFILES = "etc/tmpfiles.d/a.conf"
_RULES = "usr/lib/udev/rules.d/x.rules"
_NODES = (
    "/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda", "/dev/vdb1", "/dev/xvda", "/dev/hdc", "/dev/nvme0",
    "/dev/mmcblk1", "/dev/dm-3", "/dev/md127", "/dev/loop0", "/dev/sg1", "/dev/mapper", "/dev/mapper/root",
    "/dev/disk/by-label/x", "/dev/block/8:0", "/dev/char/1:1", "/dev/bsg/0:0:0:0", "/dev/root", "/dev/m?m",
    "/dev/sd*", "/dev/nvme0n1p[12]", "/dev/*",
)  # fmt: skip
_NAMES = (
    "mem", "kmem", "port", "sda", "sda1", "vda", "vda1", "xvda", "hda", "nvme0n1", "nvme0n1p1", "mmcblk0", "dm-0",
    "md0", "loop0", "sg0",
)  # fmt: skip

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
            'KERNEL=="mem", GROUP="root", ENV{a}="b"\n'
        },
    ),
)
