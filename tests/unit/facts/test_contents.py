"""What is read of a file's content, and what is not."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from builder.facts.build import facts_of_files, facts_of_tree
from builder.facts.contents import read_contents
from builder.facts.tree import FileTree, Node
from policies.registry import by_id
from tests.fact_trees import elf, file, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGE = 30 << 30


def _large(pieces: Iterator[bytes]) -> FileTree:
    node = Node("/opt/x", stat.S_IFREG | 0o755, 0, 0, _LARGE, 0, (), None, None, lambda: map(memoryview, pieces))
    return FileTree({**tree({"usr/lib/a": ""}).nodes, "/opt/x": node})


def _pieces() -> Iterator[bytes]:
    yield elf()
    yield from [bytes(64 << 20)] * 4
    pytest.fail("more than the beginning is read")


def test_a_program_that_is_larger_than_any_is_not_read_but_told() -> None:
    found = read_contents(_large(_pieces()), digests=False)
    assert found.unread == {
        "/opt/x": "it begins as a program and has 32212254720 bytes, more than the 2147483648 that are read of one"
    }
    assert [item.problem for item in found.elf] == [found.unread["/opt/x"]]


def test_what_is_too_large_to_be_read_is_a_finding_in_a_tree_too() -> None:
    facts = facts_of_files(_large(iter((elf(),))), digests=False)
    control = by_id()["ZOA-919"]
    assert [finding.subject for finding in control.check(facts, {})] == ["unread:root:/opt/x"]
    assert control.needs == ()


def test_a_file_full_of_holes_takes_no_time(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(elf())
        file.truncate(_LARGE)
    (gap,) = facts_of_tree(tmp_path, digests=False).unread
    assert gap.place == "root:/x"


@pytest.mark.parametrize(
    ("mode", "cut", "subjects"), [(0o755, 100, 1), (0o700, 20, 1), (0o755, None, 0), (0o644, 100, 0)]
)
def test_a_broken_program_that_may_be_executed_is_a_finding(mode: int, cut: int | None, subjects: int) -> None:
    facts = facts_of_files(tree({"usr/lib/a": file(elf()[:cut], mode)}), digests=False)
    found = [finding.subject for finding in by_id()["ZOA-919"].check(facts, {})]
    assert found == ["unread:root:/usr/lib/a"] * subjects


def test_a_program_in_pieces_is_read_whole() -> None:
    content = elf(needed=("libone.so", "libtwo.so"))
    pieces = [memoryview(content[at : at + 7]) for at in range(0, len(content), 7)]
    node = Node("/x", stat.S_IFREG | 0o755, 0, 0, len(content), 0, (), None, None, lambda: iter(pieces))
    (found,) = read_contents(FileTree({"/x": node}), digests=False).elf
    assert found.needed == ("libone.so", "libtwo.so")
