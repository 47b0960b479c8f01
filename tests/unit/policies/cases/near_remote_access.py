"""Images one condition away from a bad or a good one, found by mutation: remote shells and agents for them."""

from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import elf, file, folder, link, masked, program

_UNITS = "usr/lib/systemd/system"
_ETC = "etc/systemd/system"
_RUN = "[Service]\nExecStart={}\n"
_SSHD = b"OpenSSH_10.0\0/etc/ssh/sshd_config\0"
_SHELLS = (
    "rbash", "dash", "ash", "hush", "ksh", "mksh", "lksh", "ksh93", "zsh", "fish", "csh", "tcsh", "toybox",
    "python", "python3", "perl", "ruby", "lua", "node", "php", "tclsh", "login", "su", "sulogin", "agetty",
    "script", "expect", "env", "systemd-run", "nsenter", "chroot", "perl5.40", "lua5.4", "ruby3.3",
)  # fmt: skip


def _socket(program_path: str) -> dict[str, str]:
    return {f"{_UNITS}/x@.service": f"{_RUN.format(program_path)}StandardInput=socket\n"}


_REMOTE = (
    bad("ZOA-101", "root:/usr/bin/sshd", root={"usr/bin/sshd": program()}),
    bad(
        "ZOA-103",
        "root:x.service",
        root={f"{_UNITS}/x.service": "[Service]\nExecStartPre=/usr/bin/a\nExecStart=/usr/sbin/sshd\n"},
    ),
    bad(
        "ZOA-103",
        "root:x.service",
        root={
            f"{_UNITS}/x.service": "[Service]\nExecStartPre=/usr/bin/a\nExecStartPre=/none\nExecStart=/usr/bin/b\n",
            "usr/bin/a": program(),
            "usr/bin/b": file(elf() + _SSHD, 0o755),
        },
    ),
    good("ZOA-101", root={"usr/bin/sshd": file("text", 0o644), "usr/sbin/sshd": link("/usr/bin/sshd")}),
    *(bad("ZOA-112", "root:x@.service", root=_socket(f"/usr/bin/{name}")) for name in _SHELLS),
    bad(
        "ZOA-112",
        "root:x@.service",
        root={**_socket("/usr/bin/a"), "usr/bin/a": link("perl.real"), "usr/bin/perl.real": program()},
    ),
    good("ZOA-112", root=masked("x@.service", f"{_RUN.format('/usr/bin/bash')}StandardInput=socket\n")),
    good("ZOA-111", root={"etc/inetd.conf": link("/dev/null"), "etc/inetd.d": folder()}),
    good("ZOA-120", root=masked("x.socket", "[Socket]\nListenStream=22\n")),
    bad(
        "ZOA-301",
        "root:agent.service",
        root={
            f"{_UNITS}/agent.service": _RUN.format("/x"),
            f"{_ETC}/amazon-ssm-agent.service": link(f"/{_UNITS}/agent.service"),
        },
    ),
    good("ZOA-301", root=masked("amazon-ssm-agent.service", _RUN.format("/x"))),
    good(
        "ZOA-301", root={f"{_UNITS}/sysinit.target.wants/amazon-ssm-agent.service": link("../amazon-ssm-agent.service")}
    ),
    good("ZOA-301", root={"usr/bin/amazon-ssm-agent": file("text", 0o644)}),
)
CASES = _REMOTE
