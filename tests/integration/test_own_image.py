"""The images of this repository hold to the rules that they are for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from builder.image.inventory_file import from_jsonl, unpack
from builder.release.layout import INVENTORY, Names
from builder.release.record import load_record
from tests.releases import bedplate
from tests.supplies import IMAGE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration
UNITS = "/usr/lib/systemd/system"
INITRD = IMAGE.parent / "base/mkosi.images/initrd/mkosi.extra"


def test_the_inference_node_has_no_door_for_an_operator(release: Path) -> None:
    shown = bedplate("check", release, "--pack", IMAGE / "inference-node.yaml", "--format", "json")
    report = json.loads(shown.stdout)
    failed = {result["control"]: result["findings"] for result in report["results"] if result["outcome"] != "passed"}
    assert failed == {}
    assert (shown.status, report["passed"], report["problems"]) == (0, True, [])
    assert len(report["results"]) >= 180


def test_what_its_pack_allows_beyond_zero_operator_access_is_the_port_of_the_gateway(release: Path) -> None:
    report = json.loads(bedplate("check", release, "--pack", "zero-operator-access", "--format", "json").stdout)
    found = [finding for result in report["results"] for finding in result.get("findings", ())]
    assert [finding["subject"] for finding in found] == ["root:gateway.socket:443"]


def test_the_kernel_of_the_inference_node_is_hardened(release: Path) -> None:
    shown = bedplate("check", release, "--pack", "hardened-kernel", "--format", "json")
    report = json.loads(shown.stdout)
    failed = {result["control"]: result["findings"] for result in report["results"] if result["outcome"] != "passed"}
    assert failed == {}
    assert shown.status == 0


@pytest.mark.parametrize(("area", "programs", "megabytes"), [("root", 30, 120), ("initrd", 20, 27)])
def test_pruning_leaves_what_a_node_needs(built: Path, area: str, programs: int, megabytes: int) -> None:
    report = load_record(built).pruned[area]
    assert report.before.programs > 300
    assert report.after.programs <= programs
    assert report.after.bytes <= megabytes * 1_000_000
    assert (report.before.set_id > 0, report.after.set_id) == (True, 0)
    assert report.after.sockets < report.before.sockets
    assert {row.package for row in report.dropped} >= {"perl-base", "coreutils"}


def test_root_and_initrd_tell_udev_of_few_devices_and_start_nothing_for_nobody(release: Path) -> None:
    places = {(file.area, file.path) for file in from_jsonl(unpack((release / INVENTORY).read_bytes()))}
    for area in ("root", "initrd"):
        assert (area, f"{UNITS}/systemd-udev-trigger.service.d/10-bedplate.conf") in places
    assert ("root", "/usr/lib/udev/rules.d/60-bedplate-tdx.rules") in places
    for unit in ("systemd-logind", "systemd-tpm2-setup", "systemd-journal-flush", "kmod-static-nodes", "user-sessions"):
        assert [place for place in places if unit in place[1]] == []
    assert [path for _, path in places if "/modules-load.d/" in path] == ["/usr/lib/modules-load.d/bedplate.conf"]
    for unit in ("systemd-journald", "systemd-tmpfiles", "systemd-fsck", "systemd-growfs", "initrd-parse-etc"):
        assert [place for place in places if place[0] == "initrd" and unit in place[1]] == []


def test_the_initrd_has_the_modules_that_it_loads_by_name(release: Path) -> None:
    modules = (INITRD / "usr/lib/modules-load.d/bedplate.conf").read_text()
    names = {line for line in modules.splitlines() if not line.startswith("#")}
    files = {
        file.path.rpartition("/")[2]
        for file in from_jsonl(unpack((release / INVENTORY).read_bytes()))
        if file.area == "initrd"
    }
    assert names >= {"dm_verity", "erofs", "sha256_ssse3"}
    assert {name for name in names if {f"{name}.ko.xz", f"{name.replace('_', '-')}.ko.xz"}.isdisjoint(files)} == set()


def test_the_inference_node_is_small(release: Path) -> None:
    names = Names("inference-node_1.0.0_x86-64")
    assert (release / names.root).stat().st_size <= 120_000_000
    assert (release / names.uki).stat().st_size <= 25_000_000
