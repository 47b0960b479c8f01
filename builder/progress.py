"""How workflows tell what they are doing, without knowing who listens.

A workflow takes a Reporter and opens a stage around each part of its work; the command line decides whether that
becomes a status line, plain lines, JSON events or nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Stage(Protocol):
    """A part of the work that is under way."""

    def line(self, text: str) -> None:
        """Tell the last line that the stage's tool printed."""


class Reporter(Protocol):
    """Who is told. Stages may be opened inside each other, and side by side in several threads."""

    def stage(self, name: str) -> AbstractContextManager[Stage]:
        """A block of work called ``name`` ("make the toolchain tree"); it failed if an exception leaves the block."""


class Silent:
    """A Reporter that tells nobody; also its own Stage."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Stage]:  # noqa: ARG002 -- the protocol's parameter
        """A stage that nobody hears of."""
        yield self

    def line(self, text: str) -> None:
        """Drop ``text``."""
