"""The requirements of others that controls name exist, by tests/vectors/policies/references.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from policies.controls import ALL

if TYPE_CHECKING:
    from policies.control import Control

FILE = Path(__file__).parents[2] / "vectors/policies/references.yaml"
COLLECTIONS = yaml.safe_load(FILE.read_text())
KNOWN = {f"{name} {key}" for name, collection in COLLECTIONS.items() for key in collection["titles"]}


@pytest.mark.parametrize("control", ALL, ids=lambda control: control.id)
def test_a_reference_has_been_looked_up(control: Control) -> None:
    assert [reference for reference in control.references if reference not in KNOWN] == []
    assert len(set(control.references)) == len(control.references)


def test_nothing_was_looked_up_for_no_control() -> None:
    assert KNOWN - {reference for control in ALL for reference in control.references} == set()


def test_every_collection_says_where_it_comes_from() -> None:
    assert all(collection["origin"].strip() for collection in COLLECTIONS.values())
    assert all(str(title).strip() for collection in COLLECTIONS.values() for title in collection["titles"].values())
