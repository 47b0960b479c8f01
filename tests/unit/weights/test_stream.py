from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError
from builder.weights.hash_tree import Hasher, TreeBuilder
from builder.weights.stream import Streamer, segments

if TYPE_CHECKING:
    from pathlib import Path


def test_segments_cover_a_file_in_order_and_without_gaps(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate((9 << 20) + 5)
        for offset in (0, 3 << 20, (9 << 20) + 1):
            file.seek(offset)
            file.write(b"data")
    with path.open("rb") as file:
        found = list(segments(file.fileno(), 0, path.stat().st_size))
    ends = [segment.offset + segment.length for segment in found]
    assert [segment.offset for segment in found] == [0, *ends[:-1]]
    assert ends[-1] == path.stat().st_size
    assert any(segment.is_hole for segment in found)


def test_a_file_that_is_shorter_than_it_was_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"short")
    hasher = Hasher(b"")
    tree = TreeBuilder(hasher, 1, lambda _level, _number, block: block)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    with Streamer(hasher, tree) as streamer, pytest.raises(InvalidInputError, match="the model ends at byte 5"):
        streamer.file(descriptor, 0, 9, name="the model")
    os.close(descriptor)
