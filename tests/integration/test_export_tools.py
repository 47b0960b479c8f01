"""Programs of other people read what we export, and find in it what they would compute themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner

from builder.cli.group import bedplate
from builder.export import pcrlock, tcg
from builder.measurement.phases import Phase
from builder.process import run
from tests.export_subjects import TINY, secured, tiny_uki, unsecured, with_kernel

if TYPE_CHECKING:
    from pathlib import Path

    from builder.export.subject import Subject
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle

PCRLOCK = "/usr/lib/systemd/systemd-pcrlock"
SUBJECTS = pytest.mark.parametrize(
    "subject", [secured(), unsecured(), with_kernel()], ids=["secured", "unsecured", "with kernel"]
)


def at_hand_over(subject: Subject) -> dict[str, dict[int, str]]:
    """The values when firmware hands over, of the PCRs that have events by then."""
    pcrs = {number: pcr for number, pcr in subject.predicted.items() if pcr.events_until(Phase.FIRMWARE)}
    return {
        bank.value: {number: pcr.at(Phase.FIRMWARE)[bank].hex() for number, pcr in pcrs.items()}
        for bank in subject.banks
    }


@SUBJECTS
def test_tpm2_eventlog_reads_the_log_and_replays_it(subject: Subject, test_tools: Toolchain, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(tcg.export(subject))
    done = run(test_tools.command(["tpm2_eventlog", str(log)], readable=[tmp_path]), timeout=60)
    read = yaml.safe_load(done.stdout.replace(b"\\0", b""))
    values = {
        bank: {number: f"{value:0{96 if bank == 'sha384' else 64}x}" for number, value in pcrs.items()}
        for bank, pcrs in read["pcrs"].items()
    }
    assert values == at_hand_over(subject)


def test_tpm2_eventlog_replays_a_verified_release_to_its_reference_values(
    release: Path, keyring: Path, test_tools: Toolchain, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    argv = ["export", "tcg", str(release), "--trust", str(keyring / "release.pub"), "--output", str(log)]
    assert CliRunner().invoke(bedplate, argv, catch_exceptions=False).exit_code == 0
    done = run(test_tools.command(["tpm2_eventlog", str(log)], readable=[tmp_path]), timeout=60)
    replayed = yaml.safe_load(done.stdout.replace(b"\\0", b""))["pcrs"]["sha384"]
    stated = json.loads((release / "reference-values.json").read_text())["reference_values"]["enabled"]["pcrs"]
    expected = {pcr: stated[str(pcr)]["values"]["sha384"] for pcr in (4, 7, 9)}
    assert {pcr: f"{replayed[pcr]:096x}" for pcr in (4, 7, 9)} == expected
    assert f"{replayed[11]:096x}" == stated["11"]["phases"]["firmware"]["sha384"]


@SUBJECTS
def test_systemd_pcrlock_reads_the_log(subject: Subject, toolchain: Toolchain, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(tcg.export(subject))
    files = [f"SYSTEMD_MEASURE_LOG_FIRMWARE={log}", f"SYSTEMD_MEASURE_LOG_USERSPACE={tmp_path / 'none'}"]
    done = run(toolchain.command(["env", *files, PCRLOCK, "cel", "--no-pager"], readable=[tmp_path]), timeout=60)
    assert replayed(json.loads(done.stdout), subject) == at_hand_over(subject)


def replayed(records: list[dict[str, Any]], subject: Subject) -> dict[str, dict[int, str]]:
    values: dict[str, dict[int, str]] = {}
    for bank in subject.banks:
        digests: dict[int, list[bytes]] = {}
        for record in records:
            found = {entry["hashAlg"]: entry["digest"] for entry in record["digests"]}
            digests.setdefault(record["pcr"], []).append(bytes.fromhex(found[bank.value]))
        values[bank.value] = {pcr: bank.replay(extended).hex() for pcr, extended in digests.items()}
    return values


def test_pcrlock_records_are_those_of_lock_uki_with_secure_boot(toolchain: Toolchain) -> None:
    records = json.loads(pcrlock.export(secured()))["records"]
    assert records == lock_uki(toolchain, TINY / "tsb257/esp/EFI/BOOT/BOOTX64.EFI")


def test_without_secure_boot_lock_uki_lacks_the_kernel_only(toolchain: Toolchain, tmp_path: Path) -> None:
    path = tmp_path / "uki.efi"
    path.write_bytes(tiny_uki("t257"))
    records, theirs = json.loads(pcrlock.export(unsecured()))["records"], lock_uki(toolchain, path)
    missing = [record for record in records if record not in theirs]
    assert [record["pcr"] for record in missing] == [4]
    assert [record for record in records if record not in missing] == theirs


def lock_uki(toolchain: Toolchain, uki: Path) -> list[dict[str, Any]]:
    """The records of ``systemd-pcrlock lock-uki`` in our banks."""
    argv = [PCRLOCK, "lock-uki", "--pcrlock=-", str(uki)]
    done = run(toolchain.command(argv, readable=[uki.parent]), timeout=60)
    records: list[dict[str, Any]] = json.loads(done.stdout)["records"]
    for record in records:
        record["digests"] = [entry for entry in record["digests"] if entry["hashAlg"] in {"sha256", "sha384"}]
    return records


def test_pcrlock_lists_the_component(toolchain: Toolchain, tmp_path: Path) -> None:
    component = tmp_path / "650-uki.pcrlock.d" / "1.0.0.pcrlock"
    component.parent.mkdir()
    component.write_text(pcrlock.export(secured()))
    argv = [PCRLOCK, "list-components", f"--components={tmp_path}", "--json=short", "--no-pager"]
    done = run(toolchain.command(argv, readable=[tmp_path]), timeout=60)
    assert str(component) in done.stdout.decode()
