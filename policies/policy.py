"""The effective policy of an image: what packs and waivers came to when it was built, in one document.

It needs no file beside itself: whoever signs or verifies runs the same controls with the same parameters, and sees
which pack files they came from.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from policies.control import ID_PATTERN
from policies.errors import InvalidPolicyError
from policies.pack import BUILTIN, Selected, closure, load, own_control
from policies.registry import by_id
from policies.report import PackSummary
from policies.rule import Rule  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.waiver import Waiver
from policies.waiver import load as load_waivers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
ControlId = Annotated[str, Meta(pattern=ID_PATTERN)]

SCHEMA: Final = "bedplate.policy.v1"


class PolicyPack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pack file that had a part in the policy."""

    name: Annotated[str, Meta(description="Name of a built-in pack, or file name without its ending.")]
    builtin: Annotated[bool, Meta(description="It came with bedplate; only then does its name mean anything.")]
    included: Annotated[bool, Meta(description="Another pack includes it; the definition did not name it.")]
    description: Annotated[str, Meta(description="What it is for.")]
    sha256: Annotated[Sha256, Meta(description="Digest of the file.")]


class PolicyControl(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A control that must hold."""

    id: Annotated[ControlId, Meta(description="Id.")]
    pack: Annotated[str, Meta(description="Pack that asks for it.")]
    parameters: Annotated[dict[str, tuple[str, ...]], Meta(description="All of them, with defaults filled in.")]
    rule: Annotated[Rule | None, Meta(description="The rule itself, if the pack wrote one of its own.")] = None


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an image must satisfy, and what is excused."""

    schema: Annotated[Literal["bedplate.policy.v1"], Meta(description="Version of this document.")] = SCHEMA
    packs: Annotated[tuple[PolicyPack, ...], Meta(min_length=1, description="Those named first, by name.")]
    controls: Annotated[tuple[PolicyControl, ...], Meta(min_length=1, description="By id, each once.")]
    waivers: Annotated[tuple[Waiver, ...], Meta(description="As their file has them.")]

    @property
    def summaries(self) -> tuple[PackSummary, ...]:
        """The packs that were named, for a report."""
        return tuple(
            PackSummary(name=pack.name, description=pack.description) for pack in self.packs if not pack.included
        )

    @property
    def builtin_packs(self) -> frozenset[str]:
        """The packs of bedplate that are in it, named or included."""
        return frozenset(pack.name for pack in self.packs if pack.builtin)


def settle(names: Sequence[str], directory: Path, waivers: Path | None = None) -> Policy:
    """The policy of packs by name or by path relative to ``directory``, and a file of waivers.

    Raises InvalidPolicyError for what ``pack.load`` and ``waiver.load`` refuse.
    """
    selection = load(names, directory)
    packs = tuple(
        PolicyPack(
            name=path.stem,
            builtin=path.parent == BUILTIN,
            included=included,
            description=document.description,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path, document, included in closure(names, directory)
    )
    return Policy(
        packs=tuple(sorted(packs, key=lambda pack: (pack.included, pack.name, pack.sha256))),
        controls=tuple(
            PolicyControl(id=item.control.id, pack=item.pack, parameters=dict(item.parameters), rule=item.control.rule)
            for item in selection
        ),
        waivers=() if waivers is None else load_waivers(waivers),
    )


def encode(policy: Policy) -> bytes:
    """The policy as compact JSON with sorted keys: equal policies have equal bytes."""
    return msgspec.json.encode(policy, order="sorted") + b"\n"


def decode(data: bytes) -> Policy:
    """Read a policy. Raises InvalidPolicyError if it is none, is not in the form of ``encode``, or repeats a control.

    The one form leaves no room for a key that is there twice, of which each reader could take another.
    """
    try:
        policy = msgspec.json.decode(data, type=Policy)
        canonical = encode(policy) == data
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        problem = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise InvalidPolicyError(f"this is no policy: {problem}") from None
    if not canonical:
        raise InvalidPolicyError("this is no policy as bedplate writes it: keys are unsorted, twice or have blanks")
    ids = [item.id for item in policy.controls]
    if len(set(ids)) != len(ids):
        raise InvalidPolicyError("the policy names a control twice")
    return policy


def departures(policy: Policy, selected: Sequence[Selected]) -> Iterator[str]:
    """A sentence for each thing in which a policy is not as strict as these controls, or not in the same way.

    Controls and rules that the policy has besides them make it stricter, and are not told.
    """
    asked = {item.id: item for item in policy.controls}
    for item in selected:
        own = asked.get(item.control.id)
        if own is None:
            yield f"{item.control.id} is not asked for"
            continue
        for name, values in item.parameters.items():
            others = own.parameters.get(name, ())
            if others != values:
                yield f"{item.control.id} has {name} {_listed(others)}, not {_listed(values)}"
    for waiver in policy.waivers:
        yield f"{waiver.control} is waived for {waiver.subject} until {waiver.expires}"


def departures_from_included(policy: Policy) -> tuple[str, ...]:
    """In which ways a policy departs from the packs of bedplate that its packs are or include, as they are here."""
    return tuple(
        dict.fromkeys(told for name in sorted(policy.builtin_packs) for told in departures(policy, load([name])))
    )


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "nothing"


def selection(policy: Policy) -> tuple[tuple[Selected, ...], tuple[str, ...]]:
    """The controls to run, and a sentence for each one that this bedplate cannot run as the policy says.

    Raises MissingExtraError if a pack has rules of its own and what runs them is not installed.
    """
    known = by_id()
    found: list[Selected] = []
    problems: list[str] = []
    for item in policy.controls:
        if item.rule is None and item.id not in known:
            problems.append(f"this bedplate does not know the control {item.id}, which {item.pack} asks for")
            continue
        try:
            control = known[item.id] if item.rule is None else own_control(item.id, item.rule)
            found.append(Selected(control, control.settle(item.parameters), item.pack))
        except ValueError as error:
            problems.append(f"this bedplate cannot run {item.id} as {item.pack} asks: {error}")
    return tuple(found), tuple(problems)
