"""Who counts as a rebuilder: nobody who had a hand in the release itself."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import InvalidInputError, NotVerifiedError
from builder.mkosi.toolchain import Origin
from builder.release.rebuild import Rebuilt
from builder.release.rebuild_statement import Rebuilder, require_independent, require_rebuilders, sign_rebuild
from builder.release.signed import read_signed
from builder.release.statements import PAYLOAD_TYPE, PROVENANCE, REFERENCE_MEASUREMENTS, VERDICT, Subject
from builder.release.verify import VerifiedRelease
from signing import dsse, envelope_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signing.signer import FileSigner

    Make = Callable[..., dict[str, Any]]

DISK = "1" * 64
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FILES = (Subject("node_1.0.0_x86-64.raw", {"sha256": DISK}), Subject("image.lock", {"sha256": "2" * 64}))


@pytest.fixture
def said(make_statement: Make, signers: Sequence[FileSigner]) -> Callable[[Mapping[str, Sequence[int]]], bytes]:
    """The statements of a release, each signed by the first key, and by others that are named by number."""

    def make(others: Mapping[str, Sequence[int]]) -> bytes:
        return envelope_json.encode_lines(
            dsse.sign(
                PAYLOAD_TYPE,
                json.dumps(make_statement(kind)).encode(),
                [signers[0], *(signers[number] for number in others.get(kind, ()))],
            )
            for kind in (REFERENCE_MEASUREMENTS, PROVENANCE, VERDICT)
        )

    return make


def release(statements: bytes, signer: FileSigner) -> VerifiedRelease:
    """Believed because of one key; what its files hold is not looked at here."""
    signed = read_signed(statements, [signer.public_key], 1)
    return VerifiedRelease(
        Path("release"),
        signed.key_ids,
        signed.reference,
        signed.provenance,
        signed.verdict,
        (),
        None,
        FILES,
        signed.envelopes,
    )


def rebuilt_by(
    made: VerifiedRelease, signer: FileSigner, origin: Origin = Origin.MADE, time: dt.datetime = NOW
) -> dict[str, bytes]:
    return {"rebuilt.json": sign_rebuild(made, Rebuilt(Path("disk"), DISK, DISK, origin), "0.1.0", time, signer)}


def test_a_key_that_signed_nothing_of_the_release_is_a_rebuilder(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    made = release(said({VERDICT: [2]}), signers[0])
    keys = [signers[1].public_key, signers[2].public_key]
    expected = (Rebuilder(signers[1].public_key.key_id, Origin.MADE),)
    assert require_rebuilders(made, rebuilt_by(made, signers[1]), keys, 1) == expected


def test_where_the_tools_were_from_is_told_and_of_two_statements_the_better_one_counts(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    made, keys = release(said({}), signers[0]), [signers[1].public_key]
    statements = {origin: rebuilt_by(made, signers[1], origin)["rebuilt.json"] for origin in Origin}
    for names in (Origin.CACHED,), (Origin.MADE,), (Origin.CACHED, Origin.MADE), (Origin.MADE, Origin.CACHED):
        (found,) = require_rebuilders(made, {name: statements[name] for name in names}, keys, 1)
        assert found.toolchain is (Origin.MADE if Origin.MADE in names else Origin.CACHED)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("toolchain", None, "rebuild statement: Object missing required field `toolchain`"),
        ("toolchain", "new", "rebuild statement: Invalid enum value 'new' - at `$.toolchain`"),
        ("finishedOn", "9999-99-99T00:00:00Z", "finishedOn is '9999-99-99T00:00:00Z', expected a time in UTC such as"),
        ("finishedOn", "2026-02-30T00:00:00Z", "finishedOn is '2026-02-30T00:00:00Z', expected a time in UTC such as"),
        ("finishedOn", "2026-01-01T00:00:00Z\n", r"finishedOn is '2026-01-01T00:00:00Z\n', expected a time in UTC"),
        ("finishedOn", "2026-1-1T0:0:0Z", "finishedOn is '2026-1-1T0:0:0Z', expected a time in UTC such as"),
        ("finishedOn", "٢٠٢٦-01-01T00:00:00Z", "finishedOn is '٢٠٢٦-01-01T00:00:00Z', expected a time in UTC such as"),
        ("finishedOn", "2026-01-01", "finishedOn is '2026-01-01', expected a time in UTC such as 2026-03-01T12:00:00Z"),
        (
            "finishedOn",
            "2026-01-02T00:00:01Z",
            "finishedOn is '2026-01-02T00:00:01Z', which is in the future, expected a time up to 2026-01-02T00:00:00Z",
        ),
        (
            "finishedOn",
            "9999-12-31T23:59:59Z",
            "finishedOn is '9999-12-31T23:59:59Z', which is in the future, expected a time up to 2026-01-02T00:00:00Z",
        ),
    ],
)
def test_a_statement_that_says_what_cannot_be_is_refused_with_its_file(
    said: Callable[[Mapping[str, Sequence[int]]], bytes],
    signers: Sequence[FileSigner],
    field: str,
    value: str | None,
    problem: str,
) -> None:
    made = release(said({}), signers[0])
    statement = json.loads(envelope_json.decode(rebuilt_by(made, signers[1])["rebuilt.json"]).payload)
    del statement["predicate"][field]
    if value is not None:
        statement["predicate"][field] = value
    changed = envelope_json.encode(dsse.sign(PAYLOAD_TYPE, json.dumps(statement).encode(), [signers[1]]))
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(made, {"dir/rebuilt.json": changed}, [signers[1].public_key], 1, now=NOW)
    assert caught.value.problems[0].startswith(f"dir/rebuilt.json: {problem}")


def test_a_clock_may_be_a_day_ahead(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    made = release(said({}), signers[0])
    ahead = rebuilt_by(made, signers[1], time=NOW + dt.timedelta(days=1))
    assert require_rebuilders(made, ahead, [signers[1].public_key], 1, now=NOW)


def test_without_a_time_it_is_now(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    made = release(said({}), signers[0])
    later = rebuilt_by(made, signers[1], time=dt.datetime.now(dt.UTC) + dt.timedelta(days=2))
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(made, later, [signers[1].public_key], 1)
    assert "which is in the future" in caught.value.problems[0]


@pytest.mark.parametrize("kinds", [(VERDICT,), (REFERENCE_MEASUREMENTS, PROVENANCE, VERDICT)])
def test_a_key_that_signed_the_release_signs_no_rebuild_of_it(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner], kinds: Sequence[str]
) -> None:
    made = release(said({kind: [1] for kind in kinds}), signers[0])
    for signer in signers[:2]:
        with pytest.raises(InvalidInputError, match=f"the key {signer.public_key.key_id} signed release itself"):
            rebuilt_by(made, signer)
    require_independent(made, signers[2].public_key)


@pytest.mark.parametrize("kinds", [(VERDICT,), (REFERENCE_MEASUREMENTS, PROVENANCE, VERDICT)])
def test_a_key_that_signed_the_release_is_none_even_if_the_release_is_believed_by_another(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner], kinds: Sequence[str]
) -> None:
    made = release(said({kind: [1] for kind in kinds}), signers[0])
    # Nothing of ours would sign this.
    other = release(said({}), signers[0])
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(made, rebuilt_by(other, signers[1]), [signers[1].public_key], 1)
    assert "which signed the release itself" in caught.value.problems[0]


def test_the_name_of_a_key_is_not_what_makes_it_a_signer(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    """A signature may say whose it is, or not, or lie."""
    lines = [json.loads(line) for line in said({VERDICT: [1]}).splitlines()]
    lines[2]["signatures"][1]["keyid"] = ""
    made = release(b"".join(json.dumps(line).encode() + b"\n" for line in lines), signers[0])
    # Nothing of ours would sign this.
    other = release(said({}), signers[0])
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(made, rebuilt_by(other, signers[1]), [signers[1].public_key], 1)
    assert "which signed the release itself" in caught.value.problems[0]


def test_nobody_signs_that_an_image_came_out_which_is_not_the_signed_one(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    """Two equal images say nothing of a release whose disk was replaced by one of them after it was verified."""
    made = release(said({}), signers[0])
    swapped = Rebuilt(Path("disk"), "3" * 64, "3" * 64, Origin.MADE)
    with pytest.raises(NotVerifiedError, match="the rebuilt image differs"):
        sign_rebuild(made, swapped, "0.1.0", NOW, signers[1])
