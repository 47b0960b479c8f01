"""A subject is what a release states about one boot, and contradicts itself nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.errors import InvalidInputError, NotVerifiedError, UnpredictableError
from builder.evidence.eventlog import parse_event_log
from builder.export.boot_order import logged_events
from builder.export.subject import subject_of
from builder.measurement.configuration import SecureBootMode
from builder.measurement.events import EventType
from builder.measurement.pcr import Bank
from builder.measurement.prediction import Unpredictable
from tests.export_subjects import (
    ENROLLED,
    IMAGE,
    TINY,
    VARIABLES,
    secured,
    shown,
    tiny_reference,
    unsecured,
    with_kernel,
)

if TYPE_CHECKING:
    from builder.export.subject import Subject


def test_its_values_are_those_that_the_tpm_showed() -> None:
    subject, real = secured(), shown("tsb257", "sha384")
    assert {pcr: subject.value(pcr, Bank.SHA384).hex() for pcr in (4, 7, 12)} == {pcr: real[pcr] for pcr in (4, 7, 12)}


def test_a_development_image_is_refused() -> None:
    stated = tiny_reference("tsb257", ENROLLED)
    development = msgspec.structs.replace(stated, image=msgspec.structs.replace(IMAGE, profile="development"))
    with pytest.raises(NotVerifiedError, match="may not be exported") as refused:
        subject_of(development, SecureBootMode.ENABLED, VARIABLES)
    assert refused.value.problems == ("it is a development image, which may have a way in (--allow-development)",)
    assert subject_of(development, SecureBootMode.ENABLED, VARIABLES, allow_development=True).predicted


def test_a_mode_without_values_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no reference values for Secure Boot disabled"):
        subject_of(tiny_reference("tsb257", ENROLLED), SecureBootMode.DISABLED, {})


def test_values_under_the_wrong_mode_are_refused() -> None:
    stated = tiny_reference("tsb257", ENROLLED)
    swapped = msgspec.structs.replace(stated, reference_values={"disabled": stated.reference_values["enabled"]})
    with pytest.raises(InvalidInputError, match="are of others"):
        subject_of(swapped, SecureBootMode.DISABLED, {})


def test_a_value_that_its_events_do_not_give_is_refused() -> None:
    stated = tiny_reference("tsb257", ENROLLED)
    values = stated.reference_values["enabled"]
    changed = msgspec.structs.replace(values.pcrs["4"], values=values.pcrs["4"].values | {"sha256": "11" * 32})
    other = msgspec.structs.replace(values, pcrs=values.pcrs | {"4": changed})
    with pytest.raises(InvalidInputError, match="PCR 4, bank sha256: the events give another value"):
        subject_of(
            msgspec.structs.replace(stated, reference_values={"enabled": other}), SecureBootMode.ENABLED, VARIABLES
        )


def test_a_pcr_without_value_is_named_and_cannot_be_asked_for() -> None:
    subject = replace(secured(), pcrs={4: Unpredictable(4, "nobody knows")})
    assert [entry.pcr for entry in subject.left_out] == [4]
    with pytest.raises(UnpredictableError, match="PCR 4 cannot be predicted: nobody knows"):
        subject.value(4, Bank.SHA384)
    with pytest.raises(UnpredictableError, match="PCR 7 is not among"):
        subject.value(7, Bank.SHA384)


# The firmware of t257 has no Secure Boot at all, so its PCR 7 is another than that of a release with Secure Boot off.
@pytest.mark.parametrize(
    ("name", "subject", "registers"),
    [("tsb257", secured(), (4, 7, 9, 11, 12)), ("t257", unsecured(), (4, 9, 11, 12))],
)
def test_events_come_in_the_order_of_the_real_log(name: str, subject: Subject, registers: tuple[int, ...]) -> None:
    log = parse_event_log((TINY / name / "binary_bios_measurements").read_bytes())
    real = [event.digests[Bank.SHA256.algorithm_id] for event in log.events if event.register in registers]
    assert [event.digests[Bank.SHA256] for event in logged_events(subject) if event.pcr in registers] == real


def test_the_kernel_is_measured_between_stub_and_its_own_events() -> None:
    kinds = [event.type for event in logged_events(with_kernel())]
    images = [index for index, kind in enumerate(kinds) if kind is EventType.EV_EFI_BOOT_SERVICES_APPLICATION]
    sections = [index for index, kind in enumerate(kinds) if kind is EventType.EV_IPL]
    kernel = [index for index, kind in enumerate(kinds) if kind is EventType.EV_EVENT_TAG]
    assert images == [sections[0] - 1, kernel[0] - 1]
    assert sections[-1] < images[1]
