"""A review of a real release is asked for by `bedplate verify`, and believed only if the same comes out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from signing.keys import Algorithm, generate
from signing.signer import FileSigner
from tests.releases import Copy, bedplate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.releases import Run

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def reviewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a reviewer's key pair and rules."""
    folder = tmp_path_factory.mktemp("reviewer")
    private = generate(Algorithm.ED25519).private_pem
    (folder / "release.key").write_bytes(private)
    (folder / "release.pub").write_bytes(FileSigner.from_pem(private).public_key.pem)
    (folder / "rules.yaml").write_text("name: update\nversion: newer\n")
    return folder


@pytest.fixture(scope="module")
def attest(release: Path, keyring: Path, reviewer: Path) -> Callable[..., Run]:
    def run(old: Path, *options: str) -> Run:
        words = ("--allow", reviewer / "rules.yaml", "--attest", reviewer / "release.key")
        return bedplate(
            "diff",
            old,
            release,
            "--trust",
            keyring / "release.pub",
            *words,
            "-o",
            reviewer / "said.json",
            "--force",
            *options,
        )

    return run


@pytest.fixture(scope="module")
def verify(release: Path, keyring: Path, reviewer: Path) -> Callable[..., Run]:
    def run(old: Path, rules: Path = reviewer / "rules.yaml") -> Run:
        words = ("--reviewers", "1", "--trust-reviewer", reviewer / "release.pub", "--reviewed", reviewer / "said.json")
        more = ("--reviewed-from", old, "--rules", rules)
        return bedplate("verify", release, "--trust", keyring / "release.pub", *words, *more)

    return run


def test_a_review_of_a_real_release_holds_with_what_it_was_made_of_and_nothing_else(
    attest: Callable[..., Run], verify: Callable[..., Run], release: Path, reviewer: Path, tmp_path: Path
) -> None:
    signed = attest(release)
    assert signed.status == 0, signed.stdout + signed.stderr
    verified = verify(release)
    assert verified.status == 0, verified.stderr
    assert "\n  reviewed by  " in verified.stdout

    looser = tmp_path / "looser.yaml"
    looser.write_text(f"{(reviewer / 'rules.yaml').read_text()}pcrs: [7]\n")
    refused = verify(release, looser)
    assert (refused.status, refused.problems[0].partition(": ")[2][:31]) == (1, "it was made with other rules: u")

    # Another statement file of the same release: a signature more, by nobody, is another release to a review.
    other = Copy.of(release, tmp_path / "other")
    text = (release / "release.intoto.jsonl").read_bytes()
    other.write("release.intoto.jsonl", text.replace(b'"keyid":"', b'"keyid":"0', 1))
    refused = verify(other.directory)
    assert refused.status == 1
    assert "it is about another old release" in refused.problems[0]
