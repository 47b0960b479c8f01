"""The corpus of the event log fuzzer is worth starting from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError
from builder.evidence.eventlog import parse_event_log
from builder.evidence.systemd_log import parse_userspace_log
from tests.event_logs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = ROOT / "tests" / "fuzz" / "corpus" / "eventlog"


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus_reaches_behind_the_first_check(path: Path) -> None:
    data = path.read_bytes()
    read = parse_userspace_log if data[0] == 1 else parse_event_log
    if path.name.startswith("refused-"):
        with pytest.raises(MalformedImageError):
            read(data[1:])
    else:
        assert read(data[1:]).events
