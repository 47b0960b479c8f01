from __future__ import annotations

import itertools
import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.image.debversion import compare

# Each is older than the next (deb-version(7), Debian policy 5.6.12).
ASCENDING = (
    "1.0~~", "1.0~~a", "1.0~", "1.0~rc1-1", "1.0", "1.0-0.1", "1.0-1~deb13u1", "1.0-1", "1.0-1+b1", "1.0-1+deb13u1",
    "1.0a", "1.0+dfsg", "1.1", "1.9", "1.10", "2.0", "1:0.1", "1:0.1-1", "2:0",
)  # fmt: skip
EQUAL = (("1.0", "1.0-0"), ("0:1.0", "1.0"), ("1.0", "1.00"), ("1.0-1", "1.0-01"))
versions = st.from_regex(r"([0-9]:)?[0-9][0-9a-zA-Z.+~]{0,6}(-[0-9a-zA-Z.+~]{1,4})?", fullmatch=True)


@pytest.mark.parametrize(("older", "newer"), list(itertools.pairwise(ASCENDING)))
def test_versions_are_in_the_order_of_debian(older: str, newer: str) -> None:
    assert compare(older, newer) < 0 < compare(newer, older)


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_some_versions_are_spelled_in_several_ways(one: str, other: str) -> None:
    assert compare(one, other) == 0


@given(versions, versions, versions)
def test_the_order_is_one(one: str, two: str, three: str) -> None:
    assert compare(one, two) == -compare(two, one)
    assert compare(one, one) == 0
    if compare(one, two) <= 0 and compare(two, three) <= 0:
        assert compare(one, three) <= 0


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_text_is_refused(one: str, other: str) -> None:
    assert compare(one, other) == -compare(other, one)


@pytest.mark.oracle
@settings(deadline=None, max_examples=150)
@given(versions, versions)
def test_dpkg_says_the_same(one: str, other: str) -> None:
    dpkg = shutil.which("dpkg")
    if dpkg is None:
        if os.environ.get("CI"):
            pytest.fail("dpkg is not installed")
        pytest.skip("dpkg is not installed")
    order = compare(one, other)
    relation = "lt" if order < 0 else "gt" if order > 0 else "eq"
    assert subprocess.run([dpkg, "--compare-versions", one, relation, other], check=False).returncode == 0
