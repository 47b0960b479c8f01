"""What lies under the file systems that the start mounts counts for nothing, and is told."""

from __future__ import annotations

import stat

import pytest

from policies.registry import by_id
from tests.fact_trees import Content, device, facts, file, folder, link, program

UNIT = "usr/lib/systemd/system/x.service"
BAD = "[Service]\nExecStart=/run/x\n"
NULL = link("/dev/null")


def subjects(**areas: dict[str, Content]) -> list[str]:
    return [finding.subject for finding in by_id()["ZOA-919"].check(facts(**areas), {})]


@pytest.mark.parametrize("place", ["run/systemd/system", "run/systemd/system.control"])
@pytest.mark.parametrize("cover", [NULL, "", "[Service]\nExecStart=/usr/bin/true\n"])
def test_a_file_in_run_neither_masks_nor_replaces_a_unit(place: str, cover: Content) -> None:
    path = f"{place}/x.service"
    found = facts(root={UNIT: BAD, path: cover}, initrd={UNIT: BAD, path: cover})
    for area in found.areas:
        assert [item.path for item in area.units["x.service"].programs] == ["/run/x"]
    assert [gap.place for gap in found.unread] == [f"root:/{path}", f"initrd:/{path}"]


def test_a_file_in_run_overrides_no_configuration() -> None:
    found = facts(
        root={
            "usr/lib/sysctl.d/a.conf": "kernel.sysrq=1\n",
            "run/sysctl.d/a.conf": NULL,
            "run/sysctl.d/b.conf": "kernel.sysrq=0\n",
            "usr/lib/systemd/system-generators/x": program(),
            "run/systemd/system-generators/x": NULL,
            UNIT: BAD,
            "run/systemd/system/x.service.d/a.conf": "[Service]\nExecStart=\n",
        }
    )
    assert [item.value for item in found.root.configuration.sysctl] == ["1"]
    assert [(item.path, item.masked) for item in found.root.systemd.generators] == [
        ("/usr/lib/systemd/system-generators/x", False)
    ]
    assert [item.path for item in found.root.units["x.service"].programs] == ["/run/x"]


@pytest.mark.parametrize("path", ["run/a", "tmp/a/b", "dev/a", "proc/a", "sys/a/b", "run", "tmp"])
def test_a_file_that_is_covered_is_a_finding(path: str) -> None:
    assert subjects(root={path: file("x")}) == [f"unread:root:/{path}"]
    assert subjects(initrd={path: file("x")}) == [f"unread:initrd:/{path}"]


@pytest.mark.parametrize("path", ["run/a", "tmp/a", "proc/a", "sys/a", "run"])
def test_a_link_that_is_covered_is_a_finding(path: str) -> None:
    assert subjects(root={path: link("/usr")}) == [f"unread:root:/{path}"]


def test_directories_there_and_usual_devices_are_right() -> None:
    usual = {
        "run/lock/subsys": folder(), "tmp": folder(), "proc": folder(), "sys": folder(), "running/x": "x",
        "dev/null": device(stat.S_IFCHR, 1, 3), "dev/fd": link("/proc/self/fd"), "etc/run/x": "x",
    }  # fmt: skip
    assert subjects(root=usual, initrd=usual) == []
