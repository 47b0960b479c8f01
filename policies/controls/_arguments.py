"""Arguments of the kernel command line, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from policies.effective import entry_evidence, entry_subject
from policies.finding import Evidence, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.facts import Argument, Facts


@dataclass(frozen=True, slots=True)
class Placed:
    """An argument and the place where it stands."""

    argument: Argument
    prefix: str  # of the subject: "uki:0", or "esp:/loader/addons/x.addon.efi"
    evidence: Evidence

    @property
    def name(self) -> str:
        """The name, "-" and "_" made one, as the kernel and systemd read it."""
        return self.argument.name.replace("-", "_")

    @property
    def value(self) -> str | None:
        """The value; None without "="."""
        return self.argument.value


def arguments(facts: Facts) -> Iterator[Placed]:
    """All arguments of the UKI's profiles, of the addons that a stub would append, and of other boot entries."""
    for profile in facts.uki.profiles if facts.uki else ():
        for argument in profile.command_line.arguments if profile.command_line else ():
            path = f".cmdline of profile {profile.number}, argument {argument.position}"
            yield Placed(argument, f"uki:{profile.number}", Evidence(source="uki", path=path, value=str(argument)))
    for file in facts.esp_files:
        for argument in file.command_line.arguments if file.command_line else ():
            path = f"{file.path}, argument {argument.position}"
            yield Placed(argument, f"esp:{file.path}", Evidence(source="esp", path=path, value=str(argument)))

    for entry in facts.boot.entries:
        for argument in entry.command_line.arguments if entry.command_line else ():
            yield Placed(argument, entry_subject(entry), entry_evidence(entry, str(argument)))


def about_argument(placed: Placed, message: str) -> Finding:
    """A finding about one argument."""
    subject = f"{placed.prefix}:{placed.argument}"
    return Finding(subject=subject, message=message, evidence=(placed.evidence,))


def is_on(value: str | None) -> bool:
    """Whether systemd takes a boolean argument for true; without a value it does. What it cannot parse is on here."""
    return value is None or value.lower() not in {"0", "no", "n", "false", "f", "off"}
