"""``bedplate connect`` against servers of the test's own: yes, no, and what it leaves behind."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from builder.cli.connect import command
from builder.errors import InvalidInputError, NotVerifiedError
from tests.attester import public_area, rsa_key
from tests.node_documents import TlsNode, honest, identity, tls_key
from tests.nodes import SIGNER, Node, reference, signed

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Node.of()
OWN = identity("node")


@dataclass
class Bench:
    """A directory with a release, keys and the node's key, and the command on a node."""

    folder: Path

    def __call__(self, node: Node, *arguments: str, ak: bool = True) -> Any:
        own = ["--release", str(self.folder / "release.intoto.jsonl"), "--trust", str(self.folder / "release.pub")]
        own += ["--ak", str(self.folder / "ak.tpmt")] if ak else []
        with TlsNode(OWN, honest(node, OWN), self.folder).running() as server:
            return CliRunner().invoke(command, [server.url, *own, *arguments])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "release.intoto.jsonl").write_bytes(signed(reference()))
    (tmp_path / "release.pub").write_bytes(SIGNER.public_key.pem)
    (tmp_path / "ak.tpmt").write_bytes(public_area(rsa_key("ak")))
    return Bench(tmp_path)


def test_a_yes_names_the_release_and_the_tls_key(bench: Bench) -> None:
    done = bench(GOOD)
    assert done.exit_code == 0, done.output
    assert "accepted: node 1.0.0" in done.stdout
    assert f"TLS key      SHA-256 {tls_key(OWN).fingerprint}" in done.stdout
    assert "pinned-key" in done.stdout


def test_the_report_is_json(bench: Bench) -> None:
    report = json.loads(bench(GOOD, "--format", "json").stdout)
    assert report["schema"] == "bedplate.connect/v1"
    assert report["tls_key"] == {"sha256": tls_key(OWN).fingerprint}
    assert report["appraisal"]["accepted"] is True
    refused = bench(Node.of("t252"), "--format", "json")
    assert json.loads(refused.stdout)["appraisal"]["accepted"] is False
    assert isinstance(refused.exception, NotVerifiedError)


def test_a_no_leaves_no_files_of_an_earlier_yes(bench: Bench) -> None:
    ak, pin = bench.folder / "seen.tpmt", bench.folder / "pin.pem"
    keep = ("--save-ak", str(ak), "--pin", str(pin))
    assert bench(GOOD, *keep).exit_code == 0
    assert ak.read_bytes() == public_area(rsa_key("ak"))
    assert ssl.PEM_cert_to_DER_cert(pin.read_text()) == OWN.der
    assert isinstance(bench(Node.of("t252"), *keep).exception, NotVerifiedError)
    assert not ak.exists()
    assert not pin.exists()


def test_a_key_is_trusted_on_first_use_only_when_that_is_said(bench: Bench) -> None:
    assert isinstance(bench(GOOD, ak=False).exception, InvalidInputError)
    seen = bench.folder / "seen.tpmt"
    done = bench(GOOD, "--trust-on-first-use", "--save-ak", str(seen), ak=False)
    assert "first-use" in done.stdout
    assert bench(GOOD, "--ak", str(seen), ak=False).exit_code == 0


def test_a_url_that_is_no_node_is_refused_before_anybody_is_asked(bench: Bench) -> None:
    own = ["--release", str(bench.folder / "release.intoto.jsonl"), "--trust", str(bench.folder / "release.pub")]
    done = CliRunner().invoke(command, ["http://127.0.0.1", *own])
    assert isinstance(done.exception, InvalidInputError)
