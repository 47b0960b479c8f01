from __future__ import annotations

from policies.presenters.arrangement import by_door, count, subject_of
from policies.presenters.visible import one_line, visible
from tests.sample_reports import finding, good, mixed, report, result


def test_the_door_with_the_worst_failure_comes_first_and_in_it_the_worst_control() -> None:
    doors = by_door(mixed().results)
    assert [door.door for door in doors] == [
        "remote-shells",  # critical, failed
        "consoles",  # high, failed
        "accounts",  # low, crashed
        "measured-boot",  # critical, deferred
        "integrity",  # high, not applicable
        "programs",  # medium, waived
    ]
    # A high control that failed is worse than a critical one that holds.
    assert [item.control for item in doors[1].results] == ["ZOA-205", "ZOA-206"]


def test_of_doors_alike_in_their_worst_result_the_one_with_more_failures_comes_first() -> None:
    bad = finding("root:/x")
    results = [
        result("ZOA-201", "consoles", "high", "failed", bad),
        result("ZOA-301", "agents", "high", "failed", bad),
        result("ZOA-302", "agents", "high", "failed", bad),
    ]
    assert [door.heading for door in by_door(results)] == ["Agents", "Consoles"]


def test_a_crash_comes_before_a_failure_of_the_same_severity() -> None:
    results = [
        result("ZOA-201", "consoles", "high", "failed", finding("root:/x")),
        result("ZOA-202", "consoles", "high", "crashed", finding("ZOA-202")),
    ]
    assert [item.control for item in by_door(results)[0].results] == ["ZOA-202", "ZOA-201"]


def test_that_the_image_could_not_be_read_comes_before_all_that_failed_for_it() -> None:
    doors = by_door(
        [
            result("ZOA-101", "remote-shells", "critical", "crashed"),
            result("ZOA-901", "measured-boot", "critical", "failed"),
            result("ZOA-919", "measured-boot", "critical", "failed"),
        ]
    )
    assert [[item.control for item in door.results] for door in doors] == [["ZOA-919", "ZOA-901"], ["ZOA-101"]]
    (door,) = by_door(
        [result("ZOA-919", "measured-boot", "high", "passed"), result("ZOA-901", "measured-boot", "low", "passed")]
    )
    assert [item.control for item in door.results] == ["ZOA-919", "ZOA-901"]


def test_outcomes_that_are_not_there_are_not_counted() -> None:
    assert count(good().results) == {"passed": 1}
    assert sum(count(mixed().results).values()) == 8


def test_an_image_without_a_name_still_has_one() -> None:
    assert subject_of(mixed()) == "node 1.2.3"
    assert subject_of(report(name=None)) == "this image"


def test_what_cannot_be_seen_is_spelled_out() -> None:
    assert visible("a\x1b[2J\u202eb\nc\td\x00") == "a\\x1b[2J\\u202eb\nc\td\\x00"
    assert one_line("a\nyes: all good") == "a\\nyes: all good"
    assert visible("grüße 日本") == "grüße 日本"
