"""What a program is, whatever its file is called: texts that only one kind of program contains.

Stripping, renaming and other versions leave them: what a program prints, paths that are compiled in, dynamic symbols,
and the names of packages that Go keeps for stack traces.
"""

from __future__ import annotations

from typing import Final

from builder.facts.texts import Texts

# A kind is found if all texts of one of its alternatives are in the file.
_SIGNATURES: Final[dict[str, tuple[tuple[bytes, ...], ...]]] = {
    "openssh-server": ((b"OpenSSH_", b"/sshd_config"),),
    "dropbear": ((b"SSH-2.0-dropbear",), (b"Dropbear SSH",)),
    "tinyssh": ((b"tinysshd",),),
    # Go links a function only if something calls it.
    "go-ssh-server": ((b"golang.org/x/crypto/ssh.NewServerConn",),),
    "libssh-server": ((b"ssh_bind_accept",), (b"wolfSSH_accept",)),
    "russh-server": ((b"russh", b"/src/server/"),),
    "telnet-server": ((b"telnetd", b"/bin/login"), (b"BusyBox v", b"telnetd\0")),
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
    # OpenBSD's; and the first one, in how it is used.
    "netcat": ((b"OpenBSD netcat",), (b"connect to somewhere:\tnc ",)),
    "busybox": ((b"BusyBox v",),),
    "bash": ((b"GNU bash", b"BASH_VERSION"),),
    # dash and the shell of BusyBox have it from the same Almquist shell.
    "dash": ((b"access tty; job control turned off",),),
    "python": ((b"PYTHONHOME", b"PYTHONSTARTUP"),),
    "perl": ((b"PERL5LIB", b"PERL5OPT"),),
    # AT&T's Korn shell; the MirBSD one, which says so in its version.
    "ksh": ((b"AJM 93", b"KSH_VERSION"), (b"KSH_VERSION=@(#)",)),
    "zsh": ((b"ZDOTDIR", b"ZSH_VERSION"),),
    "fish": ((b"__fish_", b"fish_default_key_bindings"),),
    "yash": ((b"YASH_LOADPATH",),),
    "elvish": ((b"src.elv.sh/",),),
    "toybox": ((b"landley.net/toybox",),),
    # LUA_INIT is read by the interpreter, not by programs that have the language in them.
    "lua": ((b"LUA_INIT", b"LUA_PATH"),),
    "ruby": ((b"RUBYLIB", b"RUBYOPT"),),
    "tcl": ((b"TCL_LIBRARY", b"tcl_platform"),),
    "node": ((b"NODE_OPTIONS", b"NODE_REPL_HISTORY"),),
    "php": ((b"PHP_INI_SCAN_DIR",),),
    # gawk; and mawk, which knows the same variable.
    "awk": ((b"AWKLIBPATH", b"AWKPATH"), (b"WHINY_USERS",)),
    "guile": ((b"scm_shell", b"scm_boot_guile"),),
    # All programs of a JDK are one launcher.
    "java": ((b"JLI_Launch",),),
    "deno": ((b"DENO_DIR", b"DENO_AUTH_TOKENS"),),
    "strace": ((b"strace.io",),),
    "gdb": ((b"This GDB was configured as",),),
    "perf": ((b"PERF_EXEC_PATH",),),
    # runuser is the same program.
    "su": ((b"/etc/default/runuser",),),
    # Of shadow, and of util-linux.
    "login": ((b"HUSHLOGIN=FALSE",), (b"Begin a session on the system.",)),
    "passwd": ((b"result in a passwordless account",),),
    "sudo": ((b"/etc/sudo.conf",),),
    "doas": ((b"/etc/doas.conf",),),
    "dpkg": ((b"DPKG_MAINTSCRIPT",),),
    "nsenter": ((b"Run a program with namespaces of other processes",),),
    "unshare": ((b"some namespaces unshared from the parent",),),
    "setpriv": ((b"Run a program with different privilege settings",),),
    "chroot": ((b"Run COMMAND with root directory set to NEWROOT",),),
    "curl": ((b"Usage: curl [options...]",),),
    "wget": ((b"GNU Wget",),),
    "ssh": ((b"OpenSSH_", b"/ssh_config"),),
    "kexec": ((b"kexec_load failed",),),
    "agetty": ((b"agetty.reload",),),
    "sulogin": ((b"SUSHELL",), (b"SYSTEMD_SULOGIN_FORCE",)),
    "amazon-ssm-agent": ((b"github.com/aws/amazon-ssm-agent",),),
    "google-guest-agent": ((b"GoogleCloudPlatform/guest-agent",), (b"GoogleCloudPlatform/osconfig",)),
    "ignition": ((b"github.com/coreos/ignition",),),
    "snmpd": ((b"net-snmp-coders@", b"use ADDRESS as AgentX address"),),
    "pppd": ((b"/etc/ppp/ip-up", b"/etc/ppp/options"),),
    "dnsmasq": ((b"DNSMASQ_SUPPLIED_HOSTNAME",),),
    "dhclient": ((b"Internet Systems Consortium DHCP Client", b"dhclient-script"),),
    "dhcpcd": ((b"/dhcpcd-run-hooks",),),
    "network-manager": ((b"org.freedesktop.nm_dispatcher", b"/NetworkManager.conf"),),
    "rpcbind": ((b"rpcbind.sock", b"rpcbind.xdr"),),
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
_TEXTS: Final = Texts(text for alternatives in _SIGNATURES.values() for texts in alternatives for text in texts)


def identities(content: memoryview) -> tuple[str, ...]:
    """The kinds of program that a file looks like, in the order of the table; most are none.

    All of it is searched: what is code and what are texts is the file's own word, and the kernel maps both.
    """
    held = _TEXTS.held_by(content)
    return tuple(
        kind for kind, alternatives in _SIGNATURES.items() if any(held.issuperset(texts) for texts in alternatives)
    )
