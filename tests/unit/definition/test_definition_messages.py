"""What a person reads for each kind of mistake in an ``image.yaml``, to the letter.

``tests/vectors/definition/NAME.yaml`` has one kind of mistake and ``NAME.txt`` what is told of it. To write the
expected texts anew: ``BEDPLATE_RECORD=1 pytest tests/unit/definition``, which fails so that it cannot pass for a test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.cli.errors import render
from builder.definition.load import parse
from builder.errors import InvalidInputError

VECTORS = Path(__file__).parents[2] / "vectors" / "definition"
BROKEN = sorted(VECTORS.glob("*.yaml"))


def test_there_are_broken_definitions() -> None:
    assert len(BROKEN) >= 12


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_definition_is_told_in_these_words(path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse(path.read_bytes(), path.name)
    told = render(caught.value)
    expected = path.with_suffix(".txt")
    if os.environ.get("BEDPLATE_RECORD"):
        expected.write_text(told)
        pytest.fail(f"wrote {expected.name}; look at the difference")
    assert told == expected.read_text()
