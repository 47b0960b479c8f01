"""Baselines of which only a few parts are known."""

from __future__ import annotations

from typing import Any

from builder.compare.baseline import OUTSIDE, Baseline, Source


def bare(**parts: Any) -> Baseline:
    """A baseline with these parts; everything else is outside of it."""
    required: dict[str, Any] = {"identity": OUTSIDE, "uki": OUTSIDE, "measured": OUTSIDE, "files": OUTSIDE}
    return Baseline(source=Source("disk image", "made"), **(required | parts))
