from __future__ import annotations

import hashlib
import json

import pytest

from builder.errors import InvalidInputError
from builder.release.provenance import package_url
from builder.release.statements import (
    PROVENANCE,
    STATEMENT_TYPE,
    Subject,
    decode_statement,
    encode_statement,
    read_json,
)

SUBJECT = Subject("node.efi", {"sha256": hashlib.sha256(b"").hexdigest()})


def test_a_statement_is_in_toto_with_its_keys_sorted() -> None:
    data = encode_statement(PROVENANCE, {"b": 1, "a": 2}, (SUBJECT,))
    assert json.loads(data) == {
        "_type": STATEMENT_TYPE,
        "predicate": {"a": 2, "b": 1},
        "predicateType": PROVENANCE,
        "subject": [{"digest": SUBJECT.digest, "name": "node.efi"}],
    }
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()


def test_a_statement_comes_back_as_it_was() -> None:
    statement = decode_statement(encode_statement(PROVENANCE, {"a": [1, None, "x"]}, (SUBJECT,)))
    assert (statement.type, statement.predicate_type) == (STATEMENT_TYPE, PROVENANCE)
    assert (statement.subject, statement.predicate) == ((SUBJECT,), {"a": [1, None, "x"]})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a":1,"a":1}', "x: an object has a key twice"),
        (b'{"a":{"b":1,"b":1}}', "x: an object has a key twice"),
        (b"Infinity", "x is not JSON: Infinity is no JSON value"),
        (b"1 1", "x is not JSON: line 1, column 3: extra data"),
        (b"\xef\xbb\xbf{}", "x is not JSON"),
        ("{}".encode("utf-32"), "x is not JSON"),
        (b"[" * 200_000, "x is not JSON"),
        (b"1" * 5000, "x is not JSON"),
        (rb'["\ud800"]', "x: a string has half a surrogate pair"),
        (rb'{"\uDFFF": 1}', "x: a string has half a surrogate pair"),
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        read_json(data, what="x")


def test_an_escaped_pair_is_the_character_that_it_stands_for() -> None:
    assert read_json(rb'["\ud83d\ude00", "\\ud800"]', what="x") == ["\U0001f600", r"\ud800"]


def test_a_package_url_escapes_what_urls_keep_for_themselves() -> None:
    expected = "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19~deb?arch=amd64"
    assert package_url("libstdc++6", "1:14.2.0-19~deb", "amd64") == expected
