"""Who counts as a rebuilder: nobody who had a hand in the release itself."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import NotVerifiedError
from builder.release.rebuild import Rebuilt
from builder.release.rebuild_statement import require_rebuilders, sign_rebuild
from builder.release.signed import read_signed
from builder.release.statements import PAYLOAD_TYPE, PROVENANCE, REFERENCE_MEASUREMENTS, VERDICT, Subject
from builder.release.verify import VerifiedRelease
from signing import dsse, envelope_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from signing.signer import FileSigner

    Make = Callable[..., dict[str, Any]]

DISK = "1" * 64
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


def rebuilt_by(made: VerifiedRelease, signer: FileSigner) -> dict[str, bytes]:
    time = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return {"rebuilt.json": sign_rebuild(made, Rebuilt(Path("disk"), DISK, DISK), "0.1.0", time, signer)}


def test_a_key_that_signed_nothing_of_the_release_is_a_rebuilder(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    made = release(said({VERDICT: [2]}), signers[0])
    keys = [signers[1].public_key, signers[2].public_key]
    assert require_rebuilders(made, rebuilt_by(made, signers[1]), keys, 1) == (signers[1].public_key.key_id,)


@pytest.mark.parametrize("kinds", [(VERDICT,), (REFERENCE_MEASUREMENTS, PROVENANCE, VERDICT)])
def test_a_key_that_signed_the_release_is_none_even_if_the_release_is_believed_by_another(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner], kinds: Sequence[str]
) -> None:
    made = release(said({kind: [1] for kind in kinds}), signers[0])
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(made, rebuilt_by(made, signers[1]), [signers[1].public_key], 1)
    assert "which signed the release itself" in caught.value.problems[0]


def test_the_name_of_a_key_is_not_what_makes_it_a_signer(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    """A signature may say whose it is, or not, or lie."""
    lines = [json.loads(line) for line in said({VERDICT: [1]}).splitlines()]
    lines[2]["signatures"][1]["keyid"] = ""
    made = release(b"".join(json.dumps(line).encode() + b"\n" for line in lines), signers[0])
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(made, rebuilt_by(made, signers[1]), [signers[1].public_key], 1)
    assert "which signed the release itself" in caught.value.problems[0]


def test_nobody_signs_that_an_image_came_out_which_is_not_the_signed_one(
    said: Callable[[Mapping[str, Sequence[int]]], bytes], signers: Sequence[FileSigner]
) -> None:
    """Two equal images say nothing of a release whose disk was replaced by one of them after it was verified."""
    made = release(said({}), signers[0])
    swapped = Rebuilt(Path("disk"), "3" * 64, "3" * 64)
    with pytest.raises(NotVerifiedError, match="the rebuilt image differs"):
        sign_rebuild(made, swapped, "0.1.0", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), signers[1])
