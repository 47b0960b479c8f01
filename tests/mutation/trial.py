"""Try mutants: put each in the place of its module, run the cases of the controls that could notice, put it back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from policies import controls, effective
from tests.control_cases import all_cases
from tests.fact_trees import facts
from tests.mutation.mutants import mutants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType

    from policies.control import Control
    from policies.facts import Facts
    from tests.control_cases import Case
    from tests.mutation.mutants import Mutant

_MODULES: Final = {name: module for name, module in sorted(vars(controls).items()) if isinstance(module, ModuleType)}
# What modules of controls share; a mutant of one of these is tried with the cases of all modules that import it.
SHARED: Final = (effective, *(module for name, module in _MODULES.items() if name.startswith("_")))
TOPICS: Final = tuple(module for module in _MODULES.values() if hasattr(module, "CONTROLS"))
Cases = tuple[tuple["Case", "Facts"], ...]


@dataclass(frozen=True)
class Tried:
    """A mutant, and the control whose case noticed it; None for a survivor."""

    module: str
    mutant: Mutant
    killed_by: str | None

    @property
    def name(self) -> str:
        """Which mutant it is, the same as long as the code is."""
        return f"{self.module}.{self.mutant.id}"


def tried(module: ModuleType, cases: Cases | None = None) -> Iterator[Tried]:
    """Try all mutants of a module of controls, or of one that these share, with the cases that could notice."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    name = module.__name__.rpartition(".")[2]
    topics = users_of(module)
    if cases is None:
        cases = tuple(case for topic in topics for case in cases_of(topic))
    for case, image in cases:
        control = next(control for topic in topics for control in topic.CONTROLS if control.id == case.control)
        if not _holds(control, case, image):
            raise AssertionError(f"a case of {case.control} fails without any change, so it would notice every mutant")
    likely = ""
    for mutant in mutants(source, module.__file__):
        killed_by = _noticed(module, mutant.code, topics, sorted(cases, key=lambda case: case[0].control != likely))
        likely = killed_by or likely
        yield Tried(name, mutant, killed_by)


def users_of(module: ModuleType) -> tuple[ModuleType, ...]:
    """The modules of controls whose controls a module decides."""
    if module in TOPICS:
        return (module,)
    names = {id(value) for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__}
    return tuple(
        topic for topic in TOPICS if any(value is module or id(value) in names for value in vars(topic).values())
    )


@cache
def cases_of(topic: ModuleType) -> Cases:
    """The cases of a module's controls, with their images."""
    ids = {control.id for control in topic.CONTROLS}
    return tuple((case, facts(**case.image)) for case in all_cases() if case.control in ids)


def _noticed(
    module: ModuleType, code: CodeType, topics: Sequence[ModuleType], cases: Sequence[tuple[Case, Facts]]
) -> str | None:
    """The control of the first case whose outcome is another one with the mutant."""
    kept = {name: sys.modules[name] for name in {module.__name__, *(topic.__name__ for topic in topics)}}
    try:
        mutated = _made(module, code)
        made = [mutated] if module in TOPICS else [_made(topic, _compiled(topic)) for topic in topics]
        by_id = {control.id: control for topic in made for control in topic.CONTROLS}
    except Exception:  # noqa: BLE001 -- a module that does not load is noticed by every test
        return "import"
    finally:
        sys.modules.update(kept)
        for name, original in kept.items():
            setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], original)
    return next((case.control for case, image in cases if not _holds(by_id[case.control], case, image)), None)


def _made(module: ModuleType, code: CodeType) -> ModuleType:
    made = ModuleType(module.__name__)
    made.__file__, made.__package__ = module.__file__, module.__package__
    sys.modules[module.__name__] = made
    setattr(sys.modules[module.__name__.rpartition(".")[0]], module.__name__.rpartition(".")[2], made)
    exec(code, vars(made))  # noqa: S102 -- the code of this project with one change
    return made


@cache
def _compiled(topic: ModuleType) -> CodeType:
    assert topic.__file__ is not None
    return compile(Path(topic.__file__).read_text(encoding="utf-8"), topic.__file__, "exec")


def _holds(control: Control, case: Case, image: Facts) -> bool:
    try:
        found = list(control.check(image, control.settle(case.parameters)))
        subjects = {finding.subject for finding in found}
    except Exception:  # noqa: BLE001 -- a crash fails the test of the case
        return False
    return subjects == case.subjects and len(found) == len(case.subjects)
