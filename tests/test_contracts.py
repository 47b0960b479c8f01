"""The rules of the house, as tests: linters, import contracts, and the size of modules and functions.

A tool that is missing fails CI and skips on a laptop.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("builder", "policies", "signing")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_LINES = 400
MAX_STATEMENTS = 60


@pytest.mark.parametrize(
    "command",
    ["lint-imports", "ruff check", "ruff format --check", "mypy"],
)
def test_a_linter_has_no_complaint(command: str) -> None:
    name, *arguments = command.split()
    # The virtual environment that runs the tests, which need not be on the PATH.
    program = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_there_are_modules_to_look_at() -> None:
    assert ROOT / "builder" / "process.py" in MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_function_can_be_seen_at_a_glance(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse(path.read_text())
    sizes = {
        node.name: sum(isinstance(inner, ast.stmt) for inner in ast.walk(node)) - 1
        for node in ast.walk(tree)
        if isinstance(node, functions)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_STATEMENTS} == {}


@pytest.mark.parametrize(
    "package", [path for path in MODULES if path.name == "__init__.py"], ids=lambda path: path.parent.name
)
def test_a_package_file_holds_no_logic(package: Path) -> None:
    allowed = (ast.Expr, ast.Assign, ast.Import, ast.ImportFrom)
    assert [node for node in ast.parse(package.read_text()).body if not isinstance(node, allowed)] == []
