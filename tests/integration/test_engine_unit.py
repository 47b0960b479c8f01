"""The units of a node as systemd's own judge sees them, and the programs that watch the engine and read its weights."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.weights.identity import Model
from builder.weights.node_files import READ_UNIT, weights_files
from tests.gateway import build, go, run

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration

IMAGE = Path(__file__).parents[2] / "images/inference-node"
UNITS = IMAGE / "files/usr/lib/systemd/system"
UNIT = UNITS / "engine.service"
PROGRAMS = ("engine-watch", "weights-read")
MOST_EXPOSED = 1.5


def exposure(toolchain: Toolchain, unit: Path) -> float:
    argv = ("systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit))
    shown = subprocess.run(
        toolchain.command(argv, readable=[unit.parent]), capture_output=True, text=True, check=True, timeout=60
    ).stdout
    found = re.search(rf"Overall exposure level for {unit.name}: (\d+\.\d+)", shown)
    assert found is not None, shown
    return float(found[1])


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["engine.service", "gateway.service"])
def test_a_service_is_exposed_to_next_to_nothing(toolchain: Toolchain, name: str) -> None:
    assert exposure(toolchain, UNITS / name) <= MOST_EXPOSED


@pytest.mark.oracle
def test_the_unit_that_reads_weights_is_exposed_to_next_to_nothing(toolchain: Toolchain, tmp_path: Path) -> None:
    files = weights_files(Model(name="small", licence="MIT", sha256="ab" * 32, root_hash="cd" * 32))
    unit = tmp_path / READ_UNIT.name
    unit.write_bytes(files[READ_UNIT])
    assert exposure(toolchain, unit) <= MOST_EXPOSED


@pytest.mark.oracle
def test_the_judge_would_see_a_sandbox_that_is_left_out(toolchain: Toolchain, tmp_path: Path) -> None:
    words = ("Private", "Protect", "Restrict", "SystemCall", "Capability", "DynamicUser")
    lines = [line for line in UNIT.read_text().splitlines() if not line.startswith(words)]
    (tmp_path / "engine.service").write_text("\n".join(lines))
    assert exposure(toolchain, tmp_path / "engine.service") > MOST_EXPOSED


@pytest.mark.parametrize("name", ["engine.service", "gateway.service"])
def test_a_service_that_ends_is_never_given_up_and_started_ever_later(name: str) -> None:
    lines = [line for line in (UNITS / name).read_text().splitlines() if line.startswith(("Restart", "StartLimit"))]
    settings = dict(line.split("=") for line in lines)
    assert len(settings) == len(lines)
    assert settings.pop("RestartMaxDelaySec") in {"10s", "30s"}
    # RestartSteps= says nothing without a longest delay, and the delay it begins with.
    assert settings == {"StartLimitIntervalSec": "0", "Restart": "always", "RestartSec": "1s", "RestartSteps": "10"}


@pytest.fixture(params=PROGRAMS)
def source(request: pytest.FixtureRequest) -> Path:
    return IMAGE / request.param


def test_a_program_is_formatted(go_tools: Toolchain, source: Path) -> None:
    assert run(go_tools.command(("gofmt", "-l", str(source)), readable=[source]), 60) == ""


def test_vet_has_no_complaint_of_a_program(go_tools: Toolchain, source: Path) -> None:
    run(go(go_tools, "vet", "./...", source=source), 600)


def test_the_tests_of_a_program_pass_and_nothing_races(go_tools: Toolchain, source: Path) -> None:
    printed = run(go(go_tools, "test", "-race", "-count=1", "./...", source=source, race=True), 900)
    assert printed.startswith("ok ")


def test_a_program_is_static_and_comes_out_the_same_twice(go_tools: Toolchain, source: Path, tmp_path: Path) -> None:
    programs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        programs.append(build(go_tools, tmp_path / name, source=source).read_bytes())
    assert programs[0] == programs[1]
    assert b"/ld-linux-x86-64.so" not in programs[0]
