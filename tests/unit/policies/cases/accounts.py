from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import link

_UNITS = "usr/lib/systemd/system"
_UNIT = f"{_UNITS}/a.service"
_PASSWD = "root:{}:0:0:root:/root:/usr/sbin/nologin\n"
_SHADOW = "root:{}:20000:0:99999:7:::\n"

CASES = (
    bad("ZOA-501", "initrd:/etc/shadow:root", initrd={"etc/shadow": _SHADOW.format("$y$j9T$salt$hash")}),
    bad("ZOA-501", "root:/etc/shadow:root", root={"etc/shadow": _SHADOW.format("")}),
    bad("ZOA-501", "root:/etc/passwd:root", root={"etc/passwd": _PASSWD.format("")}),
    bad("ZOA-501", "root:/etc/group:wheel", root={"etc/group": "wheel:$6$salt$hash:10:\n"}),
    bad("ZOA-501", "root:/etc/shadow:1", root={"etc/shadow": "root::20000\n"}),
    good("ZOA-501", root={"etc/passwd": _PASSWD.format("x"), "etc/shadow": _SHADOW.format("!$y$j9T$salt$hash")}),
    good("ZOA-501", root={"etc/passwd": _PASSWD.format("*"), "etc/gshadow": "wheel:::\n"}),
    bad("ZOA-530", "root:a.service", root={_UNIT: "[Service]\nExecStart=/x\nPAMName=login\n"}),
    bad("ZOA-530", "initrd:user@.service", initrd={f"{_UNITS}/user@.service": "[Service]\nPAMName=\nPAMName=b\n"}),
    good("ZOA-530", root={_UNIT: "[Service]\nPAMName=login\nPAMName=\nUser=a\n"}, initrd={"etc/pam.d/login": "x"}),
    good("ZOA-530", root={_UNIT: "[Service]\nPAMName=a\n", "etc/systemd/system/a.service": link("/dev/null")}),
)
