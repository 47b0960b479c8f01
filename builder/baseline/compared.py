"""Two sides read and compared, as far as a scope goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.baseline.source import read_baseline
from builder.compare.baselines import compare
from builder.compare.difference import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.compare.difference import Report
    from signing.keys import PublicKey


def compared(old: Path, new: Path, trusted: Sequence[PublicKey], scope: Scope) -> Report:
    """The difference of two sides. Raises what ``read_baseline`` raises."""
    report = compare(*(read_baseline(path, trusted, images=scope is not Scope.MANIFESTS) for path in (old, new)))
    if scope is not Scope.DEEP:
        return report
    from builder.baseline.deepen import deepen  # noqa: PLC0415 -- readers of files, for one scope only

    return deepen(report, old, new)
