"""Running the fuzzers of tests/fuzz for a few seconds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "fuzz"
SECONDS = 10


def assert_finds_nothing(name: str, folder: Path, max_len: int) -> None:
    """Fuzz from the corpus that is kept; nothing may crash, hang or take more than 500 MB."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    kept, new = FUZZ / "corpus" / name, folder / "new"
    new.mkdir()
    assert any(kept.iterdir())
    limits = (f"-max_total_time={SECONDS}", f"-max_len={max_len}", "-timeout=10", "-rss_limit_mb=500", "-verbosity=0")
    fuzzer = (sys.executable, str(FUZZ / f"fuzz_{name}.py"), str(new), str(kept), *limits)
    # libFuzzer reads the peak of its process, which Linux carries over from what it was forked from (getrusage(2)):
    # from this process, which has grown by then. A shell in between has a small one.
    done = subprocess.run(
        ("/bin/sh", "-c", '"$@"; exit $?', "sh", *fuzzer),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS * 30,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert [path.name for path in folder.iterdir()] == ["new"]
