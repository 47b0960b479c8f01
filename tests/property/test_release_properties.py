"""Statements survive their encoding; random and mutated release files never pass, and never break the verifier."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import InvalidInputError, NotVerifiedError
from builder.release.signed import read_signed
from builder.release.statements import (
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    VERDICT,
    Subject,
    decode_statement,
    encode_statement,
    read_json,
)
from builder.release.verify import verify_release
from signing import dsse, envelope_json, keys
from signing.signer import FileSigner
from tests.verdicts import REFERENCE_VALUES, verdict

SIGNER = FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)
OTHER = FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)
TRUSTED = [SIGNER.public_key]
SUBJECT = Subject("node.efi", {"sha256": "00" * 32})
REFERENCE = {
    "image": {"name": "node", "version": "1", "architecture": "x86-64", "profile": "production"},
    "uki": {"stub": "257", "kernel": "6.12", "command_line": "", "root_hash": ""},
    "reference_values": REFERENCE_VALUES,
}
LINES = envelope_json.encode_lines(
    dsse.sign(PAYLOAD_TYPE, encode_statement(kind, predicate, (SUBJECT,)), [SIGNER])
    for kind, predicate in ((REFERENCE_MEASUREMENTS, REFERENCE), (PROVENANCE, {}), (VERDICT, verdict()))
)

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~^-]{0,8}(/[A-Za-z0-9][A-Za-z0-9._~^-]{0,8}){0,2}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4)


@given(st.lists(st.builds(Subject, names, st.just({"sha256": "ab" * 32})), min_size=1, max_size=4), objects)
def test_a_statement_comes_back_as_it_was(subjects: list[Subject], predicate: dict[str, Any]) -> None:
    data = encode_statement(PROVENANCE, predicate, tuple(subjects))
    statement = decode_statement(data)
    assert (statement.subject, statement.predicate) == (tuple(subjects), predicate)
    assert encode_statement(PROVENANCE, statement.predicate, statement.subject) == data


@given(st.text())
def test_a_subject_never_leads_out_of_the_release(name: str) -> None:
    data = json.dumps(
        {"_type": "https://in-toto.io/Statement/v1", "subject": [{"name": name, "digest": {}}], "predicateType": "a",
         "predicate": {}}
    ).encode()  # fmt: skip
    try:
        (subject,) = decode_statement(data).subject
    except InvalidInputError:
        return
    root = Path("/release")
    assert (root / subject.name).resolve().is_relative_to(root)
    assert str(Path(subject.name)) == name
    assert name.isascii()
    assert name.isprintable()


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_json_or_a_refusal(data: bytes) -> None:
    try:
        value = read_json(data, what="x")
    except InvalidInputError:
        return
    assert value == json.loads(data)


def verified(data: bytes) -> None:
    """As `bedplate verify` does it, on a directory that holds nothing else."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "release.intoto.jsonl").write_bytes(data)
        verify_release(Path(name), TRUSTED)


@given(st.binary(max_size=400))
def test_random_statements_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises((NotVerifiedError, InvalidInputError)):
        verified(data)


@given(st.integers(0, len(LINES) - 1), st.integers(1, 255))
def test_a_changed_byte_leaves_the_signed_statements_or_nothing(place: int, change: int) -> None:
    """Bytes that no signature covers (a key's name, a field of the envelope) may change; what was signed may not."""
    data = bytearray(LINES)
    data[place] ^= change
    original = read_signed(LINES, TRUSTED, 1)
    try:
        found = read_signed(bytes(data), TRUSTED, 1)
    except NotVerifiedError as error:
        assert error.problems  # noqa: PT017 -- also when it is refused something is to be seen
        return
    assert (found.statements, found.key_ids) == (original.statements, original.key_ids)


@given(st.integers(0, len(LINES) - 1))
def test_statements_that_are_cut_off_are_refused(length: int) -> None:
    if length == len(LINES) - 1:  # the last line feed may be missing
        assert read_signed(LINES[:length], TRUSTED, 1).subjects == (SUBJECT,)
        return
    with pytest.raises(NotVerifiedError):
        read_signed(LINES[:length], TRUSTED, 1)


@given(st.binary(max_size=200) | objects.map(lambda value: json.dumps(value).encode()))
def test_a_signed_payload_of_any_bytes_is_refused_and_nothing_else_happens(payload: bytes) -> None:
    lines = envelope_json.encode_lines([dsse.sign(PAYLOAD_TYPE, payload, [SIGNER])])
    with pytest.raises(NotVerifiedError):
        read_signed(lines, TRUSTED, 1)


@given(st.permutations(range(6)), st.integers(0, 6))
def test_envelopes_of_another_key_never_help(order: list[int], count: int) -> None:
    """In any order and number, beside the good ones or in their place."""
    good = envelope_json.decode_lines(LINES)
    bad = [dsse.sign(PAYLOAD_TYPE, envelope.payload, [OTHER]) for envelope in good]
    chosen = [(*good, *bad)[index] for index in order[:count]]
    lines = envelope_json.encode_lines(chosen) if chosen else b""
    if set(order[:count]) == {0, 1, 2}:
        assert read_signed(lines, TRUSTED, 1).key_ids == (SIGNER.public_key.key_id,)
        return
    with pytest.raises(NotVerifiedError):
        read_signed(lines, TRUSTED, 1)
