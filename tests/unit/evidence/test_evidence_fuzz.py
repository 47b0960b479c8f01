"""A short run of each fuzzer of logs, quotes, signatures and documents; tests/fuzz/*.py say how to run them longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzzing import assert_finds_nothing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "max_len"),
    [
        ("eventlog", 16384),
        ("quote", 32768),
        ("files", 32768),
        ("statements", 32768),
        ("signature", 32768),
        ("nitro", 32768),
        ("node_document", 32768),
    ],
)
def test_a_fuzzer_finds_nothing(name: str, max_len: int, tmp_path: Path) -> None:
    assert_finds_nothing(name, tmp_path, max_len)
