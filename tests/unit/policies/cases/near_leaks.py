"""Images one condition away from a bad or a good one, found by mutation: programs and what leaves the machine."""

from __future__ import annotations

import json

from tests.control_cases import bad, good
from tests.fact_trees import conf, file, folder, link, masked, note, program

_UNITS = "usr/lib/systemd/system"
_RUN = "[Service]\nExecStart={}\n"
_MODULES = "usr/lib/modules/6.12.0"
_CORE = {"etc/systemd/system.conf": "[Manager]\nDefaultLimitCORE=0\n"}
_PYTHON = json.dumps([{"soname": ["libpython3.13.so.1.0"]}]).encode()
_PROGRAMS = (
    *(
        bad(
            "ZOA-612",
            "root:/opt/x",
            root={
                "opt/x": file("#!/usr/bin/env engine\n", 0o755),
                f"{place}/engine": program(),
                "usr/bin/env": program(),
            },
        )
        for place in ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")
    ),
    bad(
        "ZOA-603",
        "root:/usr/bin/python",
        root={"usr/bin/python": file("#!/usr/bin/x\n", 0o755), "usr/bin/x": program()},
    ),
    bad("ZOA-613", "root:/usr/bin/x", root={"usr/bin/x": program(notes=note(b"FDO", 0x407C0C0A, _PYTHON))}),
)
_LEAKS = (
    good("ZOA-802", root={**_CORE, **masked("x.service", f"{_RUN.format('/x')}LimitCORE=infinity\n")}),
    bad("ZOA-801", "root:/usr/bin/apport", root={"usr/bin/apport": program()}),
    *(
        good(
            "ZOA-806",
            root={f"{_MODULES}/kernel/fs/pstore/efi_pstore.ko": "x"},
            command_line=f"quiet efi_pstore.pstore_disable{value}",
        )
        for value in ("", "=1", "=y", "=Y", "=on")
    ),
    bad("ZOA-806", "root:efi-pstore", root={"etc/modules-load.d/x.conf": "efi-pstore\n"}),
    good("ZOA-804", root={"usr/lib/systemd/system-generators/x": program(), "usr/bin/zramswap": "text"}),
    good("ZOA-804", root={"usr/lib/systemd/system-generators/zramswap": program(), "etc/modules-load.d/x.conf": "a\n"}),
    *(
        good(
            "ZOA-807",
            root={**conf("journald.conf", "Journal", f"Storage={value}"), "var/log/journal": folder()},
        )
        for value in ("none", "Volatile")
    ),
    bad(
        "ZOA-807",
        "root:journald.conf",
        root={**conf("journald.conf", "Journal", "Storage=Persistent"), "var/log/journal": folder()},
    ),
    good("ZOA-808", root=conf("journald.conf", "Journal", "ForwardToConsole=No")),
    *(
        bad("ZOA-808", f"uki:0:{argument}", command_line=f"quiet {argument}")
        for argument in (
            "systemd.journald.forward_to_kmsg=1",
            "systemd.journald.forward_to_wall=yes",
            "systemd.journald.forward_to_wall=y",
            "systemd.journald.forward_to_wall=true",
            "systemd.journald.forward_to_wall=t",
            "systemd.journald.forward_to_wall=on",
        )
    ),
    bad(
        "ZOA-809",
        "root:systemd-journal-gatewayd.socket",
        root={
            f"{_UNITS}/systemd-journal-gatewayd.socket": "[Socket]\nListenStream=/run/x\n",
            f"{_UNITS}/sockets.target.wants/systemd-journal-gatewayd.socket": link(
                "../systemd-journal-gatewayd.socket"
            ),
        },
    ),
    bad("ZOA-807", "root:/var/log/journal", root={"usr/lib/tmpfiles.d/x.conf": "d /var/log/journal/ 2755 - -\n"}),
    good("ZOA-810", root={"usr/lib/tmpfiles.d/x.conf": "d /run/x u+rwX - -\nd /run/y 9777 - -\n"}),
    bad("ZOA-812", "uki:0:loglevel", command_line="loglevel"),
    good("ZOA-854", root={"etc/machine-id": folder()}),
    good("ZOA-855", root={"var/lib/systemd/random-seed": folder()}),
)
CASES = (*_PROGRAMS, *_LEAKS)
