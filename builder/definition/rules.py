"""What must hold in a definition beyond the types of its keys."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.definition.distribution import ENGINE_ARCHIVE, MAIN_ARCHIVE
from builder.definition.kernel import refusal
from builder.weights.node_files import READER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.definition.model import ImageDefinition

# FAT's time stamps begin in 1980, PE's end in 2106; both are in every image.
FIRST_YEAR: Final = 1980
LAST_YEAR: Final = 2099
# x86's COMMAND_LINE_SIZE is 2048; half of it is left for what bedplate and the base add.
COMMAND_LINE_LIMIT: Final = 1024
# Beside a release VERSION stand VERSION.unsigned and VERSION.mkosi; no other version may take their place.
_OUTPUT_SUFFIXES: Final = (".unsigned", ".mkosi")

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: where, what is wrong (the sentence continues the key's name), and what to do."""

    path: KeyPath
    problem: str
    hint: str | None = None


def violations(definition: ImageDefinition) -> Iterator[Violation]:
    """All broken rules, in the order of the keys."""
    if definition.version.endswith(_OUTPUT_SUFFIXES):
        yield Violation(("version",), f"ends like the directory of a build: {' or '.join(_OUTPUT_SUFFIXES)}")
    yield from _archives(definition)
    yield from _command_line(definition)
    yield from _packs(definition)
    if definition.weights is not None and READER not in definition.programs:
        yield Violation(
            ("weights",),
            f"names weights, but programs has no {READER}, which reads them before the node listens",
            f"add {READER} to programs; its source is that of images/inference-node",
        )
    if not FIRST_YEAR <= definition.source_date.year <= LAST_YEAR:
        yield Violation(
            ("source_date",),
            f"is in {definition.source_date.year}, expected a date from {FIRST_YEAR} to {LAST_YEAR}, "
            "which FAT and PE time stamps can hold",
        )
    if definition.seed == uuid.UUID(int=0):
        yield Violation(("seed",), "is the nil UUID, expected a random one", "make one with uuidgen")


def _packs(definition: ImageDefinition) -> Iterator[Violation]:
    named = {name: index for index, name in enumerate(definition.policy.packs or ()) if not name.endswith(".yaml")}
    if not named:
        return
    from policies.pack import BUILTIN  # noqa: PLC0415 -- 0.1 s for all controls, which few definitions need

    known = sorted(path.stem for path in BUILTIN.glob("*.yaml"))
    for name, index in named.items():
        if name not in known:
            hint = f"built in are {', '.join(known)}; a pack of your own is named by its path, such as {name}.yaml"
            yield Violation(("policy", "packs", index), f"is {name!r}, which is no built-in pack", hint)


def _archives(definition: ImageDefinition) -> Iterator[Violation]:
    main = definition.distribution
    names = {MAIN_ARCHIVE: "the main archive"}
    places: dict[tuple[str, str | None], str] = {(main.suite, None): "the main archive"}
    for index, archive in enumerate(main.archives):
        path: KeyPath = ("distribution", "archives", index)
        place = (archive.suite, archive.mirror and archive.mirror.rstrip("/"))
        if archive.name.startswith(ENGINE_ARCHIVE):
            yield Violation((*path, "name"), f"is {archive.name!r}, but names that begin with engine are an engine's")
        elif archive.name in names:
            yield Violation((*path, "name"), f"is {archive.name!r}, which is the name of {names[archive.name]}")
        elif place in places:
            yield Violation((*path, "suite"), f"is {archive.suite!r}, which {places[place]} has already")
        names[archive.name] = places[place] = f"distribution.archives[{index}]"


def _command_line(definition: ImageDefinition) -> Iterator[Violation]:
    arguments = definition.kernel.command_line
    for index, argument in enumerate(arguments):
        rule = refusal(argument, definition.profile)
        if rule is not None:
            yield Violation(("kernel", "command_line", index), f"{argument!r} is refused because it {rule.reason}")
    length = len(" ".join(arguments))
    if length > COMMAND_LINE_LIMIT:
        yield Violation(("kernel", "command_line"), f"is {length} bytes long, expected at most {COMMAND_LINE_LIMIT}")
