"""virt-firmware reads and writes the same signature lists as we do."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.process import run
from signing import esl, secureboot

pytestmark = pytest.mark.oracle

DIGESTS = [bytes([number]) * 32 for number in range(3)]


def virt_fw_sigdb(*argv: str) -> str:
    return run([str(Path(sys.executable).parent / "virt-fw-sigdb"), *argv], timeout=60).stdout.decode()


@pytest.fixture(scope="module")
def generated() -> secureboot.GeneratedIdentity:
    return secureboot.generate_identity("test", secureboot.owner_guid("test"), datetime(2026, 1, 1, tzinfo=UTC))


def test_virt_firmware_writes_the_list_that_we_write(generated: secureboot.GeneratedIdentity, tmp_path: Path) -> None:
    (tmp_path / "db.crt").write_bytes(generated.files["db.crt"].content)
    out = tmp_path / "db.esl"
    virt_fw_sigdb("--add-cert", str(generated.identity.owner), str(tmp_path / "db.crt"), "--output", str(out))
    assert out.read_bytes() == generated.identity.variables()["db"]


def test_virt_firmware_reads_the_lists_that_we_write(generated: secureboot.GeneratedIdentity, tmp_path: Path) -> None:
    path = tmp_path / "all.esl"
    owner = generated.identity.owner
    path.write_bytes(generated.identity.variables()["db"] + esl.build_sha256_list(owner, DIGESTS))
    printed = virt_fw_sigdb("--input", str(path), "--print")
    assert "CN=test db" in printed.replace(" = ", "=")
    assert all(digest.hex() in printed for digest in DIGESTS)


def test_we_read_the_digests_that_virt_firmware_writes(tmp_path: Path) -> None:
    owner, out = secureboot.owner_guid("test"), tmp_path / "dbx.esl"
    arguments = [word for digest in DIGESTS for word in ("--add-hash", str(owner), digest.hex())]
    virt_fw_sigdb(*arguments, "--output", str(out))
    lists = esl.parse_signature_lists(out.read_bytes())
    assert [entry for found in lists for entry in found.entries] == [esl.SignatureEntry(owner, d) for d in DIGESTS]
