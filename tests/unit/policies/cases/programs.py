from __future__ import annotations

from typing import TYPE_CHECKING

from tests.control_cases import bad, good
from tests.fact_trees import elf, file, link, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.control_cases import Case

BY_NAME = {
    "ZOA-601": ("usr/bin/bash", "usr/local/bin/ksh93", "opt/x/dash"),
    "ZOA-602": ("usr/bin/busybox.static", "bin/toybox"),
    "ZOA-603": ("usr/bin/python3.13", "usr/bin/perl5.40-x86_64-linux-gnu", "usr/bin/mawk", "usr/bin/lua5.4"),
    "ZOA-604": ("usr/bin/strace", "usr/sbin/tcpdump", "usr/bin/gdb-multiarch"),
    "ZOA-605": ("usr/bin/x86_64-linux-gnu-gcc-14", "usr/bin/ld.bfd", "usr/local/go/bin/go"),
    "ZOA-606": ("usr/bin/apt-get", "usr/bin/dpkg", "usr/bin/pip3"),
    "ZOA-607": ("usr/bin/curl", "bin/nc.openbsd", "usr/bin/scp"),
    "ZOA-608": ("usr/bin/vim.tiny", "usr/bin/more", "bin/ed"),
    "ZOA-609": ("usr/sbin/kexec", "usr/sbin/makedumpfile"),
    "ZOA-610": ("usr/bin/nsenter", "usr/bin/systemd-run", "usr/sbin/chroot"),
    "ZOA-611": ("usr/bin/tmux", "usr/bin/script"),
}


def _cases_by_name() -> Iterator[Case]:
    for control, paths in BY_NAME.items():
        name = paths[0].rpartition("/")[2]
        yield bad(control, *(f"root:/{path}" for path in paths), root={path: program() for path in paths})
        yield bad(control, f"initrd:/{paths[-1]}", initrd={paths[-1]: program(0o700)})
        # A link to a program of another name is one more; a link to one that was found is not.
        yield bad(
            control,
            f"root:/bin/{name}",
            f"root:/opt/{name}",
            root={f"bin/{name}": link("../usr/lib/x"), "usr/lib/x": program(), f"opt/{name}": program(),
                  f"opt/a/{name}": link(f"../{name}")},
        )  # fmt: skip
        yield good(
            control,
            root={
                f"usr/share/doc/{name}": "a document",
                f"usr/bin/{name}": link("/etc/alternatives/missing"),
                f"usr/bin/{name}-helper-of-something": program(),
                f"usr/lib/{name}": link("/usr/share/doc"),
                f"usr/bin/un{name}": program(),
                f"opt/{name}": file("#!/bin/missing\n", 0o755),
            },
        )
        yield good(control, root={paths[0]: program()}, parameters={"allowed": (f"/{paths[0]}",)})


_ENV = {"usr/bin/env": program(), "usr/bin/ruby": program()}

CASES = (
    *_cases_by_name(),
    bad("ZOA-612", "root:/usr/bin/x", root={"usr/bin/x": file("#! /bin/tool -e\n", 0o755), "bin/tool": program()}),
    bad(
        "ZOA-612",
        "initrd:/usr/bin/x",
        initrd={
            "usr/bin/x": file("#!/bin/sh\n", 0o755),
            "bin": link("usr/bin"),
            "usr/bin/sh": link("dash"),
            "usr/bin/dash": program(),
        },
    ),
    bad("ZOA-612", "root:/x", root={"x": file("#!/usr/bin/env -S A=b ruby -w\n", 0o755), **_ENV}),
    bad("ZOA-612", "root:/x", root={"x": file("#!/usr/bin/env /usr/bin/ruby\n", 0o755), **_ENV}),
    good("ZOA-612", root={"x": file("#!/usr/bin/env python3\n", 0o755), "y": file("#!/usr/bin/env\n", 0o755), **_ENV}),
    good("ZOA-612", root={"x": file("#!/bin/sh\n", 0o755), "bin/sh": file("", 0o644)}),
    good("ZOA-612", root={"x": file("#!/bin/sh\n", 0o644), "bin/sh": program()}, initrd={"y": "#!/bin/sh\n"}),
    good("ZOA-612", root={"x": file("#!/bin/sh\n", 0o755), "bin/sh": program()}, parameters={"allowed": ("/x",)}),
    bad("ZOA-613", "root:/usr/lib/helper", root={"usr/lib/helper": program(needed=("libpython3.13.so.1.0",))}),
    bad("ZOA-613", "initrd:/bin/x", initrd={"bin/x": program(needed=("libc.so.6", "libreadline.so.8"))}),
    good(
        "ZOA-613",
        root={
            "usr/lib/libx.so": program(needed=("libpython3.13.so.1.0",), soname="libx.so"),
            "usr/bin/y": program(needed=("libc.so.6", "libxlibpython.so")),
            "usr/share/z": program(0o644, needed=("libedit.so.2",)),
        },
    ),
    good("ZOA-613", root={"a": program(needed=("libtcl8.6.so",))}, parameters={"allowed": ("/a",)}),
    bad(
        "ZOA-613",
        "root:/usr/lib/x/libx.so",
        root={"usr/lib/x/libx.so": elf(interpreter=None, soname="libx.so", needed=("libpython3.13.so.1.0",), entry=1)},
    ),
    # The dynamic linker starts what has no mode of a program, and a copy of it has another name.
    bad("ZOA-604", "root:/usr/share/strace", root={"usr/share/strace": program(0o644)}),
    bad("ZOA-604", "root:/usr/share/gdb", root={"usr/share/gdb": elf(interpreter=None, entry=1)}),
    good("ZOA-604", root={"usr/share/doc/strace": "about it", "usr/lib/perf": elf(interpreter=None, soname="perf.so")}),
    bad("ZOA-506", "root:/usr/share/su", root={"usr/share/su": program(0o644), "usr/share/doc/sudo": "about it"}),
    *(
        bad("ZOA-615", "initrd:/usr/share/a", initrd={"usr/share/a": file(elf() + text)})
        for text in (b"DPKG_MAINTSCRIPT", b"Begin a session on the system.", b"HUSHLOGIN=FALSE")
    ),
    *(
        bad("ZOA-615", "root:/opt/a", root={"opt/a": program(0o644, needed=("libc.so.6", name))})
        for name in ("libapt-pkg.so.7.0", "librpm.so.10", "libdnf5.so.2", "libpcap.so.0.8")
    ),
    bad("ZOA-615", "root:/opt/a", root={"opt/a": elf(interpreter=None, entry=1, needed=("libpcap.so.1",))}),
    good("ZOA-615", root={"opt/a.so": elf(interpreter=None, soname="a.so", needed=("librpm.so.10",))}),
    good(
        "ZOA-615", root={"opt/a": program(needed=("libxpcap.so.1",)), "opt/b": file(elf() + b"GNU bash\0BASH_VERSION")}
    ),
    good("ZOA-615", root={"opt/a": file(elf() + b"strace.io")}, parameters={"allowed": ("/opt/a",)}),
)
