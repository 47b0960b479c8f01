"""Sections of a UKI that no stub measures: all of one name count."""

from __future__ import annotations

import pytest

from builder.baseline.image import read_uki_parts
from builder.image.initrd import Initrd
from tests.uki_builder import Section, build_pe


def unmeasured(*sections: tuple[str, bytes]) -> dict[str, str]:
    image = build_pe([Section(name, content) for name, content in sections])
    return dict(read_uki_parts(memoryview(image), Initrd((), ())).stub)


BOTH = unmeasured((".text", b"code"), (".pcrsig", b"one"), (".linux", b"kernel"), (".pcrsig", b"two"))


def test_what_a_stub_measures_is_not_among_them() -> None:
    assert BOTH.keys() == {".text", ".pcrsig"}


@pytest.mark.parametrize("contents", [(b"other", b"two"), (b"one", b"other"), (b"two", b"one"), (b"one",)])
def test_each_of_several_sections_of_one_name_counts(contents: tuple[bytes, ...]) -> None:
    signatures = [(".pcrsig", content) for content in contents]
    changed = unmeasured((".text", b"code"), (".linux", b"kernel"), *signatures)
    assert changed[".text"] == BOTH[".text"]
    assert changed[".pcrsig"] != BOTH[".pcrsig"]
