"""The real cosign judges what we sign, offline and without a transparency log."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from builder.errors import ToolFailedError
from builder.process import run
from signing import dsse, envelope_json, keys
from signing.signer import FileSigner

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle

ARTEFACT = b"an artefact"
PREDICATE_TYPE = "https://example.com/predicate/v1"
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artefact", "digest": {"sha256": hashlib.sha256(ARTEFACT).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"answer": 42},
    }
).encode()
# Without a trust root of its own cosign would ask the public sigstore instance for one.
NO_TRUST_ROOT = b'{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'
# P-384 is not here: cosign 2.5 hashes for it with SHA-256, which is not the scheme of our P-384 keys.
ALGORITHMS = [keys.Algorithm.ED25519, keys.Algorithm.ECDSA_P256_SHA256, keys.Algorithm.RSA_PKCS1_SHA256]


@dataclass(frozen=True)
class Case:
    """Files for one run of cosign."""

    tools: Toolchain
    directory: Path

    def verify(self, *form: str) -> str:
        """What cosign says. Raises ToolFailedError if it refuses."""
        directory = self.directory
        command = ["cosign", "verify-blob-attestation", "--key", str(directory / "key.pem"), "--type", PREDICATE_TYPE]
        command += ["--insecure-ignore-tlog=true", *form, str(directory / "artefact")]
        return run(self.tools.command(command, readable=[directory]), timeout=60).stderr.decode()

    def verify_bundle(self) -> str:
        bundle, root = self.directory / "bundle.json", self.directory / "root.json"
        return self.verify("--new-bundle-format", "--trusted-root", str(root), "--bundle", str(bundle))

    def verify_envelope(self) -> str:
        return self.verify("--signature", str(self.directory / "envelope.json"))


@pytest.fixture(params=ALGORITHMS)
def case(request: pytest.FixtureRequest, test_tools: Toolchain, tmp_path: Path) -> Case:
    pair = keys.generate(request.param)
    signer = FileSigner.from_pem(pair.private_pem)
    envelope = dsse.sign("application/vnd.in-toto+json", STATEMENT, [signer])
    (tmp_path / "key.pem").write_bytes(pair.public.pem)
    (tmp_path / "artefact").write_bytes(ARTEFACT)
    (tmp_path / "root.json").write_bytes(NO_TRUST_ROOT)
    (tmp_path / "bundle.json").write_bytes(envelope_json.encode_bundle(envelope, pair.public))
    (tmp_path / "envelope.json").write_bytes(envelope_json.encode(envelope))
    return Case(test_tools, tmp_path)


def test_cosign_verifies_our_bundle(case: Case) -> None:
    assert "Verified OK" in case.verify_bundle()


def test_cosign_verifies_our_envelope(case: Case) -> None:
    assert "Verified OK" in case.verify_envelope()


def test_cosign_refuses_our_statement_for_another_artefact(case: Case) -> None:
    (case.directory / "artefact").write_bytes(b"another artefact")
    with pytest.raises(ToolFailedError, match="artifact digest does not match any digest in statement"):
        case.verify_bundle()
    with pytest.raises(ToolFailedError, match="no matching subject digest found"):
        case.verify_envelope()


def test_cosign_refuses_a_changed_statement(case: Case) -> None:
    changed = base64.b64encode(STATEMENT.replace(b"42", b"43"))
    for name in ("bundle.json", "envelope.json"):
        path = case.directory / name
        path.write_bytes(path.read_bytes().replace(base64.b64encode(STATEMENT), changed))
    with pytest.raises(ToolFailedError, match="accepted signatures do not match threshold"):
        case.verify_bundle()
    with pytest.raises(ToolFailedError, match="accepted signatures do not match threshold"):
        case.verify_envelope()


def test_cosign_refuses_another_key(case: Case) -> None:
    (case.directory / "key.pem").write_bytes(keys.generate(keys.Algorithm.ED25519).public.pem)
    with pytest.raises(ToolFailedError, match="accepted signatures do not match threshold"):
        case.verify_bundle()
