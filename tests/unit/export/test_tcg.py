"""The predicted event log, read back with the reader of other people's logs and compared with a real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError
from builder.evidence.eventlog import UntrustedEventLog, parse_event_log
from builder.export import tcg
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from tests.export_subjects import TINY, VARIABLES, secured, unsecured, with_kernel

if TYPE_CHECKING:
    from builder.export.subject import Subject

_EV_NO_ACTION = 3
_EV_EFI_BOOT_SERVICES_APPLICATION = 0x80000003


def replayed(log: UntrustedEventLog, bank: Bank) -> dict[int, bytes]:
    registers: dict[int, bytes] = {}
    for event in log.events:
        if event.type != _EV_NO_ACTION:
            before = registers.get(event.register, bytes(bank.size))
            registers[event.register] = bank.extend(before, event.digests[bank.algorithm_id])
    return registers


@pytest.mark.parametrize(
    "subject", [secured(), unsecured(), with_kernel()], ids=["secured", "unsecured", "with kernel"]
)
@pytest.mark.parametrize("bank", Bank)
def test_the_log_replays_to_the_predicted_values(subject: Subject, bank: Bank) -> None:
    pcrs = subject.predicted
    expected = {
        number: pcr.at(Phase.FIRMWARE)[bank] for number, pcr in pcrs.items() if pcr.events_until(Phase.FIRMWARE)
    }
    assert replayed(parse_event_log(tcg.export(subject)), bank) == expected


def test_events_have_the_data_of_the_real_log() -> None:
    """All but where images lay in memory and on disk, which no prediction knows."""
    ours = parse_event_log(tcg.export(secured()))
    real = {
        (event.register, event.type, event.digests[Bank.SHA256.algorithm_id]): event.data
        for event in parse_event_log((TINY / "tsb257" / "binary_bios_measurements").read_bytes()).events[1:]
    }
    compared = 0
    for event in ours.events[1:]:
        data = real[event.register, event.type, event.digests[Bank.SHA256.algorithm_id]]
        if event.type != _EV_EFI_BOOT_SERVICES_APPLICATION:
            assert event.data == data
            compared += 1
    assert compared > 10


def test_keys_that_are_not_those_of_the_values_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"the data of the event 'variable PK' is not known"):
        tcg.export(replace(secured(), variables=VARIABLES | {"PK": b""}))


def test_a_subject_without_events_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no event of firmware"):
        tcg.export(replace(secured(), pcrs={}))
