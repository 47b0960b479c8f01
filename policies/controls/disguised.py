"""Door "programs": shells and interpreters by what is in them."""

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


CONTROLS = (no_disguised_shell,)
