"""Door "consoles": what turns a screen, a keyboard or a serial line into a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.control import Door, Severity, control
from policies.finding import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Facts


@control(
    "ZOA-201",
    door=Door.CONSOLES,
    severity=Severity.HIGH,
    title="The kernel command line names no console",
    references=("NIST SP 800-53 AC-3",),
    needs=("uki",),
)
def no_console_argument(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile of the UKI has a console= argument, but console=null and an empty one, which turn
    consoles off.

    Why it matters: systemd-getty-generator starts a login on the kernel's consoles, emergency shells open there, and
    what the kernel and services print may hold data of users.

    Example: console=ttyS0,115200n8 in the .cmdline section.

    Fix: remove the argument from kernel.command_line in the definition.

    Known limits: a kernel without console= still uses the first virtual terminal.
    """
    if facts.uki is None:
        return
    for profile in facts.uki.profiles:
        for argument in profile.command_line.all("console") if profile.command_line else ():
            if argument.value not in {"", "null"}:
                path = f".cmdline of profile {profile.number}, argument {argument.position}"
                yield Finding(
                    subject=f"uki:{profile.number}:{argument}",
                    message="makes a device a console of the kernel",
                    evidence=(Evidence(source="uki", path=path, value=str(argument)),),
                )


CONTROLS = (no_console_argument,)
