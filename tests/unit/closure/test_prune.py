"""Pruning of a tree on disk, as a build runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builder.closure.apply import prune
from builder.closure.bundle import MODULES
from builder.closure.close import BrokenClosureError
from builder.closure.rules import parse_rules
from builder.facts.tree import directory_tree
from builder.image import dpkg
from tests.fact_trees import elf

UNITS = "usr/lib/systemd/system"
RULES = "[units]\ndefault.target\n[keep]\n/etc\n-/bin\n"
STATUS = """Package: kept
Status: install ok installed
Version: 1
Architecture: amd64
Description: stays
 and has a second line

Package: gone
Status: install ok installed
Version: 2
Architecture: amd64
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A tree of two packages, of which one is started."""
    top = tmp_path / "root"
    files = {
        f"{UNITS}/default.target": b"[Unit]\nWants=a.service\n",
        f"{UNITS}/a.service": b"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/a\n",
        f"{UNITS}/b.socket": b"[Socket]\nListenStream=22\nListenDatagram=53\n",
        "usr/bin/a": elf(interpreter=None, needed=()),
        "usr/bin/b": elf(interpreter=None, needed=()),
        "var/lib/dpkg/status": STATUS.encode(),
        "var/lib/dpkg/info/kept.list": b"/.\n/bin\n/bin/a\n/usr\n/usr/share/doc/kept\n",
        "var/lib/dpkg/info/kept.postinst": b"#!/bin/sh\n",
        "var/lib/dpkg/info/gone:amd64.list": b"/.\n/usr\n/usr/bin\n/usr/bin/b\n",
        "usr/share/doc/kept": b"x" * 100,
        "etc/passwd": b"",
    }
    for name, content in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (top / "bin").symlink_to("usr/bin")
    for name, mode in (("a", 0o4755), ("b", 0o2755)):
        (top / "usr/bin" / name).chmod(mode)
    return top


def paths(top: Path) -> set[str]:
    return {path for path, node in directory_tree(top).nodes.items() if node.is_file or node.target}


def test_a_tree_loses_what_nothing_needs(top: Path) -> None:
    prune(top, parse_rules(RULES, "test.rules"))
    assert paths(top) == {
        "/bin",
        "/usr/bin/a",
        f"/{UNITS}/default.target",
        f"/{UNITS}/a.service",
        "/var/lib/dpkg/status",
        "/var/lib/dpkg/info/kept.list",
    }
    assert (top / "etc").is_dir()
    assert not (top / "usr/share").exists()


def test_what_stays_loses_the_bits_that_give_rights(top: Path) -> None:
    prune(top, parse_rules(RULES, "test.rules"))
    assert (top / "usr/bin/a").stat().st_mode & 0o7777 == 0o755


def test_the_package_database_has_what_stays(top: Path) -> None:
    prune(top, parse_rules(RULES, "test.rules"))
    database = top / "var/lib/dpkg"
    assert [package.name for package in dpkg.packages((database / "status").read_bytes())] == ["kept"]
    assert " and has a second line\n" in (database / "status").read_text()
    assert (database / "info/kept.list").read_text() == "/.\n/bin\n/bin/a\n/usr\n"


def test_the_report_has_the_numbers_before_and_after(top: Path) -> None:
    report = prune(top, parse_rules(RULES, "test.rules"))
    before, after = report["before"], report["after"]
    assert (before["files"], before["programs"], before["set_id"], before["sockets"]) == (12, 2, 2, 2)
    assert (after["files"], after["programs"], after["set_id"], after["sockets"]) == (6, 1, 0, 0)
    assert after["bytes"] < before["bytes"] - 100
    assert {row["package"]: row["files"] for row in report["dropped"]} == {"(no package)": 4, "kept": 1, "gone": 1}
    assert report["because"]["/usr/bin/a"].startswith("a.service starts it")


def test_two_runs_do_the_same(top: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(top, other, symlinks=True)
    rules = parse_rules(RULES, "test.rules")
    assert prune(top, rules) == prune(other, rules)
    assert paths(top) == paths(other)


def test_a_second_pruning_finds_nothing_to_do(top: Path) -> None:
    rules = parse_rules(RULES, "test.rules")
    prune(top, rules)
    assert prune(top, rules)["dropped"] == []


def test_a_tree_that_lacks_something_is_left_as_it_is(top: Path) -> None:
    before = paths(top)
    with pytest.raises(BrokenClosureError):
        prune(top, parse_rules(f"{RULES}/etc/none-such\n", "test.rules"))
    assert paths(top) == before


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """What the rendered tree has of bedplate."""
    repository = Path(__file__).parents[3]
    for module in MODULES:
        target = tmp_path / "bundle" / module
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / module, target)
    return tmp_path / "bundle"


def run(bundle: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """A Python that has its standard library and the bundle, nothing else: no site-packages, no checkout."""
    command = [sys.executable, "-S", "-m", "builder.closure.program", *map(str, arguments)]
    environment = {"PYTHONPATH": str(bundle)}
    return subprocess.run(command, env=environment, cwd=bundle, capture_output=True, text=True, check=False)


def test_the_modules_run_with_the_standard_library_alone(top: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text(RULES)
    done = run(bundle, top, tmp_path / "rules", tmp_path / "report.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text())["after"]["programs"] == 1
    assert not (top / "usr/bin/b").exists()


def test_the_program_ends_with_a_sentence_and_no_report(top: Path, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text(f"{RULES}/etc/none-such\n")
    done = run(bundle, top, tmp_path / "rules", tmp_path / "report.json")
    assert done.returncode == 1
    assert "error: the image needs what it does not have:\n  /etc/none-such is not there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "report.json").exists()
