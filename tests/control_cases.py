"""Known-bad and known-good images of controls, in ``tests/unit/policies/cases/TOPIC.py`` as ``CASES``."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent / "unit/policies/cases"


@dataclass(frozen=True)
class Case:
    """An image, made by ``fact_trees.facts(**image)``, and the subjects that the control must find in it."""

    control: str
    subjects: frozenset[str]
    image: Mapping[str, Any]
    parameters: Mapping[str, tuple[str, ...]]


def bad(control: str, *subjects: str, parameters: Mapping[str, tuple[str, ...]] | None = None, **image: Any) -> Case:
    """An image in which the control finds exactly these subjects."""
    if not subjects:
        raise ValueError(f"a known-bad case of {control} names no subject")
    return Case(control, frozenset(subjects), image, parameters or {})


def good(control: str, *, parameters: Mapping[str, tuple[str, ...]] | None = None, **image: Any) -> Case:
    """An image that comes near a bad one, and in which the control finds nothing."""
    if not image:
        raise ValueError(f"a known-good case of {control} has nothing in it that could be mistaken for a bad one")
    return Case(control, frozenset(), image, parameters or {})


@cache
def cases_by_topic() -> Mapping[str, tuple[Case, ...]]:
    """The cases of every file of the folder."""
    return {path.stem: _cases_of(path) for path in sorted(FOLDER.glob("*.py"))}


def all_cases() -> tuple[Case, ...]:
    """All cases, by topic."""
    return tuple(case for cases in cases_by_topic().values() for case in cases)


def _cases_of(path: Path) -> tuple[Case, ...]:
    spec = importlib.util.spec_from_file_location(f"cases_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases: tuple[Case, ...] = module.CASES
    return cases
