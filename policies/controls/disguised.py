"""Door "programs": shells, interpreters and tools by what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.finding import about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts
    from policies.finding import Finding

_SHELL_CONTENT: Final = frozenset(
    {
        "bash", "dash", "python", "perl", "ksh", "zsh", "fish", "yash", "elvish", "toybox", "lua", "ruby", "tcl",
        "node", "php", "awk", "guile", "java", "deno",
    }
)  # fmt: skip
# What a tool is that has these texts in it, or that is linked with these libraries, by the start of the soname.
_TOOL_CONTENT: Final = {
    "strace": "a tracer", "gdb": "a debugger", "perf": "a profiler", "su": "a way to other users",
    "login": "a program for logins", "passwd": "a program that changes accounts", "sudo": "a way to other users",
    "doas": "a way to other users", "dpkg": "a package manager", "nsenter": "a way into other namespaces",
    "unshare": "a way into other namespaces", "setpriv": "a way to other rights", "chroot": "a way to another root",
    "curl": "a file-transfer client", "wget": "a file-transfer client", "ssh": "a file-transfer client",
    "kexec": "a way to another kernel",
}  # fmt: skip
_TOOL_LIBRARIES: Final = {
    "libapt-pkg.so": "a package manager", "librpm.so": "a package manager", "libdnf": "a package manager",
    "libpcap.so": "a packet capture",
}  # fmt: skip


@control(
    "ZOA-614",
    door=Door.PROGRAMS,
    severity=Severity.CRITICAL,
    title="No program is a shell or an interpreter under another name",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", (), "Paths of programs that the image needs although they are of this kind."),),
)
def no_disguised_shell(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no program of root or initrd has the texts of a shell (bash, dash, ksh, mksh, zsh, fish,
    yash, elvish), of toybox or of an interpreter (CPython, Perl, Lua, Ruby, Tcl, Node.js, Deno, PHP, awk, Guile,
    Java) in it, whatever it is called and whether or not it may be executed.

    Why it matters: a shell is a shell by what it does; a unit, a debugger or a bug can start it by any name.

    Example: /usr/lib/firmware-loader/blob is bash.

    Fix: remove the program.

    Known limits: other shells and interpreters are found by name only; a program that was packed or whose texts were
    changed is not recognised.
    """
    for area in facts.areas:
        for elf in area.elf:
            found = [name for name in elf.identities if name in _SHELL_CONTENT]
            if found and elf.path not in parameters["allowed"]:
                yield about_path(area, elf.path, f"has the content of {found[0]}")


@control(
    "ZOA-615",
    door=Door.PROGRAMS,
    severity=Severity.HIGH,
    title="No program is a debugger, a package manager or a way to other rights under another name",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", (), "Paths of programs that the image needs although they are of this kind."),),
)
def no_disguised_tool(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no program of root or initrd has the texts of strace, GDB, perf, su, login, passwd, sudo, doas,
    dpkg, nsenter, unshare, setpriv, chroot, curl, Wget, ssh or kexec in it, or is linked with the libraries of APT,
    RPM, DNF or libpcap, whatever it is called and whether or not it may be executed.

    Why it matters: what finds programs by their names does not find one that was renamed, and the dynamic linker starts
    what has no mode of a program.

    Example: /usr/share/x is strace, and a unit has ExecStart=/lib64/ld-linux-x86-64.so.2 /usr/share/x.

    Fix: remove the program.

    Known limits: other tools are found by name only; a program that was packed or whose texts were changed is not
    recognised.
    """
    for area in facts.areas:
        for elf in area.elf:
            kinds = [(name, _TOOL_CONTENT[name]) for name in elf.identities if name in _TOOL_CONTENT]
            found = [f"has the content of {name}, {what}" for name, what in kinds]
            if elf.interpreter is not None or elf.starts:
                found += [
                    f"is linked with {name}, as is {what}"
                    for name in elf.needed
                    for start, what in _TOOL_LIBRARIES.items()
                    if name.startswith(start)
                ]
            if found and elf.path not in parameters["allowed"]:
                yield about_path(area, elf.path, found[0])


CONTROLS = (no_disguised_shell, no_disguised_tool)
