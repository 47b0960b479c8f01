from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import InvalidInputError, NotVerifiedError
from builder.progress import Silent
from builder.weights.check import verify
from builder.weights.disk import DiskLayout
from builder.weights.hash_tree import BLOCK
from builder.weights.identity import ModelFile, model_digest
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.weights.identity import WeightsIdentity
    from builder.weights.pack import PackedWeights

# Enough blocks for two levels of the tree.
MODEL = {"config.json": b"{}", "model.gguf": bytes(range(251)) * 3000}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> PackedWeights:
    directory = tmp_path_factory.mktemp("weights")
    return packed(write_model(directory / "model", MODEL), directory / "out")


@pytest.fixture
def disk(original: PackedWeights, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copy(original.disk, tmp_path / "copy.raw")


def layout(identity: WeightsIdentity) -> DiskLayout:
    return DiskLayout.of(identity.verity.data_blocks)


def flip(disk: Path, offset: int, bit: int = 0) -> None:
    with disk.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ 1 << bit,)))


def refused(disk: Path, identity: WeightsIdentity) -> tuple[str, ...]:
    with pytest.raises(NotVerifiedError, match="is not what its identity says") as caught:
        verify(disk, identity, Silent())
    return caught.value.problems


def test_packed_weights_are_verified(original: PackedWeights) -> None:
    assert verify(original.disk, original.identity, Silent()) is original.identity


def test_a_flipped_bit_of_a_file_is_named_by_its_block_and_its_file(disk: Path, original: PackedWeights) -> None:
    place = layout(original.identity).data_offset + 20 * BLOCK + 5
    flip(disk, place)
    problems = refused(disk, original.identity)
    assert any(f"the block at offset {place - 5:#x} does not have its hash" in problem for problem in problems)
    assert any(problem.startswith("model.gguf has the SHA-256") for problem in problems)


@pytest.mark.parametrize("level", [0, 1])
def test_a_flipped_bit_of_the_tree_is_named_by_its_block(level: int, disk: Path, original: PackedWeights) -> None:
    # The superblock, the level below the root hash in one block, the level above the data in two.
    tree = layout(original.identity).tree_offset
    flip(disk, tree + (2 - level) * BLOCK)
    problems = refused(disk, original.identity)
    assert any(f"{tree + (2 - level) * BLOCK:#x}" in problem for problem in problems)


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (lambda _: 0x200, "the partition table is not as"),
        (lambda found: found.size - 1, "the backup of the partition table"),
        (lambda found: found.data_offset + 1024, "the file system's structures"),
        (lambda found: found.tree_offset + 64, "the superblock of the tree"),
        (lambda found: found.tree_offset + 16, "the superblock of the tree"),
        (lambda found: found.data_offset + found.data_size, "the gap between partitions"),
        (lambda found: found.tree_offset + found.tree_size + 9, "the gap between partitions"),
        (lambda found: found.data_offset + found.data_size - 1, r"the padding of model\.gguf"),
    ],
)
def test_every_other_place_of_the_disk_is_compared(
    place: Callable[[DiskLayout], int], what: str, disk: Path, original: PackedWeights
) -> None:
    offset = place(layout(original.identity))
    flip(disk, offset)
    problems = refused(disk, original.identity)
    assert any(re.match(what, problem) and f"{offset:#x}" in problem for problem in problems), problems


def test_a_truncated_disk_is_refused(disk: Path, original: PackedWeights) -> None:
    with disk.open("r+b") as file:
        file.truncate(original.identity.size - 512)
    (problem,) = refused(disk, original.identity)
    assert problem == f"it has {original.identity.size - 512} bytes, expected {original.identity.size}"


def test_the_disk_of_another_model_is_refused(original: PackedWeights, tmp_path: Path) -> None:
    other = packed(write_model(tmp_path / "model", MODEL | {"config.json": b"[]"}), tmp_path / "out")
    assert refused(other.disk, original.identity)


def test_another_root_hash_is_refused(original: PackedWeights) -> None:
    wrong = msgspec.structs.replace(original.identity.verity, root_hash="00" * 32)
    problems = refused(original.disk, msgspec.structs.replace(original.identity, verity=wrong))
    assert f"the root hash is {original.identity.verity.root_hash}, expected {'00' * 32}" in problems


def test_another_salt_is_refused(original: PackedWeights) -> None:
    wrong = msgspec.structs.replace(original.identity.verity, salt="00" * 32)
    problems = refused(original.disk, msgspec.structs.replace(original.identity, verity=wrong))
    assert problems[0].startswith("the superblock of the tree")


def test_sizes_that_are_not_those_of_the_files_are_refused(original: PackedWeights) -> None:
    wrong = msgspec.structs.replace(original.identity.verity, data_blocks=original.identity.verity.data_blocks - 1)
    (problem,) = refused(original.disk, msgspec.structs.replace(original.identity, verity=wrong))
    assert "are not what its files take" in problem


def test_another_digest_of_a_file_is_refused(original: PackedWeights) -> None:
    first, second = original.identity.files
    files = (ModelFile(path=first.path, size=first.size, sha256="00" * 32), second)
    wrong = msgspec.structs.replace(original.identity, files=files, sha256=model_digest(files))
    (problem,) = refused(original.disk, wrong)
    assert problem.startswith("config.json has the SHA-256")


def test_many_problems_are_counted_after_the_first_twenty(disk: Path, original: PackedWeights) -> None:
    for block in range(20, 60):
        flip(disk, layout(original.identity).data_offset + block * BLOCK)
    problems = refused(disk, original.identity)
    assert len(problems) == 21
    assert re.fullmatch(r"and \d+ more", problems[-1])


def test_a_disk_that_is_not_there_is_invalid_input(original: PackedWeights, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot read the weights"):
        verify(tmp_path / "none.raw", original.identity, Silent())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_flipped_bit_goes_unseen(
    data: st.DataObject, original: PackedWeights, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = layout(original.identity)
    regions = st.one_of(
        st.integers(0, 34 * 512),
        st.integers(found.data_offset, found.data_offset + found.data_size - 1),
        st.integers(found.tree_offset, found.tree_offset + found.tree_size - 1),
        st.integers(0, found.size - 1),
    )
    disk = shutil.copy(original.disk, tmp_path_factory.getbasetemp() / "mutated.raw")
    flip(disk, data.draw(regions), data.draw(st.integers(0, 7)))
    refused(disk, original.identity)
