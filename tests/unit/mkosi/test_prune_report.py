"""Reading what pruning left in mkosi's output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import ToolFailedError
from builder.mkosi.prune_report import read_prune_reports, summary_lines

if TYPE_CHECKING:
    from pathlib import Path

SIZE = {"bytes": 2_500_000, "files": 20, "programs": 3, "set_id": 2, "sockets": 1}
REPORT: dict[str, Any] = {
    "before": SIZE,
    "after": SIZE | {"bytes": 1_000_000, "files": 5, "set_id": 0},
    "dropped": [{"package": "bash", "files": 15, "bytes": 1_500_000}],
    "dropped_packages": 1,
    "because": {"/usr/bin/a": "a.service starts it"},
}


def write(output: Path, **documents: Any) -> None:
    for area, document in documents.items():
        (output / f"prune-{area}.json").write_text(json.dumps(document))


def test_reports_of_both_areas_are_read(tmp_path: Path) -> None:
    write(tmp_path, root=REPORT, initrd=REPORT)
    reports = read_prune_reports(tmp_path)
    assert list(reports) == ["root", "initrd"]
    assert reports["root"].dropped[0].package == "bash"


def test_a_build_without_pruning_has_no_reports(tmp_path: Path) -> None:
    assert read_prune_reports(tmp_path) == {}


def test_one_area_alone_is_refused(tmp_path: Path) -> None:
    write(tmp_path, root=REPORT)
    with pytest.raises(ToolFailedError, match="only the root was pruned"):
        read_prune_reports(tmp_path)


@pytest.mark.parametrize("broken", [[], {}, REPORT | {"after": {**SIZE, "files": "5"}}])
def test_a_broken_report_is_refused(tmp_path: Path, broken: object) -> None:
    write(tmp_path, root=broken, initrd=REPORT)
    with pytest.raises(ToolFailedError, match=r"no usable report prune-root\.json"):
        read_prune_reports(tmp_path)


def test_a_report_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    write(tmp_path, root=REPORT, initrd=REPORT)
    (tmp_path / "prune-root.json").write_text('{"x": ' + "[" * 100_000)
    with pytest.raises(ToolFailedError, match=r"no usable report prune-root\.json"):
        read_prune_reports(tmp_path)


def test_the_summary_has_one_line_for_each_area(tmp_path: Path) -> None:
    write(tmp_path, root=REPORT, initrd=REPORT)
    assert summary_lines(read_prune_reports(tmp_path))[0] == (
        "root: 20 -> 5 files, 2.5 -> 1.0 MB, 3 -> 3 programs, 2 -> 0 set-id files, 1 -> 1 socket addresses"
    )
