"""The boot proof of the whole image: real PCRs against the release's reference values (a minute for each boot)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from builder.cli.boot import command
from builder.errors import NotVerifiedError
from builder.evidence.appraisal import RefusalReason
from builder.evidence.explanation import Cause
from builder.evidence.policy import AppraisalPolicy
from builder.measurement.compare import Outcome as PcrOutcome
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.release.keyring import RELEASE_PUBLIC_KEY, load_trusted
from builder.release.layout import REFERENCE_VALUES, STATEMENTS
from builder.release.prove import prove
from builder.release.reference import load_variables
from builder.release.trusted import load_trusted_reference
from builder.vm.observation import Outcome
from builder.vm.varstore import SecureBootVariables
from tests.releases import NAMES, bedplate, place_of
from tests.rig import Witness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain
    from builder.release.trusted import TrustedReference
    from tests.releases import Copy

pytestmark = [pytest.mark.boot, pytest.mark.integration]

BOUND = (4, 7, 9, 11, 12, 13, 14)
SECONDS = 600.0


def trusted(release: Path, keyring: Path) -> TrustedReference:
    """The release, believed because its signer is."""
    return load_trusted_reference((release / STATEMENTS).read_bytes(), [load_trusted(keyring / RELEASE_PUBLIC_KEY)])


def test_with_secure_boot_every_bound_pcr_is_as_predicted_and_what_the_machine_quotes_is_accepted(
    release: Path, keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness(tmp_path)
    monkeypatch.setattr("builder.release.prove.boot", witness)
    shown = CliRunner().invoke(command, [str(release), "--format", "json", "--timeout", "600"])
    assert shown.exit_code == 0, shown.exception
    proof = json.loads(shown.stdout)
    assert (proof["proved"], proof["secure_boot"], proof["outcome"]) == (True, "enabled", "reached")
    assert proof["problems"] == []
    assert "stub" in proof["seconds"]
    equal = {(entry["pcr"], entry["bank"]) for entry in proof["pcrs"] if entry["outcome"] == "equal"}
    assert equal >= {(pcr, bank.value) for pcr in BOUND for bank in Bank}
    assert all(entry["predicted"] == entry["real"] for entry in proof["pcrs"] if entry["outcome"] == "equal")
    assert not [entry for entry in proof["pcrs"] if entry["outcome"] == "differs"]

    assert witness.machine is not None
    match = witness.machine.appraised(trusted(release, keyring), AppraisalPolicy()).accepted()
    assert (match.mode, match.phase, match.compared) == (SecureBootMode.ENABLED, Phase.READY, (4, 7, 9, 11, 12, 13))
    with pytest.raises(NotVerifiedError, match="not an answer to this request"):
        witness.machine.evidence(nonce=bytes(32))


def test_a_command_line_from_smbios_moves_what_the_stub_and_the_kernel_measure_of_it(
    release: Path, keyring: Path, toolchain: Toolchain, tmp_path: Path
) -> None:
    """As far as the initrd: the kernel has the command line by then."""
    variables = load_variables(release)
    witness = Witness(tmp_path, smbios_strings=("io.systemd.stub.kernel-cmdline-extra=systemd.debug_shell",))
    witness(
        toolchain,
        release / NAMES.disk,
        secure_boot=SecureBootVariables(variables["PK"], variables["KEK"], variables["db"], variables["dbx"]),
        until=Phase.ENTER_INITRD,
        timeout=SECONDS,
        workdir=tmp_path,
    )
    assert witness.machine is not None
    policy = AppraisalPolicy(phases=frozenset({Phase.ENTER_INITRD}))
    result = witness.machine.appraised(trusted(release, keyring), policy)
    assert result.match is None
    assert {item.reason for item in result.refusals} == {RefusalReason.PCR}
    assert result.nearest is not None
    assert {item.pcr for item in result.nearest.differences} == {9, 12}
    assert [(item.cause, item.pcrs, item.text) for item in result.nearest.explanations] == [
        (
            Cause.COMMAND_LINE,
            (12, 9),
            "kernel command line was extended with systemd.debug_shell: PCR 12 and 9 moved",
        )
    ]


def test_without_secure_boot_the_values_of_another_uki_are_refuted_at_their_first_event(
    copy: Copy,
    other_release: Path,
    toolchain: Toolchain,
    tmp_path: Path,
    release: Path,
    keyring: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One boot: what is right is equal, the other release's values differ, and without Secure Boot the answer is no."""
    witness = Witness(tmp_path)
    monkeypatch.setattr("builder.release.prove.boot", witness)
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

    assert witness.machine is not None
    result = witness.machine.appraised(trusted(release, keyring), AppraisalPolicy())
    assert [(item.reason, item.text) for item in result.refusals] == [
        (RefusalReason.SECURE_BOOT, "Secure Boot is disabled, the policy asks for enabled")
    ]
    lenient = AppraisalPolicy(secure_boot=frozenset(SecureBootMode))
    assert witness.machine.appraised(trusted(release, keyring), lenient).accepted().mode is SecureBootMode.DISABLED


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
