from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import NotVerifiedError
from builder.measurement.pcr import Bank
from builder.measurement.prediction import PredictedPcr, Unpredictable
from builder.release.prove import _require_whole
from builder.release.reference import BOUND_PCRS

RELEASE = Path("release")


def whole() -> dict[int, PredictedPcr | Unpredictable]:
    return {pcr: PredictedPcr(pcr, {bank: bytes(bank.size) for bank in Bank}, ()) for pcr in BOUND_PCRS}


def test_reference_values_with_every_bound_pcr_in_both_banks_can_be_proved() -> None:
    _require_whole(RELEASE, whole())


def test_only_pcr_9_may_be_said_to_be_unpredictable_among_those_that_show_what_boots() -> None:
    _require_whole(RELEASE, whole() | {9: Unpredictable(9, "the stub adds random bytes")})


@pytest.mark.parametrize("pcr", [4, 7, 11, 12])
def test_a_required_pcr_without_a_value_is_no_proof(pcr: int) -> None:
    with pytest.raises(NotVerifiedError, match="do not say what a boot must show") as caught:
        _require_whole(RELEASE, whole() | {pcr: Unpredictable(pcr, "firmware varies")})
    assert caught.value.problems == (f"PCR {pcr} has no value: firmware varies",)


@pytest.mark.parametrize("pcr", BOUND_PCRS)
def test_a_bound_pcr_that_is_left_out_is_no_proof(pcr: int) -> None:
    values = whole()
    del values[pcr]
    with pytest.raises(NotVerifiedError) as caught:
        _require_whole(RELEASE, values)
    assert caught.value.problems == (f"there is no PCR {pcr}",)


def test_a_bank_that_is_left_out_is_no_proof() -> None:
    one = PredictedPcr(4, {Bank.SHA256: bytes(32)}, ())
    with pytest.raises(NotVerifiedError) as caught:
        _require_whole(RELEASE, whole() | {4: one})
    assert caught.value.problems == ("PCR 4 has no value in sha384",)
