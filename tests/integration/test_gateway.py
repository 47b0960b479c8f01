"""The gateway's own tests: formatting, vet, the race detector, and each fuzz target for some seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.gateway import SOURCE, build, go, run

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration

FUZZ_SECONDS = 3
TARGETS = sorted(
    (str(path.parent.relative_to(SOURCE)), name)
    for path in SOURCE.rglob("*_test.go")
    for name in re.findall(r"^func (Fuzz\w+)\(", path.read_text(), re.MULTILINE)
)


def test_its_source_is_formatted(go_tools: Toolchain) -> None:
    assert run(go_tools.command(("gofmt", "-l", str(SOURCE)), readable=[SOURCE]), 60) == ""


def test_vet_has_no_complaint(go_tools: Toolchain) -> None:
    run(go(go_tools, "vet", "./..."), 600)


def test_its_tests_pass_and_nothing_races(go_tools: Toolchain) -> None:
    printed = run(go(go_tools, "test", "-race", "-count=1", "./...", race=True), 900)
    assert "[no tests to run]" not in printed
    assert printed.count("\nok ") + printed.startswith("ok ") == len(
        {path.parent for path in SOURCE.rglob("*_test.go")}
    )


def test_every_parser_has_a_fuzz_target() -> None:
    assert {folder for folder, _ in TARGETS} == {
        f"internal/{name}" for name in ("activation", "bodies", "evidence", "front", "tpm", "usage")
    }


@pytest.mark.parametrize(("folder", "target"), TARGETS, ids=lambda word: word.rpartition("/")[2])
def test_fuzzing_a_parser_finds_nothing(go_tools: Toolchain, folder: str, target: str) -> None:
    options = ("-run=^$", f"-fuzz=^{target}$", f"-fuzztime={FUZZ_SECONDS}s")
    assert "elapsed: " in run(go(go_tools, "test", *options, f"./{folder}"), 600)


def test_the_program_is_static_and_comes_out_the_same_twice(go_tools: Toolchain, tmp_path: Path) -> None:
    programs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        programs.append(build(go_tools, tmp_path / name).read_bytes())
    assert programs[0] == programs[1]
    assert b"/ld-linux-x86-64.so" not in programs[0]
    assert str(SOURCE).encode() not in programs[0]
