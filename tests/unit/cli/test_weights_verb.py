from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from builder.cli.errors import render
from builder.cli.group import bedplate
from builder.definition.load import load
from builder.errors import NotVerifiedError
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from builder.weights.pack import PackedWeights


DEFINITION = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
programs: [weights-read]
"""


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
    (problem,) = shown.exception.problems
    assert problem == f"it has the root hash {small.identity.verity.root_hash}, expected {'00' * 32}"
    assert problem not in str(shown.exception)


@pytest.mark.parametrize("action", ["pack", "show"])
def test_the_lines_that_name_weights_are_taken_by_a_definition(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = invoke("pack", write_model(tmp_path / "model"), "--name", "small", "--licence", "MIT", "-o", "weights")
    if action == "show":
        shown = invoke("show", "weights/small.weights.json")
    (tmp_path / "images/node/weights-read").mkdir(parents=True)
    (tmp_path / "images/base").mkdir()
    heading, lines = shown.stdout.split("in images/NAME/image.yaml:\n")
    assert heading
    (tmp_path / "images/node/image.yaml").write_text(DEFINITION + lines)
    loaded = load(tmp_path / "images/node").weights
    assert loaded is not None
    assert loaded.name == "small"


def test_a_disk_that_is_not_what_it_should_be_is_told_once(small: PackedWeights) -> None:
    with small.disk.open("r+b") as disk:
        disk.write(b"MBR")
    shown = invoke("verify", small.disk)
    assert isinstance(shown.exception, NotVerifiedError)
    first, *rest = shown.exception.problems
    assert render(shown.exception).count(first) == 1
    assert rest == []
