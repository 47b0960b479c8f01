"""The images of this repository hold to the rules that they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.releases import bedplate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def test_the_inference_node_has_no_door_for_an_operator(release: Path) -> None:
    shown = bedplate("check", release, "--pack", "zero-operator-access", "--format", "json")
    report = json.loads(shown.stdout)
    failed = {result["control"]: result["findings"] for result in report["results"] if result["outcome"] != "passed"}
    assert failed == {}
    assert (shown.status, report["passed"], report["problems"]) == (0, True, [])
    assert len(report["results"]) >= 180
