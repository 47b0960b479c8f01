"""``bedplate appraise`` on files: yes, every kind of no, and what cannot be appraised at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from builder.cli.appraise import command
from builder.errors import InvalidInputError, NotVerifiedError
from builder.measurement.events import EventType, utf16
from builder.release.revocations import Revocation, sign_revocations
from tests.attester import NONCE, nitro_chain, nitro_document
from tests.nodes import FINISHED, SIGNER, Node, ak_pem, event, log_bytes, quote_files, reference, signed

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Node.of()
DEBUG = event(12, EventType.EV_IPL, utf16("systemd.debug_shell"))


@dataclass
class Bench:
    """A directory with a release, keys and evidence, and the command on them."""

    folder: Path

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def node(self, node: Node, nonce: bytes = NONCE) -> list[str]:
        files = quote_files(node.evidence(), nonce)
        return [word for name, data in files.items() for word in ("--evidence", self.write(name, data))]

    def __call__(self, *arguments: str, nonce: bytes = NONCE, ak: bool = True) -> Any:
        own = ["--release", str(self.folder / "release.intoto.jsonl"), "--trust", str(self.folder / "release.pub")]
        own += ["--nonce", nonce.hex()] if nonce else []
        own += ["--ak", str(self.folder / "ak.pem")] if ak else []
        return CliRunner().invoke(command, [*own, *arguments])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.write("release.intoto.jsonl", signed(reference()))
    bench.write("release.pub", SIGNER.public_key.pem)
    bench.write("ak.pem", ak_pem())
    return bench


def problems(result: Any) -> list[str]:
    assert isinstance(result.exception, NotVerifiedError), result.output
    return list(result.exception.problems)


def test_a_good_node_is_accepted_in_words(bench: Bench) -> None:
    result = bench(*bench.node(GOOD))
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith("accepted: node 1.0.0 x86-64, profile production\n")
    assert "Secure Boot  enabled" in result.stdout


def test_a_good_node_is_accepted_in_json(bench: Bench) -> None:
    result = bench(*bench.node(GOOD), "--format", "json")
    report = json.loads(result.stdout)
    assert report["accepted"] is True
    assert report["release"]["version"] == "1.0.0"
    assert report["evidence"]["nonce"] == NONCE.hex()


def test_the_order_of_the_files_does_not_matter(bench: Bench) -> None:
    words = bench.node(GOOD)
    assert bench(*words[4:], *words[:4]).exit_code == 0


def test_a_release_directory_is_taken_too(bench: Bench) -> None:
    assert bench(*bench.node(GOOD), "--release", str(bench.folder)).exit_code == 0


def test_a_log_explains_what_differs(bench: Bench) -> None:
    node = GOOD.with_events(DEBUG)
    log = bench.write("log", log_bytes(node.log))
    result = bench(*bench.node(node), "--eventlog", log, "--format", "json")
    report = json.loads(result.stdout)
    assert report["accepted"] is False
    (explanation,) = report["nearest"]["explanations"]
    assert explanation["text"] == "kernel command line was extended with systemd.debug_shell: PCR 12 moved"
    assert report["nearest"]["first_differing_events"][0]["pcr"] == 12
    assert any(text.startswith("PCR 12 (sha256) is ") for text in problems(result))


def test_an_altered_log_is_a_no_that_names_the_pcr(bench: Bench) -> None:
    altered = GOOD.edited(lambda item: event(4, item.type, item.data) if item.register == 4 and item.index else item)
    result = bench(*bench.node(GOOD), "--eventlog", bench.write("log", log_bytes(altered.log)))
    (first, second) = problems(result)
    assert first.startswith("the event log does not explain the quoted PCRs: PCR 4 (sha256)")
    assert "PCR 4 (sha384)" in second


@pytest.mark.parametrize("count", range(5))
def test_phases_are_found_without_user_spaces_log(bench: Bench, count: int) -> None:
    node = replace(GOOD, words=GOOD.words[:count])
    log = bench.write("log", log_bytes(node.log))
    phases = [word for phase in ("firmware", *GOOD.words) for word in ("--phase", phase)]
    assert bench(*bench.node(node), "--eventlog", log, *phases).exit_code == 0


def test_a_replayed_nonce_is_a_no(bench: Bench) -> None:
    assert problems(bench(*bench.node(GOOD, nonce=b"x" * 32))) == ["it carries another nonce"]


def test_stored_evidence_has_to_be_called_so(bench: Bench) -> None:
    words = bench.node(GOOD)
    assert bench(*words, nonce=b"").exit_code == 2
    assert bench(*words, "--stored").exit_code == 2
    assert bench(*words, "--stored", nonce=b"").exit_code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--minimum-version", "1.0.1"], "older than the lowest"),
        (["--maximum-age", "1", "--at", "2026-06-01"], "longer ago"),
        (["--secure-boot", "disabled"], "Secure Boot is enabled"),
        (["--phase", "sysinit"], "the boot is at phase ready"),
    ],
)
def test_what_a_policy_refuses_is_named(bench: Bench, options: list[str], words: str) -> None:
    (problem,) = problems(bench(*bench.node(GOOD), *options))
    assert words in problem


def test_a_revoked_release_is_a_no(bench: Bench) -> None:
    entry = Revocation(name="node", version="1.0.0", reason="leaked")
    listed = bench.write("revoked", sign_revocations([entry], FINISHED, [SIGNER]))
    assert problems(bench(*bench.node(GOOD), "--revocations", listed)) == ["node 1.0.0 is revoked: leaked"]


def test_a_development_release_needs_a_word(bench: Bench) -> None:
    bench.write("release.intoto.jsonl", signed(reference(profile="development")))
    (problem,) = problems(bench(*bench.node(GOOD)))
    assert "development image" in problem
    assert bench(*bench.node(GOOD), "--allow-development").exit_code == 0


def test_a_nitro_document_is_verified_with_aws_root(bench: Bench) -> None:
    document = bench.write("document", nitro_document())
    root = bench.write("root.der", nitro_chain()[0].der)
    result = bench("--evidence", document, "--nitro-root", root, "--at", "2026-03-01T12:00:00Z", ak=False)
    assert len(problems(result)) >= 5
    without = bench("--evidence", document, ak=False)
    assert isinstance(without.exception, InvalidInputError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ak-cert", "ak.pem"], "--ak-cert and --ak-root go together"),
        (["--userspace-log", "ak.pem"], "goes with --eventlog"),
        (["--phase", "later"], "'later' is none of"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(bench: Bench, options: list[str], words: str) -> None:
    paths = [str(bench.folder / word) if word == "ak.pem" else word for word in options]
    result = bench(*bench.node(GOOD), *paths)
    assert result.exit_code == 2
    assert words in result.output


def test_a_quote_needs_a_key(bench: Bench) -> None:
    result = bench(*bench.node(GOOD), ak=False)
    assert isinstance(result.exception, InvalidInputError)
    assert "none is given" in str(result.exception)


def test_files_that_are_no_evidence_are_refused(bench: Bench) -> None:
    words = bench.node(GOOD)
    for some in (words[:4], words[2:], [*words, "--evidence", bench.write("more", b"more")]):
        assert isinstance(bench(*some).exception, InvalidInputError)
