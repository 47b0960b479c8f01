"""Event logs against tpm2_eventlog of tpm2-tools: the same events, digests and PCRs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.eventlog import parse_event_log
from builder.evidence.replay import replay
from builder.process import run
from tests.event_logs import OWN_LOGS

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("path", OWN_LOGS, ids=lambda path: path.parent.name)
def test_tpm2_eventlog_reads_the_same(path: Path, tmp_path: Path, test_tools: Toolchain) -> None:
    copy = tmp_path / "log.bin"
    shutil.copy(path, copy)
    told = run(test_tools.command(["tpm2_eventlog", str(copy)], readable=[tmp_path]), timeout=120)
    judged = yaml.safe_load(told.stdout)
    log = parse_event_log(path.read_bytes())

    events = [
        (item["PCRIndex"], {entry["AlgorithmId"]: entry["Digest"] for entry in item.get("Digests", ())})
        for item in judged["events"]
    ]
    ours = [
        (event.register, {HashAlgorithm(a).label: d.hex() for a, d in event.digests.items()}) for event in log.events
    ]
    assert events[1:] == ours[1:]
    assert len(events) == len(ours)

    values = {
        algorithm.label: {register: int(value.hex(), 16) for register, value in bank.items()}
        for algorithm, bank in replay(log).values.items()
    }
    assert judged["pcrs"] == values
