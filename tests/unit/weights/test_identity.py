from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import InvalidInputError
from builder.weights.identity import decode_identity, encode_identity
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    files = {"a.bin": b"a", "dir/b.bin": b"b"}
    identity = packed(write_model(tmp_path / "model", files), tmp_path / "out").identity
    return json.loads(encode_identity(identity))


def decoded(document: dict[str, Any]) -> object:
    return decode_identity(json.dumps(document).encode(), what="w.json")


def test_an_identity_is_read_as_it_was_written(document: dict[str, Any]) -> None:
    identity = decode_identity(json.dumps(document).encode(), what="w.json")
    assert json.loads(encode_identity(identity)) == document


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda it: it.update(type="https://bedplate.dev/weights/v2"), "its type is .*v2"),
        (lambda it: it.update(extra=1), "unknown field `extra`"),
        (lambda it: it.pop("licence"), "missing required field `licence`"),
        (lambda it: it.update(name="Upper"), "regex"),
        (lambda it: it.update(name="ok\n"), "regex"),
        (lambda it: it.update(sha256="00" * 32), "its sha256 is not the digest of its files"),
        (lambda it: it.update(files=[]), "length >= 1"),
        (lambda it: it["files"].reverse(), "out of order, or there twice"),
        (lambda it: it["files"].append(it["files"][1]), "out of order, or there twice"),
        (lambda it: it["files"][0].update(path="../a"), "regex"),
        (lambda it: it["files"][0].update(path="/a"), "regex"),
        (lambda it: it["files"][0].update(path="dir"), "both a file and a directory"),
        (lambda it: it["files"][1].update(path="n" * 256), "longer than 255 bytes"),
        (lambda it: it["files"][0].update(size=-1), ">= 0"),
        (lambda it: it["files"][0].update(size=1 << 45), "<="),
        (lambda it: it["verity"].update(data_blocks=0), ">= 1"),
        (lambda it: it["verity"].update(root_hash="AB" * 32), "regex"),
        (lambda it: it["verity"].update(root_hash="ab" * 31), "regex"),
    ],
)
def test_an_identity_that_is_not_strictly_one_is_refused(
    change: Callable[[dict[str, Any]], object], reason: str, document: dict[str, Any]
) -> None:
    change(document)
    with pytest.raises(InvalidInputError, match=rf"^w\.json is no identity of weights: .*{reason}"):
        decoded(document)


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="an object has a key twice"):
        decode_identity(b'{"type": 1, "type": 2}', what="w.json")


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="is no identity of weights"):
        decode_identity(data, what="w.json")
