"""The definitions that this repository ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.definition.load import load
from builder.definition.model import Profile

IMAGES = Path(__file__).parents[3] / "images"
DEFINITIONS = sorted(IMAGES.glob("*/image.yaml"))


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.parent.name)
def test_a_shipped_definition_loads_and_is_named_after_its_directory(path: Path) -> None:
    assert load(path).definition.name == path.parent.name


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.parent.name)
def test_a_shipped_definition_is_for_production_and_names_no_mirror(path: Path) -> None:
    definition = load(path).definition
    assert definition.profile is Profile.PRODUCTION
    assert definition.distribution.mirror is None
