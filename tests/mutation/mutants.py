"""Mutants of a module of controls: each is the module with one condition broken, one entry gone, one step left out.

Only what decides is mutated: function bodies, names and patterns at module level. Docstrings, messages, evidence and
what a control says of itself are not.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

_OTHER: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip
# Calls that could be left out: what they are called on would be taken as it is.
_CLEANERS: Final = frozenset(("lower", "strip", "rstrip", "lstrip", "removeprefix", "removesuffix", "replace"))
# Functions that make a list of names from a text with spaces between them.
_WORD_LISTS: Final = frozenset(("words", "_words", "_names"))
# What tells about a finding: functions and variables whose parts decide only how it is said.
_TELLS: Final = re.compile(r"_?about(?:_\w+)?|Evidence|Finding|_owner")
_WORDING: Final = frozenset(
    (
        "message",
        "evidence",
        "chain",
        "problem",
        "origins",
        "path",
        "package",
        "leads",
        "sources",
        "programs",
        "line",
        "_NAMES",
    )
)
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True)
class Mutant:
    """One change. ``id`` says where and what without line numbers, so that it outlives other changes of the file."""

    id: str
    line: int
    operator: str
    function: str
    code: CodeType


@dataclass(frozen=True)
class _Change:
    node: ast.AST
    field: str
    value: Any
    operator: str
    what: ast.AST | str


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its text."""
    tree = ast.parse(source)
    numbers: Counter[str] = Counter()
    for function, statement in _parts(tree):
        for change in _changes(statement):
            what = change.what if isinstance(change.what, str) else ast.unparse(change.what)
            name = f"{function}: {change.operator}: {' '.join(what.split())[:140]}"
            numbers[name] += 1
            if numbers[name] > 1:
                name += f" #{numbers[name]}"
            before = getattr(change.node, change.field)
            setattr(change.node, change.field, change.value)
            code = compile(ast.fix_missing_locations(tree), path, "exec")
            setattr(change.node, change.field, before)
            line = getattr(change.what, "lineno", getattr(change.node, "lineno", 0))
            yield Mutant(name, line, change.operator, function, code)


def _parts(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and not _TELLS.fullmatch(statement.name):
            yield statement.name, statement
        elif isinstance(statement, ast.ClassDef):
            methods = (item for item in statement.body if isinstance(item, ast.FunctionDef))
            yield from ((f"{statement.name}.{item.name}", item) for item in methods)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            if ast.unparse(target) not in {"CONTROLS", "__all__", *_WORDING} and not _is_reference(statement.value):
                yield ast.unparse(target), statement


def _is_reference(value: ast.expr) -> bool:
    """Lists of references to standards decide nothing."""
    texts = [item.value for item in getattr(value, "elts", ()) if isinstance(item, ast.Constant)]
    return bool(texts) and all(re.match("NIST |CIS |DISA |KSPP ", str(text)) for text in texts)


def _changes(part: ast.AST) -> Iterator[_Change]:
    if isinstance(part, ast.FunctionDef):
        start = 1 if ast.get_docstring(part) is not None else 0
        body = part.body[start:]
        if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(part)):
            nothing = [*part.body[:start], ast.Return(), ast.Expr(ast.Yield(ast.Constant(None)))]
            yield _Change(part, "body", nothing, "no-finding", part.name)
    else:
        body = [part.value]  # type: ignore[attr-defined]
    for statement in body:
        for node in _deciding(statement):
            yield from _of_node(node)


def _is_text(value: ast.expr) -> bool:
    """A text that is put together is evidence."""
    is_joined = isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr == "join"
    return isinstance(value, ast.JoinedStr) or is_joined


def _deciding(node: ast.AST) -> Iterator[ast.AST]:
    """A node and what is in it, without what only words a finding."""
    if isinstance(node, ast.Assign) and (ast.unparse(node.targets[0]) in _WORDING or _is_text(node.value)):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _TELLS.fullmatch(node.func.id):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        if child is not getattr(node, "annotation", None):
            yield from _deciding(child)


def _of_node(node: ast.AST) -> Iterator[_Change]:
    yield from _of_condition(node)
    yield from _of_entries(node)
    match node:
        case ast.BinOp(op=ast.BitAnd(), right=ast.Constant(value=int(bits))):
            for bit in (1 << shift for shift in range(bits.bit_length()) if bits >> shift & 1):
                yield _Change(node, "right", ast.Constant(bits & ~bit), "drop-bit", f"{ast.unparse(node)} {bit:o}")
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield _Change(node, "value", ast.YieldFrom(ast.Tuple([], ast.Load())), "drop-yield", node)
        case ast.Call():
            yield from _of_call(node)


def _of_condition(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.If() | ast.IfExp():
            yield _Change(node, "test", ast.UnaryOp(ast.Not(), node.test), "negate", node.test)
            if isinstance(node, ast.If):
                yield _Change(node, "body", [ast.Pass()], "drop-body", node.test)
        case ast.comprehension():
            for index, test in enumerate(node.ifs):
                yield _Change(node, "ifs", node.ifs[:index] + node.ifs[index + 1 :], "drop-filter", test)
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                ops = [*node.ops]
                ops[index] = _OTHER[type(operator)]()
                yield _Change(node, "ops", ops, "compare", node)
        case ast.BoolOp():
            yield _Change(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And(), "and-or", node)
            for index, value in enumerate(node.values):
                neutral = ast.Constant(isinstance(node.op, ast.And))
                values = [*node.values[:index], neutral, *node.values[index + 1 :]]
                yield _Change(node, "values", values, "drop-operand", value)
        case ast.UnaryOp(op=ast.Not()):
            yield _Change(node, "operand", ast.UnaryOp(ast.Not(), node.operand), "not", node)


def _of_entries(node: ast.AST) -> Iterator[_Change]:
    match node:
        case ast.Set() | ast.List() | ast.Tuple():
            for index, entry in enumerate(node.elts if isinstance(getattr(node, "ctx", ast.Load()), ast.Load) else ()):
                yield _Change(node, "elts", node.elts[:index] + node.elts[index + 1 :], "drop-entry", entry)
        case ast.Dict():
            for index, key in enumerate(node.keys):
                yield from _without_entry(node, index, key)


def _without_entry(node: ast.Dict, index: int, key: ast.expr | None) -> Iterator[_Change]:
    if key is not None:
        # A dictionary has keys and values: one that is there already is set again instead.
        keys = [*node.keys[:index], *node.keys[index + 1 :]]
        values = [*node.values[:index], *node.values[index + 1 :]]
        yield _Change(node, "__dict__", {**vars(node), "keys": keys, "values": values}, "drop-entry", key)


def _of_call(node: ast.Call) -> Iterator[_Change]:
    match node.func:
        case ast.Name(id="any" | "all" as name):
            yield _Change(node, "func", ast.Name("all" if name == "any" else "any", ast.Load()), "any-all", node)
        case ast.Name(id=name) if name in _WORD_LISTS and node.args and isinstance(node.args[0], ast.Constant):
            text = str(node.args[0].value)
            for match in _WORD.finditer(text):
                rest = ast.Constant(text[: match.start()] + text[match.end() :])
                yield _Change(node, "args", [rest], "drop-word", match[0])
        case ast.Attribute(attr=name) if name in _CLEANERS:
            taken = {**vars(node), "func": ast.Name("str", ast.Load()), "args": [node.func.value], "keywords": []}
            yield _Change(node, "__dict__", taken, "drop-call", node)
