from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tests.control_cases import bad, good
from tests.fact_trees import ROOT_HASH, disk, link, uki

if TYPE_CHECKING:
    from policies.facts import Disk, Partition

_HASH = f"roothash={ROOT_HASH}"
_RULES = "etc/udev/rules.d/x.rules"
_STARTED = ("initrd:systemd-volatile-root.service",)
_ETC = "etc/systemd/system"
_STOP = "systemd.verity_root_options="


def _two_profiles(first: str, second: str) -> object:
    one, two = uki(first).profiles[0], uki(second).profiles[0]
    return replace(uki(first), profiles=(one, replace(two, number=1, id="debug")))


def _partition(role: str, kind: str, *flags: str, label: str = "x") -> Partition:
    last = disk().partitions[-1]
    return replace(last, number=4, role=role, type=kind, label=label, flags=flags)


def _disk(*more: Partition, flags: tuple[str, ...] | None = None, **changes: object) -> Disk:
    partitions = disk().partitions
    if flags is not None:
        partitions = (partitions[0], replace(partitions[1], flags=flags), partitions[2])
    return replace(disk(), partitions=(*partitions, *more), **changes)


CASES = (
    bad("ZOA-701", "disk:root", disk=replace(disk(), hash_tree="differs")),
    bad("ZOA-701", "disk:root", disk=replace(disk(), hash_tree="absent", root_hash=None)),
    good("ZOA-701", disk=disk()),
    bad("ZOA-702", "uki:0:roothash", command_line="quiet"),
    bad("ZOA-702", "uki:0:roothash", command_line=f"-- {_HASH}"),
    bad("ZOA-702", "uki:0:roothash", command_line=None),
    bad("ZOA-702", f"uki:0:roothash={'cd' * 32}", command_line=f"roothash={'cd' * 32}"),
    bad("ZOA-702", "uki:0:roothash=", command_line="roothash=", disk=replace(disk(), root_hash=None)),
    bad("ZOA-702", "uki:0:roothash", command_line=f"{_HASH} {_HASH}"),
    bad("ZOA-702", "uki:1:roothash", uki=_two_profiles(_HASH, "quiet")),
    good("ZOA-702", command_line=f"roothash={ROOT_HASH.upper()}"),
    good("ZOA-702", uki=_two_profiles(_HASH, f"{_HASH} quiet")),
    bad("ZOA-703", "uki:0:root=/dev/vda2", "uki:0:rw", command_line=f"{_HASH} root=/dev/vda2 rw"),
    bad("ZOA-703", "uki:0:systemd.volatile=overlay", command_line="-- systemd.volatile=overlay"),
    bad("ZOA-703", "uki:0:systemd.mount-extra=/dev/sdb:/opt", command_line="systemd.mount-extra=/dev/sdb:/opt"),
    bad("ZOA-703", "uki:0:rd.systemd.verity=off", command_line="rd.systemd.verity=off"),
    bad("ZOA-703", "uki:0:systemd.verity=no", command_line="systemd.verity=no"),
    bad("ZOA-703", "root:/etc/integritytab", root={"etc/integritytab": "w /dev/vda - allow-discards\n"}),
    bad("ZOA-703", "root:/etc/veritytab", root={"etc/veritytab": link("/run/v")}),
    bad(
        "ZOA-703",
        "initrd:systemd-volatile-root.service",
        "initrd:initrd.target",
        initrd={
            f"{_ETC}/systemd-volatile-root.service": "[Service]\nExecStart=/x\n",
            f"{_ETC}/initrd.target": "[Unit]\nWants=systemd-volatile-root.service\n",
        },
    ),
    good("ZOA-703", initrd={f"{_ETC}/systemd-volatile-root.service": "[Service]\nExecStart=/x\n"}),
    good(
        "ZOA-703",
        initrd={
            f"{_ETC}/systemd-volatile-root.service": "[Unit]\nOnFailure=b.service\n[Service]\n"
            "ExecStart=/usr/lib/systemd/systemd-volatile-root yes /sysroot\n",
            f"{_ETC}/a.service": "[Unit]\nAfter=systemd-volatile-root.service\n[Service]\nExecStart=/x volatile\n",
            f"{_ETC}/c.service": "[Unit]\nWants=alias.service\n",
            f"{_ETC}/d.service": "[Service]\nExecStart=/x\n",
            f"{_ETC}/alias.service": link("d.service"),
            _RULES: 'RUN+="/usr/bin/systemctl start volatile-root"\n',
        },
    ),
    # Units and rules that ask for it, whether something starts them or not.
    *(
        bad(
            "ZOA-703",
            "initrd:a.service",
            initrd={
                f"{_ETC}/systemd-volatile-root.service": "[Service]\nExecStart=/x\n",
                f"{_ETC}/alias.service": link("systemd-volatile-root.service"),
                f"{_ETC}/a.service": f"{text}\n",
            },
        )
        for text in (
            "[Unit]\nOnSuccess=systemd-volatile-root.service",
            "[Unit]\nOnFailure=systemd-volatile-root.service",
            "[Unit]\nOnFailure=alias.service",
            "[Service]\nExecStart=/usr/bin/systemctl start systemd-volatile-root",
            "[Service]\nExecStart=/usr/bin/systemctl start alias",
            "[Service]\nExecStop=/usr/bin/sh -c 'systemctl start systemd-volatile-root'",
            "[Service]\nExecStart=/x systemd-volatile-root.service\nExecStop=/x",
        )
    ),
    *(
        bad(
            "ZOA-703",
            f"initrd:/{_RULES}:1",
            *started,
            initrd={
                f"{_ETC}/systemd-volatile-root.service": "[Service]\nExecStart=/x\n",
                f"{_ETC}/alias.service": link("systemd-volatile-root.service"),
                _RULES: f"{text}\n",
            },
        )
        for started, text in (
            (_STARTED, 'RUN+="/usr/bin/systemctl --no-block start systemd-volatile-root.service"'),
            (_STARTED, "RUN+=\"/usr/bin/systemctl start systemd-'volatile'-root\""),
            (_STARTED, 'PROGRAM="/usr/bin/systemctl start alias"'),
            (_STARTED, 'ENV{SYSTEMD_WANTS}+="systemd-volatile-root"'),
            ((), 'ENV{X}="systemd-volatile-root"'),
        )
    ),
    bad("ZOA-703", "initrd:/etc/veritytab", initrd={"etc/veritytab": "x /dev/sda /dev/sdb -\n"}),
    *(
        bad("ZOA-703", f"initrd:{unit}:{text.partition('=')[0]}", initrd={f"{_ETC}/{unit}.d/x.conf": f"[X]\n{text}\n"})
        for unit, text in (
            ("sysroot.mount", "What=/dev/vdb"),
            ("sysroot.mount", "Where=/mnt"),
            ("sysroot.mount", "Options=rw"),
            ("-.mount", "Type=tmpfs"),
            ("systemd-veritysetup@root.service", "ExecStart=/usr/bin/kmod"),
            ("systemd-veritysetup@root.service", "RootDirectory=/usr/share/x"),
        )
    ),
    bad("ZOA-703", "root:-.mount:Options", root={f"{_ETC}/mount.d/x.conf": "[Mount]\nOptions=rw\n"}),
    good(
        "ZOA-703",
        initrd={
            f"{_ETC}/systemd-veritysetup@root.service.d/x.conf": "[Unit]\nAfter=x.service\n",
            f"{_ETC}/var.mount": "[Mount]\nWhat=/dev/vdb\nWhere=/var\n",
            f"{_ETC}/var.mount.d/x.conf": "[Mount]\nOptions=nosuid\n",
        },
    ),
    good("ZOA-703", command_line=f"{_HASH} ro systemd.verity=yes", root={"usr/share/doc/veritytab": ""}),
    bad("ZOA-704", "uki:0:systemd.verity_root_options", command_line="quiet"),
    bad("ZOA-704", f"uki:0:{_STOP}ignore-corruption", command_line=f"{_STOP}ignore-corruption"),
    bad("ZOA-704", f"uki:0:{_STOP}", command_line=_STOP),
    bad(
        "ZOA-704",
        f"uki:0:{_STOP}panic-on-corruption,check-at-most-once",
        command_line=f"{_STOP}panic-on-corruption,check-at-most-once",
    ),
    bad("ZOA-704", "uki:1:systemd.verity_root_options", uki=_two_profiles(f"{_STOP}panic-on-corruption", "quiet")),
    good("ZOA-704", command_line=f"{_STOP}superblock=yes,panic-on-corruption"),
    good("ZOA-704", command_line=f"{_STOP}restart-on-corruption"),
    bad("ZOA-705", "disk:root", disk=_disk(root_file_system="ext4")),
    bad("ZOA-705", "disk:root-x86-64:read-only", disk=_disk(flags=())),
    bad("ZOA-705", "disk:root-x86-64:growfs", disk=_disk(flags=("read-only", "growfs"))),
    good("ZOA-705", disk=_disk(root_file_system="squashfs")),
    bad("ZOA-706", "disk:4:swap", disk=_disk(_partition("other", "swap"))),
    bad("ZOA-706", "disk:4:root-x86-64", disk=_disk(_partition("root", "root-x86-64", "read-only"))),
    good(
        "ZOA-706",
        disk=_disk(_partition("other", "linux-generic", label="state")),
        parameters={"allowed": ("state",)},
    ),
)
