"""Known-bad and known-good images of controls, in ``tests/unit/policies/cases/TOPIC.py`` as ``CASES``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


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
