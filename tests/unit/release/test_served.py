"""Which disks are taken for the weights of a release before it is booted with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from builder.errors import InvalidInputError
from builder.release.served import check_weights
from builder.weights.identity import Model
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from builder.weights.pack import PackedWeights

GPT = Path(__file__).parents[2] / "vectors/image/gpt-512.img.zst"
RELEASE = Path("dist/node/1.0.0")
ANOTHER = Model(name="large", licence="MIT", sha256="ab" * 32, root_hash="0123456789abcdef" * 4)


@pytest.fixture
def small(tmp_path: Path) -> PackedWeights:
    return packed(write_model(tmp_path / "model"), tmp_path / "out")


def refused(disk: Path, model: Model | None) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        check_weights(RELEASE, model, disk)
    assert "`bedplate weights pack` makes the" in (caught.value.hint or "")
    return caught.value


def test_the_disk_of_the_model_is_taken(small: PackedWeights) -> None:
    check_weights(RELEASE, Model.of(small.identity), small.disk)


def test_the_disk_of_another_model_is_refused_with_both_root_hashes(small: PackedWeights) -> None:
    found = small.identity.verity.root_hash
    assert str(refused(small.disk, ANOTHER)) == (
        f"{small.disk} has the root hash {found}, but dist/node/1.0.0 opens the weights of large, which have "
        f"{ANOTHER.root_hash}"
    )


def test_a_release_without_weights_takes_no_disk(small: PackedWeights) -> None:
    assert "names no weights" in str(refused(small.disk, None))


@pytest.mark.parametrize("content", [b"GGUF" + bytes(70_000), b"short"])
def test_a_model_that_was_not_packed_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    assert str(refused(tmp_path / "model.gguf", ANOTHER)) == f"{tmp_path / 'model.gguf'} is no disk of weights"


def test_the_disk_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.raw"
    other.write_bytes(zstandard.ZstdDecompressor().decompress(GPT.read_bytes()))
    assert str(refused(other, ANOTHER)) == f"{other} is no disk of weights"


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "are not a regular file" in str(refused(tmp_path / "pipe", ANOTHER))
