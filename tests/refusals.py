"""What verifying a release finds wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import NotVerifiedError
from builder.release.verify import verify_release

if TYPE_CHECKING:
    from pathlib import Path

    from builder.release.keyring import Keyring


def problems_of(directory: Path, keys: Keyring, **options: Any) -> list[str]:
    """Every problem that verifying finds; fails if it finds none."""
    with pytest.raises(NotVerifiedError) as caught:
        verify_release(directory, [keys.release.public_key], **options)
    assert caught.value.problems
    return list(caught.value.problems)


def assert_problems(found: list[str], *expected: str) -> None:
    """``expected`` are regular expressions, one for each problem, in order."""
    assert len(found) == len(expected), found
    for problem, pattern in zip(found, expected, strict=True):
        assert re.fullmatch(pattern, problem), f"{problem!r} is not {pattern!r}"
