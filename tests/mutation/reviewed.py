"""Mutants that no test can notice, by the reason; reviewed by people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).parent / "equivalent.yaml"


def equivalent() -> Mapping[str, str]:
    """The reasons by the names of the mutants. Raises ValueError for a mutant that is there twice."""
    by_reason: dict[str, list[str]] = yaml.safe_load(FILE.read_text())
    pairs = [(name, reason) for reason, names in by_reason.items() for name in names]
    if len(dict(pairs)) != len(pairs):
        raise ValueError(f"a mutant is twice in {FILE}")
    return dict(pairs)
