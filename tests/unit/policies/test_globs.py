from __future__ import annotations

import ctypes
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policies.globs import matches

_LIBC = ctypes.CDLL(None)


@pytest.mark.parametrize(
    "pattern",
    [
        "a.bc", "a.b?", "?.bc", "*.*", "a.*c", "a.b[c]", "a.b[!d]", "a.b[^d]", "a.[a-c]c", r"\a.b?", r"a.b[\c]",
        "a.[[:lower:]]c", "a.b[[=c=]]", "{a,x}.b?", "{x,a}.b?", "{x,{y,a}}.b?", "{a.bc,*}", "a{,.x}.b?", "a.b{?}",
        "a.***c", "a.b*c*",
    ],
)  # fmt: skip
def test_a_pattern_means_a_name(pattern: str) -> None:
    assert matches(pattern, "a.bc", ".")


@pytest.mark.parametrize(
    "pattern",
    [
        "*", "a*", "a.b", "a.b??c", "a?bc", "a[.]bc", "a.b[d]", "a.b[!c]", "a.b[^c]", r"a.\*", r"a.b\?", "{a,x.b?",
        "a.[[:digit:]]c", "{x,y}.b?", r"\{a,x}.b?", "a.b[c", "a.*c?", "a.*b*d",
    ],
)  # fmt: skip
def test_a_pattern_does_not_mean_a_name(pattern: str) -> None:
    assert not matches(pattern, "a.bc", ".")


def test_a_text_without_star_question_mark_or_bracket_is_a_name() -> None:
    assert matches(r"{a,b}.c\d", r"{a,b}.c\d", ".")
    assert not matches("{a,b}.c", "a.c", ".")


def test_braces_that_spell_out_to_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match="spell out to more than 1024 names"):
        matches("{a,b}" * 20 + "*", "a", ".")


@pytest.mark.parametrize("pattern", ["[z-a]", "[[:nonsense:]]"])
def test_a_bracket_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no pattern"):
        matches(pattern, "a", ".")


def test_stars_take_no_time() -> None:
    assert not matches("*?" * 2000 + "b", "a" * 200, ".")


@pytest.mark.oracle
@given(st.text("ab*?[]!^-\\/", max_size=8), st.text("ab-/]", max_size=5))
@example("[]a]", "]")
@example("[!]a]", "b")
@example("[a-]", "-")
@example("a*a*b", "aaab")
@example("[!/]", "]")
def test_the_c_library_agrees(pattern: str, name: str) -> None:
    if not set(pattern) & set("*?["):
        return
    # glob(3) takes a path apart before it looks at brackets.
    parts, names = pattern.encode().split(b"/"), name.encode().split(b"/")
    expected = len(parts) == len(names) and not any(map(_LIBC.fnmatch, parts, names, [0] * len(parts)))
    with suppress(ValueError):  # what is refused counts as a bad image
        assert matches(pattern, name, "/") or not expected
