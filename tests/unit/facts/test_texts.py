from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.facts import texts
from builder.facts.texts import Texts

_FEW_LETTERS = st.text("abc", min_size=1, max_size=6).map(str.encode)


@given(looked_for=st.lists(_FEW_LETTERS, min_size=1, max_size=12), content=st.text("abc", max_size=40).map(str.encode))
def test_all_texts_are_found_however_they_overlap(looked_for: list[bytes], content: bytes) -> None:
    assert Texts(looked_for).held_by(memoryview(content)) == {text for text in looked_for if text in content}


@pytest.mark.parametrize("before", range(12))
def test_a_text_is_found_across_the_border_of_two_windows(before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_WINDOW", 8)
    content = memoryview(b"-" * before + b"abcdefghijk" + b"--")
    assert Texts([b"abcdefghijk", b"k"]).held_by(content) == {b"abcdefghijk", b"k"}


def test_more_texts_than_fit_one_pass_are_found() -> None:
    many = [b"<%d>" % number for number in range(100)]
    assert Texts(many).held_by(b"".join(many)) == set(many)
    assert Texts(many).held_by(many[99]) == {many[99]}


def test_a_content_of_nothing_but_matches_takes_little_memory() -> None:
    content = memoryview(b"ab" * (1 << 19))
    tracemalloc.start()
    try:
        assert Texts([b"ab"]).held_by(content) == {b"ab"}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20
