from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import device, file, folder, link, program

_UNIT = "usr/lib/systemd/system/{}"
_MOUNT = "[Mount]\nWhat={}\nWhere={}\nType={}\nOptions={}\n"
_SAFE = "nosuid,nodev,noexec"
_GENERATOR = {"usr/lib/systemd/system-generators/systemd-gpt-auto-generator": program()}
_TMP = _UNIT.format("tmp.mount")


def _tmp(options: str, kind: str = "tmpfs", what: str = "tmpfs") -> dict[str, str]:
    return {_TMP: _MOUNT.format(what, "/work", kind, options)}


_HASH = "0123456789abcdef" * 4


def _attach(
    volume: str,
    root_hash: str,
    options: str,
    start: str = "ExecStart=/usr/lib/systemd/systemd-veritysetup attach",
) -> dict[str, str]:
    line = f"{start} {volume} /dev/vdb1 /dev/vdb2 {root_hash} {options}"
    return {_UNIT.format("weights.service"): f"[Service]\n{line}\n"}


_WEIGHTS = _tmp(f"ro,{_SAFE}", "erofs", "/dev/mapper/weights")

CASES = (
    bad("ZOA-707", "root:tmp.mount", root=_tmp("mode=1777,nosuid,nodev")),
    bad("ZOA-707", "initrd:tmp.mount", initrd=_tmp("nosuid,noexec")),
    bad("ZOA-707", "root:tmp.mount", root=_tmp("nodev,noexec")),
    bad("ZOA-707", "root:tmp.mount", root=_tmp(f"{_SAFE},exec")),
    bad("ZOA-707", "root:tmp.mount", root=_tmp("ro,rw")),
    *(
        bad("ZOA-707", "root:tmp.mount", root=_tmp(options))
        for options in (
            f"{_SAFE},exec=recursive",
            f"{_SAFE},suid=recursive",
            f"{_SAFE},dev=recursive",
            "ro,rw=recursive",
            "ro,rw=vfs",
            "ro=vfs",
            "nosuid=recursive,nodev,noexec",
            f"{_SAFE},%B",
            f"{_SAFE},size=%B",
            'nodev,noexec,context="a,nosuid,b"',
            "nodev,noexec,context='a,nosuid,b'",
            "nodev,noexec,context=a\\,nosuid",
            "ro,%m",
        )
    ),
    good("ZOA-707", root=_tmp(f"exec=recursive,suid=recursive,{_SAFE},size=50%%"), initrd=_tmp("rw=recursive,ro")),
    good("ZOA-707", root={"etc/fstab": f"tmpfs /data tmpfs size=50%,{_SAFE}\n"}),
    bad("ZOA-707", "root:/etc/fstab:/data", root={"etc/fstab": f'tmpfs /data tmpfs context="a,{_SAFE},b"\n'}),
    bad("ZOA-708", "root:tmp.mount", root=_tmp("ro,rw=recursive", "ext4", "/dev/vdb")),
    bad("ZOA-707", "root:/etc/fstab:/data", root={"etc/fstab": "tmpfs /data tmpfs\n"}),
    bad(
        "ZOA-707",
        "root:dev-hugepages.mount",
        root={
            _UNIT.format("dev-hugepages.mount"): _MOUNT.format(
                "hugetlbfs", "/dev/hugepages", "hugetlbfs", "nosuid,nodev"
            )
        },
    ),
    good("ZOA-707", root=_tmp(f"mode=1777,{_SAFE}"), initrd=_tmp("rw,ro")),
    good("ZOA-707", root={"etc/fstab": "/dev/sr0 /media iso9660\n/dev/sda2 none swap sw\n"}),
    good("ZOA-707", root={**_tmp("nosuid"), "etc/systemd/system/tmp.mount": link("/dev/null")}),
    good("ZOA-707", root={**_tmp("nosuid"), f"{_TMP}.d/10.conf": f"[Mount]\nOptions={_SAFE}\n"}),
    bad("ZOA-708", "root:/etc/fstab:/var", root={"etc/fstab": f"LABEL=data /var ext4 {_SAFE} 0 0\n"}),
    bad("ZOA-708", "initrd:tmp.mount", initrd=_tmp(_SAFE, "xfs", "/dev/vdb")),
    bad("ZOA-708", "root:/etc/fstab:/x", root={"etc/fstab": "UUID=1-2 /x auto rw\n"}),
    good("ZOA-708", root={"etc/fstab": "/dev/vdb /opt ext4 ro\n/dev/vdc /m squashfs defaults\n"}),
    good("ZOA-708", root=_tmp("rw"), initrd={"etc/fstab": "/dev/vdb none swap\n"}),
    good(
        "ZOA-708",
        root={"etc/fstab": "/dev/mapper/state /var ext4 rw\n"},
        parameters={"encrypted": ("/dev/mapper/state",)},
    ),
    bad("ZOA-740", "root:tmp.mount", root=_tmp(f"ro,{_SAFE}", "erofs", "/dev/vdb")),
    bad("ZOA-740", "initrd:tmp.mount", initrd=_tmp("ro", "erofs", "/dev/mapper/weights")),
    *(
        bad(control, "root:/etc/fstab:/x", root={"etc/fstab": f"/run/a /x {kind} {_SAFE},{option}\n"})
        for control in ("ZOA-740", "ZOA-708")
        for kind in ("tmpfs", "proc")
        for option in ("bind", "rbind", "move", "remount", "bind=recursive", '"bind"')
    ),
    bad(
        "ZOA-740",
        "root:opt-x.mount",
        root={
            _UNIT.format("opt-x.mount"): _MOUNT.format(
                "/sys/firmware/qemu_fw_cfg/by_name/opt/op", "/opt/x", "tmpfs", "bind,ro"
            )
        },
    ),
    bad("ZOA-740", "root:/etc/fstab:/x", root={"etc/fstab": "PARTUUID=1-2 /x ext4 ro\n"}),
    bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("other", _HASH, "panic-on-corruption")}),
    bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("weights", "$HASH", "panic-on-corruption")}),
    bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("weights", _HASH[:40], "panic-on-corruption")}),
    bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("weights", _HASH, "")}),
    bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("weights", _HASH, "ignore-zero-blocks")}),
    bad(
        "ZOA-740",
        "root:tmp.mount",
        root={**_WEIGHTS, **_attach("weights", _HASH, "panic-on-corruption,ignore-corruption")},
    ),
    *(
        bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("weights", _HASH, "panic-on-corruption", start)})
        for start in (
            "ExecStop=/usr/lib/systemd/systemd-veritysetup attach",
            "ExecStart=/usr/lib/systemd/systemd-cryptsetup attach",
            "ExecStart=/usr/lib/systemd/systemd-veritysetup detach",
        )
    ),
    good("ZOA-740", root={**_WEIGHTS, **_attach("weights", _HASH, "restart-on-corruption")}),
    bad("ZOA-740", "root:tmp.mount", root={**_WEIGHTS, **_attach("weights", _HASH, "ignore-corruption")}),
    bad(
        "ZOA-740",
        "root:tmp.mount",
        root={**_WEIGHTS, **_attach("weights", _HASH, "panic-on-corruption,check-at-most-once")},
    ),
    bad(
        "ZOA-740",
        "root:tmp.mount",
        root={
            **_WEIGHTS,
            **_attach("weights", _HASH, "panic-on-corruption"),
            "etc/systemd/system/weights.service": link("/dev/null"),
        },
    ),
    bad(
        "ZOA-740",
        "root:tmp.mount",
        root=_WEIGHTS,
        initrd=_attach("weights", _HASH, "panic-on-corruption"),
    ),
    good("ZOA-740", root={**_WEIGHTS, **_attach("weights", _HASH, "panic-on-corruption")}),
    # What has the name of the volume need not be the volume.
    *(
        bad(
            "ZOA-740",
            "root:tmp.mount",
            root={**_tmp("ro", kind, "/dev/mapper/weights"), **_attach("weights", _HASH, "panic-on-corruption")},
        )
        for kind in ("virtiofs", "9p", "overlay", "nfs", "fuse.sshfs", "erofs,virtiofs")
    ),
    *(
        good(
            "ZOA-740",
            root={
                _TMP: f"[Mount]\nWhat=/dev/mapper/weights\n{kind}\n",
                **_attach("weights", _HASH, "panic-on-corruption"),
            },
        )
        for kind in (
            "Options=ro",
            "Type=auto",
            "Type=squashfs",
            "Type=ext4",
            "Type=xfs",
            "Type=btrfs",
            "Type=iso9660",
            "Type=vfat",
        )
    ),
    good("ZOA-740", root={"etc/fstab": "tmpfs /x tmpfs binding,noremount\n"}),
    good("ZOA-740", root=_tmp(_SAFE), initrd={"etc/fstab": "/dev/vdb none swap\n"}),
    good("ZOA-740", root=_tmp("ro", "erofs", "/dev/vdb"), parameters={"unverified": ("/dev/vdb",)}),
    bad("ZOA-709", "uki:0:systemd.gpt_auto", root=_GENERATOR),
    bad("ZOA-709", "uki:0:systemd.gpt_auto", initrd=_GENERATOR, command_line="systemd.gpt_auto=yes"),
    bad("ZOA-709", "uki:0:systemd.gpt_auto", initrd=_GENERATOR, command_line="systemd.gpt_auto"),
    bad("ZOA-709", "uki:0:systemd.gpt_auto", root=_GENERATOR, command_line="systemd.gpt-auto=no rd.systemd.gpt_auto=1"),
    good("ZOA-709", root=_GENERATOR, command_line="systemd.gpt_auto=no"),
    good(
        "ZOA-709",
        root={**_GENERATOR, "etc/systemd/system-generators/systemd-gpt-auto-generator": link("/dev/null")},
    ),
    bad("ZOA-710", "initrd:/usr/lib/repart.d/50-var.conf", initrd={"usr/lib/repart.d/50-var.conf": "[Partition]\n"}),
    bad(
        "ZOA-710",
        "root:systemd-repart.service",
        root={
            _UNIT.format("systemd-repart.service"): "[Service]\nExecStart=/usr/bin/systemd-repart\n",
            "etc/systemd/system/sysinit.target.wants/systemd-repart.service": link(
                "/usr/lib/systemd/system/systemd-repart.service"
            ),
        },
    ),
    bad(
        "ZOA-710",
        "root:systemd-growfs@-.service",
        root={
            _UNIT.format("systemd-growfs@.service"): "[Service]\nExecStart=/usr/lib/systemd/systemd-growfs\n",
            "etc/systemd/system/sysinit.target.wants/systemd-growfs@-.service": link(
                "/usr/lib/systemd/system/systemd-growfs@.service"
            ),
        },
    ),
    *(
        bad(
            "ZOA-710",
            f"{area}:x.service:{name}",
            **{
                area: {_UNIT.format("x.service"): f"[Service]\nExecStart={line}\n", "usr/bin/x": link("systemd-growfs")}
            },
        )
        for area, name, line in (
            ("root", "systemd-growfs", "/usr/lib/systemd/systemd-growfs /run/weights"),
            ("initrd", "systemd-repart", "systemd-repart --dry-run=no"),
            ("root", "systemd-makefs", "/usr/bin/nice /usr/lib/systemd/systemd-makefs ext4 /dev/vdb"),
            ("root", "systemd-growfs", "/usr/bin/x /"),
        )
    ),
    bad("ZOA-710", "root:tmp.mount", root=_tmp("x-systemd.growfs", "ext4")),
    good(
        "ZOA-710",
        root={
            _UNIT.format("systemd-repart.service"): "[Service]\nExecStart=/usr/bin/systemd-repart\n",
            _UNIT.format("systemd-growfs-root.service"): "[Service]\nExecStart=/usr/lib/systemd/systemd-growfs /\n",
            _UNIT.format("systemd-growfs@.service"): "[Service]\nExecStart=/usr/lib/systemd/systemd-growfs %f\n",
            _UNIT.format("x.service"): "[Service]\nExecStart=/usr/bin/y systemd-growfs-root\n",
            "usr/lib/repart.d/README": "",
            "usr/share/doc/x.conf": "",
        },
        initrd=_tmp("x-systemd.automount"),
    ),
    bad("ZOA-711", "initrd:/etc/ld.so.preload", initrd={"etc/ld.so.preload": file("", 0o666)}),
    bad("ZOA-711", "root:/usr/bin/tool", root={"usr/bin/tool": file("", 0o775)}),
    bad("ZOA-711", "root:/srv", root={"srv": folder(0o777)}),
    bad("ZOA-711", "root:/usr/bin/tool", root={"usr/bin/tool": file("", 0o1777)}),
    bad("ZOA-711", "root:/dev/mem", root={"dev/mem": device(0o020000, 1, 1, 0o666)}),
    bad("ZOA-711", "root:/usr/lib/x", root={"usr/lib/x": file("", uid=998)}),
    good("ZOA-711", root={"tmp": folder(0o1777), "var/lib/x": folder(uid=998), "etc/x": link("/dev/null")}),
    good("ZOA-709", root={"usr/lib/systemd/system-generators/systemd-fstab-generator": program()}),
    bad("ZOA-743", "root:/usr/lib/m", root={"usr/lib/m": device(0o020000, 1, 1)}),
    bad("ZOA-743", "initrd:/devices/sda", initrd={"devices/sda": device(0o060000, 8, 0)}),
    *(
        bad("ZOA-743", f"root:/usr/lib/tmpfiles.d/x.conf:{path}", root={"usr/lib/tmpfiles.d/x.conf": line})
        for path, line in (("/run/m", "c /run/m 0666 - - - 1:1\n"), ("/dev/sdz", "b!+ /dev/sdz 0600 - - - 8:0\n"))
    ),
    bad(
        "ZOA-743",
        "initrd:/usr/lib/tmpfiles.d/x.conf:/run/c",
        initrd={"usr/lib/tmpfiles.d/x.conf": "c+ /run/c 0600 - - - 5:1\n"},
    ),
    good(
        "ZOA-743",
        root={
            "dev/null": device(0o020000, 1, 3),
            "dev/loop0": device(0o060000, 7, 0),
            "usr/lib/tmpfiles.d/x.conf": "C /run/c - - - - /usr/share/c\nd /run/b\nz /dev/snd/seq 0660 - audio -\n",
        },
    ),
    good(
        "ZOA-743",
        root={"opt/n": device(0o020000, 1, 3), "usr/lib/tmpfiles.d/x.conf": "c /dev/fuse 0666 - - - 10:229\n"},
        parameters={"allowed": ("/opt/n", "/dev/fuse")},
    ),
    bad(
        "ZOA-710",
        "root:/etc/repart.d/x.conf",
        root={"etc/repart.d": link("/usr/share/r"), "usr/share/r/x.conf": "[Partition]"},
    ),
)
