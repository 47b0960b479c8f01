from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from builder.cli.group import bedplate
from builder.errors import NotVerifiedError
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from builder.weights.pack import PackedWeights


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(bedplate, ["weights", *map(str, arguments)])


@pytest.fixture
def small(tmp_path: Path) -> PackedWeights:
    return packed(write_model(tmp_path / "model"), tmp_path / "out")


def test_pack_makes_the_directory_and_tells_the_identity(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    shown = invoke("pack", model, "--name", "small", "--licence", "MIT", "-o", tmp_path / "new/out", "--format", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == json.loads((tmp_path / "new/out/small.weights.json").read_text())


def test_show_says_that_it_checked_no_disk(small: PackedWeights) -> None:
    shown = invoke("show", small.identity_file)
    assert shown.stdout.startswith("not checked against a disk: ")
    assert small.identity.verity.root_hash in shown.stdout


def test_verify_finds_the_identity_beside_the_disk(small: PackedWeights) -> None:
    shown = invoke("verify", small.disk, "--root-hash", small.identity.verity.root_hash)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("verified: ")


def test_verify_refuses_another_root_hash_than_the_trusted_one(small: PackedWeights) -> None:
    shown = invoke("verify", small.disk, "--root-hash", "00" * 32)
    assert isinstance(shown.exception, NotVerifiedError)
    assert str(shown.exception).endswith(f"expected {'00' * 32}")
