"""The kernel command line, argument by argument."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Difference, node_id
from builder.compare.parts import not_compared, pair, presence, topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from policies.facts.boot import Argument

NAME: Final = "command-line"
_TITLE: Final = "Kernel command line"
ROOT_HASH: Final = "roothash"
# No argument has such a name.
_ORDER: Final = node_id(NAME, "=order")
_SPELLING: Final = node_id(NAME, "=spelling")


def compare_command_lines(old: Baseline, new: Baseline) -> Topic:
    """Arguments by name, then their order, then what is left: blanks and quotes."""
    both = pair(old.uki, new.uki)
    if not isinstance(both, tuple):
        return not_compared(NAME, _TITLE, both)
    left, right = both[0].command_line, both[1].command_line
    return topic(NAME, _TITLE, argument_differences(left, right))


def argument_id(name: str, count: int = 0) -> str:
    """The id of an argument's difference; ``count`` tells several of one name apart."""
    return node_id(NAME, name) if count == 0 else node_id(NAME, name, str(count))


def argument_differences(old: str, new: str) -> Iterator[Difference]:
    """What differs between two command lines; nothing if and only if they are the same text."""
    if old == new:
        return
    left, right = _by_name(old), _by_name(new)
    found = False
    for name in dict.fromkeys((*left, *right)):
        for count, (one, other) in enumerate(zip_longest(left.get(name, ()), right.get(name, ()))):
            if one != other:
                found = True
                yield _difference(argument_id(name, count), one or other or name, presence(one, other), one, other)
    # An argument that changed hides no other order: of "ro" and "rw" the last one counts.
    if _order(old, new) != _order(new, old):
        yield _difference(_ORDER, "order of the arguments", Change.ORDER, old, new)
    elif not found:
        yield _difference(_SPELLING, "blanks and quotes", Change.METADATA, old, new)


def _difference(place: str, subject: str, change: Change, old: str | None, new: str | None) -> Difference:
    return Difference(
        id=place, kind="argument", subject=subject.partition("=")[0], change=change, old=old, new=new
    )  # fmt: skip


def _arguments(text: str) -> tuple[Argument, ...]:
    from builder.facts.boot import command_line  # noqa: PLC0415 -- readers of images, which equal lines need not

    return command_line(text).arguments


def _order(text: str, other: str) -> list[tuple[str, int]]:
    """The arguments that both command lines have, by name and count, in the order of the first."""
    there = {(name, count) for name, values in _by_name(other).items() for count in range(len(values))}
    seen: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for argument in _arguments(text):
        name = _name(argument)
        place = (name, seen.get(name, 0))
        seen[name] = place[1] + 1
        if place in there:
            found.append(place)
    return found


def _by_name(text: str) -> dict[str, list[str]]:
    """The arguments by name, each name's in order; those for PID 1 (behind "--") have names of their own."""
    found: dict[str, list[str]] = {}
    for argument in _arguments(text):
        found.setdefault(_name(argument), []).append(str(argument))
    return found


def _name(argument: Argument) -> str:
    return f"-- {argument.name}" if argument.for_init else argument.name
