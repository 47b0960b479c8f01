"""The whole prediction, its reports, and its comparison with what a TPM showed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from builder.errors import InvalidInputError, MalformedImageError, UnpredictableError
from builder.measurement.compare import Outcome, compare
from builder.measurement.configuration import BootConfiguration, KernelMeasurement, SecureBoot, SecureBootMode
from builder.measurement.events import PARALLEL_THRESHOLD, EventType, Measurer
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.measurement.predict import ALL_BANKS, predict
from builder.measurement.prediction import PredictedPcr, Prediction, Unpredictable
from builder.measurement.report import nitrotpm, reference_values
from tests.uki_builder import Section, build_pe, build_uki, bzimage, tiny_kernel

OFF = SecureBoot(SecureBootMode.DISABLED)
CONFIGURATION = BootConfiguration(OFF, initrd_systemd=None)
SECTIONS = [(".linux", bzimage("6.12.1")), (".cmdline", b"quiet"), (".initrd", b"initrd")]
UKI = build_uki(SECTIONS)
PREDICTION = predict(UKI, CONFIGURATION)


def predicted(**options: Any) -> Prediction:
    return predict(UKI, replace(CONFIGURATION, **options))


def shown(prediction: Prediction, phase: Phase = Phase.READY) -> dict[tuple[int, Bank], bytes]:
    return {
        (pcr, bank): value
        for pcr, entry in prediction.pcrs.items()
        if isinstance(entry, PredictedPcr)
        for bank, value in entry.at(phase).items()
    }


def extends(prediction: Prediction) -> list[tuple[int, dict[Bank, bytes]]]:
    return [(event.pcr, dict(event.digests)) for pcr in prediction.pcrs for event in prediction.predicted(pcr).events]


def test_a_uki_alone_leaves_12_13_and_14_at_zero() -> None:
    assert list(PREDICTION.pcrs) == [4, 7, 9, 11, 12, 13, 14]
    assert {PREDICTION.value(pcr, bank) for pcr in (12, 13, 14) for bank in Bank} == {bytes(32), bytes(48)}


def test_each_value_is_the_replay_of_its_events() -> None:
    for pcr in PREDICTION.pcrs:
        entry = PREDICTION.predicted(pcr)
        for bank in Bank:
            assert bank.replay(event.digests[bank] for event in entry.events) == entry.values[bank]
            for phase in Phase:
                assert bank.replay(event.digests[bank] for event in entry.events_until(phase)) == entry.at(phase)[bank]


def test_the_inner_kernel_is_measured_by_old_stubs_without_secure_boot() -> None:
    sources = [event.source for event in predict(UKI, CONFIGURATION).predicted(4).events]
    assert sources == ["firmware", "firmware", "UKI", "UKI section .linux"]
    new = build_uki(SECTIONS, version="258.1")
    assert [event.source for event in predict(new, CONFIGURATION).predicted(4).events][2:] == ["UKI"]


@pytest.mark.parametrize("kernel", [b"no PE file", build_pe([Section(".text", b"x")], subsystem=11)])
def test_a_kernel_that_firmware_cannot_start_is_refused(kernel: bytes) -> None:
    with pytest.raises(MalformedImageError, match=r"MZ header|UKI section \.linux: its PE subsystem 11"):
        predict(build_uki([(".linux", kernel)]), CONFIGURATION)


def test_sections_for_some_device_make_pcr_11_unpredictable() -> None:
    prediction = predict(build_uki([*SECTIONS, (".dtbauto", b"dtb")]), CONFIGURATION)
    assert prediction.pcrs[11] == Unpredictable(11, "which of the sections .dtbauto is measured depends on the device")


def test_a_profile_that_is_not_there_ends_the_prediction() -> None:
    with pytest.raises(UnpredictableError, match="no profile 2"):
        predicted(profile=2)


def test_an_os_separator_that_is_not_stated_makes_its_pcrs_unpredictable() -> None:
    prediction = predicted(initrd_systemd=261, kernel=KernelMeasurement.NOTHING)
    reasons = {pcr: entry.reason for pcr, entry in prediction.pcrs.items() if isinstance(entry, Unpredictable)}
    assert list(reasons) == [4, 7, 9, 12, 13, 14]
    assert "systemd 261 extends os-separator" in reasons[12]
    assert "NvPCRs" in reasons[9]
    assert prediction.value(11, Bank.SHA256) == PREDICTION.value(11, Bank.SHA256)


def test_an_os_separator_that_is_stated_is_one_more_event() -> None:
    prediction = predicted(initrd_systemd=262, os_separator=True)
    digest = hashlib.sha256(b"os-separator").digest()
    for pcr in (4, 7, 12, 13, 14):
        before = PREDICTION.value(pcr, Bank.SHA256)
        assert prediction.value(pcr, Bank.SHA256) == hashlib.sha256(before + digest).digest()
    without = predicted(initrd_systemd=262, os_separator=False)
    assert without.value(12, Bank.SHA256) == bytes(32)


def test_asking_for_a_pcr_without_a_value_says_why() -> None:
    prediction = predict(build_uki([(".linux", tiny_kernel()), (".cmdline", b"quiet")]), CONFIGURATION)
    with pytest.raises(UnpredictableError, match="PCR 9 cannot be predicted: the kernel does not say its release"):
        prediction.value(9, Bank.SHA256)
    with pytest.raises(InvalidInputError, match="PCR 5 is not among those"):
        prediction.value(5, Bank.SHA256)


@pytest.mark.parametrize("banks", [(), (Bank.SHA256, Bank.SHA256)])
def test_banks_are_named_once_each(banks: tuple[Bank, ...]) -> None:
    with pytest.raises(ValueError, match="at least one PCR bank"):
        predict(UKI, CONFIGURATION, banks)


def test_one_bank_gives_the_same_values_as_two() -> None:
    alone = predict(UKI, CONFIGURATION, [Bank.SHA384])
    assert alone.banks == (Bank.SHA384,)
    assert {pcr: alone.value(pcr, Bank.SHA384) for pcr in alone.pcrs} == {
        pcr: PREDICTION.value(pcr, Bank.SHA384) for pcr in PREDICTION.pcrs
    }


def test_large_inputs_are_hashed_to_the_same_digests() -> None:
    data = bytes(range(256)) * (PARALLEL_THRESHOLD // 256 + 1)
    measurer = Measurer(ALL_BANKS)
    for tail in ((), (b"tail",), (), (b"other", b"tail")):
        event = measurer.event(4, EventType.EV_IPL, data, *tail, description="", source="")
        assert event.digests == {bank: hashlib.new(bank.value, data + b"".join(tail)).digest() for bank in Bank}


def test_the_report_is_json_and_explains_every_value() -> None:
    report = json.loads(json.dumps(reference_values(predicted(initrd_systemd=259))))
    assert report["schema"] == "bedplate.reference-values/v1"
    assert report["stub"] == "257.13-1~deb13u1"
    assert report["boot"] == {"secure_boot": "disabled", "platform": "generic", "profile": 0, "initrd_systemd": 259}
    assert report["pcrs"]["9"].keys() == {"predictable", "reason"}
    assert report["pcrs"]["4"]["events"][2] == {
        "type": "EV_EFI_BOOT_SERVICES_APPLICATION",
        "digests": {bank.value: PREDICTION.predicted(4).events[2].digests[bank].hex() for bank in Bank},
        "description": "Authenticode digest",
        "source": "UKI",
    }
    phases = report["pcrs"]["11"]["phases"]
    assert list(phases) == ["firmware", "enter-initrd", "leave-initrd", "sysinit", "ready"]
    assert phases["ready"] == report["pcrs"]["11"]["values"]
    assert report["pcrs"]["11"]["events"][-1]["type"] is None


def test_the_nitrotpm_form_is_that_of_awss_tool() -> None:
    four, seven = (PREDICTION.value(pcr, Bank.SHA384).hex() for pcr in (4, 7))
    assert nitrotpm(PREDICTION) == (
        '{\n  "Measurements": {\n'
        '    "HashAlgorithm": "SHA384 { ... }",\n'
        f'    "PCR12": "{"00" * 48}",\n'
        f'    "PCR4": "{four}",\n'
        f'    "PCR7": "{seven}"\n'
        "  }\n}"
    )


def test_the_nitrotpm_form_needs_sha384_and_values() -> None:
    with pytest.raises(InvalidInputError, match="SHA-384 bank only"):
        nitrotpm(predict(UKI, CONFIGURATION, [Bank.SHA256]))
    with pytest.raises(UnpredictableError, match="PCR 4 cannot be predicted"):
        nitrotpm(predicted(initrd_systemd=261))


@pytest.mark.parametrize("phase", Phase)
def test_equal_values_are_equal_at_every_phase(phase: Phase) -> None:
    results = compare(PREDICTION.pcrs, shown(PREDICTION, phase), phase=phase, extends=extends(PREDICTION))
    assert {result.outcome for result in results} == {Outcome.EQUAL}
    assert [result.pcr for result in results] == list(PREDICTION.pcrs)


def test_another_phase_differs_in_pcr_11_only() -> None:
    results = compare(PREDICTION.pcrs, shown(PREDICTION, Phase.SYSINIT))
    assert [result.pcr for result in results if result.outcome is Outcome.DIFFERS] == [11]


def test_the_first_event_that_differs_is_named() -> None:
    observed = predict(build_uki([SECTIONS[0], (".cmdline", b"debug"), SECTIONS[2]]), CONFIGURATION)
    results = {result.pcr: result for result in compare(PREDICTION.pcrs, shown(observed), extends=extends(observed))}
    assert [pcr for pcr, result in results.items() if result.outcome is Outcome.DIFFERS] == [4, 9, 11]
    difference = results[11].difference
    assert difference is not None
    assert difference.expected is not None
    assert (difference.index, difference.expected.description) == (3, "section .cmdline")
    assert difference.observed == {bank: bank.digest(b"debug") for bank in Bank}


def test_an_extend_too_many_is_named() -> None:
    debug = predicted(smbios_command_line="debug", kernel=KernelMeasurement.NOTHING)
    results = {result.pcr: result for result in compare(PREDICTION.pcrs, shown(debug), extends=extends(debug))}
    difference = results[12].difference
    assert difference is not None
    assert (difference.index, difference.expected) == (0, None)
    assert difference.observed == debug.predicted(12).events[0].digests


def test_an_extend_that_is_missing_is_named() -> None:
    debug = predicted(smbios_command_line="debug")
    results = {result.pcr: result for result in compare(debug.pcrs, shown(PREDICTION), extends=extends(PREDICTION))}
    difference = results[12].difference
    assert difference is not None
    assert (difference.expected, difference.observed) == (debug.predicted(12).events[0], None)


def test_without_extends_a_difference_has_no_event() -> None:
    observed = shown(PREDICTION) | {(12, Bank.SHA256): bytes(31) + b"\1"}
    (different,) = [result for result in compare(PREDICTION.pcrs, observed) if result.outcome is not Outcome.EQUAL]
    assert (different.pcr, different.outcome, different.difference) == (12, Outcome.DIFFERS, None)


def test_a_pcr_that_was_not_predicted_is_not_equal() -> None:
    prediction = predicted(initrd_systemd=259)
    observed = shown(PREDICTION)
    (result,) = [result for result in compare(prediction.pcrs, observed) if result.pcr == 9]
    assert result.outcome is Outcome.NOT_PREDICTED
    assert "NvPCRs" in (result.reason or "")


def test_a_value_that_was_not_observed_is_refused() -> None:
    observed = shown(PREDICTION)
    del observed[7, Bank.SHA384]
    with pytest.raises(InvalidInputError, match="no PCR 7 in the bank sha384"):
        compare(PREDICTION.pcrs, observed)


def test_a_prediction_of_nothing_cannot_be_compared() -> None:
    nothing = replace(PREDICTION, pcrs={4: Unpredictable(4, "unknown")})
    with pytest.raises(InvalidInputError, match="nothing was predicted"):
        compare(nothing.pcrs, shown(PREDICTION))
