"""The difference in a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from rich.console import Console

from builder.cli.diff_text import outline
from builder.cli.tree import Branch, _drawn, plain_tree
from builder.compare.baseline import BesideUki
from builder.compare.baselines import compare
from builder.compare.deep.inside import look_inside
from tests.made_releases import Recipe
from tests.sample_differences import file, hostile, large, side

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.difference import Report


def text(report: Report, *, full: bool = False) -> str:
    return plain_tree(outline(report, full=full))


def drawn(root: Branch, width: int) -> str:
    output = io.StringIO()
    Console(file=output, width=width, no_color=True, force_terminal=True, legacy_windows=False).print(_drawn(root))
    return re.sub(r"\x1b\[[0-9;]*m", "", output.getvalue())


def test_the_way_from_a_package_to_the_pcrs_comes_first() -> None:
    assert text(large(1, 3)).startswith(
        """\
node 1.0.0 -> node 1.1.0: they differ
  old: release dist/node/1.0.0
    signed by 6d0e8befb1727f4e
  new: release dist/node/1.1.0
    signed by 6d0e8befb1727f4e
  Why PCRs moved
    package-000 1.0.0-1 -> 1.1.0-1
      so 3 files in root
      so the root hash, the command line and the UKI
      so PCR 4 (event 0), PCR 9 (event 0) and PCR 11 (event 1)
    PCR 7, 12, 13 and 14 did not move
  Key policy of AWS KMS
    Nodes with Secure Boot enabled: put the new value beside the old one; """
    )


def test_many_causes_and_files_are_counted_and_full_names_all_of_them() -> None:
    report = large(60, 300)
    short, full = text(report), text(report, full=True)
    assert "      and 57 more (--full)\n" in short
    assert "    and 52 more (--full)\n" in short  # packages
    assert "    and files of 48 more packages (--full)\n" in short
    assert short.count("\n") < 100
    assert "--full" not in full
    assert full.count("      and package-0") == 59
    assert all(f"file-{number:05}.so changed" in full for number in range(300))


def test_values_are_whole_only_where_everything_is_asked_for() -> None:
    report = large(1, 1)
    new = next(item.new["sha256"] for item in report.pcrs if item.pcr == 4)
    assert new[:16] + "…" in text(report)
    assert new not in text(report)
    assert new in text(report, full=True)
    assert "sha384" in text(report, full=True)


def test_a_value_for_a_key_policy_is_always_whole() -> None:
    report = large(1, 1)
    (new,) = {item.new["sha384"] for item in report.pcrs if item.pcr == 4}
    assert f'"{new}"' in text(report)


def test_a_change_that_nothing_explains_says_so_and_comes_first(tmp_path: Path) -> None:
    base = Recipe()
    recipes = (base, base.but(sections=((".splash", b"BM"),), arguments=("x",)))
    report = compare(*(recipe.baseline(tmp_path / str(number)) for number, recipe in enumerate(recipes)))
    lines = text(report).splitlines()
    why = lines.index("  Why PCRs moved")
    assert lines[why + 1 : why + 3] == ["    section .splash", "      nothing was found that explains it"]


def test_a_change_that_moved_nothing_is_no_cause() -> None:
    one, other = (
        side("1", [file("/a", "a")], [], esp_files=(BesideUki("/x", "other", digit * 64),)) for digit in ("0", "1")
    )
    assert "  No PCR moved\n" in text(compare(one, other))


def test_no_difference_is_a_few_lines() -> None:
    one = side("1.0.0", [file("/a", "a")], [])
    lines = text(compare(one, one)).splitlines()
    assert lines[0] == "node 1.0.0 -> node 1.0.0: no difference"
    assert lines[5] == "  No PCR moved"
    assert len(lines) == 7


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_terminal_and_says_the_same_without_colour(width: int) -> None:
    root = outline(large(3, 30), full=False)
    shown = drawn(root, width)
    assert max(map(len, shown.splitlines())) <= width
    words = re.sub(r"[│├└─\s]+", "", shown)
    assert words == re.sub(r"\s+", "", plain_tree(root))


def test_no_name_begins_a_line_or_steers_the_terminal() -> None:
    shown = text(hostile("\n\x1b[2Jyes: all is well\u202e"), full=True)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert not re.search(r"^\s*yes", shown, re.MULTILINE)


@pytest.mark.parametrize("full", [True, False])
def test_a_hunk_has_a_line_for_each_of_its_lines_none_of_which_looks_like_the_report_s(*, full: bool) -> None:
    found = look_inside("files/root/etc/issue", "issue", b"one\ntwo\n", b"one\n2\t\x1b[2J\nverified: yes\n").children
    report = large(1, 1)
    files = next(topic for topic in report.topics if topic.name == "files")
    (difference,) = files.differences
    opened = replace(files, differences=(replace(difference, children=found),))
    shown = text(replace(report, topics=(opened,)), full=full)
    assert [entry.strip() for entry in shown.partition("text changed\n")[2].splitlines()[:6]] == [
        "| @@ -1,3 +1,4 @@",
        "|  one",
        "| -two",
        r"| +2\t\x1b[2J",
        "| +verified: yes",
        "|",
    ]


def test_full_names_the_area_of_every_file() -> None:
    report = large(1, 3)
    topic = next(topic for topic in report.topics if topic.name == "files")
    assert {item.area for item in topic.differences} == {"root"}
    subjects = [item.subject for item in topic.differences]
    full, short = text(report, full=True), text(report)
    assert all(f"    root: {subject} " in full for subject in subjects)
    assert not any(f"root: {subject}" in short for subject in subjects)
    assert "root, " in short
