"""A short run of each fuzzer of quotes, signatures and documents, from the corpus that is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
SECONDS = 10


@pytest.mark.parametrize("name", ["quote", "signature", "nitro"])
def test_a_fuzzer_finds_nothing(name: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    new, kept = tmp_path / "new", FUZZ / "corpus" / name
    new.mkdir()
    assert any(kept.iterdir())
    limits = (f"-max_total_time={SECONDS}", "-max_len=32768", "-timeout=10", "-rss_limit_mb=500", "-verbosity=0")
    harness = FUZZ / f"fuzz_{name}.py"
    done = subprocess.run(
        [sys.executable, harness, new, kept, *limits, f"-artifact_prefix={tmp_path}/"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS * 12,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
