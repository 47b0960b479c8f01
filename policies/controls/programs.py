"""Door "programs": what somebody who got a foothold, or an operator, would use next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls import _program_names as names
from policies.finding import Evidence, Finding, about_path

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, Facts, File, Script

_ALLOWED: Final = (Parameter("allowed", (), "Paths of programs that the image needs although they are of this kind."),)
_LEAST_FUNCTIONALITY: Final = ("NIST SP 800-53 CM-7",)
# Libraries that a program needs only if it interprets a language or edits command lines, by the start of the soname.
_INTERPRETER_LIBRARIES: Final = (
    "libpython", "libperl.so", "liblua", "libruby", "libtcl", "libguile", "libmozjs", "libv8", "libnode.so",
    "libphp", "libjvm.so", "libreadline.so", "libedit.so", "libeditline.so",
)  # fmt: skip
_SEARCH_PATH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@control(
    "ZOA-601",
    door=Door.PROGRAMS,
    severity=Severity.CRITICAL,
    title="There is no shell",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_shell(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file with the name of a shell (sh, bash, dash, zsh and the
    like, with versions), and no link of such a name to an executable of another name.

    Why it matters: every remote hole, debug mode and login ends in a shell; without one there is nothing to start.

    Example: /usr/bin/dash of the initrd, to which /usr/bin/sh leads.

    Fix: remove the file in the definition, after the scripts of the packages ran.

    Known limits: looks at names; a shell under another name is found by its content or libraries, in other controls.
    """
    yield from _programs(facts, names.SHELLS, "a shell", parameters)


@control(
    "ZOA-602",
    door=Door.PROGRAMS,
    severity=Severity.CRITICAL,
    title="There is no multi-call program that holds a shell",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_multi_call_program(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named busybox, toybox, sbase-box or coreutils, and no
    link of such a name to a program.

    Why it matters: one such file is a shell, an editor, a downloader and a telnet server at once.

    Example: /usr/bin/busybox.static in the initrd.

    Fix: remove the package busybox or the module of the initrd generator that brings it.

    Known limits: looks at names; BusyBox under another name is found by what its ELF file is, in another control.
    """
    yield from _programs(facts, names.MULTI_CALL, "a multi-call program", parameters)


@control(
    "ZOA-603",
    door=Door.PROGRAMS,
    severity=Severity.HIGH,
    title="There is no interpreter of a language",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_interpreter(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like an interpreter: Python, Perl, Ruby, Lua, Node,
    PHP, Tcl, awk, Java and others; sed, m4, bc and jq as well, whose scripts can read files, some also run commands.

    Why it matters: an interpreter runs code that is neither in the image nor measured, also where nothing writable
    may be executed.

    Example: /usr/bin/perl from perl-base.

    Fix: remove the file after the scripts of the packages ran; a service written in such a language needs "allowed".

    Known limits: interpreters inside other programs (SQLite, Vim, eBPF) are not seen unless a library gives them away.
    """
    yield from _programs(facts, names.INTERPRETERS, "an interpreter", parameters)


@control(
    "ZOA-604",
    door=Door.PROGRAMS,
    severity=Severity.HIGH,
    title="There is no debugger, tracer or packet capture",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_debugger(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a debugger, tracer, profiler, dump tool or
    network sniffer.

    Why it matters: such a program reads the memory and traffic of users' requests, which nothing else can.

    Example: /usr/bin/bpftool from the package bpftool.

    Fix: remove the package, or put it into the development profile only.

    Known limits: looks at names; the kernel's own interfaces (ptrace, perf, BPF) are other controls' subject.
    """
    yield from _programs(facts, names.DEBUGGERS, "a debugger or tracer", parameters)


@control(
    "ZOA-605",
    door=Door.PROGRAMS,
    severity=Severity.MEDIUM,
    title="There is no compiler or linker",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_compiler(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a compiler, assembler, linker or build tool.

    Why it matters: it makes programs out of text on the node, which nobody measured.

    Example: /usr/bin/x86_64-linux-gnu-gcc-14.

    Fix: build in another image or stage, and install only what came out.

    Known limits: compilers in libraries (LLVM, the CUDA run-time compiler) are not programs and are not seen.
    """
    yield from _programs(facts, names.COMPILERS, "a compiler or build tool", parameters)


@control(
    "ZOA-606",
    door=Door.PROGRAMS,
    severity=Severity.HIGH,
    title="There is no package manager",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 CM-11"),
    parameters=_ALLOWED,
)
def no_package_manager(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a package manager of a distribution or of a
    language, or an image updater.

    Why it matters: it brings programs onto the node that were not in the measured image.

    Example: /usr/bin/dpkg.

    Fix: remove the packages after installation; mkosi does with CleanPackageMetadata= and RemoveFiles=.

    Known limits: looks at names; the package database may stay, it is data.
    """
    yield from _programs(facts, names.PACKAGE_MANAGERS, "a package manager", parameters)


@control(
    "ZOA-607",
    door=Door.PROGRAMS,
    severity=Severity.MEDIUM,
    title="There is no client that moves files over the network",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_file_transfer(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a downloader, uploader, network pipe, cloud
    command line, version control or SSH client.

    Why it matters: it is how tools come onto a node and users' data leaves it.

    Example: /usr/bin/curl, or nc.openbsd in the initrd.

    Fix: remove the package; a service that needs HTTP has its own library.

    Known limits: any program with network access can send data; see what the network lets out.
    """
    yield from _programs(facts, names.TRANSFER, "a file-transfer client", parameters)


@control(
    "ZOA-608",
    door=Door.PROGRAMS,
    severity=Severity.LOW,
    title="There is no editor or pager",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_editor(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a text editor, a pager or man.

    Why it matters: nobody edits files on a node that nobody logs into, and editors and pagers start other programs.

    Example: /usr/bin/more from util-linux, whose "!" runs a command.

    Fix: remove the file in the definition.

    Known limits: looks at names.
    """
    yield from _programs(facts, names.EDITORS, "an editor or pager", parameters)


@control(
    "ZOA-609",
    door=Door.PROGRAMS,
    severity=Severity.HIGH,
    title="There is no program that starts another kernel",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_kexec_program(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like the tools of kexec and kdump.

    Why it matters: a kernel started by kexec was not measured, and the memory of the old one is its to read.

    Example: /usr/sbin/kexec from kexec-tools.

    Fix: remove the package.

    Known limits: systemctl kexec needs /usr/sbin/kexec; that the kernel refuses kexec is another control's subject.
    """
    yield from _programs(facts, names.KEXEC, "a kexec or crash dump tool", parameters)


@control(
    "ZOA-610",
    door=Door.PROGRAMS,
    severity=Severity.MEDIUM,
    title="There is no program that starts others with other rights",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 AC-6"),
    parameters=_ALLOWED,
)
def no_starter(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a program that enters or makes namespaces,
    changes root or user, asks systemd over its bus to run a command, or runs one later or detached.

    Why it matters: with nsenter or systemd-run, code in one confined service starts programs outside of it.

    Example: /usr/bin/nsenter and /usr/bin/systemd-run.

    Fix: remove the files in the definition; services do not call them.

    Known limits: systemctl, which can start only units that exist, is left; the system calls behind are not looked at.
    """
    yield from _programs(facts, names.STARTERS, "a program that starts others", parameters)


@control(
    "ZOA-611",
    door=Door.PROGRAMS,
    severity=Severity.LOW,
    title="There is no terminal program",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_terminal_program(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable file named like a terminal multiplexer, recorder or serial
    terminal.

    Why it matters: they allocate terminals and start a shell in them; they are of use only to somebody who is in.

    Example: /usr/bin/screen.

    Fix: remove the package.

    Known limits: looks at names.
    """
    yield from _programs(facts, names.TERMINALS, "a terminal program", parameters)


@control(
    "ZOA-612",
    door=Door.PROGRAMS,
    severity=Severity.MEDIUM,
    title="No script has an interpreter that is there",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_script_that_runs(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: for every executable file that begins with "#!", whether its interpreter is an executable of the
    same area, for /usr/bin/env and its like the program that the argument names in the usual search path.

    Why it matters: a script whose interpreter is missing is a dead file; one whose interpreter exists is a program
    that takes input apart in ways that nobody checked, and the interpreter is there for other scripts too.

    Example: /usr/bin/ldd begins with "#!/bin/bash", and bash is installed.

    Fix: remove the interpreter, or the script, or allow the script's path.

    Known limits: scripts that are not executable but given to an interpreter as an argument are not seen.
    """
    for area in facts.areas:
        for script in area.scripts:
            interpreter = _interpreter(area, script)
            if interpreter is not None and script.path not in parameters["allowed"]:
                line = f"#!{script.interpreter} {script.argument or ''}".rstrip()
                yield about_path(area, script.path, f"is a script that {interpreter.path} runs", line)


@control(
    "ZOA-613",
    door=Door.PROGRAMS,
    severity=Severity.HIGH,
    title="No program is linked with an interpreter or a line editor",
    references=_LEAST_FUNCTIONALITY,
    parameters=_ALLOWED,
)
def no_linked_interpreter(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no ELF file of root or initrd that can be run needs a library that runs a language (libpython,
    libperl, liblua, libruby, libtcl, libjvm and others) or edits command lines (libreadline, libedit).

    Why it matters: this finds interpreters and interactive tools under any name: a renamed python3 still needs
    libpython, a renamed client with a prompt needs libreadline.

    Example: /usr/lib/agent/helper needs libpython3.13.so.1.0.

    Fix: remove the program, or build it without the library.

    Known limits: static programs, and libraries opened at run time without a note, are not seen.
    """
    for area in facts.areas:
        for elf in area.elf:
            libraries = [name for name in (*elf.needed, *elf.dlopen) if name.startswith(_INTERPRETER_LIBRARIES)]
            file = area.by_path[elf.path]
            is_program = elf.starts or (file.is_executable and elf.soname is None)
            if libraries and is_program and elf.path not in parameters["allowed"]:
                yield about_path(area, elf.path, f"is linked with {libraries[0]}", f"needs {', '.join(libraries)}")


def _programs(facts: Facts, pattern: re.Pattern[str], what: str, parameters: Parameters) -> Iterator[Finding]:
    """Executable files of these names, and links of these names to executables that go by another.

    A script whose interpreter is missing is not executable.
    """
    for area in facts.areas:
        dead = {script.path for script in area.scripts if _interpreter(area, script) is None}
        named = [pair for name, pairs in area.programs.items() if pattern.fullmatch(name) for pair in pairs]
        for file, program in sorted(named, key=lambda pair: pair[0].path):
            if program.path in dead or file.path in parameters["allowed"]:
                continue
            if program is not file and pattern.fullmatch(program.name):  # found by its own name
                continue
            evidence = Evidence(source=area.name, path=program.path, value=f"mode {program.mode:04o}")
            package = f" from package {program.package}" if program.package else ""
            leads = "" if program is file else f", a link to {program.path}"
            yield Finding(
                subject=f"{area.name}:{file.path}", message=f"is {what}{package}{leads}", evidence=(evidence,)
            )


def _interpreter(area: Area, script: Script) -> File | None:
    """The executable that runs a script, None if there is none. What env(1) is asked to run counts, not env."""
    path = script.interpreter
    if path.rpartition("/")[2] == "env":
        words = [word for word in (script.argument or "").split() if not word.startswith("-") and "=" not in word]
        name = words[0] if words else ""
        candidates = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in _SEARCH_PATH]
    else:
        candidates = [path]
    found = (area.find(candidate) for candidate in candidates)
    return next((file for file in found if file is not None and file.is_executable), None)


CONTROLS = (
    no_shell, no_multi_call_program, no_interpreter, no_debugger, no_compiler, no_package_manager, no_file_transfer,
    no_editor, no_kexec_program, no_starter, no_terminal_program, no_script_that_runs, no_linked_interpreter,
)  # fmt: skip
