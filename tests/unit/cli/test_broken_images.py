"""`bedplate check` on images that chance broke; tests/endurance/broken_images.py does it ten thousand times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.endurance import broken_images
from tests.endurance.broken_images import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def test_broken_images_are_checked_or_refused() -> None:
    # In a process of its own: the workers' limit counts what they inherit, here all that the tests have loaded.
    command = [sys.executable, "-m", "tests.endurance.broken_images", "--count", "22", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert (done.returncode, "22 mutants, 0 defects" in done.stdout) == (0, True), done.stdout + done.stderr


def crash(_: Sequence[str]) -> int:
    return 70


def hang(_: Sequence[str]) -> int:
    try:
        while True:
            pass
    except BaseException as error:  # noqa: BLE001 -- as the command line does it
        print(repr(error), file=sys.stderr)  # noqa: T201
        return 70


@pytest.mark.parametrize(
    ("verb", "answer"),
    [(crash, "exit code 70"), (hang, "hung"), (lambda _: 2, "refused without a sentence")],
)
def test_what_is_no_answer_is_a_defect(
    verb: Callable[[Sequence[str]], int], answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken_images.cli, "main", verb)
    outcome = checked(b"", tmp_path, processor_seconds=0.2)
    assert (outcome.is_defect, outcome.answer) == (True, answer)


def test_a_control_that_crashes_is_a_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def report(_: Sequence[str]) -> int:
        print('{"results": [{"control": "ZOA-101", "outcome": "crashed"}]}', flush=True)  # noqa: T201 -- a report
        return 1

    monkeypatch.setattr(broken_images.cli, "main", report)
    assert checked(b"", tmp_path).answer == "crash of ZOA-101"
