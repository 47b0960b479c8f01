"""The one root hash that a command line may name."""

from __future__ import annotations

import pytest

from builder.errors import MalformedImageError
from builder.release.contents import stated_root_hash

HASH = "ab" * 32


def test_the_root_hash_is_that_of_the_command_line() -> None:
    assert stated_root_hash(f"quiet roothash={HASH} panic=30").hex() == HASH


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "it has 0 roothash= arguments"),
        ("", "it has 0"),
        (f"xroothash={HASH}", "it has 0"),
        (f"roothash={HASH} roothash={HASH}", "it has 2"),
        (f"roothash={HASH} 'roothash'={'cd' * 32}", "it has 2"),
        (f"roothash={HASH} root\\hash={'cd' * 32}", "it has 2"),
        (f"roothash={HASH} x\u00e0roothash={'cd' * 32}", "it has 2"),
        ("roothash", "is not a SHA-256"),
        ("roothash=", "is not a SHA-256"),
        ("roothash=abcd", "is not a SHA-256"),
        (f"roothash={'xy' * 32}", "is not a SHA-256"),
    ],
)
def test_anything_else_is_refused(text: str | None, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        stated_root_hash(text)
