from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from builder.mkosi import requirements
from builder.mkosi.requirements import (
    TREE_TOOLS,
    Requirement,
    host_requirements,
    subordinate_ids,
    tree_requirements,
    version_number,
)
from builder.mkosi.toolchain import Toolchain

if TYPE_CHECKING:
    from pathlib import Path

STATUS = """\
Package: mkosi
Status: install ok installed
Version: 25.3-7
Architecture: all
Description: build images
 Version: 0 is not a field here

Package: gone
Status: deinstall ok config-files
Version: 1
"""


def host(name: str, cache: Path) -> Requirement:
    return next(item for item in host_requirements(cache) if item.name == name)


def fake_program(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


@pytest.mark.parametrize(
    ("version", "number"),
    [("25.3-7", (25, 3)), ("1:10.0.13+ds-0", (10, 0, 13)), ("257.13-1~deb13u1", (257, 13)), ("2:2.7.5-2", (2, 7, 5)),
     ("1.3.5", (1, 3, 5)), ("", ()), ("git", ())],
)  # fmt: skip
def test_a_version_is_compared_by_its_leading_numbers(version: str, number: tuple[int, ...]) -> None:
    assert version_number(version) == number


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 0),
        ("other:100000:65536\n", 0),
        ("ci:100000:65536\n", 65536),
        ("1000:100000:65536\n", 65536),
        ("ci:1:5\nci:100000:70000\n", 70000),
        ("ci:100000:many\nci\nci:\n", 0),
    ],
)
def test_the_largest_range_of_ids_counts(text: str, size: int) -> None:
    assert subordinate_ids(text, user="ci", uid=1000) == size


def test_this_machine_runs_a_python_that_is_new_enough(tmp_path: Path) -> None:
    python = host("python", tmp_path)
    assert python.is_met
    assert python.found == sys.executable


def test_a_missing_mmdebstrap_is_told_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "child_environment", lambda: {"PATH": str(tmp_path)})
    missing = requirements._mmdebstrap()
    assert (missing.problem, missing.remedy) == ("is not installed", "apt-get install mmdebstrap")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo mmdebstrap 0.8.4", "is older than 1.3"),
        ("echo what?", "is older than 1.3"),
        ("exit 1", "mmdebstrap failed with exit status 1"),
        ("echo mmdebstrap 1.5.7", None),
    ],
)
def test_mmdebstrap_is_asked_for_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str | None
) -> None:
    fake_program(tmp_path / "bin", "mmdebstrap", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = host("mmdebstrap", tmp_path)
    assert found.found == str(tmp_path / "bin" / "mmdebstrap")
    assert found.is_met == (problem is None)
    assert problem is None or str(found.problem).endswith(problem)


def test_namespaces_that_are_not_allowed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path / "bin", "unshare", "echo unshare failed: Operation not permitted >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = next(item for item in host_requirements(tmp_path) if item.name.endswith("namespaces"))
    assert found.problem == "unshare failed with exit status 1"
    assert found.remedy


def test_a_user_needs_a_range_of_ids_and_root_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert list(requirements._subordinate_ids()) == []
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    found = {item.name: item for item in requirements._subordinate_ids()}
    assert found["range in /etc/subuid"].problem == "54321 has 0 ids, 65536 are needed"
    assert "usermod --add-subuids" in str(found["range in /etc/subgid"].remedy)


def test_too_little_space_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host("disk space", tmp_path).found == f"{shutil.disk_usage(tmp_path).free / 2**30:.1f} GiB in {tmp_path}"
    monkeypatch.setattr(requirements, "MINIMUM_FREE_BYTES", 1 << 60)
    assert host("disk space", tmp_path).problem == "less than 1073741824 GiB are free"


def test_a_tree_without_a_package_list_is_no_toolchain(tmp_path: Path) -> None:
    (lacking,) = tree_requirements(Toolchain(tmp_path))
    assert "cannot read package list of the toolchain" in str(lacking.problem)


def test_a_tree_is_told_tool_by_tool(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS.replace("25.3-7", "25.1-1"))
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/mkosi").touch()
    found = {item.name: item for item in tree_requirements(Toolchain(tmp_path))}
    assert not found["sandbox"].is_met
    assert (found["mkosi"].problem, found["mkosi"].version) == ("is older than 25.3", "25.1-1")
    assert found["swtpm"].problem == "is not in the tree (package swtpm)"
    assert set(found) == {"sandbox", *(tool.name for tool in TREE_TOOLS)}


@pytest.mark.integration
def test_a_real_tree_has_everything(toolchain: Toolchain) -> None:
    unmet = [item for item in tree_requirements(toolchain) if not item.is_met]
    assert unmet == []
