"""Names of programs by what they are for, as patterns that also match versions and variants of a name."""

from __future__ import annotations

import re
from typing import Final

# x86_64-linux-gnu-gcc-14, python3.13, perl5.40-x86_64-linux-gnu, vim.tiny
_PLATFORM: Final = r"(?:x86_64|aarch64|arm|i686|riscv64)-linux-[a-z]+"
_VARIANTS: Final = "tiny|basic|nox|gtk3?|static|openbsd|traditional|multiarch|real|distrib"
_FORM: Final = rf"(?:{_PLATFORM}-)?(?:{{}})(?:-?[0-9][0-9.]*(?:-{_PLATFORM})?)?(?:[.-](?:{_VARIANTS}))?"


def _names(text: str) -> re.Pattern[str]:
    return re.compile(_FORM.format("|".join(re.escape(name) for name in text.split())))


SHELLS: Final = _names(
    "sh bash rbash dash ash zsh ksh mksh pdksh lksh oksh yash posh fish csh tcsh rc es nu elvish xonsh pwsh "
    "oil osh sash brush mrsh hush ion scsh"
)
MULTI_CALL: Final = _names("busybox toybox sbase-box ubase-box coreutils")
INTERPRETERS: Final = _names(
    "python pypy perl ruby irb jruby lua luajit texlua node nodejs deno bun qjs php tclsh wish expect awk mawk "
    "gawk nawk original-awk sed guile scheme sbcl clisp ocaml erl escript elixir java jshell groovy R Rscript "
    "raku janet racket julia octave dotnet mono gjs m4 bc dc jq jimsh wasmtime wasmer"
)
DEBUGGERS: Final = _names(
    "gdb gdbserver lldb lldb-server strace ltrace perf bpftrace bpftool trace-cmd stap staprun systemtap uftrace "
    "valgrind rr sysdig falco tcpdump tshark dumpcap wireshark ngrep ettercap nmap crash drgn kdb gcore pstack "
    "eu-stack coredumpctl criu radare2 r2 dlv delve"
)
COMPILERS: Final = _names(
    "gcc g++ c++ cc cpp c89 c99 clang clang++ tcc ld ld.bfd ld.gold ld.lld lld as gas nasm yasm go gofmt gccgo "
    "rustc cargo javac ghc zig make gmake cmake ninja meson objcopy ar dkms"
)
PACKAGE_MANAGERS: Final = _names(
    "apt apt-get apt-key aptitude dpkg dpkg-deb rpm rpm2cpio dnf yum microdnf tdnf zypper pacman apk opkg emerge "
    "xbps-install nix nix-env nix-store guix snap flatpak pip pipx uv conda mamba npm npx yarn pnpm gem cpan "
    "composer luarocks brew bootc rpm-ostree ostree swupd mkosi debootstrap"
)
TRANSFER: Final = _names(
    "curl wget aria2c axel scp sftp ftp lftp ncftp tnftp tftp rsync rclone nc ncat netcat socat telnet rsh "
    "rcp ssh openssl gnutls-cli git hg svn aws gcloud gsutil az azcopy s3cmd s5cmd mc http https xh lynx links "
    "elinks w3m skopeo oras croc magic-wormhole websocat"
)
EDITORS: Final = _names(
    "vi vim view vimdiff rvim nvim ex nano rnano pico ed red emacs emacsclient mg joe jed micro hx kak mcedit ne "
    "tilde more less most pager lesspipe man"
)
KEXEC: Final = _names("kexec kdump kdumpctl kdump-config vmcore-dmesg makedumpfile coreos-kexec")
STARTERS: Final = _names(
    "nsenter unshare setpriv chroot runuser capsh firejail bwrap lxc-attach lxc-execute machinectl systemd-run "
    "run0 systemd-nspawn systemd-vmspawn busctl varlinkctl dbus-send gdbus dbus-launch systemd-stdio-bridge "
    "systemd-socket-activate at batch crontab watch setsid nohup start-stop-daemon daemonize"
)
TERMINALS: Final = _names(
    "script scriptlive scriptreplay screen tmux byobu zellij dtach abduco minicom picocom cu tio mosh reptyr "
    "conspy openvt chvt"
)
