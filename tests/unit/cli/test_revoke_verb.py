"""``bedplate revoke``: lists that build on each other, and what is refused."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from builder.cli.revoke import command
from builder.definition.model import Profile
from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.keyring import generate_keyring, load_trusted
from builder.release.revocations import Revocation, load_revocations
from builder.release.trusted import load_trusted_reference
from signing.keys import Algorithm
from tests.nodes import SIGNER, reference, signed

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys") / "production"
    generate_keyring(directory, Profile.PRODUCTION, Algorithm.ED25519)
    return directory


def run(keyring: Path, *words: str) -> Any:
    return CliRunner().invoke(command, [*words, "--keys", str(keyring)])


def test_lists_build_on_each_other_and_are_numbered(keyring: Path, tmp_path: Path) -> None:
    file, stated, signer = tmp_path / "revoked.json", tmp_path / "release.intoto.jsonl", tmp_path / "release.pub"
    stated.write_bytes(signed(reference()))
    signer.write_bytes(SIGNER.public_key.pem)
    words = (str(stated), "--reason", "leaks", "--trust", str(signer), "--first", "-o", str(file))
    first = run(keyring, *words)
    assert (first.exit_code, first.output) == (0, f"{file}: serial 1, 1 revoked\n")
    words = ("--image", "node", "0.9", "--digest", DIGEST, "--reason", "old", "--minimum-version", "node", "0.8")
    second = run(keyring, *words, "--previous", str(file), "-o", str(file), "--format", "json")
    assert second.exit_code == 0, second.exception
    assert json.loads(second.stdout)["serial"] == 2
    loaded = load_revocations(file.read_bytes(), [load_trusted(keyring / "release.pub")], last_serial=2).content
    digest = load_trusted_reference(stated.read_bytes(), [SIGNER.public_key]).digest
    assert loaded.revoked == (
        Revocation(digest=digest, reason="leaks"),
        Revocation(name="node", version="0.9", reason="old"),
        Revocation(digest=DIGEST, reason="old"),
    )
    assert loaded.minimum_versions == {"node": "0.8"}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--image", "node", "1", "--reason", "x"], "name either --previous, or --first"),
        (["--first"], "nothing is revoked"),
        (["--first", "--image", "node", "1"], "--reason goes with"),
        (["--first", "--minimum-version", "node", "1", "--reason", "x"], "--reason goes with"),
        (["--first", "--minimum-version", "node", "2", "--minimum-version", "node", "1"], "names an image twice"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(keyring: Path, tmp_path: Path, words: list[str], problem: str) -> None:
    result = run(keyring, *words, "-o", str(tmp_path / "revoked.json"))
    assert result.exit_code == 2
    assert problem in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "problem"),
    [(["--digest", "xy"], "digest"), (["--image", "Node", "1"], "name"), (["--image", "node", ""], "version")],
)
def test_a_revocation_that_names_nothing_is_refused(
    keyring: Path, tmp_path: Path, words: list[str], problem: str
) -> None:
    result = run(keyring, *words, "--reason", "x", "--first", "-o", str(tmp_path / "revoked.json"))
    assert isinstance(result.exception, InvalidInputError)
    assert problem in str(result.exception)


def test_another_file_is_not_written_over(keyring: Path, tmp_path: Path) -> None:
    file = tmp_path / "revoked.json"
    file.write_text("mine")
    result = run(keyring, "--digest", DIGEST, "--reason", "x", "--first", "-o", str(file))
    assert result.exit_code == 2
    assert file.read_text() == "mine"


def test_a_previous_list_of_others_is_refused(keyring: Path, tmp_path: Path) -> None:
    file = tmp_path / "revoked.json"
    assert run(keyring, "--digest", DIGEST, "--reason", "x", "--first", "-o", str(file)).exit_code == 0
    signer = tmp_path / "other.pub"
    signer.write_bytes(SIGNER.public_key.pem)
    words = ("--digest", "cd" * 32, "--reason", "x", "--previous", str(file), "--trust", str(signer), "-o", str(file))
    assert isinstance(run(keyring, *words).exception, NotVerifiedError)


def test_a_fifo_is_no_list_that_is_there_already(keyring: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    result = run(keyring, "--digest", DIGEST, "--reason", "x", "--first", "-o", str(tmp_path / "fifo"))
    assert (result.exit_code, result.exception) == (0, None)
    assert b"payload" in os.read(reader, 1 << 16)
    os.close(reader)
