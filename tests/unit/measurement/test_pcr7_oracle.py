"""PCR 7 against virt-firmware, where that is right: all variables present, no entry of db used."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.image.uki import read_uki
from builder.measurement import pcr7
from builder.measurement.boot import Boot
from builder.measurement.configuration import BootConfiguration, SecureBoot, SecureBootMode
from builder.measurement.events import Measurer
from builder.measurement.pcr import Bank
from builder.measurement.predict import ALL_BANKS
from builder.process import run
from tests.uki_builder import build_uki

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle

TINY = Path(__file__).parents[2] / "vectors/own-tiny-uki"
OWNER = "11111111-2222-3333-4444-123456789abc"
SECONDS = 60


def records(store: Path, bank: Bank) -> list[dict[str, Any]]:
    argv = ["virt-fw-measure", "--vars", str(store), "--bank", bank.value]
    answer: list[dict[str, Any]] = json.loads(run(argv, timeout=SECONDS).stdout)["records"]
    return [record for record in answer if record["pcr"] == pcr7.PCR]


def test_virt_firmware_measures_the_same_variables(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    empty = toolchain.tree / "usr/share/OVMF/OVMF_VARS_4M.fd"
    store = tmp_path / "vars.fd"
    # fmt: off
    run([
        "virt-fw-vars", "-i", str(empty), "-o", str(store), "--sb",
        "--set-pk", OWNER, str(TINY / "PK.pem"),
        "--add-kek", OWNER, str(TINY / "KEK.pem"),
        "--add-db", OWNER, str(TINY / "db.pem"),
    ], timeout=SECONDS)
    # fmt: on
    secure_boot = SecureBoot(
        SecureBootMode.ENABLED, *((TINY / f"{name}.esl").read_bytes() for name in ("PK", "KEK", "db", "dbx"))
    )
    data = build_uki([(".linux", b"kernel")])
    disabled_for_the_image = SecureBoot(
        SecureBootMode.DISABLED, secure_boot.pk, secure_boot.kek, secure_boot.db, secure_boot.dbx
    )
    boot = Boot(memoryview(data), read_uki(data), BootConfiguration(disabled_for_the_image, initrd_systemd=None))
    events = pcr7.events(boot, Measurer(ALL_BANKS))
    for bank in Bank:
        theirs = [record["digests"][0]["digest"] for record in records(store, bank)]
        ours = [event.digests[bank].hex() for event in events]
        # Their SecureBoot is 01, and no image is asked for its entry in db.
        assert theirs[1:] == ours[1:]
        assert theirs[0] == bank.digest(pcr7.variable_data(pcr7.GLOBAL_VARIABLE, "SecureBoot", b"\1")).hex()
