"""What the findings of a refused image look like; imported by verbs when they run, for a fast ``--help``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from builder.cli.output import to_stderr
from builder.release.verdict import RefusedImageError
from policies.presenters.text import text

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def findings_on_stderr() -> Iterator[None]:
    """Show the findings, as `bedplate check` does, before the error goes on its way."""
    try:
        yield
    except RefusedImageError as error:
        to_stderr(f"{text(error.report)}\n")
        raise
