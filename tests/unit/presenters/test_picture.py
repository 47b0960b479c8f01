"""The picture: which boxes there are, what they say, and that each edge is a step of the report."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from builder.compare.baselines import compare
from builder.presenters.arrangement import told
from builder.presenters.picture import WIDTH, Picture, picture
from tests.baselines import bare
from tests.made_releases import Recipe
from tests.sample_differences import large, long_names, measured, side

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.difference import Report


def drawn(report: Report) -> Picture:
    found = picture(report, told(report))
    assert found is not None
    return found


def states(of: Picture) -> dict[str, str]:
    return {box.key: box.state for box in of.boxes}


def lines(of: Picture, key: str) -> list[str]:
    return next([line.text for line in box.lines] for box in of.boxes if box.key == key)


def leads_to(of: Picture, start: str) -> set[str]:
    """All boxes that follow from one."""
    following = {edge.end for edge in of.edges if edge.start == start}
    return following | {end for box in following for end in leads_to(of, box)}


def test_the_way_from_a_package_to_the_pcrs_is_drawn() -> None:
    of = drawn(large(1, 2))
    assert lines(of, "chain-1") == ["package-000 1.0.0-1 -> 1.1.0-1", "→ 2 files in root"]
    assert leads_to(of, "chain-1") == {"root-hash", "uki/section/.cmdline", "uki/image", "pcr-4", "pcr-9", "pcr-11"}


def test_what_did_not_change_is_there_and_grey() -> None:
    of = states(drawn(large(1, 2)))
    still = {"uki/section/.linux", "uki/section/.initrd", "pcr-7", "pcr-12", "pcr-13", "pcr-14"}
    assert {key for key, state in of.items() if state == "still"} == still
    assert {of[key] for key in set(of) - still} == {"moved"}


def test_two_hundred_packages_are_one_box_that_counts_them() -> None:
    of = drawn(large(200, 1_000))
    named = [f"package-{number:03} 1.0.0-1 -> 1.1.0-1" for number in range(3)]
    assert lines(of, "chain-1") == [*named, "and 197 more", "→ 1000 files in root"]
    assert [box.key for box in of.boxes if box.x == 0] == ["chain-1"]


def test_a_step_to_the_same_column_goes_around(tmp_path: Path) -> None:
    base = Recipe()
    recipes = (base, base.but(kernel="6.12.9+deb13-cloud-amd64"))
    of = drawn(compare(*(recipe.baseline(tmp_path / recipe.kernel) for recipe in recipes)))
    by_key = {box.key: box for box in of.boxes}
    (edge,) = (edge for edge in of.edges if by_key[edge.start].x == by_key[edge.end].x)
    assert (edge.start, edge.end) == ("uki/section/.linux", "uki/section/.uname")
    side_of = by_key[edge.start].x + by_key[edge.start].width
    assert edge.path.startswith(f"M{side_of} ")
    assert f" {side_of} " in edge.path


def test_too_many_chains_share_a_box(tmp_path: Path) -> None:
    report = large(1, 1)
    one = told(report)[0]
    found = picture(report, [one] * 14)
    assert found is not None
    assert len([box for box in found.boxes if box.x == 0]) == 11
    assert lines(found, "chains") == ["and 4 more in 4 chains"]


def test_a_section_that_nothing_explains_is_marked_with_its_chain(tmp_path: Path) -> None:
    base = Recipe()
    recipes = (base, base.but(sections=((".splash", b"BM"),)))
    report = compare(*(recipe.baseline(tmp_path / str(number)) for number, recipe in enumerate(recipes)))
    of = drawn(report)
    assert states(of)["chain-1"] == states(of)["uki/section/.splash"] == "unexplained"
    assert "nothing was found that explains it" in lines(of, "chain-1")
    assert {"uki/section/.splash", "pcr-4", "pcr-11"} <= leads_to(of, "chain-1")


def test_a_pcr_that_was_not_compared_is_neither_moved_nor_still() -> None:
    values = {mode: found for mode, found in measured("x").items() if mode == "enabled"}
    del values["enabled"].pcrs["7"]
    report = compare(side("1", [], []), side("1", [], [], measured=values))
    assert states(drawn(report))["pcr-7"] == "unknown"
    assert lines(drawn(report), "pcr-7")[0] == "PCR 7 not compared"


def test_what_is_not_known_to_be_the_same_is_not_there() -> None:
    """PCR 4 moved and no section did: the sections are grey, and nothing is said of the image as a whole."""
    values = measured("x")
    for found in values.values():
        found.pcrs["4"] = structs.replace(found.pcrs["4"], values={"sha256": "1" * 64, "sha384": "1" * 96})
    one = bare(measured=measured("x"))
    found = states(drawn(compare(one, replace(one, measured=values))))
    assert found["uki/section/.cmdline"] == "still"
    assert found["pcr-4"] == "moved"
    assert "uki/image" not in found
    assert "root-hash" not in found


def test_without_measurements_there_is_no_picture() -> None:
    report = compare(bare(), bare())
    assert picture(report, told(report)) is None


@pytest.mark.parametrize("report", [large(1, 1), large(60, 100), long_names()], ids=["one", "many", "long"])
def test_boxes_do_not_overlap_and_edges_go_to_the_right(report: Report) -> None:
    of = drawn(report)
    by_key = {box.key: box for box in of.boxes}
    assert len(by_key) == len(of.boxes)
    for box in of.boxes:
        assert box.x >= 0
        assert box.x + box.width <= WIDTH
        assert box.y + box.height <= of.height
        for other in of.boxes:
            if other is not box and other.x == box.x:
                assert other.y + other.height <= box.y or box.y + box.height <= other.y
    for edge in of.edges:
        assert by_key[edge.start].x < by_key[edge.end].x
