from __future__ import annotations

import struct

from tests.control_cases import bad, good
from tests.fact_trees import file, link, program

_UNIT = "usr/lib/systemd/system/x.service"
_GENERATORS = "usr/lib/systemd/system-generators"
_RULES = "usr/lib/udev/rules.d/x.rules"
_MODPROBE = "etc/modprobe.d/x.conf"
_MASK = {"etc/systemd/system/x.service": link("/dev/null")}


def _cache(*paths: str) -> bytes:
    """An ld.so.cache with libraries at these paths."""
    start = 48 + 24 * len(paths)
    strings, entries = b"", b""
    for path in paths:
        entries += struct.pack("<iIIIQ", 0x303, start, start + len(strings), 0, 0)
        strings += path.encode() + b"\0"
    return b"glibc-ld.so.cache1.1" + struct.pack("<II20x", len(paths), len(strings)) + entries + strings


_RUN_BY_UDEV = ("/usr/q", "/usr/lib/q", "/usr/lib/udev/cat", r"/usr/lib/udev/\x2frun/x")

CASES = (
    bad("ZOA-404", "root:x.service:/boot/t", root={_UNIT: "[Service]\nLoadCredential=t:/boot/t\n"}),
    bad("ZOA-404", "initrd:x.service:/var/lib/t", initrd={_UNIT: "[Service]\nLoadCredentialEncrypted=t:%S/t\n"}),
    *(
        bad(
            "ZOA-404",
            "root:x.service:/data/t",
            root={_UNIT: "[Service]\nLoadCredential=t:/data/t\n", "etc/fstab": f"{line}\n"},
        )
        for line in (
            "/dev/vdb /data ext4 ro,rw",
            "//run/./a /data tmpfs bind,ro",
            "/sys/firmware/x //data/. tmpfs ro,rbind",
            "/dev/vdb /data ext4 rw,ro",
            "/dev/mapper/data /data erofs ro",
        )
    ),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/data/t\n", "etc/fstab": "/dev/vdb /dat ext4\n"}),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/etc/t\nImportCredential=x\nLoadCredential=u:/usr/u\n"}),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/run/t\n"}, parameters={"allowed": ("/run/t",)}),
    good("ZOA-404", root={_UNIT: "[Service]\nLoadCredential=t:/run/t\n", **_MASK}),
    bad("ZOA-421", "root:/sbin/dhclient-script", root={"sbin/dhclient-script": program()}),
    bad("ZOA-421", "initrd:/etc/dhcp/dhclient-exit-hooks.d/x", initrd={"etc/dhcp/dhclient-exit-hooks.d/x": "echo"}),
    good("ZOA-421", root={"usr/share/dhclient-script": "text", "etc/network/if-up.d/readme": "text"}),
    bad("ZOA-423", "root:x.service:ExecStart:/run/x", root={_UNIT: "[Service]\nExecStart=-/run/x --now\n"}),
    bad(
        "ZOA-423",
        "root:x.service:ExtensionDirectories:/run/x",
        root={_UNIT: "[Service]\nExtensionDirectories=-+/run/x\n"},
    ),
    bad("ZOA-423", "root:x.service:ExecStart:/run/x", root={_UNIT: "[Service]\nExecStart=\\x2frun/\\x78\n"}),
    bad(
        "ZOA-423",
        "root:x.service:EnvironmentFile:/sys/firmware/qemu_fw_cfg/by_name/x/raw",
        "root:x.service:ExecStart:/proc/self/fd/0",
        root={
            _UNIT: "[Service]\nExecStart=/proc/self/fd/0\nEnvironmentFile=-/sys/firmware/qemu_fw_cfg/by_name/x/raw\n",
        },
    ),
    *(
        bad("ZOA-423", f"root:x.service:{key}:{path}", root={_UNIT: f"[X]\n{key}={value}\n", "opt/a": link("/sys/a")})
        for key, value, path in (
            ("StandardInput", "file:/sys/firmware/dmi/tables/DMI", "/sys/firmware/dmi/tables/DMI"),
            ("StandardInput", "file:/proc/cmdline", "/proc/cmdline"),
            ("StandardInput", "file:/opt/a", "/opt/a"),
            ("OpenFile", "/var/a", "/var/a"),
            ("OpenFile", "'/run/a':b:read-only", "/run/a"),
            ("OpenFile", "/sys/kernel/security/tpm0/../../a", "/sys/kernel/security/tpm0/../../a"),
        )
    ),
    good(
        "ZOA-423",
        root={
            _UNIT: "[Service]\nStandardInput=file:/dev/null\nStandardInput=file:/usr/x\nStandardInput=/run/x\n"
            "OpenFile=/dev/tpmrm0:tpm\nOpenFile=/sys/kernel/security/tpm0/binary_bios_measurements:a:read-only\n"
            "OpenFile=/run/log/systemd/tpm2-measure.log\nOpenFile=/etc/a:/run/b\nStandardOutput=file:/run/a\nOpenFile=/opt/a\n",
            "opt/a": link("a"),
        },
    ),
    bad("ZOA-423", "initrd:x.service:EnvironmentFile:/run/env", initrd={_UNIT: "[Service]\nEnvironmentFile=-%t/env\n"}),
    bad(
        "ZOA-423",
        "root:x.service:ExecStart:/opt/x",
        root={_UNIT: "[Service]\nExecStart=/opt/x\n", "opt": link("var/opt")},
    ),
    bad(
        "ZOA-423",
        "root:x.service:ExecSearchPath:/data/b",
        root={_UNIT: "[Service]\nExecSearchPath=/usr/bin:/data/b\n", "etc/fstab": "/dev/vdb /data ext4 rw 0 0\n"},
    ),
    *(
        bad(
            "ZOA-423",
            f"root:x.service:EnvironmentFile:{found}",
            root={_UNIT: f"[Service]\nEnvironmentFile={pattern}\n", "etc/a/b": link("/run/x"), "etc/c": link("/run/c")},
        )
        for pattern, found in (
            ("-/etc/[a]/[b]", "/etc/a/b"),
            ("/etc/*/d", "/etc/c/d"),
            ("/[s]rv/x", "/srv/x"),
            ("/etc/a/b*", "/etc/a/b"),
        )
    ),
    good(
        "ZOA-423",
        root={
            _UNIT: "[Service]\nEnvironmentFile=/etc/?/b\nEnvironmentFile=/opt/*/x\n",
            "etc/a/b": "",
            "opt/a": link("/usr"),
        },
    ),
    *(
        bad(
            "ZOA-423",
            f"root:x.service:ExecStart:{place}",
            root={_UNIT: f"[Service]\nExecStart={program} {words} /usr/bin/y\n", "opt/l": link("/lib/ld-linux.so.2")},
        )
        for program, words, place in (
            ("/lib64/ld-linux-x86-64.so.2", "--library-path /run/x", "/run/x"),
            ("/lib64/ld-linux-x86-64.so.2", "--library-path /usr/lib:/run/x", "/run/x"),
            ("/lib64/ld-linux-x86-64.so.2", "--library-path=/usr/lib:/run/x", "/run/x"),
            ("/usr/lib/ld-2.36.so", "--preload=/run/x.so", "/run/x.so"),
            ("/opt/l", "--preload '/usr/lib/a.so /run/x.so'", "/run/x.so"),
            ("/opt/l", "--audit /run/x.so", "/run/x.so"),
            ("/opt/l", "--audit=/usr/x.so:/run/x.so", "/run/x.so"),
            ("/usr/bin/env", "/opt/l --library-path=/run/x", "/run/x"),
            ("/usr/bin/env", "PATH=/usr/bin:/run/x", "/run/x"),
            ("env", "/run/x", "/run/x"),
            ("/usr/bin/python3.13", "-u /run/x.py", "/run/x.py"),
            ("/usr/bin/zsh", "/run/x.py", "/run/x.py"),
            ("/usr/bin/busybox", "sh /run/x", "/run/x"),
            ("/usr/sbin/insmod", "/run/x.ko", "/run/x.ko"),
            ("/usr/sbin/modprobe", "-C /run/x y", "/run/x"),
            ("/usr/bin/kmod", "load -C /run/x", "/run/x"),
        )
    ),
    good(
        "ZOA-423",
        root={
            _UNIT: "[Service]\nExecStart=/lib64/ld-linux-x86-64.so.2 --library-path /usr:/opt/lib --argv0 a:/run/x y\n"
            "ExecStart=/usr/bin/env HOME=/run/x --preload=/usr/x.so y\nExecStop=/usr/bin/y --preload /run/x\n"
        },
    ),
    good("ZOA-423", root={_UNIT: "[Service]\nExecStart=/usr/bin/x /run/x\nEnvironmentFile=/etc/x\nExecStop=rm\n"}),
    # What is mounted is not in the image, whoever vouches for it.
    *(
        bad(
            "ZOA-423",
            f"root:x.service:{key}:{path}",
            root={
                _UNIT: f"[Service]\n{key}={path}\n",
                "usr/lib/systemd/system/tools.mount": "[Mount]\nWhat=/dev/mapper/tools\nWhere=/tools\nType=erofs\n"
                "Options=ro,nosuid,nodev\n",
                "opt/x": link("/tools/x"),
            },
        )
        for key, path in (
            ("ExecStart", "/tools/x"),
            ("ExecStart", "/opt/x"),
            ("RootDirectory", "/tools"),
            ("ExecSearchPath", "/tools/bin"),
            ("EnvironmentFile", "/tools/x"),
        )
    ),
    bad(
        "ZOA-430",
        "root:/etc/ld.so.conf:/tools",
        root={"etc/ld.so.conf": "/tools\n", "etc/fstab": "/dev/mapper/tools /tools erofs ro\n"},
    ),
    *(
        bad(
            "ZOA-423",
            f"root:x.service:ExecStart:{path}",
            root={_UNIT: f"[Service]\nRootDirectory=/usr/lib/tree\nExecStart={path}\n{binds}\n"},
        )
        for path, binds in (
            ("/weights/x", "BindReadOnlyPaths=/run/weights:/weights"),
            ("/weights/x", "BindPaths=/usr/a:/b -/run/weights:/weights"),
            ("/weights", "BindReadOnlyPaths=/run/weights:/weights"),
            ("/weights/x", "BindReadOnlyPaths=/usr/lib/tree:/ /run/weights:/weights"),
        )
    ),
    bad(
        "ZOA-423",
        "root:x.service:ExecStart:/usr/bin/x",
        "root:x.service:BindPaths:/run/a",
        root={_UNIT: "[Service]\nExecStart=/usr/bin/x\nBindPaths=/run/a:/\n"},
    ),
    good(
        "ZOA-423",
        root={
            _UNIT: "[Service]\nRootDirectory=/usr/lib/tree\nExecStart=/usr/bin/x /weights/x\n"
            "ExecStart=/weights-own/x\nBindReadOnlyPaths=/run/weights:/weights /usr/lib/b:/own\nExecStart=/own/x\n"
            "ExecStop=/else/x\nBindPaths=/usr/lib/b:/\nInaccessiblePaths=/run/else:/else\n",
            "etc/fstab": "/dev/mapper/data /data erofs ro\n/dev/mapper/usr /usr erofs ro\n",
        },
    ),
    good("ZOA-423", root={_UNIT: "[Service]\nExecStart=/run/x\n", **_MASK}),
    bad("ZOA-425", f"root:/{_RULES}:1", root={_RULES: 'KERNEL=="sd*", RUN+="/var/x %k"\n'}),
    bad("ZOA-425", f"root:/{_RULES}:1", root={_RULES: 'IMPORT{file}="/run/x.env"\n'}),
    bad("ZOA-425", f"initrd:/{_MODPROBE}:1", initrd={_MODPROBE: "install a /usr/bin/x\n"}),
    bad("ZOA-425", f"root:/{_MODPROBE}:2", root={_MODPROBE: "#\nremove a /bin/false; x\n"}),
    good(
        "ZOA-425",
        root={
            _RULES: (
                'RUN{builtin}+="/run/x"\nPROGRAM="/usr/x /run"\nENV{SYSTEMD_WANTS}="/run/x"\n'
                'IMPORT{file}="/etc/x"\nIMPORT{db}="/run/x"\n'
            ),
            _MODPROBE: "install a /bin/false\noptions b x\n",
        },
        parameters={"allowed": ("/usr/x",)},
    ),
    bad("ZOA-427", "root:/usr/lib/binfmt.d/p.conf", root={"usr/lib/binfmt.d/p.conf": ":p:M::x::/x:"}),
    bad("ZOA-427", "initrd:/etc/binfmt.d/p.conf", initrd={"etc/binfmt.d/p.conf": link("/opt/p")}),
    good(
        "ZOA-427",
        root={"etc/binfmt.d/p.conf": link("/dev/null"), "etc/binfmt.d/q.conf": "", "usr/lib/binfmt.d/readme": "x"},
    ),
    *(
        bad("ZOA-428", f"root:/etc/{name}", root={f"etc/{name}": link("/run/x")})
        for name in (
            "veritytab",
            "integritytab",
            "environment",
            "hosts",
            "localtime",
            "ssl",
            "ssl/certs",
            "ssl/openssl.cnf",
            "pki/tls",
            "ca-certificates/x",
        )
    ),
    good("ZOA-428", root={"etc/ssl/certs": link("/usr/share/certs"), "etc/resolv.conf": link("/run/x")}),
    bad("ZOA-428", "root:/etc/systemd/system/a.service", root={"etc/systemd/system/a.service": link("/run/a.service")}),
    bad(
        "ZOA-428",
        "initrd:/usr/bin/a",
        initrd={"usr/bin/a": link("../lib/b"), "usr/lib/b": "x", "usr/lib": link("../var/lib")},
    ),
    good(
        "ZOA-428",
        root={
            "etc/systemd/system/a.service": link("/dev/null"),
            "etc/resolv.conf": link("/run/r"),
            "usr/bin/a": link("../lib/b"),
        },
    ),
    bad(
        "ZOA-429", f"root:/{_GENERATORS}/cloud-init-generator", root={f"{_GENERATORS}/cloud-init-generator": program()}
    ),
    bad(
        "ZOA-429",
        f"initrd:/{_GENERATORS}/systemd-run-generator",
        initrd={f"{_GENERATORS}/systemd-run-generator": program()},
    ),
    good(
        "ZOA-429",
        root={
            f"{_GENERATORS}/a": program(),
            "etc/systemd/system-generators/a": link("/dev/null"),
            f"{_GENERATORS}/systemd-fstab-generator": program(),
        },
    ),
    good("ZOA-429", root={f"{_GENERATORS}/a": program()}, parameters={"allowed": ("a",)}),
    bad("ZOA-430", "root:/etc/ld.so.preload", root={"etc/ld.so.preload": "/x.so\n"}),
    bad("ZOA-430", "initrd:/etc/ld.so.preload", initrd={"etc/ld.so.preload": link("/run/x")}),
    bad("ZOA-430", "root:/usr/a:/var/lib", "root:/usr/a:", root={"usr/a": program(runpath="/var/lib:")}),
    bad(
        "ZOA-430",
        "root:/usr/a:lib",
        "root:/usr/b:/run/ld.so",
        root={"usr/a": program(rpath="lib"), "usr/b": program(interpreter="/run/ld.so")},
    ),
    bad("ZOA-430", "root:/usr/a:$ORIGIN/../run", root={"usr/a": program(runpath="$ORIGIN/../run")}),
    bad(
        "ZOA-430",
        "root:/etc/ld.so.conf:/run/lib",
        "root:/etc/ld.so.conf.d/b.conf:lib",
        "root:/etc/ld.so.conf:/var/x/*.conf",
        root={
            "etc/ld.so.conf": "include ld.so.conf.d/*.conf /var/x/*.conf\n/run/lib=libc6 # x\nhwcap 1 x\n",
            "etc/ld.so.conf.d/a.conf": "# /run/a\n/usr/local/lib\n",
            "etc/ld.so.conf.d/b.conf": "lib\n",
            "etc/ld.so.conf.d/c": "/run/c\n",
        },
    ),
    bad("ZOA-430", "initrd:/etc/ld.so.cache:/run/l.so", initrd={"etc/ld.so.cache": _cache("/run/l.so", "/lib/l.so")}),
    bad("ZOA-430", "root:/etc/ld.so.cache:", root={"etc/ld.so.cache": "ld.so-1.7.0 of old"}),
    bad("ZOA-430", "root:/etc/ld.so.cache:", root={"etc/ld.so.cache": _cache("/usr/l.so")[:60]}),
    bad("ZOA-430", "root:/etc/ld-musl-x86_64.path:/run/x", root={"etc/ld-musl-x86_64.path": "/lib:/run/x\n"}),
    bad(
        "ZOA-430",
        "root:/etc/ssl/openssl.cnf:/run/e.so",
        "root:/etc/ssl/openssl.cnf:/var/p.so",
        "root:/etc/ssl/openssl.cnf:/run/more.cnf",
        "root:/etc/ssl/openssl.cnf:$dir/x.so",
        root={
            "etc/ssl/openssl.cnf": '.include /run/more.cnf\n[e]\ndynamic_path = /run/e.so\n[p]\n1.module="/var/p.so"\n'
            "module = legacy\nmodule = $dir/x.so\ndir = /run\n.include = /etc/ssl/more.cnf\n"
        },
    ),
    good(
        "ZOA-430",
        root={
            "etc/ld.so.cache": _cache("/lib/x86_64-linux-gnu/libc.so.6"),
            "etc/ld.so.conf": "include /etc/x.d/*.conf\n",
        },
    ),
    good("ZOA-430", root={"usr/a": program(runpath="$ORIGIN/../lib:${ORIGIN}"), "etc/ld.so.preload": file("")}),
    *(
        bad("ZOA-430", f"{area}:/usr/a:audit.so", **{area: {"usr/a": program(tags={tag: "audit.so"})}})
        for area, tag in (("root", 0x6FFFFEFB), ("root", 0x6FFFFEFC), ("initrd", 0x7FFFFFFD), ("root", 0x7FFFFFFF))
    ),
    *(
        bad("ZOA-430", f"root:/usr/a:{name}", root={"usr/a": program(needed=("libc.so.6", name))})
        for name in ("/usr/lib/x.so", "lib/x.so", "$ORIGIN")
    ),
    good("ZOA-430", root={"usr/a": program(needed=("libstdc++.so.6", "x"), tags={0x6FFFFFF0: "a", 0x7FFFFFFE: "b"})}),
    *(
        bad(
            "ZOA-437", f"root:x.service:{key}:/usr/lib/x.raw", root={_UNIT: f"[Service]\nExecStart=/x\n{key}={value}\n"}
        )
        for key, value in (
            ("RootImage", "/usr/lib/x.raw"),
            ("RootMStack", "/usr/lib/x.raw"),
            ("MountImages", "-/usr/lib/x.raw:/opt:root"),
            ("ExtensionImages", "/usr/lib/x.raw"),
        )
    ),
    bad(
        "ZOA-437",
        "initrd:x.service:MountImages:/a",
        "initrd:x.service:MountImages:/b",
        initrd={_UNIT: "[Service]\nMountImages=/a:/c /b:/d\n"},
    ),
    good("ZOA-437", root={_UNIT: "[Service]\nRootDirectory=/usr/lib/x\nRootImageOptions=ro\n"}),
    good("ZOA-437", root={_UNIT: "[Service]\nRootImage=/x.raw\n"}, parameters={"allowed": ("/x.raw",)}),
    good("ZOA-437", root={_UNIT: "[Service]\nRootImage=/x.raw\n", **_MASK}),
    bad(
        "ZOA-425",
        "root:/etc/udev/rules.d/x.rules:1",
        root={"etc/udev/rules.d/x.rules": "RUN+=\"'/run/x y' z\"\n"},
    ),
    bad(
        "ZOA-425",
        "root:/etc/udev/rules.d/x.rules:1",
        root={"etc/udev/rules.d/x.rules": "PROGRAM==\"'/opt/x'\"\n", "opt/x": link("/run/x")},
    ),
    bad(
        "ZOA-421",
        "root:/etc/network/if-up.d/x",
        root={"etc/network/if-up.d": link("/usr/share/s"), "usr/share/s/x": program()},
    ),
    bad(
        "ZOA-427",
        "root:/usr/lib/binfmt.d/x.conf",
        root={"usr/lib/binfmt.d": link("/usr/share/b"), "usr/share/b/x.conf": ":x:"},
    ),
    bad(
        "ZOA-428",
        "root:/etc/systemd/system/x.service",
        root={"etc/systemd/system": link("/usr/share/u"), "usr/share/u/x.service": link("/run/x.service")},
    ),
    *(
        bad("ZOA-425", "root:/etc/udev/rules.d/a.rules:1", root={"etc/udev/rules.d/a.rules": rule})
        for rule in (
            'PROGRAM!="/run/x"',
            'IMPORT{program}!="/run/x"',
            r'RUN+=e"\x2frun/x"',
            r'RUN+=e"\057run/x"',
            'RUN+="../../../run/x"',
            'ENV{P}="/run/q", RUN+="$env{P}"',
            'RUN+="%E{P}/x --now", ENV{P}="/run"',
            'RUN+="$env{P}", ENV{P}=e"\\x2frun/q"',
            'RUN+="/usr/bin/env A=b /run/x"',
            "RUN+=\"'/usr/bin/nice' '/run/x'\"",
            'IMPORT{file}="/run/x"',
        )
    ),
    *(
        good("ZOA-425", root={"etc/udev/rules.d/a.rules": rule}, parameters={"allowed": _RUN_BY_UDEV})
        for rule in (
            r'RUN+="\x2frun/x"',
            'IMPORT{program}="ata_id --export $devnode"',
            'RUN+="/usr/lib/udev/cat /run/x"',
            'RUN{builtin}+="$env{P}"',
            'ENV{SYSTEMD_WANTS}+="$env{P}"',
            'RUN+=""',
            'RUN+="$env{Q}", ENV{P}="/run/q", ENV{Q}="/usr/q"',
            'RUN+="$env{P}", ENV{P}=="/run/q", ENV{P}="/usr/q"',
            'RUN+="$env{P}", ENV{P}="/usr/lib/q"',
        )
    ),
)
