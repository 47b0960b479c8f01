"""What a program is, whatever its file is called: texts that only one kind of program contains.

Stripping, renaming and other versions leave them: what a program prints, paths that are compiled in, dynamic symbols,
and the names of packages that Go keeps for stack traces.
"""

from __future__ import annotations

from typing import Final

# A kind is found if all texts of one of its alternatives are in the file.
_SIGNATURES: Final[dict[str, tuple[tuple[bytes, ...], ...]]] = {
    "openssh-server": ((b"OpenSSH_", b"/sshd_config"),),
    "dropbear": ((b"SSH-2.0-dropbear",), (b"Dropbear SSH",)),
    "tinyssh": ((b"tinysshd",),),
    # Go links a function only if something calls it.
    "go-ssh-server": ((b"golang.org/x/crypto/ssh.NewServerConn",),),
    "libssh-server": ((b"ssh_bind_accept",), (b"wolfSSH_accept",)),
    "russh-server": ((b"russh", b"/src/server/"),),
    "telnet-server": ((b"telnetd", b"/bin/login"), (b"BusyBox v", b"\0telnetd\0")),
    "mosh-server": ((b"MOSH CONNECT", b"mosh-server"),),
    "ttyd": ((b"ttyd is a tool for sharing terminal",), (b"Share your terminal over the web", b"libwebsockets")),
    "gotty": ((b"/gotty/server",),),
    "shellinabox": ((b"ShellInABox",),),
    "teleport": ((b"github.com/gravitational/teleport",),),
    "tailscale": ((b"tailscale.com/",),),
    "cloudflared": ((b"github.com/cloudflare/cloudflared",),),
    "chisel": ((b"github.com/jpillora/chisel",),),
    "socat": ((b"socat by Gerhard Rieger",),),
    "ncat": ((b"nmap.org/ncat",),),
    "busybox": ((b"BusyBox v",),),
    "agetty": ((b"agetty.reload",),),
    "sulogin": ((b"SUSHELL",), (b"SYSTEMD_SULOGIN_FORCE",)),
    "amazon-ssm-agent": ((b"github.com/aws/amazon-ssm-agent",),),
    "google-guest-agent": ((b"GoogleCloudPlatform/guest-agent",), (b"GoogleCloudPlatform/osconfig",)),
    "ignition": ((b"github.com/coreos/ignition",),),
    "qemu-guest-agent": ((b"guest-exec-status",),),
    "telegraf": ((b"github.com/influxdata/telegraf",),),
    "container-runtime": (
        (b"github.com/opencontainers/runc",),
        (b"github.com/docker/docker/daemon",),
        (b"github.com/containerd/containerd/",),
        (b"k8s.io/kubernetes/pkg/kubelet",),
    ),
}
NAMES: Final = tuple(_SIGNATURES)
_MAX_SEARCHED: Final = 256 << 20


def identities(content: memoryview) -> tuple[str, ...]:
    """The kinds of program that a file's first 256 MiB look like, in the order of the table; most are none."""
    text = bytes(content[:_MAX_SEARCHED])
    return tuple(
        kind
        for kind, alternatives in _SIGNATURES.items()
        if any(all(part in text for part in parts) for parts in alternatives)
    )
