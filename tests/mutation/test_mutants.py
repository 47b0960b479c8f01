"""Break each condition of each control, drop each entry of its lists: a case notices, or people have reviewed it."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING

import pytest

from policies.controls import ALL
from tests.mutation.mutants import mutants
from tests.mutation.reviewed import equivalent
from tests.mutation.trial import SHARED, TOPICS, tried

if TYPE_CHECKING:
    from types import ModuleType

    from tests.mutation.trial import Tried

MODULES = [*TOPICS, *SHARED]
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])


@cache
def all_tried(module: ModuleType) -> tuple[Tried, ...]:
    return tuple(tried(module))


@each_module
def test_a_broken_condition_is_noticed_or_reviewed(module: ModuleType) -> None:
    survivors = [item.name for item in all_tried(module) if item.killed_by is None]
    assert [name for name in survivors if name not in equivalent()] == []


@each_module
def test_a_reviewed_mutant_is_a_survivor_still(module: ModuleType) -> None:
    name = module.__name__.rpartition(".")[2]
    survivors = {item.name for item in all_tried(module) if item.killed_by is None}
    assert {item for item in equivalent() if item.startswith(f"{name}.")} - survivors == set()


def test_every_reviewed_mutant_is_of_a_module_that_is_tried() -> None:
    names = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert {item.partition(".")[0] for item in equivalent()} - names == set()


def test_every_control_is_tried_without_its_findings() -> None:
    """The function of each control is among those that are mutated, and its cases notice that it finds nothing."""
    silent = [item for module in TOPICS for item in all_tried(module) if item.mutant.operator == "no-finding"]
    assert {control.id for control in ALL} - {item.killed_by for item in silent} == set()


def test_a_mutant_differs_from_its_module_in_what_it_says() -> None:
    source = (
        'def check(facts):\n    """A docstring."""\n    for item in facts:\n'
        '        if item.mode & 0o6000 and item.name in {"a", "b"}:\n            yield item\n'
    )
    made = list(mutants(source, "x.py"))
    operators = {mutant.operator for mutant in made}
    assert operators == {
        "no-finding", "negate", "drop-body", "and-or", "drop-operand", "drop-bit", "compare", "drop-entry",
        "drop-yield",
    }  # fmt: skip
    codes = {mutant.code.co_consts for mutant in made}
    assert compile(ast.parse(source), "x.py", "exec").co_consts not in codes
    assert len({mutant.id for mutant in made}) == len(made)


def test_a_condition_that_no_case_looks_at_survives() -> None:
    """The harness itself can fail: without cases every mutant survives."""
    (module,) = (module for module in TOPICS if module.__name__.endswith(".accounts"))
    assert any(item.killed_by for item in all_tried(module))
    assert all(item.killed_by is None for item in tried(module, cases=()))
