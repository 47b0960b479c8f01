"""Logs of real machines replay to the values that others published, or that the TPM showed on our own boots."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.decode import decode
from builder.evidence.decoded import Raw
from builder.evidence.digest_check import check_digest
from builder.evidence.eventlog import RegisterKind, parse_event_log
from builder.evidence.replay import replay
from builder.measurement.events import EventType
from tests.event_logs import OWN_LOGS, PUBLIC, public

if TYPE_CHECKING:
    from pathlib import Path

GO_EVENTLOG = "google+go-eventlog/testdata"
CC_LOGS = f"{GO_EVENTLOG}/eventlogs/ccel"
# Extended by IMA and, on our boots, by nothing that the firmware's log could hold.
UNLOGGED = {10}


def hexadecimal(data: bytes) -> dict[str, dict[str, str]]:
    """What a log replays to, as the lists of expected values have it."""
    return {
        algorithm.label: {str(register): value.hex() for register, value in bank.items()}
        for algorithm, bank in replay(parse_event_log(data)).values.items()
    }


def real_logs() -> list[Path]:
    """Every file of the public collection that is an event log by its name."""
    kinds = ("*eventlog", "*eventlogs/*.bin", "*eventlogs/*/*.bin", "*/event*.bin", "*ccel.bin", "*tpm_eventlog.bin")
    found = {path for kind in kinds for path in PUBLIC.rglob(kind) if path.is_file()} | {
        path for path in PUBLIC.rglob("CCEL_*") if path.is_file() and path.suffix != ".json"
    }
    return sorted(path for path in found if path.name not in {"CCEL.bin", "cos-113-intel-tdx.table.bin"})


@pytest.mark.parametrize("path", OWN_LOGS, ids=lambda path: path.parent.name)
def test_our_own_boots_replay_to_what_the_tpm_showed(path: Path) -> None:
    shown = json.loads((path.parent / "expected.json").read_text())["pcrs"]
    found = replay(parse_event_log(path.read_bytes()))
    for label, bank in shown.items():
        algorithm = next(item for item in HashAlgorithm if item.label == label)
        # PCR 11 of a boot with Linux has the phases of user space, too.
        logged = found.values[algorithm].keys()
        differing = {
            pcr
            for pcr, value in bank.items()
            if int(pcr) in logged and found.value(algorithm, int(pcr)) != bytes.fromhex(value)
        }
        assert not differing
        assert len(logged) >= 8


def test_published_pcrs_are_reached() -> None:
    listed = json.loads(public("replay-results.json"))
    assert listed
    for entry in listed:
        found = hexadecimal(public(entry["log"]))
        for algorithm, bank in entry["replayed"].items():
            assert {pcr: found[algorithm].get(pcr) for pcr in bank} == bank, entry["log"]


@pytest.mark.parametrize("name", ["linux_tpm12.json", "windows_gcp_shielded_vm.json"])
def test_dumps_of_machines_with_their_pcrs_are_reached(name: str) -> None:
    stated = json.loads(public(f"{GO_EVENTLOG}/legacydata/{name}"))["Log"]
    found = replay(parse_event_log(base64.b64decode(stated["Raw"])))
    algorithm = HashAlgorithm.SHA1
    shown = {item["Index"]: base64.b64decode(item["Digest"]) for item in stated["PCRs"]}
    compared = found.values[algorithm].keys() & shown.keys() - UNLOGGED
    assert len(compared) >= 8
    assert {pcr: found.value(algorithm, pcr) for pcr in compared} == {pcr: shown[pcr] for pcr in compared}


def test_a_tdx_log_replays_to_the_registers_of_the_quote() -> None:
    log = parse_event_log(public(f"{CC_LOGS}/cos-113-intel-tdx.bin"))
    assert log.registers is RegisterKind.CC
    # RTMR0 to 2 of cos-113-tdx-quote.dat of google/go-tdx-guest, which belongs to this log.
    quoted = ("3fa2f61f395b7f5feefb4ec2", "f62dbc072bd5d3f3438b7b35", "4969684dc87381fc3b313417")
    for number, start in enumerate(quoted):
        value = replay(log).value(HashAlgorithm.SHA384, number + 1)
        assert value is not None
        assert value.hex().startswith(start)


@pytest.mark.parametrize(
    "name", ["cos-113-intel-tdx-dupe-separator.bin", "cos-113-intel-tdx-dupe-separator-unpadded.bin"]
)
def test_a_log_with_a_separator_too_many_replays_to_something_else(name: str) -> None:
    good = replay(parse_event_log(public(f"{CC_LOGS}/cos-113-intel-tdx.bin")))
    bad = replay(parse_event_log(public(f"{CC_LOGS}/{name}")))
    assert good.values != bad.values


@pytest.mark.parametrize("path", [*OWN_LOGS, *real_logs()], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_event_of_a_real_log_is_understood(path: Path) -> None:
    """No event of a known type breaks its format, and none contradicts its digest but those that are known to."""
    log = parse_event_log(path.read_bytes())
    for event in log.events:
        decoded = decode(event)
        assert decoded.text.isprintable()
        assert not (isinstance(decoded, Raw) and decoded.problem), decoded.text
        check = check_digest(event)
        # One server's firmware measures something else as its version.
        if event.type != EventType.EV_S_CRTM_VERSION and check is not None:
            assert not check.contradicts, event
