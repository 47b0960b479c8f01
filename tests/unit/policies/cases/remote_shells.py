from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import file, link, program

_SOCKET = "[Socket]\nListenStream={}\nAccept=yes\n"

CASES = (
    bad("ZOA-101", "root:/usr/sbin/sshd", root={"usr/sbin/sshd": program()}),
    bad("ZOA-101", "initrd:/usr/sbin/dropbear", initrd={"usr/sbin/dropbear": file("#!/bin/sh\n", 0o700)}),
    good("ZOA-101", root={"usr/share/doc/sshd": "a document", "usr/sbin/sshd-keygen": program()}),
    bad(
        "ZOA-120",
        "initrd:x.socket:2222",
        "root:x.socket:vsock::22",
        root={"usr/lib/systemd/system/x.socket": _SOCKET.format("vsock::22")},
        initrd={"usr/lib/systemd/system/x.socket": _SOCKET.format("2222")},
    ),
    good("ZOA-120", root={"usr/lib/systemd/system/x.socket": _SOCKET.format("/run/x")}),
    good(
        "ZOA-120",
        root={"usr/lib/systemd/system/x.socket": _SOCKET.format("8443")},
        parameters={"allowed": ("8443",)},
    ),
    good(
        "ZOA-120",
        root={
            "usr/lib/systemd/system/x.socket": _SOCKET.format("22"),
            "etc/systemd/system/x.socket": link("/dev/null"),
        },
    ),
)
