"""The boot proof of the whole image: real PCRs against the release's reference values (a minute for each boot)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from builder.measurement.compare import Outcome as PcrOutcome
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import Bank
from builder.release.layout import REFERENCE_VALUES
from builder.release.prove import prove
from builder.vm.observation import Outcome
from tests.releases import NAMES, bedplate, place_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain
    from tests.releases import Copy

pytestmark = [pytest.mark.boot, pytest.mark.integration]

BOUND = (4, 7, 9, 11, 12, 13, 14)
SECONDS = 600.0


def test_with_secure_boot_every_bound_pcr_is_as_predicted(release: Path) -> None:
    shown = bedplate("boot", release, "--format", "json", "--timeout", "600", timeout=SECONDS + 60)
    assert shown.status == 0, shown.stderr
    proof = json.loads(shown.stdout)
    assert (proof["proved"], proof["secure_boot"], proof["outcome"]) == (True, "enabled", "reached")
    assert proof["problems"] == []
    assert "stub" in proof["seconds"]
    equal = {(entry["pcr"], entry["bank"]) for entry in proof["pcrs"] if entry["outcome"] == "equal"}
    assert equal >= {(pcr, bank.value) for pcr in BOUND for bank in Bank}
    assert all(entry["predicted"] == entry["real"] for entry in proof["pcrs"] if entry["outcome"] == "equal")
    assert not [entry for entry in proof["pcrs"] if entry["outcome"] == "differs"]


def test_without_secure_boot_the_values_of_another_uki_are_refuted_at_their_first_event(
    copy: Copy, other_release: Path, toolchain: Toolchain, tmp_path: Path, release: Path
) -> None:
    """One boot for two questions: what is right is equal, and the other release's values differ where they should."""
    copy.write(REFERENCE_VALUES, (other_release / REFERENCE_VALUES).read_bytes())
    proof = prove(copy.directory, toolchain, tmp_path, mode=SecureBootMode.DISABLED, timeout=SECONDS)
    assert proof.observed.outcome is Outcome.REACHED
    assert proof.observed.secure_boot_was_on is False
    by_pcr = {comparison.pcr: comparison.outcome for comparison in proof.comparisons}
    assert {pcr for pcr, outcome in by_pcr.items() if outcome is PcrOutcome.DIFFERS} == {4, 9, 11}
    command_line = json.loads((other_release / REFERENCE_VALUES).read_bytes())["uki"]["command_line"]
    first = [problem.partition(" is sha256 ") for problem in proof.problems]
    assert [before for before, _, _ in first] == [
        "PCR 4 differs: extend 3", "PCR 9 differs: extend 1", "PCR 11 differs: extend 6"
    ]  # fmt: skip
    assert [after.partition(", expected ")[2] for _, _, after in first] == [
        "Authenticode digest (from UKI)",
        f"{f'kernel load options {command_line!r}'[:80]} ... (from kernel command line)",
        "section .cmdline (from UKI section .cmdline)",
    ]
    stated = json.loads((release / REFERENCE_VALUES).read_bytes())["reference_values"]["disabled"]["pcrs"]
    real = {(pcr, bank): proof.observed.values[pcr, bank].hex() for pcr in BOUND for bank in Bank}
    assert real == {(pcr, bank): stated[str(pcr)]["values"][bank.value] for pcr in BOUND for bank in Bank}


def test_firmware_refuses_a_uki_with_a_flipped_byte(copy_of: Callable[[Path], Copy], release: Path) -> None:
    copy = copy_of(release)
    copy.flip(NAMES.disk, place_of(copy.directory / NAMES.disk, "uki"))
    shown = bedplate("boot", copy.directory, "--timeout", "300", "--format", "json", timeout=360)
    assert shown.status == 1
    proof = json.loads(shown.stdout)
    assert (proof["proved"], proof["outcome"]) == (False, "not-loaded")
    assert shown.stderr.splitlines()[-len(shown.problems) - 1].endswith("did not boot as predicted")
    assert shown.problems == proof["problems"]
    # No list of PCRs after it: when nothing ran, all of them differ, and the table shows them.
    assert shown.problems == ["the firmware ran nothing from the disk: it refused the image, or found none"]
    outcomes = {entry["pcr"]: entry["outcome"] for entry in proof["pcrs"]}
    assert (outcomes[4], outcomes[7], outcomes[11]) == ("differs", "differs", "differs")
