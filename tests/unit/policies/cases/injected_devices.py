from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import link, program

_RULES = "usr/lib/udev/rules.d/x.rules"
_FILE = "usr/lib/x.env"
_OWN = ("ata_id", "cdrom_id", "dmi_memory_id", "dmsetup", "fido_id", "mtd_probe", "scsi_id", "v4l_id")
_PLACES = "/usr/lib/udev /lib/udev /usr/lib/systemd /lib/systemd /usr/bin /usr/sbin /bin /sbin"
_OTHERS = "iocost loginctl mdadm systemctl systemd-sysctl udevadm"

CASES = (
    *(
        bad("ZOA-425", f"root:/{_RULES}:1", root={_RULES: f"{rule}\n"})
        for rule in (
            'RUN+="$result"',
            'RUN{program}+="%c{1} x"',
            'PROGRAM=="$attr{x}"',
            'IMPORT{program}="/usr/lib/%s{x}"',
            'IMPORT{file}="/usr/lib/$env{x}/$env{y}"',
            'RUN+="/usr/lib/../../$env{P}"',
            'RUN+="$env{P}/$env{Q}"',
            'RUN+="/usr/$$%c"',
            'RUN+="/usr/bin/env $env{P}"',
            'RUN+="/usr/bin/nice -n 5 %E{P}"',
            'RUN+="\'$env{P}\' x", ENV{P}="/run/q"',
            'RUN+="$env{HID_UNIQ}"',
            'RUN+="/usr/bin/nice /usr/bin/$env{P}"',
            *(
                f'RUN+="/sbin/insmod {word}"'
                for word in (
                    *[
                        "$devnode",
                        "$tempnode",
                        "$links",
                        "$driver",
                        "$id",
                        "$parent",
                        "$devpath",
                        "$root/a",
                        "$sys/a",
                        "$sysfs{a}",
                    ],
                    *["%N", "%L", "%d", "%b", "%P", "%p", "%r/a", "%S/a"],
                )
            ),
            'ENV{P}="$attr{product_serial}", RUN+="$env{P}"',
            'ENV{P}="/usr/bin/%k", RUN+="$env{P}"',
            'ENV{P}="$$/x", RUN+="$env{P}", ENV{P}="$env{Q}"',
            'IMPORT{parent}="P", ENV{P}="/usr/x", RUN+="$env{P}"',
            'IMPORT{db}="[P]*", ENV{P}="/usr/x", RUN+="$env{P}"',
            'IMPORT{parent}="REMOVE_*", RUN+="$env{REMOVE_CMD}"',
            'ENV{REMOVE_CMD}="$attr{x}", RUN+="$env{REMOVE_CMD}"',
            'ENV{A}="RUN=", RUN+="/run/x"',
            r'RUN+=e"/r\u0075n/x"',
            r'IMPORT{program}=ie"/\162un/x"',
        )
    ),
    bad(
        "ZOA-425",
        f"root:/{_RULES}:2",
        root={_RULES: 'IMPORT{cmdline}="P"\nENV{P}="/usr/x", RUN+="$env{P}"\n'},
    ),
    bad(
        "ZOA-425",
        f"initrd:/{_RULES}:2",
        initrd={_RULES: 'IMPORT{program}="\'/usr/bin/y\' z"\nENV{P}="/usr", RUN+="$env{P}/x y"\n'},
        parameters={"allowed": ("/usr/bin/y",)},
    ),
    bad("ZOA-425", f"root:/{_RULES}:2", root={_RULES: 'ENV{P}="/usr/x"\nRUN+="$env{P}"\n'}),
    *(
        bad(
            "ZOA-425",
            f"root:/{_RULES}:2",
            root={_RULES: f'{rule}\nENV{{P}}="/usr/x", RUN+="$env{{P}}"\n', _FILE: held, "opt/l": link(f"/{_FILE}")},
        )
        for rule, held in (
            (f'IMPORT{{file}}="/{_FILE}"', "A=/usr/a\n P = '/run/x'\n"),
            (r'IMPORT{file}!=e"/opt\x2fl"', 'P="/run/x"\n'),
        )
    ),
    good(
        "ZOA-425",
        root={
            _RULES: 'ENV{REMOVE_CMD}!="", RUN+="$env{REMOVE_CMD}"\nIMPORT{cmdline}="nomodeset"\n'
            'RUN{builtin}+="$result"\n'
            'IMPORT{program}="\'/usr/lib/udev/ata_id\' --export"\nPROGRAM="REMOVE_CMD"\nRUN+="/usr/%%c"\n'
            'ENV{P}="/usr/bin/x$$%%", RUN+="$env{P} y"\nENV{Q}="$env{P}", IMPORT{parent}="P?"\nIMPORT{builtin}="P"\n'
            + "".join(f'IMPORT{{program}}="/usr/lib/udev/{name} $env{{x}}"\n' for name in _OWN)
            + f'IMPORT{{file}}="/{_FILE}"\nRUN+="/usr/bin/y $env{{x}}"\nRUN+="$$env %%c"\nRUN+="/usr/%k/$name"\n',
            _FILE: "#REMOVE_CMD=/run/x\nREMOVE_CMD\nA=/run/x\n",
        },
        parameters={
            "allowed": (
                "/usr/bin/y",
                "/usr/bin/x$$%%",
                "/usr/%k/$name",
                "/usr/%%c",
                "/usr/lib/udev/REMOVE_CMD",
                "/usr/lib/udev/$$env",
            )
        },
    ),
    *(
        bad("ZOA-425", f"{area}:/{_RULES}:1:{path}", **{area: {_RULES: f'{key}"{path}"\n'}})
        for area, key, path in (
            ("root", "RUN+=", "/usr/bin/x"),
            ("initrd", "PROGRAM=", "/usr/lib/x/ata_id"),
            ("root", "IMPORT{program}=", "/usr/share/udevadm"),
        )
    ),
    bad("ZOA-425", f"root:/{_RULES}:1:/usr/lib/udev/x", root={_RULES: 'RUN+="x udevadm"\n'}),
    bad("ZOA-425", f"root:/{_RULES}:1:/usr/lib/q", root={_RULES: 'ENV{P}="/usr/lib/q", RUN+="$env{P} a"\n'}),
    *(
        bad(
            "ZOA-425",
            f"root:/{_RULES}:1:/usr/lib/udev/ata_id",
            root={_RULES: 'RUN+="ata_id"\n', "usr/lib/udev/ata_id": link(target), target[1:]: program()},
        )
        for target in ("/usr/lib/x", "/usr/share/ata_id")
    ),
    bad(
        "ZOA-425",
        f"root:/{_RULES}:1:/usr/lib/udev/ata_id",
        root={_RULES: 'RUN+="ata_id"\n', "usr/lib/udev/ata_id": link("ata_id")},
    ),
    good(
        "ZOA-425",
        root={
            _RULES: "".join(f'RUN+="{place}/udevadm trigger"\n' for place in _PLACES.split())
            + "".join(f'RUN+="/usr/bin/{name} x"\n' for name in _OTHERS.split()),
            "usr/lib/udev/udevadm": link("/usr/bin/udevadm"),
        },
    ),
    good(
        "ZOA-425",
        root={_RULES: 'IMPORT{program}="/usr/bin/y"\nIMPORT{cmdline}="P"\nRUN+="/usr/bin/y $env{P}"\n'},
        parameters={"allowed": ("/usr/bin/y",)},
    ),
)
