"""diffoscope as a process: what it prints becomes differences, and whatever goes wrong makes them incomplete."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from builder.baseline import deepen, diffoscope
from builder.compare.difference import Change, Difference, Field

OLD, NEW = b"\0\1\2", b"\0\1\3"
CHANGED = Difference(
    id="files/root/x.bin", kind="file", subject="/x.bin", change=Change.CONTENT,
    fields=(Field(name="sha256", old="1", new="2"),),
)  # fmt: skip


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program of diffoscope's name that does what ``script`` says."""
    program = folder / "diffoscope"
    program.write_text(f"#!{sys.executable}\nimport json, sys, time\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def without_program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))


def test_without_diffoscope_a_binary_is_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_program(tmp_path, monkeypatch)
    assert deepen._look_inside(CHANGED, OLD, NEW).incomplete == "both are binary, 3 and 3 bytes: needs diffoscope"


def test_what_our_own_comparators_know_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "sys.exit(2)")
    assert deepen._look_inside(CHANGED, b"one\n", b"two\n").incomplete is None


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("sys.exit(2)", "diffoscope failed with exit status 2"),
        ("print('no json'); sys.exit(1)", "diffoscope printed no report"),
        ("print('{}'); sys.exit(1)", "diffoscope printed no report"),
        ("time.sleep(30)", "diffoscope did not finish within 0.3 seconds"),
        ("sys.stdout.write('x' * (65 << 20))", "diffoscope"),
        ("print(json.dumps(dict(source1='a', source2='b')))", "diffoscope found no difference in what differs"),
        ("print('[' * 100000)", "diffoscope printed no report"),
    ],
)
def test_a_run_that_goes_wrong_is_incomplete(
    script: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, script)
    if "sleep" in script:
        monkeypatch.setattr(diffoscope, "_SECONDS", 0.3)
    inside = deepen._look_inside(CHANGED, OLD, NEW)
    assert (inside.incomplete or "").startswith(problem), inside.incomplete


def test_what_it_finds_are_texts_with_the_way_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = "dict(source1='part', source2='part', unified_diff='@@', comments=['why'])"
    report = f"dict(source1=sys.argv[-2], source2=sys.argv[-1], details=[{part}])"
    stand_in(tmp_path, monkeypatch, f"print(json.dumps({report})); sys.exit(1)")
    inside = deepen._look_inside(CHANGED, OLD, NEW)
    (child,) = inside.children
    assert inside.incomplete is None
    assert (child.kind, child.subject, child.notes) == ("text", "@@", ("filex.bin > part", "why"))
    assert child.id == "files/root/x.bin/=diffoscope/filex.bin/part"


def test_too_many_findings_are_said_to_be_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = "[dict(source1=str(n), source2='', unified_diff='@') for n in range(2100)]"
    stand_in(tmp_path, monkeypatch, f"print(json.dumps(dict(source1='a', source2='b', details={parts}))); sys.exit(1)")
    inside = deepen._look_inside(CHANGED, OLD, NEW)
    assert (len(inside.children), inside.incomplete) == (2000, "100 more differences are not listed")


def test_a_shell_never_sees_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(
        tmp_path,
        monkeypatch,
        "print(json.dumps(dict(source1=sys.argv[-2], source2='', unified_diff='@'))); sys.exit(1)",
    )
    for name in ("/a; touch pwned", "/$(touch pwned)", "/--help", "/..", "/\n"):
        inside = diffoscope.look_inside("files/root", name, OLD, NEW)
        assert len(inside.children) == 1, (name, inside)
    assert not Path("pwned").exists()


@pytest.mark.oracle
def test_the_real_program_shows_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    if shutil.which("diffoscope") is None:
        if os.environ.get("CI"):
            pytest.fail("diffoscope is not installed")
        pytest.skip("diffoscope is not installed")
    inside = deepen._look_inside(CHANGED, OLD, NEW)
    assert inside.incomplete is None
    assert ["0001 02" in child.subject and "0001 03" in child.subject for child in inside.children] == [True]
