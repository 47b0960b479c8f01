"""The controls by their id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.controls import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from policies.control import Control


def by_id(controls: Iterable[Control] = ALL) -> Mapping[str, Control]:
    """The controls by id, in order. Raises ValueError if two have one id."""
    found: dict[str, Control] = {}
    for control in controls:
        if control.id in found:
            raise ValueError(f"two controls have the id {control.id}")
        found[control.id] = control
    return dict(sorted(found.items()))
