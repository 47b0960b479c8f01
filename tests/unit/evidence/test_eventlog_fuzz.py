"""A short run of the coverage-guided fuzzer; tests/fuzz/fuzz_eventlog.py says how to run it for longer."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError
from builder.evidence.eventlog import parse_event_log
from builder.evidence.systemd_log import parse_userspace_log
from tests.event_logs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CORPUS = ROOT / "tests" / "fuzz" / "corpus" / "eventlog"
SECONDS = 10


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_the_corpus_reaches_behind_the_first_check(path: Path) -> None:
    data = path.read_bytes()
    read = parse_userspace_log if data[0] == 1 else parse_event_log
    if path.name.startswith("refused-"):
        with pytest.raises(MalformedImageError):
            read(data[1:])
    else:
        assert read(data[1:]).events


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_a_short_run_of_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    limits = (f"-max_total_time={SECONDS}", "-max_len=16384", "-timeout=10", "-rss_limit_mb=500", "-verbosity=0")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/fuzz/fuzz_eventlog.py"), str(found), str(CORPUS), *limits],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert [path.name for path in tmp_path.iterdir()] == ["found"]
