"""Real evidence from our own rig: boots of tiny UKIs with a quote by the machine's TPM and the firmware's own log."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.errors import NotVerifiedError
from builder.evidence.appraisal import AppraisalResult, RefusalReason, appraise
from builder.evidence.eventlog import parse_event_log
from builder.evidence.explanation import Cause
from builder.evidence.policy import AppraisalPolicy
from builder.measurement.configuration import BootConfiguration, KernelMeasurement, SecureBoot, SecureBootMode
from builder.measurement.phases import Phase
from builder.measurement.platforms import QEMU_OVMF
from builder.measurement.predict import predict
from builder.measurement.report import reference_values
from builder.release.statements import ReferenceMeasurements, ReferenceValues, UkiIdentity
from builder.release.trusted import TrustedReference, load_trusted_reference
from builder.vm.boot import boot
from builder.vm.qemu import Hardware
from builder.vm.quote import RawQuote, quote
from tests.export_subjects import IMAGE
from tests.integration.test_boot_predictions import SECTIONS, TIMEOUT, Scenario, Signer, assemble
from tests.nodes import SIGNER, signed
from tests.rig import Machine, quoted_values
from tests.tiny_disk import write_tiny_disk
from tests.uki_builder import Section

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.boot, pytest.mark.integration]

# The tiny kernel starts no user space, so that no boot phase is ever measured.
POLICY = AppraisalPolicy(phases=frozenset({Phase.FIRMWARE}))
QUOTED = (0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14)
DEBUG = "systemd.debug_shell"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture
def start(toolchain: Toolchain, signer: Signer, tmp_path: Path) -> Callable[..., Machine]:
    """Boots a scenario and takes its evidence."""

    def run(scenario: Scenario, *, keys: bool = True) -> Machine:
        disk, serial, nonce = tmp_path / "disk.raw", tmp_path / "serial.log", secrets.token_bytes(32)
        write_tiny_disk(toolchain, disk, assemble(scenario, toolchain, signer).files)
        strings = () if scenario.smbios is None else (f"io.systemd.stub.kernel-cmdline-extra={scenario.smbios}",)
        quotes: list[RawQuote] = []
        observed = boot(
            toolchain,
            disk,
            secure_boot=signer.variables if keys else None,
            until=None,
            timeout=TIMEOUT,
            workdir=tmp_path,
            hardware=Hardware(smbios_strings=strings, serial_log=serial),
            on_stop=lambda transact: quotes.append(quote(transact, nonce, QUOTED)),
        )
        found = re.search(rb"@@HEXLOG ([0-9a-f]+)", serial.read_bytes())
        assert found is not None
        return Machine(
            quotes[0], quoted_values(observed, QUOTED), parse_event_log(bytes.fromhex(found[1].decode())), nonce
        )

    return run


@pytest.fixture
def release(toolchain: Toolchain, signer: Signer) -> TrustedReference:
    """The release of the UKI that ``Scenario("plain")`` boots, signed for Secure Boot."""
    uki = assemble(Scenario("release", secure_boot=True), toolchain, signer).uki
    keys = signer.variables
    states = (
        SecureBoot(SecureBootMode.ENABLED, keys.pk, keys.kek, keys.db, keys.dbx),
        SecureBoot(SecureBootMode.DISABLED),
    )
    values = {}
    for state in states:
        configuration = BootConfiguration(state, None, kernel=KernelMeasurement.NOTHING, platform=QEMU_OVMF)
        values[state.mode.value] = msgspec.convert(reference_values(predict(uki, configuration)), ReferenceValues)
    identity = UkiIdentity(stub="257", kernel="6.12.0", command_line="embedded=1", root_hash="00")
    stated = ReferenceMeasurements(image=IMAGE, uki=identity, reference_values=values)
    return load_trusted_reference(signed(stated), [SIGNER.public_key])


def causes(result: AppraisalResult) -> dict[Cause, tuple[int, ...]]:
    assert result.match is None
    assert result.nearest is not None
    return {item.cause: item.pcrs for item in result.nearest.explanations}


def texts(result: AppraisalResult) -> str:
    return "\n".join(item.text for item in result.refusals)


def test_a_boot_of_the_release_is_accepted_and_its_old_or_altered_evidence_is_not(
    start: Callable[..., Machine], release: TrustedReference
) -> None:
    machine = start(Scenario("release", secure_boot=True))
    match = machine.appraised(release, POLICY).accepted()
    assert match.mode is SecureBootMode.ENABLED
    assert match.compared == (4, 7, 9, 11, 12, 13)

    with pytest.raises(NotVerifiedError) as replayed:
        machine.evidence(nonce=secrets.token_bytes(32))
    assert replayed.value.problems == ("it carries another nonce",)

    events = list(machine.log.events)
    place = next(index for index, item in enumerate(events) if item.register == 4)
    events[place] = replace(events[place], digests={kind: bytes(len(d)) for kind, d in events[place].digests.items()})
    altered = replace(machine, log=replace(machine.log, events=tuple(events)))
    with pytest.raises(NotVerifiedError, match="does not explain the quoted PCRs") as found:
        altered.appraised(release, POLICY)
    assert {problem.split(" (")[0] for problem in found.value.problems} == {"PCR 4"}

    changed = {bank: dict(values) for bank, values in machine.pcrs.items()}
    changed["sha256"][12] = b"\1" * 32
    with pytest.raises(NotVerifiedError, match="not those of the quote"):
        replace(machine, pcrs=changed).evidence()


def test_secure_boot_off_is_named(start: Callable[..., Machine], release: TrustedReference) -> None:
    # The same signed UKI on a machine without keys.
    result = start(Scenario("release", secure_boot=True), keys=False).appraised(release, POLICY)
    assert {item.reason for item in result.refusals} == {RefusalReason.SECURE_BOOT}
    assert "Secure Boot is disabled, the policy asks for enabled" in texts(result)
    assert causes(result) == {Cause.SECURE_BOOT: (7, 4)}


def test_a_command_line_from_smbios_is_named(start: Callable[..., Machine], release: TrustedReference) -> None:
    machine = start(Scenario("release", secure_boot=True, smbios=DEBUG))
    result = machine.appraised(release, POLICY)
    assert f"kernel command line was extended with {DEBUG}: PCR 12 moved" in texts(result)
    assert causes(result) == {Cause.COMMAND_LINE: (12,)}
    assert causes(appraise(machine.evidence(), [release], POLICY)) == {Cause.UNKNOWN: (12,)}


def test_an_addon_is_named(start: Callable[..., Machine], release: TrustedReference) -> None:
    result = start(Scenario("release", secure_boot=True, addons={"x.addon.efi": DEBUG})).appraised(release, POLICY)
    assert causes(result) == {Cause.ADDITIONAL_IMAGE: (4,), Cause.COMMAND_LINE: (12,)}
    assert f"kernel command line was extended with {DEBUG}" in texts(result)
    assert "x.addon.efi" in texts(result)


def test_another_image_is_named(start: Callable[..., Machine], release: TrustedReference) -> None:
    sections = tuple(Section(".cmdline", b"other=1") if item.name == ".cmdline" else item for item in SECTIONS)
    result = start(Scenario("release", secure_boot=True, sections=sections)).appraised(release, POLICY)
    assert causes(result) == {Cause.OTHER_IMAGE: (4,), Cause.UKI_SECTION: (11,)}
    assert "UKI section .cmdline not as in the release: PCR 11 moved" in texts(result)
