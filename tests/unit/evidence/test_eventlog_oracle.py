"""Event logs against tpm2_eventlog of tpm2-tools: the same events, digests and PCRs."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from builder.errors import ToolFailedError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.eventlog import LogFormat, RegisterKind, parse_event_log
from builder.evidence.replay import replay
from builder.process import run
from tests.event_logs import OWN_LOGS
from tests.unit.evidence.test_eventlog_published import real_logs

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle


def tpm_logs() -> list[Path]:
    """Logs of TPMs: tpm2_eventlog knows none of confidential computing."""
    found = [*OWN_LOGS, *real_logs()]
    return [path for path in found if parse_event_log(path.read_bytes()).registers is RegisterKind.PCR]


def told_by_tpm2_eventlog(path: Path, folder: Path, test_tools: Toolchain) -> str:
    copy = folder / "log.bin"
    shutil.copy(path, copy)
    return run(test_tools.command(["tpm2_eventlog", str(copy)], readable=[folder]), timeout=120).stdout.decode()


@pytest.mark.parametrize("path", tpm_logs(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_tpm2_eventlog_reads_the_same(path: Path, tmp_path: Path, test_tools: Toolchain) -> None:
    log = parse_event_log(path.read_bytes())
    if log.spec_id is None and not log.events[0].extends:
        # It takes any first event that extends nothing for a Spec ID event, and stops.
        with pytest.raises(ToolFailedError, match="specid event"):
            told_by_tpm2_eventlog(path, tmp_path, test_tools)
        return
    told = told_by_tpm2_eventlog(path, tmp_path, test_tools)
    ours = [
        (event.register, {HashAlgorithm(a).label: d.hex() for a, d in event.digests.items()}) for event in log.events
    ]
    judged = yaml.safe_load(told)
    if log.format is LogFormat.SHA1:
        # It prints a mapping with the same keys again and again, which no YAML reader keeps: line by line, then.
        # An event of no register has the number -1 there.
        registers = [int(number) % 2**32 for number in re.findall(r"^  PCRIndex: (-?\d+)$", told, re.MULTILINE)]
        digests = re.findall(r"^    Digest: \"([0-9a-f]+)\"$", told, re.MULTILINE)
        assert [(register, {"sha1": digest}) for register, digest in zip(registers, digests, strict=True)] == ours
    else:
        events = [
            (item["PCRIndex"], {entry["AlgorithmId"]: entry["Digest"] for entry in item.get("Digests", ())})
            for item in judged["events"]
        ]
        assert events[1:] == ours[1:]
        assert len(events) == len(ours)
    values = {
        algorithm.label: {register: int(value.hex(), 16) for register, value in bank.items()}
        for algorithm, bank in replay(log).values.items()
    }
    assert {label: bank or {} for label, bank in (judged["pcrs"] or {}).items()} == values
