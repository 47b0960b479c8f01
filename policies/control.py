"""A control: a small pure function from facts to findings, with all that a reader needs to know about it."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from policies.facts import Facts
from policies.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rule import Rule

# Values of a control's parameters, defaults filled in; every parameter is a list of texts.
Parameters = Mapping[str, tuple[str, ...]]
Check = Callable[[Facts, Parameters], Iterable[Finding]]
# What a control cannot do without; a directory tree has none of them.
Need = Literal["disk", "uki", "initrd"]
# When a control can hold at the earliest: on the image as it was built, or once it is signed.
Stage = Literal["built", "signed"]

ID_PATTERN: Final = r"^[A-Z]{3}-[0-9]{3}$"
# Of the ids of the controls here; rules of one's own have another.
OUR_PREFIX: Final = "ZOA-"
_ID: Final = re.compile(r"[A-Z]{3}-[0-9]{3}")
_SECTIONS: Final = ("What it checks", "Why it matters", "Example", "Fix", "Known limits")


class Severity(enum.StrEnum):
    """How bad it is when a control fails; in this order in reports."""

    CRITICAL = "critical"  # somebody can get in
    HIGH = "high"  # somebody who can do one more thing can get in
    MEDIUM = "medium"  # a defence in depth is missing
    LOW = "low"  # an attacker who is in has it easier

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class Door(enum.StrEnum):
    """The ways into an image, by which reports are grouped."""

    REMOTE_SHELLS = "remote-shells"
    CONSOLES = "consoles"
    AGENTS = "agents"
    INJECTED_CONFIGURATION = "injected-configuration"
    ACCOUNTS = "accounts"
    PROGRAMS = "programs"
    INTEGRITY = "integrity"
    LEAKS = "leaks"
    SECRETS = "secrets"
    MEASURED_BOOT = "measured-boot"

    @property
    def heading(self) -> str:
        """Words for a heading."""
        return self.value.replace("-", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that a pack may set: a list of texts."""

    name: str
    default: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Control:
    """A control; made by :func:`control`. ``example``, ``limits`` and the like come from its docstring."""

    id: str
    door: Door
    severity: Severity
    title: str
    looks_at: str
    rationale: str
    example: str
    fix: str
    limits: str
    references: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    needs: tuple[Need, ...]
    stage: Stage
    check: Check
    rule: Rule | None = None  # what a pack wrote, if it is a rule of one's own

    def settle(self, values: Mapping[str, tuple[str, ...]]) -> Parameters:
        """All parameters with their values. Raises ValueError that names a parameter which the control has not."""
        defaults = {parameter.name: parameter.default for parameter in self.parameters}
        unknown = sorted(values.keys() - defaults.keys())
        if unknown:
            known = ", ".join(defaults) or "none"
            raise ValueError(f"{self.id} has no parameter {unknown[0]!r}; it has {known}")
        return defaults | dict(values)


def control(
    control_id: str,
    *,
    door: Door,
    severity: Severity,
    title: str,
    references: tuple[str, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    needs: tuple[Need, ...] = (),
    stage: Stage = "built",
) -> Callable[[Check], Control]:
    """Make a control of a function. ``title`` says what holds in a good image.

    The docstring has the paragraphs "What it checks:", "Why it matters:", "Example:", "Fix:" and "Known limits:", in
    this order. Raises ValueError where it does not, and for an id that is not three letters and three digits.
    """

    def make(check: Check) -> Control:
        if not _ID.fullmatch(control_id):
            raise ValueError(f"{control_id!r} is no id of a control")
        paragraphs = dict(_paragraphs(control_id, inspect.getdoc(check) or ""))
        if tuple(paragraphs) != _SECTIONS:
            raise ValueError(f"the docstring of {control_id} has {list(paragraphs)}, not {list(_SECTIONS)}")
        looks_at, rationale, example, fix, limits = paragraphs.values()
        return Control(
            id=control_id,
            door=door,
            severity=severity,
            title=title,
            looks_at=looks_at,
            rationale=rationale,
            example=example,
            fix=fix,
            limits=limits,
            references=references,
            parameters=parameters,
            needs=needs,
            stage=stage,
            check=check,
        )

    return make


def _paragraphs(control_id: str, text: str) -> Iterator[tuple[str, str]]:
    for paragraph in re.split(r"\n\s*\n", text):
        name, _, body = " ".join(paragraph.split()).partition(": ")
        if not body:
            raise ValueError(f"a paragraph of {control_id}'s docstring has no heading or no text: {paragraph!r}")
        yield name, body
