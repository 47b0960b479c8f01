"""Rules of this package that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import signing

MODULES = sorted(Path(signing.__path__[0]).glob("*.py"))


def functions() -> list[tuple[str, ast.FunctionDef]]:
    return [
        (f"{path.name}:{node.name}", node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]


def test_no_public_function_answers_with_a_bool() -> None:
    """A verification that raises cannot be forgotten in an ``if``."""
    public = [(name, node) for name, node in functions() if not node.name.startswith("_")]
    assert len(public) > 40
    assert [name for name, node in public if node.returns is not None and "bool" in ast.unparse(node.returns)] == []


def test_every_function_says_what_it_returns() -> None:
    assert [name for name, node in functions() if node.returns is None] == []


def test_nothing_here_opens_files_or_prints() -> None:
    called = {
        (path.name, node.func.id)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert [(name, function) for name, function in called if function in {"open", "print", "exec", "eval"}] == []
