from __future__ import annotations

from typing import TYPE_CHECKING

from tests.control_cases import Case, bad, good
from tests.fact_trees import elf, file, link, program

if TYPE_CHECKING:
    from tests.fact_trees import Content

_LIB = "usr/lib/systemd/system"
_EXTEND = "usr/lib/systemd/systemd-pcrextend"
_WORDS = {
    "systemd-pcrphase-initrd.service": ("enter-initrd", "leave-initrd"),
    "systemd-pcrphase-sysinit.service": ("sysinit", "final"),
    "systemd-pcrphase.service": ("ready", "shutdown"),
}
_LIBRARIES = ("libtss2-esys.so.0", "libtss2-rc.so.0", "libtss2-mu.so.0", "libtss2-tcti-device.so.0")
_PLACE = "usr/lib/x86_64-linux-gnu"
_INITRD = "systemd-pcrphase-initrd.service"
_EFIVARFS = {"usr/lib/modules/6.12.0/kernel/fs/efivarfs/efivarfs.ko.xz": "x"}


def _service(name: str) -> str:
    start, stop = _WORDS[name]
    return (
        "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\n"
        f"ExecStart=/{_EXTEND} --graceful {start}\nExecStop=/{_EXTEND} --graceful {stop}\n"
    )


def _started(*names: str, by: str = "sysinit.target") -> dict[str, Content]:
    units: dict[str, Content] = {f"{_LIB}/{name}": _service(name) for name in names}
    links = {f"{_LIB}/{by}.wants/{name}": link(f"../{name}") for name in names}
    return {**units, **links, _EXTEND: program()}


def _argument(control: str, *texts: str) -> tuple[Case, ...]:
    return tuple(bad(control, f"uki:0:{text}", command_line=f"quiet {text}") for text in texts)


def _libraries(*without: str) -> dict[str, Content]:
    links = {f"{_PLACE}/{name}": link(f"{name}.0.0") for name in _LIBRARIES if name not in without}
    return {**links, **{f"{_PLACE}/{name}.0.0": file(elf()) for name in _LIBRARIES}}


_INITRD_GOOD = _started(_INITRD, by="initrd.target")
_ROOT_GOOD = _started("systemd-pcrphase-sysinit.service", "systemd-pcrphase.service")

CASES = (
    bad("ZOA-911", f"initrd:{_INITRD}", root=_INITRD_GOOD),
    bad("ZOA-911", f"initrd:{_INITRD}", initrd={f"{_LIB}/{_INITRD}": _service(_INITRD), _EXTEND: program()}),
    bad("ZOA-911", f"initrd:{_INITRD}", initrd={**_INITRD_GOOD, f"etc/systemd/system/{_INITRD}": link("/dev/null")}),
    bad(
        "ZOA-911",
        f"initrd:{_INITRD}:/{_EXTEND}",
        initrd={path: content for path, content in _INITRD_GOOD.items() if path != _EXTEND},
    ),
    bad("ZOA-911", f"initrd:{_INITRD}:/{_EXTEND}", initrd={**_INITRD_GOOD, _EXTEND: file("", 0o644)}),
    bad(
        "ZOA-911",
        f"initrd:{_INITRD}",
        f"initrd:{_INITRD}:ExecStart",
        f"initrd:{_INITRD}:/usr/bin/true",
        initrd={**_INITRD_GOOD, f"{_LIB}/{_INITRD}.d/x.conf": "[Service]\nExecStart=\nExecStart=/usr/bin/true\n"},
    ),
    bad(
        "ZOA-911",
        f"initrd:{_INITRD}",
        f"initrd:{_INITRD}:ExecStop",
        initrd={**_INITRD_GOOD, f"{_LIB}/{_INITRD}.d/x.conf": "[Service]\nExecStop=\n"},
    ),
    bad(
        "ZOA-911",
        f"initrd:{_INITRD}:ConditionPathExists",
        initrd={**_INITRD_GOOD, f"{_LIB}/{_INITRD}.d/x.conf": "[Unit]\nConditionPathExists=/no\n"},
    ),
    bad(
        "ZOA-911",
        "uki:0:rd.systemd.mask=systemd-pcrphase-initrd",
        initrd=_INITRD_GOOD,
        command_line="rd.systemd.mask=systemd-pcrphase-initrd",
    ),
    good(
        "ZOA-911",
        initrd={**_INITRD_GOOD, f"{_LIB}/{_INITRD}": _service(_INITRD) + "[Unit]\nConditionSecurity=measured-uki\n"},
        command_line="systemd.mask=systemd-pcrphase.service",
    ),
    bad("ZOA-912", "root:systemd-pcrphase.service", root=_started("systemd-pcrphase-sysinit.service")),
    bad(
        "ZOA-912",
        "root:systemd-pcrphase-sysinit.service",
        root=_started("systemd-pcrphase.service"),
        initrd=_ROOT_GOOD,
    ),
    bad(
        "ZOA-912",
        "uki:0:systemd.mask=systemd-pcrphase.service",
        root=_ROOT_GOOD,
        command_line="-- systemd.mask=systemd-pcrphase.service",
    ),
    *(
        bad(
            "ZOA-912",
            "root:systemd-pcrphase.service",
            root={
                **_ROOT_GOOD,
                f"{_LIB}/systemd-pcrphase.service": _service("systemd-pcrphase.service").replace(old, new),
            },
        )
        for old, new in (
            ("--graceful ready", "--version"),
            ("--graceful ready", "--graceful --pcr=23 hello"),
            ("--graceful ready", "--graceful ready --tpm2-device=swtpm:"),
            ("--graceful ready", "--graceful sysinit"),
            ("--graceful shutdown", "--graceful ready"),
            ("ExecStart=/", "ExecStart=-/"),
            ("ExecStop=", "ExecStart="),
        )
    ),
    *(
        bad(
            "ZOA-912",
            f"root:systemd-pcrphase.service:{line.partition('=')[0]}",
            root={**_ROOT_GOOD, f"{_LIB}/systemd-pcrphase.service.d/x.conf": f"[X]\n{line}\n"},
        )
        for line in ("PrivateDevices=yes", "Requisite=x.service", "ConditionPathExists=!/etc/initrd-release", "Type=")
    ),
    bad(
        "ZOA-912",
        "root:systemd-pcrphase.service:x.service",
        root={**_ROOT_GOOD, f"{_LIB}/x.service": "[X]\nExecStart=systemctl stop systemd-pcrphase.service\n"},
    ),
    bad(
        "ZOA-911",
        f"initrd:{_INITRD}:ConditionPathExists",
        initrd={**_INITRD_GOOD, f"{_LIB}/{_INITRD}": f"{_service(_INITRD)}ConditionPathExists=!/etc/initrd-release\n"},
    ),
    good(
        "ZOA-911",
        initrd={**_INITRD_GOOD, f"{_LIB}/{_INITRD}": f"{_service(_INITRD)}ConditionPathExists=/etc/initrd-release\n"},
    ),
    *(
        bad("ZOA-912", f"root:/etc/fstab:{where}", root={**_ROOT_GOOD, "etc/fstab": f"tmpfs {where} tmpfs ro\n"})
        for where in ("/sys/class/tpm", "/sys/class", "/sys/devices/x", "/sys/bus", "/dev/tpmrm0")
    ),
    bad(
        "ZOA-911",
        "initrd:/etc/fstab:/sys/class/tpm",
        initrd={**_INITRD_GOOD, "etc/fstab": "a /sys/class/tpm tmpfs ro\n"},
    ),
    good("ZOA-912", root={**_ROOT_GOOD, "etc/fstab": "a /sys/fs/pstore pstore ro\na /dev/hugepages hugetlbfs ro\n"}),
    good("ZOA-912", root=_ROOT_GOOD, command_line="systemd.mask=x.service"),
    *(
        case
        for name in _LIBRARIES
        for case in (
            bad("ZOA-913", f"root:{name}", root=_libraries(name), initrd=_libraries()),
            bad("ZOA-913", f"initrd:{name}", root=_libraries(), initrd=_libraries(name)),
        )
    ),
    bad(
        "ZOA-913",
        "root:libtss2-mu.so.0",
        root={**_libraries("libtss2-mu.so.0"), f"{_PLACE}/libtss2-mu.so.0": "no library"},
        initrd=_libraries(),
    ),
    bad(
        "ZOA-913",
        "root:libtss2-mu.so.0",
        root={**_libraries("libtss2-mu.so.0"), "opt/libtss2-mu.so.0": file(elf())},
        initrd=_libraries(),
    ),
    good("ZOA-913", root=_libraries(), initrd=_libraries()),
    bad("ZOA-914", "initrd:efivarfs", root=_EFIVARFS),
    bad(
        "ZOA-914",
        "initrd:efivarfs:blacklist",
        initrd={**_EFIVARFS, "etc/modprobe.d/x.conf": "blacklist efivarfs\nblacklist tpm\n"},
    ),
    bad(
        "ZOA-914",
        "initrd:efivarfs:install",
        initrd={**_EFIVARFS, "etc/modprobe.d/x.conf": "install efivarfs /bin/true\noptions efivarfs x=1\n"},
    ),
    good("ZOA-914", initrd={"usr/lib/modules/6.12.0/modules.builtin": "kernel/fs/efivarfs/efivarfs.ko\n"}),
    good("ZOA-914", initrd=_EFIVARFS, root={"etc/modprobe.d/x.conf": "blacklist efivarfs\n"}),
    *_argument(
        "ZOA-915",
        "efi=noruntime",
        "efi=debug,noruntime",
        "noefi",
        "acpi=off",
        "systemd.tpm2_wait=0",
        "module_blacklist=pcspkr,tpm-crb",
        "modprobe.blacklist=efivarfs",
        "initcall_blacklist=init_tpm_tis",
    ),
    good("ZOA-915", command_line="efi=debug acpi=force module_blacklist=pcspkr,tpm_other_than_ours"),
    good("ZOA-912", root=_ROOT_GOOD, command_line="systemd.wants=systemd-pcrphase.service"),
    good("ZOA-913", root={**_libraries(), f"{_PLACE}/libc.so.6": file(elf())}, initrd=_libraries()),
    *(
        bad("ZOA-915", f"{area}:/etc/modprobe.d/x.conf:1", **{area: {"etc/modprobe.d/x.conf": f"{line}\n"}})
        for area, line in (
            ("initrd", "blacklist tpm_crb"),
            ("root", "blacklist tpm-tis"),
            ("root", "install dm_verity /bin/false"),
            ("root", "install dm-v* /bin/false"),
            ("root", "remove efivarfs /bin/false"),
            ("root", "options tpm suspend_pcr=1 disable_pcr_integrity=1"),
        )
    ),
    good(
        "ZOA-915",
        initrd={
            "etc/modprobe.d/x.conf": "blacklist nouveau\noptions tpm_tis force=0\noptions x disable_pcr_integrity=1"
            "\nsoftdep dm_verity pre: sha256\ninstall tpm2 /bin/false\n"
        },
    ),
)
