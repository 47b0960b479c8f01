from __future__ import annotations

import struct
import uuid

import pytest

from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.vm.observation import Outcome, extends, measured_secure_boot, milestones, outcome_so_far
from builder.vm.recorder import RecordedChange
from builder.vm.tpm_change import Extend, Reset

CALLING = b"Calling EFI Application from Boot Option"
RETURNING = b"Returning from EFI Application from Boot Option"
IMAGE = b"any other bytes"
GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c").bytes_le


def change(pcr: int, data: bytes, seconds: float = 0.0) -> RecordedChange:
    return RecordedChange(seconds, Extend(pcr, {bank: bank.digest(data) for bank in Bank}))


def secure_boot_variable(data: bytes) -> bytes:
    return GLOBAL + struct.pack("<QQ", 10, len(data)) + "SecureBoot".encode("utf-16-le") + data


def test_the_phase_asked_for_ends_the_observation() -> None:
    assert outcome_so_far([change(11, b"ready")], Phase.READY) is Outcome.REACHED


@pytest.mark.parametrize(
    "recorded", [change(11, b"sysinit"), change(12, b"ready"), change(4, CALLING), change(4, IMAGE)]
)
def test_other_measurements_do_not(recorded: RecordedChange) -> None:
    assert outcome_so_far([recorded], Phase.READY) is None


def test_no_measurement_is_no_outcome() -> None:
    assert outcome_so_far([], Phase.READY) is None


def test_no_phase_is_reached_when_none_is_asked_for() -> None:
    assert outcome_so_far([change(11, b"ready")], None) is None


def test_a_firmware_that_moves_on_without_an_image_has_loaded_none() -> None:
    changes = [change(4, CALLING), change(4, bytes(4)), change(4, RETURNING)]
    assert outcome_so_far(changes, Phase.READY) is Outcome.NOT_LOADED


def test_a_firmware_that_moves_on_after_an_image_was_returned_to() -> None:
    changes = [change(4, CALLING), change(4, bytes(4)), change(4, IMAGE), change(4, RETURNING)]
    assert outcome_so_far(changes, Phase.READY) is Outcome.RETURNED


def test_milestones_are_the_first_of_their_kind() -> None:
    changes = [
        change(0, b"firmware", 0.5), change(4, CALLING, 1), change(4, bytes(4), 2), change(4, IMAGE, 3),
        change(4, b"second image", 4), change(11, b".linux\0", 5), change(11, b"enter-initrd", 6),
        change(11, b"ready", 9),
    ]  # fmt: skip
    expected = {"firmware": 0.5, "image": 3, "stub": 5, "enter-initrd": 6, "ready": 9, "end": 10}
    assert milestones(changes, 10) == expected


@pytest.mark.parametrize(("data", "expected"), [(b"\1", True), (b"\0", False), (b"", None)])
def test_the_first_event_of_pcr_7_says_whether_secure_boot_is_on(data: bytes, expected: bool | None) -> None:  # noqa: FBT001
    assert measured_secure_boot([change(0, b"x"), change(7, secure_boot_variable(data))]) is expected


def test_a_later_event_of_pcr_7_proves_nothing() -> None:
    assert measured_secure_boot([change(7, b"x"), change(7, secure_boot_variable(b"\1"))]) is None


def test_without_an_event_in_pcr_7_nothing_is_known() -> None:
    assert measured_secure_boot([change(0, secure_boot_variable(b"\1"))]) is None


def test_one_bank_that_disagrees_is_no_match() -> None:
    digests = {Bank.SHA256: Bank.SHA256.digest(b"ready"), Bank.SHA384: bytes(48)}
    assert not extends(RecordedChange(0, Extend(11, digests)), 11, b"ready")


def test_an_extend_of_no_known_bank_and_a_reset_match_nothing() -> None:
    assert not extends(RecordedChange(0, Extend(11, {})), 11, b"ready")
    assert not extends(RecordedChange(0, Reset(11)), 11, b"ready")
