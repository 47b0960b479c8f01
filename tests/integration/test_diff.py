"""A real release against itself, and against its disk with another kernel command line."""

from __future__ import annotations

import mmap
import shutil
from typing import TYPE_CHECKING

import pytest

from builder.baseline.source import read_baseline
from builder.cli.diff_text import outline
from builder.cli.tree import plain_tree
from builder.compare.baselines import compare
from builder.compare.difference import Verdict
from builder.image.disk import replace_uki
from builder.image.uki import read_uki
from builder.presenters.html import html
from builder.presenters.markdown import markdown
from tests.diff_page import Page
from tests.releases import NAMES, SECTIONS, STUB, uki_of
from tests.uki_builder import Section, append_sections

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration


def disk_with(release: Path, target: Path, toolchain: Toolchain, suffix: bytes) -> Path:
    """The disk of a release with a UKI that is unsigned and whose command line ends with ``suffix``."""
    shutil.copyfile(release / NAMES.disk, target)
    with target.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view, memoryview(view) as raw:
        uki = read_uki(uki_of(raw))
        sections = {name: bytes(uki.content(name) or b"") for name in SECTIONS}
        sections[".cmdline"] = sections[".cmdline"].rstrip(b"\0") + suffix
        stub = (toolchain.tree / STUB).read_bytes()
        replace_uki(raw, append_sections(stub, [Section(name, content) for name, content in sections.items()]))
    return target


def test_one_argument_moves_what_it_must_and_nothing_else_differs(
    release: Path, toolchain: Toolchain, tmp_path: Path
) -> None:
    old, new = (disk_with(release, tmp_path / f"{len(text)}.raw", toolchain, text) for text in (b"", b" more"))
    report = compare(read_baseline(old), read_baseline(new))
    (chain,) = report.chains
    assert chain.sentence == (
        "the argument more was added, so the command line, so PCR 4, 9 and 11 moved; PCR 7, 12, 13 and 14 did not"
    )
    assert {topic.name for topic in report.topics if topic.differences} == {"measurements", "command-line", "uki"}
    assert report.incomplete == ()


def test_a_real_difference_is_told_in_all_forms(release: Path, toolchain: Toolchain, tmp_path: Path) -> None:
    old, new = (disk_with(release, tmp_path / f"{len(text)}.raw", toolchain, text) for text in (b"", b" more"))
    report = compare(read_baseline(old), read_baseline(new))
    Page(report).check(report)
    values = {item.new["sha384"] for item in report.pcrs if item.pcr == 4}
    for text in (plain_tree(outline(report, full=False)), markdown(report), html(report).decode()):
        assert "the argument more was added" in text
        assert all(value in text for value in values)


def test_a_real_release_equals_itself(release: Path) -> None:
    report = compare(read_baseline(release), read_baseline(release))
    assert (report.verdict, report.differences, report.incomplete) == (Verdict.EQUAL, (), ())
