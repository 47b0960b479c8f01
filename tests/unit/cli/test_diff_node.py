"""``bedplate diff --node``: a release against the evidence of a node, on files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from builder.cli.main import main
from tests.attester import NONCE
from tests.nodes import SIGNER, Node, ak_pem, log_bytes, quote_files, reference, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATED = (4, 7, 9, 11, 12, 13, 14)


@pytest.fixture
def diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the verb on a release and the evidence of a node."""
    (tmp_path / "release.intoto.jsonl").write_bytes(signed(reference()))
    (tmp_path / "release.pub").write_bytes(SIGNER.public_key.pem)
    (tmp_path / "ak.pem").write_bytes(ak_pem())

    def run(node: Node, *options: str, pcrs: tuple[int, ...] = STATED) -> tuple[int, str, str]:
        words = ["diff", str(tmp_path / "release.intoto.jsonl"), "--trust", str(tmp_path / "release.pub")]
        for name, content in {**quote_files(node.evidence(pcrs)), "log": log_bytes(node.log)}.items():
            (tmp_path / name).write_bytes(content)
            words += [] if name == "log" else ["--node", str(tmp_path / name)]
        given = [option.replace("FOLDER", str(tmp_path)) for option in options]
        status = main([*words, "--ak", str(tmp_path / "ak.pem"), *given])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_node_that_booted_the_release_does_not_differ(diff: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = diff(Node.of(), "--nonce", NONCE.hex(), "--eventlog", "FOLDER/log")
    assert status == 0, out + err
    assert "No PCR moved" in out
    assert err == ""


def test_a_node_that_booted_something_else_differs_by_events(diff: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = diff(Node.of("t257"), "--nonce", NONCE.hex(), "--eventlog", "FOLDER/log")
    assert status == 1
    assert "PCR 7 event" in out


def test_a_pcr_that_was_not_quoted_is_not_equal(diff: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = diff(Node.of(), "--nonce", NONCE.hex(), pcrs=(7, 11))
    assert status == 1
    assert "PCR 4, Secure Boot enabled: the new side does not speak of it" in out


def test_without_a_nonce_freshness_is_said_to_be_unchecked(diff: Callable[..., tuple[int, str, str]]) -> None:
    assert "its freshness was not checked" in diff(Node.of())[2]


def test_another_nonce_is_refused(diff: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = diff(Node.of(), "--nonce", "00" * 32)
    assert (status, out) == (1, "")
    assert "nonce" in err


def test_a_log_of_another_boot_is_refused(diff: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(log_bytes(Node.of("t257").log))
    status, out, err = diff(Node.of(), "--nonce", NONCE.hex(), "--eventlog", "FOLDER/other")
    assert (status, out) == (1, "")
    assert "the event log is not the node's" in err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "name either NEW, or the evidence of a node with --node"),
        (("FILE", "--node", "FILE"), "name either NEW, or the evidence of a node with --node"),
        (("FILE", "--nonce", "00"), "go with --node"),
        (("--node", "FILE"), "--node needs --ak"),
        (("--node", "FILE", "--ak", "FILE", "--deep"), "--deep compares files, and evidence has none"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    words: tuple[str, ...], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    given = [str(tmp_path / "file") if word == "FILE" else word for word in words]
    assert main(["diff", str(tmp_path / "file"), *given]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_every_form_tells_the_events_of_a_node_and_no_key_policy(
    form: str, diff: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, _ = diff(Node.of("t257"), "--nonce", NONCE.hex(), "--eventlog", "FOLDER/log", "--format", form)
    assert status == 1
    assert "PCR 7 event" in out
    assert "nothing was found that explains it" in out
    assert "Key policy" not in out
    assert "kms:" not in out


def test_the_node_is_called_by_its_evidence_and_why_its_key_is_trusted(
    diff: Callable[..., tuple[int, str, str]],
) -> None:
    out = diff(Node.of(), "--nonce", NONCE.hex())[1]
    assert re.search(r"^  new: evidence TPM quote, key [0-9a-f]{16}… pinned by you$", out, re.MULTILINE)
    full = diff(Node.of(), "--nonce", NONCE.hex(), "--full")[1]
    assert re.search(r"^  new: evidence TPM quote, key [0-9a-f]{64} pinned by you$", full, re.MULTILINE)
