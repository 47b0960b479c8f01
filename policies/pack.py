"""Packs: which controls must hold, with which parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

from policies.control import ID_PATTERN, OUR_PREFIX
from policies.document import read
from policies.errors import InvalidPolicyError
from policies.registry import by_id
from policies.report import PackSummary
from policies.rule import Rule  # noqa: TC001 -- msgspec resolves annotations at run time
from policies.rule_control import control_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from policies.control import Control, Parameters

BUILTIN: Final = Path(__file__).resolve().parent / "packs"
CURRENT: Final = Path()
_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_MAX_DEPTH: Final = 16

Settings = dict[str, list[str]]


class PackDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pack as its file says it."""

    description: Annotated[str, Meta(min_length=1, description="What it is for, one sentence.")]
    include: Annotated[list[str], Meta(description="Packs whose controls it takes over: names, or paths.")] = []
    controls: Annotated[
        dict[str, Settings | Literal[""]],
        Meta(description="Control ids with their parameters; what an included pack sets is replaced."),
    ] = {}
    rules: Annotated[
        dict[str, Rule], Meta(description="Rules of one's own, by ids such as ACM-001; ZOA is bedplate's prefix.")
    ] = {}


@dataclass(frozen=True, slots=True)
class Selected:
    """A control, with all its parameters, and the pack that asks for it."""

    control: Control
    parameters: Parameters
    pack: str


@dataclass(frozen=True, slots=True)
class Packs:
    """Packs that were named: what they say of themselves, and their controls by id."""

    summaries: tuple[PackSummary, ...]
    selection: tuple[Selected, ...]


def load(names: Sequence[str], directory: Path = CURRENT) -> tuple[Selected, ...]:
    """The controls of some packs by id. Raises what :func:`read_packs` does."""
    return read_packs(names, directory).selection


def read_packs(names: Sequence[str], directory: Path = CURRENT) -> Packs:
    """Some packs, each file read once.

    ``names`` are built-in packs, or paths of files (with a "/" or ending in ".yaml") relative to ``directory``. Raises
    InvalidPolicyError for unknown packs, controls and parameters, packs without a control, circles, two files of one
    name, and one control with different parameters from packs that stand side by side.
    """
    if not names:
        raise InvalidPolicyError("no pack is named, so nothing would be checked")
    files: dict[str, Path] = {}
    packs = [_load(name, directory, (), files) for name in names]
    chosen = _merged((controls for _, controls in packs), "the packs")
    return Packs(tuple(summary for summary, _ in packs), tuple(chosen[key] for key in sorted(chosen)))


def closure(names: Sequence[str], directory: Path = CURRENT) -> Iterator[tuple[Path, PackDocument, bool]]:
    """The files of packs that :func:`load` accepts and of what they include, each once, with whether it is included."""
    waiting = [(_path(name, directory).resolve(), False) for name in names]
    seen: set[Path] = set()
    while waiting:
        path, included = waiting.pop(0)
        if path not in seen:
            seen.add(path)
            document = read(path, PackDocument)
            yield path, document, included
            waiting += [(_path(name, path.parent).resolve(), True) for name in document.include]


def _load(
    name: str, directory: Path, above: tuple[Path, ...], files: dict[str, Path]
) -> tuple[PackSummary, Mapping[str, Selected]]:
    """A pack; ``files`` has those read so far by their names, of which each stands for one file."""
    path = _path(name, directory)
    other = files.setdefault(path.stem, path)
    if other.resolve() != path.resolve():
        raise InvalidPolicyError(
            f"{path}: {other} is called {path.stem}, too, and reports name a pack by its file; rename one of them"
        )
    if path.resolve() in above or len(above) == _MAX_DEPTH:
        raise InvalidPolicyError(f"{path}: packs include each other in a circle, or too deep")
    document = read(path, PackDocument)
    below = (*above, path.resolve())
    chosen = dict(_merged((_load(included, path.parent, below, files)[1] for included in document.include), str(path)))
    controls = by_id()
    for control_id, settings in document.controls.items():
        if control_id not in controls:
            raise InvalidPolicyError(f"{path}: there is no control {control_id!r}")
        control = controls[control_id]
        try:
            values = {key: tuple(value) for key, value in (settings or {}).items()}
            chosen[control_id] = Selected(control, control.settle(values), path.stem)
        except ValueError as error:
            raise InvalidPolicyError(f"{path}: {error}") from None
    for rule_id, rule in document.rules.items():
        if rule_id in chosen:
            raise InvalidPolicyError(f"{path}: rule {rule_id} is there already, in {chosen[rule_id].pack}")
        try:
            chosen[rule_id] = Selected(own_control(rule_id, rule), {}, path.stem)
        except ValueError as error:
            raise InvalidPolicyError(f"{path}: {error}") from None
    if not chosen:
        raise InvalidPolicyError(f"{path}: the pack has no control, so it would check nothing")
    return PackSummary(name=path.stem, description=document.description), chosen


def own_control(rule_id: str, rule: Rule) -> Control:
    """The control of a rule of one's own. Raises ValueError for an id that is none for it, and for a broken rule."""
    if not re.fullmatch(ID_PATTERN, rule_id) or rule_id.startswith(OUR_PREFIX):
        raise ValueError(
            f"{rule_id!r} is no id for a rule of one's own, which is three letters and three digits as in"
            f" ACM-001, but not {OUR_PREFIX}"
        )
    try:
        return control_of(rule_id, rule)
    except ValueError as error:
        raise ValueError(f"rule {rule_id}: {error}") from None


def _path(name: str, directory: Path) -> Path:
    if "/" in name or name.endswith(".yaml"):
        file = directory / name
        own = BUILTIN / file.name
        if own.is_file() and file.resolve() != own:
            raise InvalidPolicyError(
                f"{file}: a pack that is built in is called {file.stem}, and reports name a pack by its file; rename it"
            )
        return file
    path = BUILTIN / f"{name}.yaml"
    if not _NAME.fullmatch(name) or not path.is_file():
        known = ", ".join(sorted(pack.stem for pack in BUILTIN.glob("*.yaml")))
        raise InvalidPolicyError(f"there is no pack {name!r}; built in are {known}")
    return path


def _merged(packs: Iterable[Mapping[str, Selected]], place: str) -> dict[str, Selected]:
    chosen: dict[str, Selected] = {}
    for pack in packs:
        for control_id, selected in pack.items():
            other = chosen.setdefault(control_id, selected)
            if other.control.rule != selected.control.rule:
                raise InvalidPolicyError(
                    f"{place}: {control_id} is one rule in {other.pack} and another in {selected.pack}"
                )
            if other.parameters != selected.parameters:
                raise InvalidPolicyError(
                    f"{place}: {control_id} has other parameters in {other.pack} than in {selected.pack}"
                )
    return chosen
