"""The examples of the UAPI version format specification, and what systemd tests its own comparison with."""

from __future__ import annotations

import itertools

import pytest

from builder.release.version import compare_versions, is_below, is_version

EXAMPLES = [
    ("11", "==", "11"),
    ("systemd-123", "==", "systemd-123"),
    ("bar-123", "<", "foo-123"),
    ("123a", ">", "123"),
    ("123.a", ">", "123"),
    ("123.a", "<", "123.b"),
    ("123a", ">", "123.a"),
    ("11\u03b1", "==", "11\u03b2"),
    ("A", "<", "a"),
    ("", "<", "0"),
    ("0.", ">", "0"),
    ("0.0", ">", "0"),
    ("0", ">", "~"),
    ("", ">", "~"),
    ("1_", "==", "1"),
    ("_1", "==", "1"),
    ("1_", "<", "1.2"),
    ("1_2_3", ">", "1.3.3"),
    ("1+", "==", "1"),
    ("+1", "==", "1"),
    ("1+", "<", "1.2"),
    ("1+2+3", ">", "1.3.3"),
    ("1.0.0", "<", "1.0.10"),
    ("1.9", "<", "1.10"),
    ("1.0~rc1", "<", "1.0.1"),
    ("1.0^post", "<", "1.0.1"),
    ("1.0^post", ">", "1.0"),
    ("1-2", "<", "1.2"),
    ("007", "==", "7"),
    ("9" * 5000, "<", "1" + "0" * 5000),
]
SIGNS = {"<": -1, "==": 0, ">": 1}
# In ascending order (systemd, src/test/test-string-util.c, strverscmp_improved).
ASCENDING = ["122.1", "123~rc1-1", "123", "123-a", "123-a.1", "123-a1", "123-a1.1", "123-3", "123-3.1", "123^patch1",
             "123^1", "123.a-1", "123.1-1", "123a-1", "124"]  # fmt: skip


@pytest.mark.parametrize(("left", "order", "right"), EXAMPLES)
def test_examples_compare_as_the_specification_says(left: str, order: str, right: str) -> None:
    assert compare_versions(left, right) == SIGNS[order]
    assert compare_versions(right, left) == -SIGNS[order]


def test_the_order_of_systemd_holds_for_every_pair() -> None:
    wrong = [
        (one, other)
        for (i, one), (j, other) in itertools.product(enumerate(ASCENDING), repeat=2)
        if compare_versions(one, other) != (i > j) - (i < j)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("version", "lowest", "below"),
    [
        ("1.0", "1.0", False),
        ("1.0~rc1", "1.0", True),
        ("v2", "v1", False),
        # The specification has an order for these, too, in which 1.0 is above v9.
        ("1.0", "v9", True),
        ("v9", "1.0", True),
    ],
)
def test_what_may_be_older_is_below(version: str, lowest: str, *, below: bool) -> None:
    assert is_below(version, lowest) is below


@pytest.mark.parametrize(
    ("text", "answer"), [("1.0~rc1", True), ("v1", True), ("", False), ("1.0\n", False), ("A", False)]
)
def test_what_no_image_can_have_is_no_version(text: str, *, answer: bool) -> None:
    assert is_version(text) is answer
