"""The images of this repository hold to the rules that they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from builder.release.layout import Names
from builder.release.record import load_record
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


def test_the_kernel_of_the_inference_node_is_hardened(release: Path) -> None:
    shown = bedplate("check", release, "--pack", "hardened-kernel", "--format", "json")
    report = json.loads(shown.stdout)
    failed = {result["control"]: result["findings"] for result in report["results"] if result["outcome"] != "passed"}
    assert failed == {}
    assert shown.status == 0


@pytest.mark.parametrize(("area", "programs", "megabytes"), [("root", 40, 50), ("initrd", 40, 30)])
def test_pruning_leaves_what_a_node_needs(built: Path, area: str, programs: int, megabytes: int) -> None:
    report = load_record(built).pruned[area]
    assert report.before.programs > 300
    assert report.after.programs <= programs
    assert report.after.bytes <= megabytes * 1_000_000
    assert (report.before.set_id > 0, report.after.set_id) == (True, 0)
    assert report.after.sockets < report.before.sockets
    assert {row.package for row in report.dropped} >= {"perl-base", "coreutils"}


def test_the_inference_node_is_small(release: Path) -> None:
    names = Names("inference-node_1.0.0_x86-64")
    assert (release / names.root).stat().st_size <= 50_000_000
    assert (release / names.uki).stat().st_size <= 25_000_000
