from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import esp_file, link

_ETC = "etc/systemd/system"
_OPENED = "none luks,tpm2-device=auto,headless"
_ATTACH = f"attach weights /dev/a /dev/b {'a' * 64} panic-on-corruption"


def _fstab(*lines: str) -> dict[str, str]:
    return {"etc/fstab": "".join(f"{line}\n" for line in lines)}


def _crypttab(line: str) -> dict[str, str]:
    return {"etc/crypttab": f"# name source key options\n{line}\n"}


CASES = (
    *(
        bad("ZOA-741", f"root:/etc/fstab:{where}", root=_fstab(f"tmpfs {where} tmpfs nosuid,nodev,noexec"))
        for where in ("/", "/usr", "/usr/lib/x", "/etc", "/etc/systemd", "/opt/x", "/bin", "/sbin", "/lib", "/lib64")
    ),
    *(
        bad("ZOA-741", f"root:/etc/fstab:{found}", root={**_fstab(f"tmpfs {where} tmpfs"), "srv/l": link("../etc/a")})
        for where, found in (
            ("/./etc/systemd/system.control", "/etc/systemd/system.control"),
            ("//usr/lib/systemd/", "/usr/lib/systemd"),
            ("/srv/../etc", "/etc"),
            ("etc/systemd", "/etc/systemd"),
            ("/srv/l/b", "/etc/a/b"),
        )
    ),
    bad(
        "ZOA-741",
        "initrd:sysroot-srv-l.mount",
        root={"srv/l": link("/etc/a")},
        initrd={f"{_ETC}/sysroot-srv-l.mount": "[Mount]\nWhat=tmpfs\nWhere=/sysroot//srv/l\nType=tmpfs\n"},
    ),
    good("ZOA-741", initrd=_fstab("tmpfs /sysroot/run/a tmpfs")),
    good("ZOA-741", root={"srv/l": link("/srv/l")}, initrd=_fstab("tmpfs /sysroot/srv/l tmpfs")),
    bad("ZOA-741", "root:/etc/fstab:/usr", root=_fstab(r"tmpfs /\165sr tmpfs defaults")),
    bad(
        "ZOA-741",
        "initrd:sysroot-etc.mount",
        "initrd:sysroot.mount",
        initrd={
            f"{_ETC}/sysroot-etc.mount": "[Mount]\nWhat=tmpfs\nWhere=/sysroot/etc\nType=tmpfs\n",
            f"{_ETC}/sysroot.mount": "[Mount]\nWhat=/dev/vdb\nWhere=/sysroot\n",
        },
    ),
    good(
        "ZOA-741",
        root={
            **_fstab("tmpfs /run/usr tmpfs", "tmpfs /var tmpfs", "/dev/vdb /usr swap sw", "x /users ext4"),
            f"{_ETC}/etc.mount": link("/dev/null"),
        },
    ),
    *(
        bad("ZOA-742", "root:/etc/crypttab:data", root=_crypttab(f"data /dev/vdb {rest}".strip()))
        for rest in (
            "",
            "none luks",
            "none luks,headless",
            "- luks,tpm2-device=auto",
            "none luks,tpm2-device=auto,headless=no",
            "none tpm2-device=auto,headless,tpm2-pin=yes",
            "none tpm2-device=auto,headless,tpm2-pin",
            "none tpm2-device=auto,headless,keyscript=/usr/bin/x",
            "none tpm2-device=auto,headless,pkcs11-uri=auto",
            "none tpm2-device=auto,headless,fido2-device=auto",
            "/etc/data.key luks,tpm2-device=auto,headless",
            "/run/data.key tpm2-device=auto,headless",
        )
    ),
    bad("ZOA-742", "initrd:/etc/crypttab:data", initrd=_crypttab("data /dev/vda2")),
    *(
        bad("ZOA-742", f"initrd:/etc/crypttab:{name}", initrd=_crypttab(f"{name} /dev/vda2 {_OPENED}"))
        for name in ("root", "usr", r"r\x6fot", "a/b")
    ),
    bad(
        "ZOA-742",
        "root:/etc/crypttab:root",
        root=_crypttab("root /dev/vda2 /dev/urandom"),
        parameters={"allowed": ("root",)},
    ),
    bad(
        "ZOA-742",
        "root:/etc/crypttab:weights",
        root=_crypttab(f"weights /dev/vdb {_OPENED}"),
        initrd={f"{_ETC}/x.service": f"[Service]\nExecStart=systemd-veritysetup {_ATTACH}\n"},
    ),
    good(
        "ZOA-742",
        root={
            **_crypttab(f"da.t+a_1-x /dev/vdb {_OPENED}"),
            f"{_ETC}/x.service": f"[Service]\nExecStart=systemd-veritysetup {_ATTACH}\n",
        },
    ),
    *(
        bad("ZOA-742", f"uki:0:{argument}", command_line=argument)
        for argument in ("luks.name=a=b", "rd.luks.uuid=a", "luks=yes", "rd.luks", "luks.key=/run/x", "luks.uuid=no")
    ),
    bad("ZOA-742", "esp:/x.addon.efi:luks.uuid=a", esp_files=(esp_file("/x.addon.efi", "addon", "luks.uuid=a"),)),
    good("ZOA-742", root=_crypttab(f"data /dev/vdb {_OPENED}"), initrd=_crypttab(f"a /dev/b {_OPENED},tpm2-pin=no")),
    good("ZOA-742", root=_crypttab("data /dev/vdb - tpm2-device=auto,headless=true")),
    *(good("ZOA-742", root=_crypttab(f"data /dev/vdb none tpm2-device=a,headless={yes}")) for yes in ("yes", "1")),
    *(good("ZOA-742", root=_crypttab(f"s /dev/vdb {key} swap")) for key in ("/dev/urandom", "/dev/random")),
    good("ZOA-742", root=_crypttab("data /dev/vdb none luks"), parameters={"allowed": ("data",)}),
    good("ZOA-742", command_line="luks=no rd.luks=0 luksus=1 xluks.name=a"),
)
